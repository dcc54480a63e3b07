"""Which of nvinfer's embeddings are worth reading: a few good ones of every track, spread over its life."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reidstream.engines.deepstream.metadata.reading import Seen
from reidstream.engines.sampling import SampleSlots, box_quality
from reidstream.types import FloatArray, IntArray, TrackIds

_SPACING = 0.09
"""Seconds between two looks for better crops in a source: a person changes little in three frames of thirty a second,
and judging crops costs as much as reading all the rest of a batch. A frame with somebody new is always looked at."""
_GOLDEN = 0.618
"""Multiples of the golden ratio, without their whole part, are spread evenly however many there are."""
_BACK = 1.0
"""Seconds by which time stamps go back when one was wrong, or the clock was set anew."""
_SWEEP = 256
"""Frames of a source between two looks for tracks that have gone."""


@dataclass(slots=True)
class _OfSource:
    slots: SampleSlots
    last: dict[int, float] = field(default_factory=dict)
    frames: int = 0
    looked: float = float("-inf")


class BestSamples:
    """Reads an embedding when its crop is better than what its track has; see SampleSlots.

    With network-type 100 nvinfer embeds everybody in every frame, and what is saved here is only the copying. With
    ``sparse`` (network-type 1: an embedding now and then) every embedding that comes is taken, since the next may be
    far off. Quality is that of the box; the pixels stay on the GPU. min_size: width and height in mux pixels below
    which nvinfer embeds nobody, so that nothing is missed there.
    """

    def __init__(
        self,
        per_track: int,
        timeout: float,
        min_size: tuple[int, int],
        mux_size: tuple[int, int] | None,
        sparse: bool,
    ) -> None:
        self._per_track = per_track
        self._timeout = timeout
        self._min_size = min_size
        self._mux_size = mux_size
        self._sparse = sparse
        self._sources: dict[int, _OfSource] = {}

    def wanted(self, seen: Seen) -> tuple[IntArray, FloatArray]:
        of_source = self._sources.get(seen.source_index)
        if of_source is None:
            of_source = self._sources[seen.source_index] = _OfSource(SampleSlots(self._per_track))
        ids = seen.object_ids.tolist()
        self._begin_anew(of_source, ids, seen.time)
        known = all(object_id in of_source.last for object_id in ids)
        for object_id in ids:
            of_source.last[object_id] = seen.time
        of_source.frames += 1
        if of_source.frames % _SWEEP == 0:
            self._sweep(of_source, seen.time)
        if not self._sparse and known and 0 <= seen.time - of_source.looked < _SPACING:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        # Sources that start together would all be looked at in the same batches, and the others cost next to nothing.
        early = of_source.looked == float("-inf")
        of_source.looked = seen.time - _SPACING * (seen.source_index * _GOLDEN % 1) if early else seen.time
        quality = box_quality(seen.boxes, seen.confidences, seen.size)
        quality[(seen.confidences < 0) | ~self._large_enough(seen)] = 0.0
        rows = (
            np.flatnonzero(quality > 0) if self._sparse else of_source.slots.wanted(seen.object_ids, quality, seen.time)
        )
        return rows, quality[rows]

    def took(self, source_index: int, object_ids: TrackIds, quality: FloatArray, time: float) -> None:
        # The source may have been forgotten since it was asked what is wanted: that happens on another thread.
        known = self._sources.get(source_index)
        if not self._sparse and known is not None and len(object_ids):
            known.slots.take(object_ids, quality, time)

    def forget(self, source_index: int) -> None:
        """The source has ended."""
        self._sources.pop(source_index, None)

    def _begin_anew(self, of_source: _OfSource, ids: list[int], now: float) -> None:
        """Whose track ended in a gap, or whose time went back, begins with empty slots."""
        for object_id in ids:
            since = now - of_source.last.get(object_id, now)
            if since > self._timeout or since < -_BACK:
                del of_source.last[object_id]
                of_source.slots.forget(object_id)

    def _large_enough(self, seen: Seen) -> npt.NDArray[np.bool_]:
        width, height = seen.size
        mux_width, mux_height = self._mux_size or seen.size
        sides = (seen.boxes[:, 2:] - seen.boxes[:, :2]) * np.array(
            [mux_width / max(width, 1), mux_height / max(height, 1)], np.float32
        )
        # Boxes come clipped and scaled back; half a pixel of rounding must not make a missing embedding of it.
        large: npt.NDArray[np.bool_] = np.all(sides >= np.array(self._min_size) + 0.5, axis=1)
        return large

    def _sweep(self, of_source: _OfSource, now: float) -> None:
        longest = 2 * self._timeout + 1
        for object_id in [name for name, last in of_source.last.items() if not -_BACK <= now - last <= longest]:
            del of_source.last[object_id]
            of_source.slots.forget(object_id)
