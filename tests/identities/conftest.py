"""Galleries of made-up people: vectors of known persons at known times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.gallery.archive_examiner import Examiner
from reidstream.types import EmbeddingSpace, EndReason, SourceStarted, Tracklet

SPACE = EmbeddingSpace("made-up", "made-up", 64)
Visit = tuple[int, str, float, float]
"""A person's visit: who, camera, from, to (seconds)."""


def made_tracklet(person: int, camera: str, start: float, end: float, noise: float = 0.4) -> Tracklet:
    """A tracklet of a person whose embeddings scatter around a direction of their own."""
    direction = np.random.default_rng(person).normal(size=SPACE.size)
    seed = np.random.default_rng([person, round(start * 100), *camera.encode()])
    looks = direction / np.linalg.norm(direction) + seed.normal(size=(3, SPACE.size)) * noise / np.sqrt(SPACE.size)
    prototypes = (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype(np.float32)
    mean = prototypes.mean(axis=0)
    return Tracklet(
        id=f"{person:04x}{round(start * 100):012x}{camera.encode().hex():>016s}"[-32:].replace(" ", "0").rjust(32, "0"),
        source=camera,
        content=f"content of {camera}",
        track_id=person * 1000 + round(start),
        part=0,
        parts=1,
        start_frame=round(start * 10),
        end_frame=round(end * 10),
        start_media=start,
        end_media=end,
        start_wall=start,
        end_wall=end,
        reason=EndReason.LEFT,
        observations=10,
        confidence=0.9,
        embedding=(mean / np.linalg.norm(mean)).astype(np.float32),
        prototypes=prototypes,
        prototype_weights=np.full(3, 1 / 3, np.float32),
        embeddings_used=5,
        embeddings_seen=5,
        purity=1.0,
        quality=0.8,
        frames=np.array([round(start * 10), round(end * 10)]),
        boxes=np.zeros((2, 4), np.float32),
    )


class OneExaminer:
    """A process that looks through archives, for all tests: started when it is first needed."""

    def __init__(self) -> None:
        self._examiner: Examiner | None = None

    def __call__(self) -> AbstractContextManager[Examiner]:
        self._examiner = self._examiner or Examiner()
        return nullcontext(self._examiner)

    def close(self) -> None:
        if self._examiner is not None:
            self._examiner.close()


@pytest.fixture(scope="session")
def one_examiner() -> Iterator[OneExaminer]:
    examiner = OneExaminer()
    yield examiner
    examiner.close()


@pytest.fixture(autouse=True)
def quick_archives(monkeypatch: pytest.MonkeyPatch, one_examiner: OneExaminer) -> None:
    """Who opens archives here does not wait for a process each time; ``test_hostile_archives`` has its own."""
    monkeypatch.setattr("reidstream.gallery.archive.Examiner", one_examiner)


def begin(gallery: Gallery, visits: list[Visit]) -> None:
    """The cameras of these visits are read, the first time or again."""
    for camera in dict.fromkeys(visit[1] for visit in visits):
        started = SourceStarted(camera, f"{camera}.mp4", f"content of {camera}", (640, 480), 10, 0.0)
        gallery.begin_source(started, "settings")


def filled(place: Path, visits: list[Visit], index: str = "exact") -> Gallery:
    """A new gallery of visits, stored in the given order."""
    config = GalleryConfig(index=index)
    gallery = Gallery.open(place, write=True, create=True, space=SPACE, config=config)
    begin(gallery, visits)
    gallery.add([made_tracklet(*visit) for visit in visits])
    return gallery


Fill = Callable[..., Gallery]


@pytest.fixture
def fill(tmp_path: Path) -> Iterator[Fill]:
    """Make a gallery of visits, stored in the given order."""
    opened: list[Gallery] = []

    def make(visits: list[Visit], name: str = "gallery", index: str = "exact") -> Gallery:
        opened.append(filled(tmp_path / name, visits, index))
        return opened[-1]

    yield make
    for gallery in opened:
        gallery.close()
