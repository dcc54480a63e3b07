"""A graph of fixed batch runs with as many images as there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reidstream.inference.open_batch import with_any_batch
from reidstream.inference.session import Session
from reidstream.models.spec import ResolvedModel


def test_a_fixed_batch_is_opened_and_gives_the_same(embedder_model: Callable[..., ResolvedModel]) -> None:
    fixed = Session(embedder_model(16).path)
    opened = with_any_batch(fixed, 1)
    assert (fixed.batch, opened.batch) == (16, None)
    height, width = (size or 1 for size in fixed.input.shape[2:])
    images = np.random.default_rng(1).uniform(0, 255, (16, 3, height, width)).astype(np.float32)
    np.testing.assert_allclose(opened.run(images[:3]), fixed.run(images)[:3], rtol=1e-4)


@pytest.mark.parametrize("batch", [1, "n"])
def test_an_open_or_single_batch_is_left_as_it_is(
    embedder_model: Callable[..., ResolvedModel], batch: int | str
) -> None:
    session = Session(embedder_model(batch).path)
    assert with_any_batch(session, 1) is session


@pytest.mark.shared
def test_the_published_osnet_for_sixteen_takes_one(shared_data: Path) -> None:
    fixed = Session(shared_data.parent / "models/osnet_x0_25_msmt17.onnx")
    assert fixed.batch == 16
    assert with_any_batch(fixed, 1).batch is None
