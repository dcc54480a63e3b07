"""A vector index in memory for large galleries: all vectors along their strongest axes, then the best of them whole.

A search in full reads 2 KB of every vector. Vectors of people hold far fewer directions than dimensions, so that along
their strongest axes (an uncentred PCA of a sample) an eighth of that says nearly as much: whoever is near there is
compared in full, and more of them when it is not certain enough that nobody was missed. There is no graph: nothing has
to be built, a filter costs less than none, and what is removed is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.gallery.index.exact import Nearest, checked_shape, largest
from reidstream.types import FloatArray

AXES = 64
"""Axes that all vectors are compared along. Of tracklets of real people they hold .88 of what varies."""
_BEGIN = 8192
"""Vectors from which on axes are worth it; they are learnt from about so many, anew when there are twice as many."""
_DIRECT = 2048
"""So few, of all or left by a filter, are compared in full."""
_FIRST, _EACH, _WIDER = 256, 4, 4
"""Candidates compared in full at first: so many, and for each that is asked for; then so many times as many."""
_CERTAIN = 4.0
"""Standard deviations by which whoever was not compared in full must be too far away."""
_SAMPLED = 16
"""Every so many values tell how great the greatest are."""
_ROOM = 1024

Places = npt.NDArray[np.intp]


class MemoryIndex:
    """A VectorIndex in memory. ``columns``: float64 values beside each vector, by which ``search`` can be narrowed.

    One thread may change it; ``search`` must not run meanwhile.
    """

    def __init__(self, size: int, columns: int = 0) -> None:
        """``size``: number of dimensions."""
        self._size = size
        self._vectors = np.zeros((_ROOM, size), np.float32)
        self._along = np.zeros((0, AXES), np.float32)
        self._axes: FloatArray | None = None
        self._learnt_from = 0
        # Each column in a row: a filter looks at one after the other.
        self._columns = np.zeros((_ROOM, columns), np.float64, order="F")
        self._ids: npt.NDArray[np.object_] = np.empty(_ROOM, object)
        self._place: dict[str, int] = {}

    def upsert(self, ids: Sequence[str], vectors: FloatArray, columns: npt.NDArray[np.float64] | None = None) -> None:
        checked_shape(ids, vectors, self._size)
        # Of an id that is given twice the later vector stays, as in two calls.
        places = np.array([self._place.setdefault(i, len(self._place)) for i in ids], np.intp)
        self._grow(len(self._place))
        self._vectors[places] = vectors
        self._ids[places] = ids
        if columns is not None:
            self._columns[places] = columns
        if self._axes is not None:
            self._along[places] = vectors @ self._axes
        self._learn()

    def _grow(self, count: int) -> None:
        room = len(self._vectors)
        while room < count:
            room *= 2
        if room > len(self._vectors):
            self._vectors, self._columns, self._ids = (
                _with_room(array, room) for array in (self._vectors, self._columns, self._ids)
            )
            if self._axes is not None:
                self._along = _with_room(self._along, room)

    def _learn(self) -> None:
        """Learn the axes when there are enough vectors, and again whenever there are twice as many."""
        n = len(self._place)
        if self._size <= AXES or n < max(_BEGIN, 2 * self._learnt_from):
            return
        sample = self._vectors[: n : max(1, n // _BEGIN)]
        _, axes = np.linalg.eigh(sample.T @ sample)
        self._axes = np.ascontiguousarray(axes[:, -AXES:], np.float32)
        self._along = np.zeros((len(self._vectors), AXES), np.float32)
        for begin in range(0, n, _BEGIN):
            self._along[begin : begin + _BEGIN] = self._vectors[begin : begin + _BEGIN] @ self._axes
        self._learnt_from = n

    def remove(self, ids: Sequence[str]) -> None:
        for gone in ids:
            place = self._place.pop(gone, None)
            if place is None:
                continue
            last = len(self._place)
            kept: list[npt.NDArray[Any]] = [self._vectors, self._columns]
            if self._axes is not None:
                kept.append(self._along)
            for array in kept:
                array[place] = array[last]
                # Nothing of it stays in memory.
                array[last] = 0
            moved = self._ids[last]
            self._ids[place], self._ids[last] = moved, None
            if moved != gone:
                self._place[str(moved)] = place

    def search(self, vectors: FloatArray, k: int, among: npt.NDArray[np.bool_] | None = None) -> list[Nearest]:
        """The k nearest to each query. among: bool (n,) by place, as ``columns``; only these are looked at."""
        n = len(self._place)
        places = None if among is None else np.flatnonzero(among)
        if k <= 0 or n == 0 or (places is not None and not len(places)):
            return [Nearest([], np.zeros(0, np.float32)) for _ in vectors]
        answers = []
        for query in np.asarray(vectors, np.float32):
            best, similarities = self._nearest(query, k, places)
            answers.append(Nearest(self._ids[best].tolist(), similarities))
        return answers

    def _nearest(self, query: FloatArray, k: int, places: Places | None) -> tuple[Places, FloatArray]:
        n = len(self._place) if places is None else len(places)
        if self._axes is None or n <= _DIRECT:
            whole = self._vectors[: len(self._place)] if places is None else self._vectors[places]
            similarities = whole @ query
            best = largest(similarities, k)
            return best if places is None else places[best], similarities[best]
        short = query @ self._axes
        # All in a row are read faster than some here and there, unless these are few.
        if places is None or 4 * n > len(self._place):
            roughly = self._along[: len(self._place)] @ short
            roughly = roughly if places is None else roughly[places]
        else:
            roughly = np.take(self._along, places, axis=0) @ short
        wanted = _FIRST + _EACH * k
        while True:
            least, some = _greatest(roughly, wanted)
            own = some if places is None else places[some]
            similarities = self._vectors[own] @ query
            best = largest(similarities, k)
            if len(some) == n:
                break
            error = similarities - roughly[some]
            if len(best) == k and least + error.mean() + _CERTAIN * error.std() <= similarities[best[-1]]:
                break
            wanted = _WIDER * max(wanted, len(some))
        return own[best], similarities[best]

    def ids(self) -> list[str]:
        return list(self._place)

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        return self._vectors[np.array([self._place[i] for i in ids], np.intp)]

    def placed(self) -> Iterator[tuple[int, str]]:
        """Every id with its place."""
        return enumerate(self._ids[: len(self._place)].tolist())

    @property
    def columns(self) -> npt.NDArray[np.float64]:
        """float64 (n, c), by place."""
        return self._columns[: len(self._place)]

    def __len__(self) -> int:
        return len(self._place)

    def save(self) -> None:
        """There are no files."""

    def close(self) -> None:
        """Nothing is held."""


def _greatest(values: FloatArray, wanted: int) -> tuple[float, Places]:
    """About so many of the greatest values: their places, and what no other value is greater than."""
    n = len(values)
    if wanted >= n:
        return -np.inf, np.arange(n)
    every = values[::_SAMPLED] if wanted >= _SAMPLED**2 else values
    rank = min(len(every), wanted * len(every) // n + 1)
    least = float(np.partition(every, -rank)[-rank])
    return least, np.flatnonzero(values >= least)


def _with_room(array: npt.NDArray[Any], room: int) -> npt.NDArray[Any]:
    """The array with room for so many rows; what is new is zero, or None."""
    wider = np.empty((room, *array.shape[1:]), array.dtype, order="F" if np.isfortran(array) else "C")
    wider[: len(array)] = array
    wider[len(array) :] = None if array.dtype == object else 0
    return wider
