"""Who cannot be one person, whatever they look like: time, place and human judgement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reidstream.errors import ConfigError
from reidstream.foreign_documents import parsed_toml
from reidstream.suggestions import did_you_mean
from reidstream.types import IntArray

# So many clock settings are tried for so many pairs, the likeliest; so few may be as rare for cameras to be separate.
_TURNS, _TESTED_PAIRS, _SURE = 999, 5000, 0.01
_AT_ONCE = 1 << 17
"""So many pairs, each under one setting of the clocks, are looked at together: they stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Cameras:
    """What is known of pairs of cameras, by index.

    together: bool (c, c), whether one person can be seen by both at once. travel: float64 (c, c), seconds that
    nobody is faster than from the one to the other; 0 where unknown.
    """

    together: npt.NDArray[np.bool_]
    travel: npt.NDArray[np.float64]

    @classmethod
    def independent(cls, count: int) -> Cameras:
        """Nothing is known, except that nobody is twice in one camera."""
        return cls(~np.eye(count, dtype=bool), np.zeros((count, count)))

    @classmethod
    def separate(cls, count: int) -> Cameras:
        """Nobody is in two cameras at once: their clocks agree and their views do not overlap."""
        return cls(np.zeros((count, count), bool), np.zeros((count, count)))


@dataclass(frozen=True, slots=True)
class HumanLinks:
    """What people decided, as pairs of tracklet rows: same and different, each int64 (m, 2)."""

    same: IntArray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    different: IntArray = field(default_factory=lambda: np.zeros((0, 2), np.int64))


