"""Tracklets to fill galleries with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.types import EmbeddingSpace, EndReason, FloatArray, SourceStarted, Tracklet
from tests.exact import EXACT

SIZE = 32
SPACE = EmbeddingSpace("ab" * 32, "test-reid", SIZE)
SETTINGS = "settings-1"


def started(source: str = "door", content: str = "content-door", wall_time: float = 1000.0) -> SourceStarted:
    return SourceStarted(source, f"{source}.mp4", content, (640, 480), 25.0, wall_time, 100)


def unit(vectors: FloatArray) -> FloatArray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def some_tracklets(
    n: int,
    *,
    seed: int = 0,
    source: str = "door",
    content: str = "content-door",
    start: float = 1000.0,
    reason: EndReason = EndReason.LEFT,
    first: int = 0,
) -> list[Tracklet]:
    """n tracklets of n/4 people, one after the other, a second apart; the same for the same arguments."""
    rng = np.random.default_rng((seed, *content.encode()))
    people = unit(rng.normal(size=(max(1, n // 4), SIZE)).astype(np.float32))
    vectors = unit(people[rng.integers(0, len(people), n)] + 0.1 * rng.normal(size=(n, SIZE)).astype(np.float32))
    tracklets = []
    for i in range(n):
        track = first + i + 1
        prototypes = unit(vectors[i] + 0.05 * rng.normal(size=(2, SIZE)).astype(np.float32))
        key = f"{content}/{track}/{i}/0".encode()
        tracklets.append(
            Tracklet(
                id=hashlib.blake2b(key, digest_size=16).hexdigest(),
                source=source,
                content=content,
                track_id=2**63 + track,
                part=0,
                parts=1,
                start_frame=25 * i,
                end_frame=25 * i + 50,
                start_media=float(i),
                end_media=i + 2.0,
                start_wall=start + i,
                end_wall=start + i + 2.0,
                reason=reason,
                observations=51,
                confidence=0.75,
                embedding=vectors[i],
                prototypes=prototypes,
                prototype_weights=np.array([0.75, 0.25], np.float32),
                embeddings_used=7,
                embeddings_seen=8,
                purity=0.9,
                quality=0.6,
                frames=np.arange(25 * i, 25 * i + 51, 10),
                boxes=rng.uniform(0, 400, (6, 4)).astype(np.float32),
                crop=b"\xff\xd8" + rng.bytes(3000) + b"\xff\xd9",
                crop_frame=25 * i + 20,
                crop_box=(10.5, 20.25, 60.0, 140.0),
                more_crops=(b"\xff\xd8" + rng.bytes(500) + b"\xff\xd9",) * (i % 2),
            )
        )
    return tracklets


def same_tracklet(a: Tracklet, b: Tracklet) -> bool:
    def plain(t: Tracklet) -> list[object]:
        return [
            v.tobytes() + str((v.dtype, v.shape)).encode() if isinstance(v, np.ndarray) else v
            for v in (getattr(t, name) for name in Tracklet.__slots__)
        ]

    return plain(a) == plain(b)


def contents_of(gallery: Gallery) -> dict[str, Tracklet]:
    return {t.id: t for t in gallery.tracklets()}


def same_contents(a: dict[str, Tracklet], b: dict[str, Tracklet]) -> bool:
    return a.keys() == b.keys() and all(same_tracklet(a[i], b[i]) for i in a)


Filled = Callable[[Sequence[Tracklet]], Path]


@pytest.fixture
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gallery]:
    """An open gallery that holds the PEOPLE of the test's module and compares exactly."""
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as opened:
        opened.begin_source(started(), SETTINGS)
        opened.add(request.module.PEOPLE)
        yield opened


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """Makes a gallery that holds the given tracklets and is closed again; it compares exactly."""
    return lambda tracklets: _filled(tmp_path / "gallery", tracklets, "exact")


@pytest.fixture
def indexed(tmp_path: Path) -> Filled:
    """The same with ChromaDB's index, for what has to do with its files and its process."""
    return lambda tracklets: _filled(tmp_path / "gallery", tracklets, "chroma")


def _filled(path: Path, tracklets: Sequence[Tracklet], index: str) -> Path:
    config = GalleryConfig(index=index)
    with Gallery.open(path, write=True, create=True, space=SPACE, config=config) as gallery:
        for source, content in sorted({(t.source, t.content) for t in tracklets}):
            gallery.begin_source(started(source, content), SETTINGS)
        gallery.add(tracklets)
    return path
