"""Checkpoints in all the forms in which torchreid and others write them, good and bad."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
from reidstream.errors import ModelMismatch, ModelNotFound  # noqa: E402
from reidstream.models.checkpoints import read_checkpoint  # noqa: E402
from reidstream.models.osnet import ARCHITECTURES, OSNet  # noqa: E402

pytestmark = pytest.mark.torch


def weights(architecture: str = "osnet_x0_25", classes: int | None = 751, prefix: str = "") -> OrderedDict[str, Any]:
    torch.manual_seed(1)
    state = OrderedDict(OSNet(architecture).state_dict())
    if classes is not None:
        state["classifier.weight"] = torch.randn(classes, 512)
        state["classifier.bias"] = torch.randn(classes)
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def torchreid_file(path: Path, rank1: Any, **options: Any) -> Path:
    """As torchreid's engine saves it: optimizer, scheduler and the best Rank-1 beside the weights."""
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters(), amsgrad=True)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [20, 40])
    content = {
        "state_dict": weights(prefix="module."),
        "epoch": 60,
        "rank1": rank1,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
    }
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architecture_is_found_from_the_weights(architecture: str, tmp_path: Path) -> None:
    state = weights(architecture)
    torch.save(state, tmp_path / "a.pth")
    found = read_checkpoint(tmp_path / "a.pth")
    assert (found.architecture, found.classes, found.embedding_size) == (architecture, 751, 512)
    for name, tensor in found.network().state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize("rank1", [0.91, np.float32(0.91), np.float64(0.91)])
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_files_of_torchreid_are_read(tmp_path: Path, rank1: Any, options: dict[str, bool]) -> None:
    assert read_checkpoint(torchreid_file(tmp_path / "model.pth.tar-60", rank1, **options)).classes == 751


def test_files_written_with_old_numpy_are_read(tmp_path: Path) -> None:
    path = torchreid_file(tmp_path / "model.pth.tar", np.float64(0.91), _use_new_zipfile_serialization=False)
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(old)
    assert b"numpy.core.multiarray" in old and read_checkpoint(path).classes == 751


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("container", [None, "state_dict", "model"])
def test_prefixes_and_containers_are_taken_off(tmp_path: Path, prefix: str, container: str | None) -> None:
    state = weights(prefix=prefix, classes=None)
    torch.save({container: state, "epoch": 3} if container else state, tmp_path / "a.pt")
    found = read_checkpoint(tmp_path / "a.pt")
    assert found.classes is None and "conv1.conv.weight" in found.state


def test_safetensors_and_half_precision_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights().items()}
    save_file(state, tmp_path / "a.safetensors")
    found = read_checkpoint(tmp_path / "a.safetensors")
    assert found.classes == 751 and found.state["conv1.conv.weight"].dtype == torch.float32


def test_unfolded_onnx_is_read_and_a_folded_one_explained(tmp_path: Path) -> None:
    import onnx

    from reidstream.models.graph.folding import fold_batch_norm
    from reidstream.models.graph.network import osnet_graph

    state = weights()
    torch.save(state, tmp_path / "a.pth")
    model = osnet_graph(read_checkpoint(tmp_path / "a.pth").network(), (64, 32))
    onnx.save(model, tmp_path / "a.onnx")
    found = read_checkpoint(tmp_path / "a.onnx")
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.state.items())
    fold_batch_norm(model)
    onnx.save(model, tmp_path / "folded.onnx")
    with pytest.raises(ModelMismatch, match=r"missing[\s\S]*BatchNorm is folded[\s\S]*models prepare"):
        read_checkpoint(tmp_path / "folded.onnx")


def test_everything_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    state = weights()
    del state["fc.0.bias"]
    state["conv5.conv.weight"] = state["conv5.conv.weight"][:3]
    state["conv1.bn.weight"] = state["conv1.bn.weight"] * float("nan")
    state["head.weight"] = torch.ones(1)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ModelMismatch) as caught:
        read_checkpoint(tmp_path / "a.pth")
    for part in (
        "1 missing: fc.0.bias",
        "1 unknown: head.weight",
        "conv5.conv.weight (3, 128, 1, 1) instead of (128, 128, 1, 1)",
        "1 not finite: conv1.bn.weight",
    ):
        assert part in str(caught.value)


def test_wrong_architecture_named_by_the_user_is_refused(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "a.pth")
    with pytest.raises(ModelMismatch, match="does not fit osnet_x1_0"):
        read_checkpoint(tmp_path / "a.pth", "osnet_x1_0")
    with pytest.raises(ModelMismatch, match="no architecture is called 'resnet'"):
        read_checkpoint(tmp_path / "a.pth", "resnet")


class Payload:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.victim}",)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, options: dict[str, bool]) -> None:
    content = {"state_dict": weights(), "extra": Payload(tmp_path / "owned")}
    torch.save(content, tmp_path / "a.pth", **options)
    with pytest.raises(ModelMismatch, match=r"would run \w+\.system from the file, which is refused"):
        read_checkpoint(tmp_path / "a.pth")
    assert not (tmp_path / "owned").exists()


def test_whole_modules_are_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(OSNet("osnet_x0_25"), tmp_path / "a.pth")
    with pytest.raises(ModelMismatch, match=r"OSNet from the file, which is refused.*state_dict\(\)"):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "cannot be read as a PyTorch checkpoint"),
        (b"hello", "cannot be read as a PyTorch checkpoint"),
        (b"PK\x03\x04 cut short", "cannot be read as a PyTorch checkpoint"),
        ([1, 2], "must hold a state dict.* it holds a list"),
        ({"epoch": 3}, "must hold a state dict.* a dictionary with epoch"),
        ({"layer.weight": torch.ones(2)}, r"does not hold an OSNet: conv1\.conv\.weight is missing; it holds layer"),
        ({"conv1.conv.weight": torch.ones(7, 3, 7, 7)}, "with 7 channels in its stem"),
    ],
)
def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path, content: Any, problem: str) -> None:
    path = tmp_path / "a.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ModelMismatch, match=problem):
        read_checkpoint(path)


def test_truncated_and_torchscript_files_are_refused(tmp_path: Path) -> None:
    import zipfile

    torch.save(weights(), tmp_path / "a.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "a.pth").read_bytes()[:-5000])
    with pytest.raises(ModelMismatch, match="cannot be read as a PyTorch checkpoint"):
        read_checkpoint(tmp_path / "cut.pth")
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("model/code/__torch__.py", "class Module: ...")
        archive.writestr("model/data.pkl", b"")
    with pytest.raises(ModelMismatch, match="TorchScript program"):
        read_checkpoint(tmp_path / "script.pt")
    with pytest.raises(ModelNotFound, match="no checkpoint at"):
        read_checkpoint(tmp_path / "gone.pth")


@pytest.mark.parametrize(("classes", "name", "imagenet"), [(1000, "a.pth", True), (751, "a.pth", False)])
def test_imagenet_weights_are_recognised(tmp_path: Path, classes: int, name: str, imagenet: bool) -> None:
    torch.save(weights(classes=classes), tmp_path / name)
    assert read_checkpoint(tmp_path / name).looks_like_imagenet is imagenet
    torch.save(weights(classes=None), tmp_path / "osnet_x0_25_imagenet.pth")
    assert read_checkpoint(tmp_path / "osnet_x0_25_imagenet.pth").looks_like_imagenet
