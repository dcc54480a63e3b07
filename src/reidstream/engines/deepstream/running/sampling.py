"""Which of nvinfer's embeddings are worth reading: a few good ones of every track, spread over its life."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reidstream.engines.deepstream.metadata.arrays import Seen
from reidstream.engines.sampling import SlotRows, box_quality
from reidstream.types import FloatArray, IntArray

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
    """rows: of its tracks in the slots, by object id."""

    rows: dict[int, int] = field(default_factory=dict)
    frames: int = 0
    looked: float = float("-inf")


class BestSamples:
    """Reads an embedding when its crop is better than what its track has; see SampleSlots.

    With network-type 100 nvinfer embeds everybody in every frame, and what is saved here is only the copying. With
    ``sparse`` (network-type 1: an embedding now and then) every embedding that comes is taken, since the next may be
    far off. Quality is that of the box; the pixels stay on the GPU. min_size: width and height in mux pixels below
    which nvinfer embeds nobody, so that nothing is missed there. The tracks of all sources are rows of the same
    arrays, so that a batch of many sources is looked at in one step.
    """

    def __init__(
        self,
        per_track: int,
        timeout: float,
        min_size: tuple[int, int],
        mux_size: tuple[int, int] | None,
        sparse: bool,
    ) -> None:
        self._timeout = timeout
        self._min_size = np.array(min_size)
        self._mux_size = mux_size
        self._sparse = sparse
        self._sources: dict[int, _OfSource] = {}
        self._slots = SlotRows(per_track)
        self._last = np.zeros(0)
        """When the track of each row was seen last, seconds; NaN of one that is new."""
        self._gone: deque[_OfSource] = deque()
        """Sources whose rows are free as soon as the streaming thread comes to it."""

    def wanted(self, seen: Seen) -> tuple[IntArray, FloatArray]:
        while self._gone:
            self._slots.close(self._gone.popleft().rows.values())
        found = [self._wanted(seen, frames) for frames in _rounds(seen)]
        if len(found) == 1:
            return found[0]
        rows = np.concatenate([np.zeros(0, np.int64), *(part for part, _ in found)])
        quality = np.concatenate([np.zeros(0, np.float32), *(part for _, part in found)])
        order = np.argsort(rows)
        return rows[order], quality[order]

    def took(self, seen: Seen, rows: IntArray, quality: FloatArray) -> None:
        if self._sparse:
            return
        frame_of = np.searchsorted(seen.starts, rows, side="right") - 1
        for frames in _rounds(seen):
            now = np.flatnonzero(np.isin(frame_of, frames))
            # A source may have been forgotten since it was asked what is wanted: that happens on another thread.
            tracks: list[int] = []
            for frame, object_id in zip(frame_of[now].tolist(), seen.object_ids[rows[now]].tolist(), strict=True):
                source = self._sources.get(seen.source_indices[frame])
                tracks.append(-1 if source is None else source.rows.get(object_id, -1))
            slots = np.array(tracks, np.int64)
            now, slots = now[slots >= 0], slots[slots >= 0]
            self._slots.take(slots, quality[now], seen.times[frame_of[now]])

    def forget(self, source_index: int) -> None:
        """The source has ended. Called on another thread than the rest."""
        source = self._sources.pop(source_index, None)
        if source is not None:
            self._gone.append(source)

    def _wanted(self, seen: Seen, frames: IntArray) -> tuple[IntArray, FloatArray]:
        """For frames of different sources. frames: their numbers in the batch, int64 (f,), rising."""
        numbers, starts, ids = frames.tolist(), seen.starts.tolist(), seen.object_ids.tolist()
        indices = [seen.source_indices[number] for number in numbers]
        sources = [self._sources.setdefault(index, _OfSource()) for index in indices]
        tracks: list[int] = []
        for source, number in zip(sources, numbers, strict=True):
            known = source.rows
            tracks += [known.get(object_id, -1) for object_id in ids[starts[number] : starts[number + 1]]]
        counts = (seen.starts[1:] - seen.starts[:-1])[frames]
        rows = np.repeat(seen.starts[frames] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        owner = np.repeat(np.arange(len(frames)), counts)
        times = seen.times[frames]
        slots = np.array(tracks, np.int64)
        for at in np.flatnonzero(slots < 0).tolist():
            slots[at] = self._opened(sources[owner[at]], ids[rows[at]], times[owner[at]])
        new = self._begun_anew(slots, times[owner])
        somebody_new = np.bincount(owner[new], minlength=len(frames)).tolist()
        due = [self._is_due(*facts) for facts in zip(sources, indices, times.tolist(), somebody_new, strict=True)]
        looked = np.flatnonzero(np.array(due)[owner])
        if not len(looked):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        rows, slots, owner = rows[looked], slots[looked], owner[looked]
        boxes, confidences, sizes = seen.boxes[rows], seen.confidences[rows], seen.sizes[frames][owner]
        begins = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(frames)))])
        quality = box_quality(boxes, confidences, sizes, begins)
        quality[(confidences < 0) | ~self._large_enough(boxes, sizes)] = 0.0
        chosen = np.flatnonzero(quality > 0) if self._sparse else self._slots.wanted(slots, quality, times[owner])
        return rows[chosen], quality[chosen]

    def _opened(self, source: _OfSource, object_id: int, time: float) -> int:
        """A row for a new track."""
        row = int(self._slots.open(np.array([time]))[0])
        if len(self._last) < len(self._slots):
            self._last = np.concatenate([self._last, np.full(len(self._slots) - len(self._last), np.nan)])
        self._last[row] = np.nan
        source.rows[object_id] = row
        return row

    def _begun_anew(self, slots: IntArray, times: FloatArray) -> npt.NDArray[np.bool_]:
        """Who is new, or begins with empty slots, since their track ended in a gap or their time went back."""
        since = times - self._last[slots]
        anew = (since > self._timeout) | (since < -_BACK)
        self._slots.restart(slots[anew], times[anew])
        self._last[slots] = times
        return anew | np.isnan(since)

    def _is_due(self, source: _OfSource, index: int, now: float, somebody_new: int) -> bool:
        """Whether a frame is looked at for better crops."""
        source.frames += 1
        if source.frames % _SWEEP == 0:
            self._sweep(source, now)
        if not self._sparse and not somebody_new and 0 <= now - source.looked < _SPACING:
            return False
        # Sources that start together would all be looked at in the same batches, and the others cost next to nothing.
        early = source.looked == float("-inf")
        source.looked = now - _SPACING * (index * _GOLDEN % 1) if early else now
        return True

    def _large_enough(self, boxes: FloatArray, sizes: FloatArray) -> npt.NDArray[np.bool_]:
        sides = boxes[:, 2:] - boxes[:, :2]
        if self._mux_size is not None:
            sides = sides * (np.array(self._mux_size) / np.maximum(sizes, 1)).astype(np.float32)
        # Boxes come clipped and scaled back; half a pixel of rounding must not make a missing embedding of it.
        large: npt.NDArray[np.bool_] = np.all(sides >= self._min_size + 0.5, axis=1)
        return large

    def _sweep(self, source: _OfSource, now: float) -> None:
        longest = 2 * self._timeout + 1
        for object_id, row in list(source.rows.items()):
            if not -_BACK <= now - self._last[row] <= longest:
                del source.rows[object_id]
                self._slots.close([row])


def _rounds(seen: Seen) -> list[IntArray]:
    """Frames with people, in turns in each of which every source has one at most: nearly always one turn of all."""
    occupied = np.flatnonzero(np.diff(seen.starts))
    if len(set(seen.source_indices)) == len(seen.source_indices) and len(occupied):
        return [occupied]
    rounds: list[list[int]] = []
    turns: Counter[int] = Counter()
    for frame in occupied.tolist():
        source = seen.source_indices[frame]
        turn = turns[source]
        turns[source] += 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(frame)
    return [np.array(frames) for frames in rounds]
