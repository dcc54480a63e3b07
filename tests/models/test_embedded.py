"""The weights that come with the package: there, small enough, and usable as they are described."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.config.local import DetectorConfig, EmbeddingConfig
from reidstream.inference.factory import open_detector, open_embedder
from reidstream.inference.session import Session
from reidstream.models.resolving import resolve_model

MEGABYTE = 1_000_000


@pytest.mark.parametrize(("name", "task", "limit"), [("person-detector", "detector", 4), ("person-reid", "reid", 1)])
def test_embedded_weights_are_found_by_name_and_stay_small(name: str, task: str, limit: int) -> None:
    model = resolve_model(name, task)  # type: ignore[arg-type]
    assert model.sha256 == model.spec.sha256
    assert model.path.stat().st_size <= limit * MEGABYTE
    assert model.spec.terms and model.spec.training_data


def test_every_picture_of_a_batch_is_embedded_as_it_is_alone() -> None:
    model = resolve_model("person-reid", "reid")
    embedder = open_embedder(model, EmbeddingConfig())
    rng = np.random.default_rng(3)
    crops = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((128, 64), (90, 40), (300, 160))]
    together = embedder.embed(crops)
    assert together.shape == (3, 512)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for crop, vector in zip(crops, together, strict=True):
        np.testing.assert_allclose(embedder.embed([crop])[0], vector, atol=1e-4)


def test_the_detector_has_one_class_and_takes_other_sizes_and_batches() -> None:
    model = resolve_model("person-detector", "detector")
    assert model.spec.classes == ("person",)
    open_detector(model, DetectorConfig())
    session = Session(model.path, intra=1)
    for batch, height, width in ((1, 416, 416), (3, 256, 448)):
        output = session.run(np.full((batch, 3, height, width), 114, np.float32))
        anchors = sum((height // s) * (width // s) for s in (8, 16, 32))
        assert np.asarray(output).shape == (batch, anchors, 6)
