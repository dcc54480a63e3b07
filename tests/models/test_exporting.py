"""From a checkpoint to a deployable ONNX, with the proof that it computes the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from reidstream.errors import ModelDegenerate, ModelError, ModelMismatch, SourceNotFound
from reidstream.models import Preprocessing, resolve_model
from reidstream.models.exporting import IMAGENET, Description, export_checkpoint
from reidstream.models.parity import compared, crops_for, prepared

from .small_networks import run

MARKET = "osnet_x0_25_market1501.pt"
SMALL = (64, 32)
MSMT17 = "osnet_x0_25_msmt17.onnx"


def shared_model(shared_data: Path, name: str) -> Path:
    return shared_data.parent / "models" / name


def spread_weights(path: Path, architecture: str = "osnet_x0_25", classes: int | None = 751) -> Path:
    """Untrained weights whose embeddings differ from crop to crop: random ones do, once their mean is taken off."""
    torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
    from reidstream.models.osnet import OSNet

    torch.manual_seed(2)
    network = OSNet(architecture)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0  # the running statistics become those of these very crops
    with torch.no_grad():
        network.train()
        network(torch.from_numpy(prepared(crops_for(SMALL), IMAGENET)))
        network.fc[1].weight.fill_(1.0)
        network.fc[1].bias.fill_(0.0)
    state = network.state_dict()
    if classes is not None:
        state |= {"classifier.weight": torch.randn(classes, 512), "classifier.bias": torch.randn(classes)}
    torch.save(state, path)
    return path


def test_export_without_pytorch_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\nfrom reidstream.models.exporting import export_checkpoint\n"
        "from reidstream.errors import MissingDependency\n"
        "try: export_checkpoint(Path('a.pth'), Path('b.onnx'))\n"
        "except MissingDependency as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'reidstream[export]'" in done.stdout


@pytest.mark.torch
@pytest.mark.parametrize("architecture", ["osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x1_0"])
def test_export_takes_raw_crops_and_gives_unit_length(tmp_path: Path, architecture: str) -> None:
    source = spread_weights(tmp_path / "a.pth", architecture)
    written = export_checkpoint(source, tmp_path / "a.onnx", Description(input_size=SMALL))
    assert written.parity.lowest_cosine > 0.9999
    crops = crops_for(SMALL, count=3).transpose(0, 3, 1, 2).astype(np.float32)
    assert run(tmp_path / "a.onnx", crops[:0]).shape == (0, 512)
    np.testing.assert_allclose(np.linalg.norm(run(tmp_path / "a.onnx", crops), axis=1), 1, atol=1e-5)
    resolved = resolve_model(str(tmp_path / "a.onnx"), "reid")
    assert resolved.spec == written.spec
    assert (resolved.spec.architecture, resolved.spec.inside) == (architecture, IMAGENET)
    assert resolved.spec.training_data == "not stated; 751 identities"
    model = onnx.load(tmp_path / "a.onnx")
    assert model.opset_import[0].version >= 17
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)


@pytest.mark.torch
def test_bare_export_leaves_preprocessing_outside(tmp_path: Path) -> None:
    source = spread_weights(tmp_path / "a.pth")
    said = Description(preprocessing=Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3), input_size=SMALL)
    written = export_checkpoint(source, tmp_path / "bare.onnx", said, bare=True)
    assert written.spec.preprocessing == said.preprocessing and not written.spec.normalised
    whole = export_checkpoint(source, tmp_path / "whole.onnx", said)
    crops = crops_for(SMALL, count=4)
    a = run(tmp_path / "bare.onnx", prepared(crops, whole.spec.inside or Preprocessing()))
    b = run(tmp_path / "whole.onnx", prepared(crops, Preprocessing()))
    assert compared(a, b, real=False).lowest_cosine > 0.999999
    assert abs(np.linalg.norm(a[0]) - 1) > 0.01


@pytest.mark.torch
def test_weights_of_imagenet_need_a_word(tmp_path: Path) -> None:
    source = spread_weights(tmp_path / "a.pth", classes=1000)
    with pytest.raises(ModelError, match=r"ImageNet alone[\s\S]*--yes-imagenet"):
        export_checkpoint(source, tmp_path / "a.onnx")
    spec = export_checkpoint(source, tmp_path / "a.onnx", Description(input_size=SMALL), imagenet=True).spec
    assert spec.training_data == "ImageNet"


@pytest.mark.torch
def test_weights_of_unknown_training_have_to_be_declared(tmp_path: Path) -> None:
    source = spread_weights(tmp_path / "a.pth", classes=None)
    with pytest.raises(ModelError, match="--training-data"):
        export_checkpoint(source, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="--yes-imagenet"):
        export_checkpoint(source, tmp_path / "a.onnx", Description(training_data="ImageNet-1k"))
    said = Description("street-reid", None, SMALL, "our own streets", "ours")
    spec = export_checkpoint(source, tmp_path / "a.onnx", said).spec
    assert (spec.name, spec.training_data, spec.terms) == ("street-reid", "our own streets", "ours")


@pytest.mark.torch
def test_untrained_weights_are_degenerate_and_leave_nothing(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
    from reidstream.models.osnet import OSNet

    torch.manual_seed(0)
    torch.save(OSNet("osnet_x0_25").state_dict(), tmp_path / "a.pth")
    with pytest.raises(ModelDegenerate, match="nearly the same embedding"):
        export_checkpoint(tmp_path / "a.pth", tmp_path / "a.onnx", Description(training_data="nothing"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.torch
def test_result_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reidstream.models import exporting

    def damage(model: Any) -> int:
        weight = model.graph.initializer[0]
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 1.5, weight.name))
        return 0

    monkeypatch.setattr(exporting, "flush_denormals", damage)
    source = spread_weights(tmp_path / "a.pth")
    with pytest.raises(ModelMismatch, match="does not compute what its source does"):
        export_checkpoint(source, tmp_path / "a.onnx", Description(input_size=SMALL))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.torch
def test_folder_without_crops_is_refused(tmp_path: Path) -> None:
    source = spread_weights(tmp_path / "a.pth")
    with pytest.raises(SourceNotFound, match="no folder of images"):
        export_checkpoint(source, tmp_path / "a.onnx", images=tmp_path / "gone")
    with pytest.raises(SourceNotFound, match="at least two images"):
        export_checkpoint(source, tmp_path / "a.onnx", images=tmp_path)


@pytest.mark.torch
@pytest.mark.shared
@pytest.mark.parametrize("name", [MARKET, MSMT17])
@pytest.mark.parametrize(("half", "lowest"), [(False, 0.999999), (True, 0.999)])
def test_both_shared_osnets_are_exported(
    shared_data: Path, tmp_path: Path, name: str, half: bool, lowest: float
) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
    written = export_checkpoint(shared_model(shared_data, name), tmp_path / "a.onnx", half=half)
    assert written.parity.lowest_cosine >= lowest
    assert written.spec.architecture == "osnet_x0_25" and written.spec.training_data in {"Market-1501", "MSMT17"}
    assert any(c.endswith("denormal weights set to 0") and not c.startswith("0 ") for c in written.changes)
    tiny = np.finfo(np.float32).tiny
    for tensor in onnx.load(tmp_path / "a.onnx").graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            assert not ((np.abs(values) < tiny) & (values != 0)).any(), tensor.name


@pytest.mark.torch
@pytest.mark.shared
def test_exported_msmt17_network_equals_the_shared_onnx(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
    source = shared_model(shared_data, MSMT17)
    export_checkpoint(source, tmp_path / "bare.onnx", bare=True)
    images = prepared(crops_for((256, 128), count=16), IMAGENET)
    np.testing.assert_allclose(run(tmp_path / "bare.onnx", images), run(source, images), atol=1e-4)
