"""The network that is trained: the package's own, made wider, quicker to train and given new statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.synthetic import render_crops

torch = pytest.importorskip("torch")

from reidstream.models.osnet import OSNet  # noqa: E402 - both need PyTorch
from training.reid.dataset import encode, held_out  # noqa: E402
from training.reid.network import LARGE, SMALL, trainable, widened  # noqa: E402
from training.reid.statistics import MARKET, OTHERS, SYNTHETIC, mixture, restated  # noqa: E402
from training.reid.train import Packs  # noqa: E402

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


def test_statistics_are_those_of_the_batches(small: OSNet) -> None:
    batches = [torch.randn(4, 3, 64, 32) + 2 * k for k in range(3)]
    before = {k: v.clone() for k, v in small.state_dict().items()}
    network = restated(small, batches)
    inputs = torch.cat([network.conv1.conv(batch) for batch in batches])
    torch.testing.assert_close(network.conv1.bn.running_mean, inputs.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert not network.training
    assert all(torch.equal(v, before[k]) for k, v in small.state_dict().items())


def test_nobody_held_out_is_in_the_mixture() -> None:
    made = encode(((c.image, c.person, c.camera) for c in render_crops(4, 5, cameras=2, per_camera=1)), 128, 64)
    # 160 numbers of people: 150 are held out, all of them black pictures, the rest grey.
    numbers = np.arange(160)
    aside = held_out(numbers)
    pictures = [np.full((128, 64, 3), 0 if out else 200, np.uint8) for out in aside]
    market = encode(zip(pictures, numbers.tolist(), [1] * 160, strict=True), 128, 64)
    seen = mixture(Packs(market, made, made, made))
    assert all(batch.shape == (MARKET + OTHERS + SYNTHETIC, 3, 256, 128) for batch in seen)
    # Black is -2.1 after normalising; what varies pictures darkens 200 to no less than half of that.
    assert min(float(batch[:MARKET].flatten(1).median(1).values.min()) for batch in seen) > -1.9


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