class TimeTable:
    """Answers which tracklets cannot be one person because of when and where they were seen.

    camera: int64 (n,). start, end: float64 (n,), wall seconds. overlap: seconds that two must be seen together.
    doubled: int64 (k, 2), pairs of rows of which that says nothing, the smaller first and in ascending order.
    """

    def __init__(
        self,
        camera: IntArray,
        start: npt.NDArray[np.float64],
        end: npt.NDArray[np.float64],
        cameras: Cameras,
        overlap: float,
        doubled: IntArray | None = None,
    ) -> None:
        self._camera, self._start, self._end = camera, start, end
        self._cameras = cameras
        self._overlap = overlap
        self._doubled = np.zeros(0, np.int64) if doubled is None else doubled[:, 0] * len(camera) + doubled[:, 1]

    def weights_together(
        self, pairs: IntArray, weights: npt.NDArray[np.float64], turns: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """float64 (t,): the weight of the pairs of rows int64 (m, 2) that are seen at the same time, whatever the
        cameras, for each of several settings of the clocks.

        turns: float64 (t, c), 0..1; how far each camera's clock is turned round the time that all tracklets span.
        """
        i, j = pairs[:, 0], pairs[:, 1]
        span = max(float(self._end.max() - self._start.min()), 1e-6)
        lengths = self._end - self._start
        least = np.minimum(self._overlap, 0.5 * np.minimum(lengths[i], lengths[j]))
        before, after = lengths[i] - least, lengths[j] - least
        apart = self._start[j] - self._start[i]
        one, other = self._camera[i], self._camera[j]
        totals = []
        some = max(1, _AT_ONCE // max(len(pairs), 1))
        for begin in range(0, len(turns), some):
            turned = turns[begin : begin + some]
            later = (apart + (turned.take(other, axis=1) - turned.take(one, axis=1)) * span) % span
            together = (later < before) | (span - later < after)
            totals.append(np.where(together, weights, 0.0).sum(axis=1))
        return np.concatenate(totals)

    def excluded(self, some: npt.ArrayLike, others: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """bool (a, b): whether tracklet rows ``some[i]`` and ``others[j]`` are certainly two people."""
        return self.excluded_pairs(np.asarray(some, np.int64)[:, None], np.asarray(others, np.int64)[None, :])

    def excluded_pairs(self, i: IntArray, j: IntArray) -> npt.NDArray[np.bool_]:
        """bool of the common shape of i and j: whether these rows are certainly two people."""
        together = np.minimum(self._end[i], self._end[j]) - np.maximum(self._start[i], self._start[j])
        cameras = self._camera[i], self._camera[j]
        # Short tracks are wholly inside what would otherwise pass as a tolerance.
        shortest = np.minimum(self._end[i] - self._start[i], self._end[j] - self._start[j])
        least = np.minimum(self._overlap, 0.5 * shortest)
        clash = (together > least) & ~self._cameras.together[cameras]
        gap = -together
        too_fast = (gap < self._cameras.travel[cameras] - self._overlap) & ~self._cameras.together[cameras]
        excluded: npt.NDArray[np.bool_] = clash | (too_fast & (self._cameras.travel[cameras] > 0))
        if len(self._doubled) and excluded.any():
            keys = np.minimum(i, j) * len(self._camera) + np.maximum(i, j)
            at = np.minimum(np.searchsorted(self._doubled, keys), len(self._doubled) - 1)
            excluded &= self._doubled[at] != keys
        return excluded


_LONGEST_TRAVEL = 1e9


def read_topology(path: Path, cameras: list[str]) -> Cameras:
    """Camera pairs from a TOML file.

    ``separate = true`` (the default) says that nobody is in two cameras at once unless the pair is listed:

        [[pairs]]
        cameras = ["entrance", "hall"]
        overlapping = true

        [[pairs]]
        cameras = ["hall", "yard"]
        travel_seconds = 12.0

    Raises ConfigError for a file that cannot be read and for cameras that do not exist.
    """
    try:
        data = parsed_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"camera topology {path} cannot be read: {error}") from None
    unknown = set(data) - {"separate", "pairs"}
    if unknown:
        first = min(unknown)
        raise ConfigError(
            f"camera topology {path}: no such key {first!r}; {did_you_mean(first, ('separate', 'pairs'))}"
        )
    count = len(cameras)
    known = Cameras.separate(count) if data.get("separate", True) else Cameras.independent(count)
    pairs = data.get("pairs", [])
    if not isinstance(pairs, list) or not isinstance(data.get("separate", True), bool):
        raise ConfigError(f"camera topology {path}: expected separate = true or false, and tables [[pairs]]")
    for number, pair in enumerate(pairs, start=1):
        a, b = _pair(pair, number, path, cameras)
        if a is None or b is None:
            continue
        if pair.get("overlapping"):
            known.together[a, b] = known.together[b, a] = True
        if "travel_seconds" in pair:
            known.together[a, b] = known.together[b, a] = False
            known.travel[a, b] = known.travel[b, a] = float(pair["travel_seconds"])
    return known


def _pair(pair: object, number: int, path: Path, cameras: list[str]) -> tuple[int | None, int | None]:
    """Indices of a pair's cameras, None for a camera that has delivered nothing yet."""
    if not isinstance(pair, dict):
        raise ConfigError(f"camera topology {path}: pair {number} must be a table [[pairs]], found {pair!r}")
    keys = ("cameras", "overlapping", "travel_seconds")
    for key in pair:
        if key not in keys:
            raise ConfigError(f"camera topology {path}: pair {number}: no such key {key!r}; {did_you_mean(key, keys)}")
    names = pair.get("cameras")
    named = isinstance(names, list) and len(names) == 2 and all(isinstance(name, str) for name in names)
    if not isinstance(names, list) or not named or names[0] == names[1]:
        raise ConfigError(f"camera topology {path}: pair {number} must name two different cameras, found {names!r}")
    seconds = pair.get("travel_seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_TRAVEL:
        raise ConfigError(
            f"camera topology {path}: pair {number}: travel_seconds must be between 0 and {_LONGEST_TRAVEL:g}, "
            f"found {seconds!r}"
        )
    a, b = (cameras.index(name) if name in cameras else None for name in names)
    return a, b


def inferred_cameras(table: TimeTable, pairs: IntArray, weights: npt.NDArray[np.float64], count: int) -> Cameras:
    """Whether the cameras are separate, from pairs of tracklets of different cameras that look alike.

    pairs: int64 (m, 2), rows. weights: float64 (m,), 0..1, how likely each is one person. If nobody can be in two
    cameras at once, the likely pairs are hardly ever seen together. If clocks differed, they would be as often as
    after any other setting of the clocks, and if views overlapped, more often: each camera's clock is turned by chance,
    round the time that the gallery spans, 999 times. The cameras count as separate when what is seen together weighs as
    little in fewer than 1 % of these (a permutation test: it does not matter that pairs depend on each other).
    """
    if not weights.any():
        return Cameras.independent(count)
    likely = np.argsort(-weights, kind="stable")[:_TESTED_PAIRS]
    pairs, weights = pairs[likely], weights[likely]
    rng = np.random.default_rng(0)
    seen, *by_chance = table.weights_together(
        pairs, weights, np.concatenate([np.zeros((1, count)), rng.uniform(0.0, 1.0, (_TURNS, count))])
    ).tolist()
    as_rare = sum(weight <= seen for weight in by_chance)
    return Cameras.separate(count) if (1 + as_rare) / (1 + _TURNS) < _SURE else Cameras.independent(count)


def groups_of(n: int, pairs: Iterable[tuple[int, int]]) -> IntArray:
    """Rows joined by pairs get one label: int64 (n,), the smallest row of each group."""
    parent = np.arange(n)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for a, b in pairs:
        first, second = sorted((root(a), root(b)))
        parent[second] = first
    return np.array([root(i) for i in range(n)], np.int64)
