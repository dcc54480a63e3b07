"""What is known of many tracklets, as arrays, for deciding who is who."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from reidstream.expected_looks import ANY, ExpectedLooks, expected_named
from reidstream.gallery import Gallery
from reidstream.identities.doubled import doubled
from reidstream.types import FloatArray, IntArray

_LEAST_PURE = 0.1
# An embedding that rests on so much of a good crop is trusted half. What shows nothing but legs at the border has
# two crops of quality .15 and looks like others of its kind, not like its person.
_HALF_TRUSTED = 0.3


@dataclass(frozen=True, slots=True)
class Evidence:
    """n tracklets in the order in which they were stored.

    ids: n tracklet ids. camera: int64 (n,), index into cameras. track: int64 (n,), equal for the parts and pieces of
    one track. start, end: float64 (n,), wall seconds. vectors: float32 (n, d), unit length. prototypes: float32
    (m, d); first: int64 (n + 1,), tracklet i has prototypes first[i]:first[i + 1]; weights: float32 (m,).
    purity: float32 (n,) in 0..1, how surely a tracklet holds one person. trust: float32 (n,) in 0..1, how far its
    embedding speaks for that person: its purity, and less when it rests on few or poor crops. strength: float32 (n,),
    how many crops it rests on, each counted by its quality and all by purity. entry, exit: float32 (n, 4), the first
    and the last box, xyxy; zeros where unknown. entering, leaving: float32 (n, 2), how the middle of the box moves
    there, pixels a second. expected: what is usual in the embedding space. doubled: int64 (k, 2), pairs of rows that
    may be two boxes on one person, the smaller first and in ascending order (see the module of that name).
    """

    ids: list[str]
    cameras: list[str]
    camera: IntArray
    track: IntArray
    part: IntArray
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    vectors: FloatArray
    prototypes: FloatArray
    first: IntArray
    weights: FloatArray
    purity: FloatArray
    trust: FloatArray
    strength: FloatArray
    entry: FloatArray
    exit: FloatArray
    entering: FloatArray
    leaving: FloatArray
    expected: ExpectedLooks = ANY
    doubled: IntArray = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def some(self, rows: IntArray) -> Evidence:
        """The evidence of these rows alone."""
        counts = np.diff(self.first)[rows]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        held = np.arange(first[-1]) + np.repeat(self.first[rows] - first[:-1], counts)
        by_row = {
            column.name: getattr(self, column.name)[rows]
            for column in fields(self)
            if column.name not in ("ids", "cameras", "prototypes", "first", "weights", "expected", "doubled")
        }
        place = np.full(len(self), -1)
        place[rows] = np.arange(len(rows))
        pairs = np.sort(place[self.doubled], axis=1)
        pairs = pairs[pairs[:, 0] >= 0]
        return replace(
            self,
            ids=[self.ids[row] for row in rows.tolist()],
            prototypes=self.prototypes[held],
            first=first,
            weights=self.weights[held],
            doubled=pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))],
            **by_row,
        )


def evidence_of(
    gallery: Gallery, wanted: Sequence[str] | None = None, clocks: Mapping[str, float] = MappingProxyType({})
) -> Evidence:
    """The evidence of all tracklets of a gallery, or of some of them, in the order in which they were stored.

    clocks: by how many seconds clocks of cameras are ahead; times are what these showed, less that.
    """
    rows = gallery.rows(ids=wanted)
    ids: list[str] = rows.id.tolist()
    size = gallery.space.size
    expected = expected_named(gallery.calibration)
    if not ids:
        empty = np.zeros(0, np.int64)
        none = np.zeros((0, size), np.float32)
        times = np.zeros(0)
        first, place, still = np.zeros(1, np.int64), np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32)
        few = none[:, 0]
        nothing = (few, few, few, few, place, place, still, still)
        return Evidence([], [], empty, empty, empty, times, times, none, none, first, *nothing, expected)
    ahead = np.array([clocks.get(source, 0.0) for source in rows.source.tolist()])
    _, vectors = gallery.vectors(ids)
    held = gallery.prototypes(ids)
    order = np.argsort(held.owner, kind="stable")
    purity = np.clip(rows.purity, _LEAST_PURE, 1.0).astype(np.float32)
    cameras, camera = np.unique(rows.source, return_inverse=True)
    crops = rows.embeddings_used * rows.quality
    tracks = np.stack([np.unique(rows.content, return_inverse=True)[1], rows.track_id.astype(np.int64)], axis=1)
    _, track = np.unique(tracks, axis=0, return_inverse=True)
    start, end = rows.start_wall - ahead, rows.end_wall - ahead
    return Evidence(
        ids,
        cameras.tolist(),
        camera.astype(np.int64),
        track.astype(np.int64).reshape(-1),
        rows.part,
        start,
        end,
        vectors,
        held.vectors[order],
        np.searchsorted(held.owner[order], np.arange(len(ids) + 1)).astype(np.int64),
        held.weights[order],
        purity,
        trust_of(purity, crops),
        (purity * crops).astype(np.float32),
        *gallery.ends(ids),
        *gallery.velocities(ids),
        expected,
        doubled(gallery, ids, camera, start, end, vectors, expected.strangers),
    )


def trust_of(purity: FloatArray, crops: npt.NDArray[np.float64]) -> FloatArray:
    """How far tracklets speak for one person, float32 (n,) in 0..1.

    crops: how many crops each embedding rests on, each counted by its quality.
    """
    trust: FloatArray = (purity * crops / (crops + _HALF_TRUSTED)).astype(np.float32)
    return trust
