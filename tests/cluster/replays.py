"""Recorded events of made-up people, for workers that replay them in place of cameras and models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from reidstream.engines.recording import Recorder
from reidstream.types import EndReason, Event, Observed, Samples, SourceEnded, SourceStarted, TrackEnded
from tests.identities.conftest import SPACE

Walk = tuple[int, float, float]
"""A person, and the seconds at which they come and go."""

_LAST = 0.01


def looks(person: int, seed: Sequence[int], noise: float = 0.4) -> np.ndarray:
    """A unit vector near the person's own direction, float32 (d,)."""
    direction = np.random.default_rng(person).normal(size=SPACE.size)
    vector = direction / np.linalg.norm(direction)
    vector = vector + np.random.default_rng([person, *seed]).normal(size=SPACE.size) * noise / np.sqrt(SPACE.size)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def events(
    source: str, walks: Sequence[Walk], *, seconds: float, fps: float = 5.0, wall: float = 1e9, live: bool = False
) -> Iterator[Event]:
    """One camera's events: each walk is a track, embedded once a second."""
    yield SourceStarted(source, f"{source}.mp4", f"content of {source}", (640, 480), fps, wall, live=live)
    open_tracks: set[int] = set()
    every = max(1, round(fps))
    frames = round(seconds * fps)
    for frame in range(frames):
        at = frame / fps
        seen = [(n, walk) for n, walk in enumerate(walks) if walk[1] <= at < walk[2]]
        for gone in sorted(open_tracks - {n for n, _ in seen}):
            yield TrackEnded(source, gone, EndReason.LEFT)
        open_tracks = {n for n, _ in seen}
        left = np.array([100 + 40 * (at - walk[1]) + 10 * n for n, walk in seen], np.float32)
        boxes = np.stack([left, left * 0 + 100, left + 60, left * 0 + 300], axis=1) if seen else np.zeros((0, 4))
        samples = None
        if seen and frame % every == 0:
            vectors = [looks(walk[0], [frame, *source.encode()]) for _, walk in seen]
            quality = np.full(len(seen), 0.8, np.float32)
            samples = Samples(np.arange(len(seen)), np.stack(vectors), quality, tuple(b"jpeg" for _ in seen))
        yield Observed(
            source,
            frame,
            at,
            wall + at,
            np.array([n for n, _ in seen], np.uint64),
            boxes.astype(np.float32),
            np.full(len(seen), 0.9, np.float32),
            samples,
        )
    for left_open in sorted(open_tracks):
        yield TrackEnded(source, left_open, EndReason.SOURCE_ENDED)
    yield SourceEnded(source, frames, wall + frames / fps + _LAST)


def recorded(folder: Path, source: str, walks: Sequence[Walk], *, seconds: float, **options: float) -> Path:
    """Such events as a file that workers replay."""
    path = folder / f"{source}.parquet"
    with Recorder(path, SPACE) as record:
        for event in events(source, walks, seconds=seconds, **options):  # type: ignore[arg-type]
            record.write(event)
    return path


def walks_of(camera: int, people: int, count: int, every: float = 4.0) -> list[Walk]:
    """``count`` walks of some people through one camera, each three seconds long."""
    rng = np.random.default_rng(camera)
    return [(int(rng.integers(people)) + 1, every * n, every * n + 3.0) for n in range(count)]
