"""Models on a real NVIDIA GPU: ``make test-gpu``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine
from reidstream.inference import open_detector, open_embedder
from reidstream.models import resolve_model
from reidstream.sources.frame import ArrayPicture
from reidstream.types import Observed, SourceEnded
from tests.blobs import write_blobs

pytestmark = pytest.mark.gpu


def _noise(count: int, height: int, width: int) -> list[np.ndarray]:
    random = np.random.default_rng(count)
    coarse = random.integers(0, 256, (count, height // 8, width // 8, 3), np.uint8)
    return list(np.kron(coarse, np.ones((1, 8, 8, 1), np.uint8)))


def test_vectors_are_those_of_the_processor() -> None:
    model, config = resolve_model("person-reid", "reid"), Config().embedding
    crops = _noise(37, 160, 64)
    expected = open_embedder(model, config).embed(crops)
    found = open_embedder(model, config, "cuda").embed(crops)
    assert np.sum(expected * found, axis=1).min() > 0.9999


def test_boxes_are_those_of_the_processor() -> None:
    model, config = resolve_model("person-detector", "detector"), Config().detector
    config = config.model_copy(update={"confidence": 0.001})
    pictures = [ArrayPicture(image) for image in _noise(9, 240, 320)]
    pairs = zip(
        open_detector(model, config).detect(pictures),
        open_detector(model, config, "cuda").detect(pictures),
        strict=True,
    )
    for expected, found in pairs:
        assert abs(len(expected) - len(found)) <= 1 + len(expected) // 20
        assert found.scores[:5] == pytest.approx(expected.scores[:5], abs=1e-3)


def test_fp16_gives_nearly_the_numbers_of_fp32() -> None:
    model, config = resolve_model("person-reid", "reid"), Config().embedding
    crops = _noise(37, 160, 64)
    full = open_embedder(model, config, "cuda").embed(crops)
    half = open_embedder(model, config, "cuda", half=True).embed(crops)
    assert np.sum(full * half, axis=1).min() > 0.999
    assert not np.array_equal(full, half)


@pytest.mark.parametrize("alone", [0, 3, 15])
def test_a_rows_numbers_do_not_depend_on_its_neighbours_or_its_place(alone: int) -> None:
    crops = _noise(16, 160, 64)
    embedder = open_embedder(resolve_model("person-reid", "reid"), Config().embedding, "cuda")
    together = embedder.embed(crops)
    np.testing.assert_array_equal(embedder.embed([crops[alone]])[0], together[alone])
    np.testing.assert_array_equal(embedder.embed(crops[::-1])[::-1], together)
    pictures = [ArrayPicture(image) for image in _noise(16, 240, 320)]
    detector = open_detector(resolve_model("person-detector", "detector"), Config().detector, "cuda")
    (single,), many = detector.detect([pictures[alone]]), detector.detect(pictures)
    np.testing.assert_array_equal(single.boxes, many[alone].boxes)
    np.testing.assert_array_equal(single.scores, many[alone].scores)


def test_the_local_engine_runs_on_it(tmp_path: Path) -> None:
    config = Config.model_validate({"local": {"device": "cuda"}})
    video = write_blobs(tmp_path / "a.mp4", [0, 1], 40)
    engine = LocalEngine(config, [(name, SourceConfig(uri=str(video))) for name in "abc"])
    events = list(engine.events())
    assert sum(isinstance(event, Observed) for event in events) == 120
    assert all(event.error is None for event in events if isinstance(event, SourceEnded))
    assert engine.status.stage_seconds["warm-up"] > 0
