"""Several sources on a GPU: looked at together, embedded ahead, sampled together; each gives what it gives alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine, sampling, source_reader
from reidstream.errors import DeviceError
from reidstream.inference.network import Ahead, Answer
from reidstream.inference.shared_batch import SharedBatch
from reidstream.sharpness import sharpness
from reidstream.sources.frame import Picture, Pixels
from reidstream.types import Detections, Event, FloatArray, Observed, SourceEnded
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.gpu.standin import DecodingOnHost, HostGpu

Box = tuple[int, int, int, int]


class _Looking:
    """A session that finds blobs in up to three pictures."""

    path = Path("blobs")
    rows = 3
    takes_cuts = True

    def begin(self, pictures: Sequence[Picture]) -> Sequence[Picture]:
        return pictures

    def end(self, run: Sequence[Picture]) -> list[Detections]:
        return BlobDetector().detect(run)

    def joined(self, parts: Sequence[list[Detections]]) -> list[Detections]:
        return [found for part in parts for found in part]


class _Embedding:
    """A session that embeds up to five crops, until it has been asked ``lasts`` times."""

    path = Path("colours")
    rows = 5
    takes_cuts = True

    def __init__(self, lasts: int) -> None:
        self._lasts = lasts

    def begin(self, crops: Sequence[Pixels]) -> Sequence[Pixels]:
        self._lasts -= 1
        if self._lasts < 0:
            raise DeviceError("the device is gone")
        return crops

    def end(self, run: Sequence[Pixels]) -> FloatArray:
        return ColourEmbedder().embed(run)

    def joined(self, parts: Sequence[FloatArray]) -> FloatArray:
        return np.concatenate(parts)


class _Detector:
    input_size = BlobDetector.input_size

    def __init__(self) -> None:
        self._batch: SharedBatch[Picture, list[Detections]] = SharedBatch(_Looking)

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        raise AssertionError("pictures are handed over")

    def start(self, pictures: Sequence[Picture]) -> Future[list[Detections]]:
        return self._batch.submit(pictures)


class _Embedder:
    space = ColourEmbedder.space

    def __init__(self, lasts: int) -> None:
        self._batch: SharedBatch[Pixels, FloatArray] = SharedBatch(lambda: _Embedding(lasts))
        self.ahead = 0

    def embed(self, crops: Sequence[Pixels]) -> FloatArray:
        raise AssertionError("boxes are handed over")

    def start(self, pictures: Sequence[Picture], boxes: Sequence[Box]) -> Answer:
        return self._batch.start(_crops(pictures, boxes))

    def start_ahead(self, pictures: Sequence[Picture], boxes: Sequence[Box]) -> tuple[Answer, Ahead] | None:
        self.ahead += 1
        order = self._batch.ahead(len(boxes), lambda: _crops(pictures, boxes))
        return Answer(order.done.result, order.done.done), order


def _crops(pictures: Sequence[Picture], boxes: Sequence[Box]) -> list[Pixels]:
    return [picture.crop(*box) for picture, box in zip(pictures, boxes, strict=True)]


@pytest.fixture
def videos(tmp_path: Path) -> list[tuple[str, SourceConfig]]:
    people = {"a": [0, 1], "b": [2, 3], "c": [4]}
    paths = {name: write_blobs(tmp_path / f"{name}.mp4", some, 30 + 5 * len(some)) for name, some in people.items()}
    return [(name, SourceConfig(uri=str(path))) for name, path in paths.items()]


def _of(events: Sequence[Event], source: str) -> list[Any]:
    """What one source gave, without the time of its end."""
    return [(type(event).__name__, *_plain(event)) for event in events if event.source == source]


def _plain(event: Event) -> tuple[Any, ...]:
    if isinstance(event, Observed):
        samples = event.samples
        known = None if samples is None else (samples.embeddings.tolist(), samples.quality.tolist(), samples.crops)
        return event.frame, event.track_ids.tolist(), event.boxes.tolist(), known
    if isinstance(event, SourceEnded):
        return event.frames, event.error
    return ()


def test_each_gives_what_it_gives_alone_on_the_processor(
    videos: list[tuple[str, SourceConfig]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(LocalEngine(Config(), videos, None, BlobDetector(), ColourEmbedder()).events())
    monkeypatch.setattr(source_reader, "OnGpu", DecodingOnHost)
    embedder = _Embedder(10_000)
    engine = LocalEngine(Config(), videos, None, _Detector(), embedder, gpu=HostGpu())
    found = list(engine.events())
    for name, _ in videos:
        ours, theirs = _of(found, name), _of(expected, name)
        assert len(ours) == len(theirs) > 30
        assert ours == theirs
    assert any(isinstance(event, Observed) and event.samples is not None for event in found)
    assert embedder.ahead > 0
    assert engine.status.stage_seconds["detect"] > 0


def test_a_device_that_goes_away_ends_the_run_and_nobody_waits_for_ever(
    videos: list[tuple[str, SourceConfig]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_reader, "OnGpu", DecodingOnHost)
    engine = LocalEngine(Config(), videos, None, _Detector(), _Embedder(4), gpu=HostGpu())
    seen: list[Event] = []
    with pytest.raises(DeviceError, match="the device is gone"):
        seen.extend(engine.events())
    assert {event.source for event in seen if isinstance(event, SourceEnded)} == {"a", "b", "c"}


def test_crops_that_cannot_be_had_end_their_source_alone(
    videos: list[tuple[str, SourceConfig]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources are tracked and sampled together; something wrong with the pictures of one is no matter of the others."""

    def judged(crop: Pixels) -> float:
        blue, _, red = crop[40:60].mean(axis=(0, 1))
        if blue > 150 > red:
            # Somebody who is in b alone.
            raise ValueError("a broken surface")
        return sharpness(crop)

    expected = list(LocalEngine(Config(), videos, None, BlobDetector(), ColourEmbedder()).events())
    monkeypatch.setattr(source_reader, "OnGpu", DecodingOnHost)
    monkeypatch.setattr(sampling, "sharpness", judged)
    engine = LocalEngine(Config(), videos, None, _Detector(), _Embedder(10_000), gpu=HostGpu())
    found = list(engine.events())
    ends = {event.source: event.error for event in found if isinstance(event, SourceEnded)}
    assert (ends["a"], ends["b"], ends["c"]) == (None, "ValueError: a broken surface", None)
    for name in ("a", "c"):
        assert _of(found, name) == _of(expected, name)
