"""The network that is trained: the package's own, made wider, quicker to train and stored in half precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.synthetic import render_crops

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from reidstream.models.osnet import OSNet  # noqa: E402 - both need PyTorch
from training.export import export_onnx, halve_weights  # noqa: E402
from training.reid.__main__ import RECIPES, SHIPPED, ship  # noqa: E402
from training.reid.dataset import Crops, encode, held_out  # noqa: E402
from training.reid.joining import joined, mixture, restated  # noqa: E402
from training.reid.network import LARGE, SMALL, Deployed, trainable, widened  # noqa: E402
from training.reid.objective import CosineClassifier, relations  # noqa: E402
from training.reid.train import Packs, Recipe  # noqa: E402
from training.steps import repeated  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def small() -> OSNet:
    torch.manual_seed(3)
    network = trainable(OSNet(SMALL))
    # Statistics that differ from channel to channel, as after a training.
    with torch.no_grad():
        network.train()(torch.randn(8, 3, 64, 32))
    return network.eval()


def test_a_wider_network_computes_what_the_small_one_does(small: OSNet) -> None:
    wide = widened(small).eval()
    pictures = torch.randn(3, 3, 64, 32)
    with torch.no_grad():
        wanted, found = small(pictures), wide(pictures)
    assert sum(p.numel() for p in wide.parameters()) > 8 * sum(p.numel() for p in small.parameters())
    assert wide.architecture == LARGE
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_copies_of_a_channel_do_not_learn_the_same(small: OSNet) -> None:
    wide = widened(small).train()
    wide(torch.randn(4, 3, 64, 32)).square().mean().backward()
    learnt = wide.conv2[1].conv1.conv.weight.grad
    first, second = learnt[0::4], learnt[1::4]
    assert float((first - second).abs().max()) > 0.01 * float(first.abs().max())


def test_compiled_convolutions_compute_what_others_do(small: OSNet) -> None:
    network = small.double().train()
    pictures = torch.randn(2, 3, 64, 32, dtype=torch.float64)

    def learnt(run: Callable[[Any], Any]) -> list[Any]:
        network.zero_grad()
        run(pictures).square().mean().backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    for wanted, found in zip(
        learnt(network), learnt(torch.compile(network, backend="aot_eager", dynamic=False)), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


def test_relations_are_compared_pair_by_pair() -> None:
    found, wanted = (functional.normalize(torch.randn(5, 8, dtype=torch.float64)) for _ in range(2))
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    expected = sum(float(found[i] @ found[j] - wanted[i] @ wanted[j]) ** 2 for i, j in pairs) / len(pairs)
    assert float(relations(found, wanted)) == pytest.approx(expected)


def test_a_classifier_asks_for_a_margin_at_the_right_person_only() -> None:
    classifier = CosineClassifier(torch.eye(3), scale=10.0, margin=0.2)
    cosines = torch.tensor([[0.9, 0.1, 0.2]])
    expected = functional.cross_entropy(
        10 * (cosines - torch.tensor([[0.2, 0.0, 0.0]])), torch.tensor([0]), label_smoothing=0.05
    )
    torch.testing.assert_close(classifier(cosines, torch.tensor([0])), expected)


def test_a_step_on_a_processor_is_run_as_it_is() -> None:
    def step() -> None:
        raise AssertionError("only who calls it runs it")

    assert repeated(step, torch.device("cpu")) is step


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's exporter by traces
def test_halved_weights_take_half_the_file_and_say_the_same(small: OSNet, tmp_path: Path) -> None:
    import onnxruntime

    pictures = torch.rand(3, 3, 256, 128) * 255
    found = {}
    for name, halved in (("whole", False), ("halved", True)):
        path = tmp_path / f"{name}.onnx"
        export_onnx(Deployed(small), pictures, path, "embeddings", {0: "batch"}, {}, halved)
        (found[name],) = onnxruntime.InferenceSession(str(path)).run(None, {"input": pictures.numpy()})
    sizes = {name: (tmp_path / f"{name}.onnx").stat().st_size for name in found}
    assert sizes["halved"] < 0.7 * sizes["whole"]
    assert float((found["whole"] * found["halved"]).sum(1).min()) > 0.9999
    assert not np.array_equal(found["whole"], found["halved"])


def test_a_weight_beyond_half_precision_is_named() -> None:
    import onnx

    big = onnx.numpy_helper.from_array(np.full(2048, 1e6, np.float32), "conv.weight")
    graph = onnx.helper.make_graph([], "g", [], [], [big])
    with pytest.raises(ValueError, match=r"conv\.weight: a weight of 1e\+06"):
        halve_weights(onnx.helper.make_model(graph))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's exporter by traces
def test_weights_are_trained_from_chance_on_free_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reidstream.models.resolving import resolve_model
    from tests.test_smartspaces import of_2024
    from training.reid import __main__ as command

    of_2024(tmp_path / "data", seen=((7, (1, 2)), (8, (1, 2))))
    work = tmp_path / "work"
    work.mkdir()
    command.prepare_free(tmp_path / "data", work)
    made = list(render_crops(4, 5, cameras=2, per_camera=2))
    for name in ("synthetic", "synthetic-aside"):
        encode(((c.image, c.person, c.camera) for c in made), 144, 72).write(work / f"{name}.npz")
    short = replace(command.FREE, seconds=1, people=1, views=2, others=2, synthetic_people=2, worlds=1, checks=1)
    monkeypatch.setattr(command, "FREE", short)
    assert command.run_free(work, slot=60)
    model = resolve_model(str(command.ship_free(work)), "reid")
    assert "CC-BY-4.0" in model.spec.terms and "Market" not in model.spec.training_data
    assert model.spec.embedding_size == 512


def _crops(people: list[int], value: int) -> Crops:
    """One grey picture of each."""
    return encode(((np.full((32, 16, 3), value, np.uint8), person, 0) for person in people), 32, 16)


def test_statistics_come_from_every_pack_as_in_training_and_from_nobody_held_out() -> None:
    everybody = np.arange(1, 11)
    aside = held_out(everybody)
    assert 0 < aside.sum() < 10
    shades = [_crops([person], 200 if out else 20) for person, out in zip(everybody.tolist(), aside, strict=True)]
    market = Crops([jpeg for crops in shades for jpeg in crops.jpegs], everybody, np.zeros(10, np.int64))
    packs = Packs(market, _crops([-1, -1], 90), _crops([0, 1, 2], 150), _crops([0], 250))
    found = mixture(packs, Recipe(people=64, views=4, others=128, synthetic_people=96))
    assert [len(pictures) for pictures, _ in found] == [10 - aside.sum(), 2, 3]
    assert [count for _, count in found] == [64, 32, 96]
    for (pictures, _), shade in zip(found, (20, 90, 150), strict=True):
        assert abs(pictures.float() - shade).max() < 5


def test_statistics_taken_anew_are_those_of_the_pictures(small: OSNet) -> None:
    pictures = torch.randint(0, 256, (16, 3, 32, 16), dtype=torch.uint8)
    seen = []
    small.conv1.conv.register_forward_hook(lambda _, __, made: seen.append(made.detach()))
    restated(small, [(pictures, 8)], Recipe(), batches=3)
    assert not small.training and len(seen) == 3
    torch.testing.assert_close(small.conv1.bn.running_mean, torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0))


def test_two_trainings_are_joined_half_way_to_statistics_of_their_own(small: OSNet) -> None:
    torch.manual_seed(5)
    other = {k: v + 0.1 if v.is_floating_point() else v for k, v in small.state_dict().items()}
    pictures = [(torch.randint(0, 256, (8, 3, 32, 16), dtype=torch.uint8), 8)]
    found = joined([small.state_dict(), other], pictures, Recipe())
    name = "conv1.conv.weight"
    torch.testing.assert_close(found[name], small.state_dict()[name] + 0.05)
    own = OSNet(SMALL)
    own.load_state_dict({k: v + 0.05 if v.is_floating_point() else v for k, v in small.state_dict().items()})
    before = own.conv1.bn.running_mean.clone()
    torch.manual_seed(Recipe().seed)
    restated(own, pictures, Recipe())
    torch.testing.assert_close(found["conv1.bn.running_mean"], (before + own.conv1.bn.running_mean) / 2)


def test_what_lacks_a_training_is_not_shipped(tmp_path: Path) -> None:
    assert all(set(parts) <= set(RECIPES) for parts, _ in SHIPPED.values())
    with pytest.raises(ValueError, match="person-reid of small and firm"):
        ship(tmp_path, ["small"])
