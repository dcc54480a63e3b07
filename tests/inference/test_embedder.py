"""What the embedder promises about its vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto

from reidstream.config import EmbeddingConfig
from reidstream.errors import ModelMismatch
from reidstream.inference import open_embedder
from reidstream.inference.session import Session
from reidstream.models.spec import ResolvedModel
from reidstream.sources.frame import ArrayPicture, Pixels

MakeModel = Callable[..., ResolvedModel]


def _crops(count: int) -> list[Pixels]:
    rng = np.random.default_rng(count)
    return [rng.integers(0, 256, (rng.integers(1, 40), rng.integers(1, 40), 3), np.uint8) for _ in range(count)]


def test_a_vector_is_the_networks_answer_at_unit_length(embedder_model: MakeModel) -> None:
    crop = np.empty((6, 9, 3), np.uint8)
    crop[:] = (10, 20, 40)  # blue, green, red
    vectors = open_embedder(embedder_model(), EmbeddingConfig()).embed([crop])
    expected = np.array([40, 20, 10]) / np.linalg.norm([40, 20, 10])
    np.testing.assert_allclose(vectors, [expected], rtol=1e-6)


def test_preprocessing_comes_from_the_description(embedder_model: MakeModel) -> None:
    crop = np.empty((6, 9, 3), np.uint8)
    crop[:] = (10, 20, 40)
    model = embedder_model(preprocessing={"color": "BGR", "mean": (4, 8, 0), "std": (2, 4, 40)})
    vectors = open_embedder(model, EmbeddingConfig()).embed([crop])
    np.testing.assert_allclose(vectors, [np.array([3, 3, 1]) / np.sqrt(19)], rtol=1e-6)


@pytest.mark.parametrize("takes", [TensorProto.FLOAT16, TensorProto.UINT8], ids=["half", "bytes"])
def test_half_precision_and_bytes_are_taken_as_they_are_asked_for(embedder_model: MakeModel, takes: int) -> None:
    crop = np.empty((6, 9, 3), np.uint8)
    crop[:] = (10, 20, 40)
    vectors = open_embedder(embedder_model(takes=takes), EmbeddingConfig()).embed([crop])
    np.testing.assert_allclose(vectors, [np.array([40, 20, 10]) / np.linalg.norm([40, 20, 10])], rtol=1e-3)


def test_bytes_that_are_to_be_scaled_before_are_refused_with_the_cure(embedder_model: MakeModel) -> None:
    model = embedder_model(takes=TensorProto.UINT8, preprocessing={"std": (255, 255, 255)})
    with pytest.raises(ModelMismatch, match=r"takes bytes[\s\S]*Leave mean and std out"):
        open_embedder(model, EmbeddingConfig())


@pytest.mark.parametrize("batch", [1, 3, 16, "n"])
@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 35])
def test_any_number_of_crops_fits_any_batch(embedder_model: MakeModel, batch: int | str, count: int) -> None:
    embedder = open_embedder(embedder_model(batch), EmbeddingConfig(batch=8))
    crops = _crops(count)
    vectors = embedder.embed(crops)
    assert vectors.shape == (count, 3)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    one_by_one = [embedder.embed([crop])[0] for crop in crops]
    np.testing.assert_array_equal(vectors, np.array(one_by_one, np.float32).reshape(count, 3))


def test_the_fingerprint_follows_file_and_preprocessing(embedder_model: MakeModel) -> None:
    space = open_embedder(embedder_model(), EmbeddingConfig()).space
    again = open_embedder(embedder_model(name="renamed"), EmbeddingConfig(batch=3)).space
    shifted = open_embedder(embedder_model(preprocessing={"mean": (1, 1, 1)}), EmbeddingConfig()).space
    other = open_embedder(embedder_model(size=(6, 8)), EmbeddingConfig()).space
    assert (space.model, space.size) == ("toy", 3)
    assert again.fingerprint == space.fingerprint
    assert len({space.fingerprint, shifted.fingerprint, other.fingerprint}) == 3


def test_a_wrong_description_is_refused(embedder_model: MakeModel) -> None:
    with pytest.raises(ModelMismatch, match=r"expected vectors of 512 numbers, the graph gives \(1, 3\)"):
        open_embedder(embedder_model(embedding_size=512), EmbeddingConfig())
    with pytest.raises(ModelMismatch, match="described as returning unit-length vectors"):
        open_embedder(embedder_model(normalised=True), EmbeddingConfig())
    with pytest.raises(ModelMismatch, match="expected a Re-ID model"):
        open_embedder(embedder_model(task="detector"), EmbeddingConfig())


def test_a_useless_vector_or_crop_is_an_error(embedder_model: MakeModel) -> None:
    embedder = open_embedder(embedder_model(), EmbeddingConfig())
    with pytest.raises(ModelMismatch, match="zero or not finite"):
        embedder.embed([np.zeros((4, 4, 3), np.uint8)])
    with pytest.raises(ValueError, match=r"got \(0, 4, 3\)"):
        embedder.embed([np.zeros((0, 4, 3), np.uint8)])


@pytest.mark.setting("embedding.batch")
def test_no_more_crops_run_together_than_is_said(embedder_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    together: list[int] = []
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda session, images: together.append(len(images)) or run(session, images))
    crops = [np.zeros((8, 4, 3), np.uint8) + 9 for _ in range(10)]
    for batch in (4, 16):
        embedder = open_embedder(embedder_model("n"), EmbeddingConfig(batch=batch))
        together.clear()
        embedder.embed(crops)
        assert max(together) == min(batch, 10)


def test_what_runs_at_once_is_not_started_ahead(embedder_model: MakeModel) -> None:
    """There is nobody beside whom vectors that perhaps nobody asks for would cost nothing."""
    embedder = open_embedder(embedder_model(), EmbeddingConfig())
    assert embedder.start_ahead([ArrayPicture(_crops(1)[0])], [(0, 0, 1, 1)]) is None
