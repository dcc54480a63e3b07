"""The measures by which two models are compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reidstream.errors import ModelDegenerate, ModelMismatch
from reidstream.models import Preprocessing
from reidstream.models.parity import (
    Floats,
    compared,
    crops_for,
    in_batches,
    likeness,
    prepared,
    refuse_degenerate,
    unit,
)

VECTORS = arrays(np.float32, st.tuples(st.integers(2, 9), st.integers(1, 5)), elements=st.floats(-4, 4, width=32))


@given(VECTORS)
def test_likeness_is_the_mean_over_all_pairs(vectors: Floats) -> None:
    rows = unit(vectors).astype(np.float64)
    pairs = [rows[i] @ rows[j] for i in range(len(rows)) for j in range(len(rows)) if i != j]
    assert likeness(unit(vectors)) == pytest.approx(np.mean(pairs), abs=1e-6)


@given(VECTORS, st.floats(0.125, 8, width=32))
def test_length_of_embeddings_does_not_count(vectors: Floats, scale: float) -> None:
    kept = vectors[np.abs(vectors).max(axis=1) > 0.01]
    if len(kept) >= 2:
        same = compared(kept, kept * np.float32(scale), real=False)
        assert same.lowest_cosine == pytest.approx(1, abs=1e-5) and same.largest_error < 1e-5


def test_one_wrong_crop_is_seen() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    other = vectors.copy()
    other[7] = -other[7]
    assert compared(vectors, other, real=True).lowest_cosine == pytest.approx(-1)
    assert compared(vectors, np.full_like(vectors, np.nan), real=True).lowest_cosine == -1
    with pytest.raises(ModelMismatch, match=r"shape \(20, 8\), the result \(20, 7\)"):
        compared(vectors, vectors[:, :7], real=True)


def test_degenerate_embeddings_are_refused() -> None:
    random = np.random.default_rng(0)
    good = random.normal(size=(20, 8)).astype(np.float32)
    refuse_degenerate(good, "it")
    zero, infinite = good.copy(), good.copy()
    zero[3] = 0
    infinite[3, 3] = np.inf
    for bad, problem in ((good * 0.1 + 1, "nearly the same"), (zero, "zeros for 1 of 20"), (infinite, "not finite")):
        with pytest.raises(ModelDegenerate, match=problem):
            refuse_degenerate(bad, "it")


def test_preprocessing_is_applied_in_the_order_of_the_network() -> None:
    crops = np.array([10, 20, 30], np.uint8).reshape(1, 1, 1, 3)
    said = Preprocessing(color="BGR", mean=(30, 0, 0), std=(1, 2, 5), layout="NHWC")
    np.testing.assert_array_equal(prepared(crops, said), np.array([0, 10, 2], np.float32).reshape(1, 1, 1, 3))
    assert prepared(crops, Preprocessing()).shape == (1, 3, 1, 1)


def test_made_up_crops_differ_and_stay_the_same() -> None:
    crops = crops_for((64, 32))
    assert crops.shape == (32, 64, 32, 3) and crops.dtype == np.uint8
    assert len({crop.tobytes() for crop in crops}) == 32
    np.testing.assert_array_equal(crops, crops_for((64, 32)))


@given(st.integers(1, 9), st.integers(1, 12))
def test_batches_cover_every_image_once(images: int, batch: int) -> None:
    values = np.arange(images, dtype=np.float32)[:, None]
    sizes: list[int] = []

    def network(x: Floats) -> Floats:
        sizes.append(len(x))
        return x * 2

    np.testing.assert_array_equal(in_batches(network, values, batch, fixed=True), values * 2)
    assert set(sizes) == {batch}
