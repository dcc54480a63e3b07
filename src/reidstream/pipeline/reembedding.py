"""Moving a gallery to another embedding model: every tracklet gets a vector in the new space, people stay who they are.

Crops come from the recordings where the files are still there, else from the crops that were stored. What is made
gathers beside the old vectors (``gallery.next_space``): a job that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from reidstream.config import EmbeddingConfig
from reidstream.errors import GalleryMismatch
from reidstream.gallery import Gallery
from reidstream.gallery.next_space import NextVector, begin_move, finish_move, put, waiting
from reidstream.gallery.rows import Filter, crops_held
from reidstream.inference import Embedder
from reidstream.pipeline.resampling import Cropped, crops_of, file_of
from reidstream.sources.frame import Pixels
from reidstream.tracklets.pooling import pool
from reidstream.types import EmbeddingSpace, FloatArray

_TOGETHER = 64
"""Crops that are embedded together, and tracklets whose stored crops are."""

_AT_ONCE = 200
"""Tracklets whose vectors are kept in one transaction: what a kill costs at most."""

_PLENTY = 2
"""How many times the crops that a run keeps are taken out of a recording: a run chooses among more, by what they look
like, here boxes alone choose. On PETS09-S2L1 once as many fall short of a run (AUC .971, not .982), twice not."""

Progress = Callable[[str, int, int], None]
"""Called with what is going on, and how many of how many tracklets are done."""


@dataclass(frozen=True, slots=True)
class Reembedded:
    """What became of a gallery that was to move.

    former, space: where it was, and where it is now if ``moved``. from_recordings, from_crops: tracklets whose new
    vectors this job made, by where the crops came from; before: those that an interrupted job had made. left: ids of
    tracklets with neither a recording nor a crop; they went if ``moved``, else the gallery is where it was.
    """

    former: EmbeddingSpace
    space: EmbeddingSpace
    moved: bool
    before: int
    from_recordings: int
    from_crops: int
    left: tuple[str, ...]


def reembed(
    gallery: str | Path,
    embedder: Embedder,
    model: str,
    config: EmbeddingConfig | None = None,
    *,
    prototypes: int = 4,
    recordings: bool = True,
    drop: bool = False,
    progress: Progress = lambda _what, _done, _total: None,
) -> Reembedded:
    """Give every tracklet of a gallery a vector of the embedder, and let the gallery use those from then on.

    model: name or path under which others can open the embedder's model. config: how many crops of a tracklet are
    embedded, and how small they may be. prototypes: typical appearances kept of each at most. recordings: read the
    files again, which gives many crops a tracklet; else the stored crops alone are used. drop: tracklets with neither a
    recording nor a crop go; without it nothing changes place as long as there are any.
    Raises GalleryMismatch when the gallery is in that space already, GalleryLocked while another process writes.
    """
    config = config or EmbeddingConfig()
    with Gallery.open(gallery, write=True) as opened:
        former = opened.space
        if former == embedder.space:
            raise GalleryMismatch(f"gallery {opened.place} holds embeddings of {former.model} already")
        with opened.write() as connection:
            begin_move(connection, embedder.space, model)
            left = waiting(connection)
        work = _Work(opened, embedder, prototypes, len(opened), len(left), progress)
        before = len(opened) - len(left)
        from_recordings = from_crops = 0
        if recordings and left:
            from_recordings = work.from_recordings(config)
        with opened.read() as connection:
            left = waiting(connection)
        if left:
            from_crops = work.from_crops(left)
        with opened.read() as connection:
            left = waiting(connection)
        moved = drop or not left
        if moved:
            opened.flush()
            with opened.write() as connection:
                finish_move(connection, left)
            # The index in use holds the old vectors: it is not brought up to date any more.
            opened.close(finish=False)
    if moved:
        with Gallery.open(gallery, write=True) as again:
            again.rebuild(lambda done, total: progress("index", done, total))
    return Reembedded(former, embedder.space, moved, before, from_recordings, from_crops, tuple(left))


class _Work:
    """The vectors of one job, made in batches and kept as they come."""

    def __init__(
        self, gallery: Gallery, embedder: Embedder, prototypes: int, total: int, left: int, progress: Progress
    ) -> None:
        self._gallery = gallery
        self._embedder = embedder
        self._prototypes = prototypes
        self._total = total
        self._done = total - left
        self._progress = progress
        self._ready: dict[str, NextVector] = {}

    def from_recordings(self, config: EmbeddingConfig) -> int:
        """Of whatever can be read again; how many tracklets got their vector."""
        begun = self._done
        for recording in self._gallery.sources():
            with self._gallery.read() as connection:
                wanted = waiting(connection, recording.content)
            source = file_of(recording) if wanted else None
            if source is None:
                continue
            tracklets = list(self._gallery.tracklets(Filter(contents=(recording.content,))))
            choosing = {"per_track": _PLENTY * config.per_track, "min_height": config.min_height}
            found = crops_of(source, recording.source, tracklets, wanted, **choosing)
            seen: dict[str, list[tuple[FloatArray, float]]] = {}
            for some in _batches(found):
                for cropped, vector in zip(some, self._embedder.embed([c.pixels for c in some]), strict=True):
                    seen.setdefault(cropped.tracklet, []).append((vector, cropped.quality))
                    if cropped.last:
                        self._put(cropped.tracklet, seen.pop(cropped.tracklet), recording.source)
            for tracklet, of_it in seen.items():
                # The recording broke off before its last crop.
                self._put(tracklet, of_it, recording.source)
            self._keep(recording.source)
        return self._done - begun

    def from_crops(self, ids: Sequence[str]) -> int:
        """Of the crops that were stored; how many tracklets got their vector."""
        begun = self._done
        for start in range(0, len(ids), _TOGETHER):
            with self._gallery.read() as connection:
                stored = crops_held(connection, ids[start : start + _TOGETHER])
            pictures = {id: _decoded(jpegs) for id, jpegs in stored.items()}
            vectors = iter(self._embedder.embed([picture for several in pictures.values() for picture in several]))
            for id, several in pictures.items():
                if several:
                    self._put(id, [(next(vectors), 1.0) for _ in several], "stored crops")
        self._keep("stored crops")
        return self._done - begun

    def _put(self, id: str, seen: Sequence[tuple[FloatArray, float]], what: str) -> None:
        vectors = np.stack([vector for vector, _ in seen])
        quality = np.array([quality for _, quality in seen], np.float32)
        pooled = pool(vectors, quality, self._prototypes)
        used = int(pooled.used.sum())
        self._ready[id] = NextVector(pooled.embedding, pooled.prototypes, pooled.weights, used, len(vectors))
        if len(self._ready) >= _AT_ONCE:
            self._keep(what)

    def _keep(self, what: str) -> None:
        with self._gallery.write() as connection:
            self._done += put(connection, self._ready)
        self._ready.clear()
        self._progress(what, self._done, self._total)


def _batches(found: Iterator[Cropped]) -> Iterator[list[Cropped]]:
    some: list[Cropped] = []
    for cropped in found:
        some.append(cropped)
        if len(some) == _TOGETHER:
            yield some
            some = []
    if some:
        yield some


def _decoded(jpegs: Sequence[bytes]) -> list[Pixels]:
    """Those that can be read, uint8 (height, width, 3), BGR."""
    decoded = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in jpegs if jpeg]
    return [picture.astype(np.uint8, copy=False) for picture in decoded if picture is not None]
