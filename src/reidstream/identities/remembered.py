"""What is remembered of tracklets and people while they are decided one after the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from reidstream.identities.nearest import NearestMeans
from reidstream.identities.strangers import Nearest, Strangers
from reidstream.types import FloatArray

# Strangers are learnt from so many of the tracklets that were stored last.
_SAMPLED = 1024
# A person is remembered by so many tracklets; the newest replace the oldest.
_REMEMBERED = 12


@dataclass(frozen=True, slots=True)
class Seen:
    """One tracklet as it counts here. start, end: wall seconds. vector: float32 (d,). prototypes: float32 (p, d).

    clarity: 0..1. strangers: what its similarity to others is like; None where it was not learnt yet.
    """

    camera: int
    start: float
    end: float
    vector: FloatArray
    prototypes: FloatArray
    clarity: float
    strangers: Nearest | None = None
    id: str = ""


@dataclass(slots=True)
class Known:
    """What is remembered of one person.

    total: the sum of all vectors. cameras, starts, ends: of all tracklets. The rest is of the newest tracklets, in the
    order of storing.
    """

    id: str
    total: FloatArray
    tracklets: list[str] = field(default_factory=list)
    vectors: list[FloatArray] = field(default_factory=list)
    prototypes: list[FloatArray] = field(default_factory=list)
    clarity: list[float] = field(default_factory=list)
    strangers: list[Nearest] = field(default_factory=list)
    cameras: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def remember(self, seen: Seen, strangers: Nearest) -> None:
        self.total = self.total + seen.vector
        self.cameras.append(seen.camera)
        self.starts.append(seen.start)
        self.ends.append(seen.end)
        self.tracklets.append(seen.id)
        self.vectors.append(seen.vector)
        self.prototypes.append(seen.prototypes)
        self.clarity.append(seen.clarity)
        self.strangers.append(strangers)
        if len(self.prototypes) > _REMEMBERED:
            del self.tracklets[0], self.vectors[0], self.prototypes[0], self.clarity[0], self.strangers[0]

    @property
    def mean(self) -> FloatArray:
        """float32 (d,), unit length."""
        return self.total / max(float(np.linalg.norm(self.total)), 1e-6)


class Memory:
    """Everybody who is known: by row, so that means are compared in bulk; somebody's row may change when others go.

    people: by row. owner: the person of each tracklet. nearest: the people's means.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._row: dict[str, int] = {}
        self._apart: dict[str, set[str]] = {}
        self._held: dict[str, list[str]] = {}
        self.people: list[Known] = []
        self.owner: dict[str, str] = {}
        self.nearest = NearestMeans(size)

    def __len__(self) -> int:
        return len(self.people)

    def row(self, person: str) -> int | None:
        return self._row.get(person)

    def tracklets_of(self, person: str) -> Collection[str]:
        return self._held.get(person, ())

    def seen(self, tracklet: str) -> Seen | None:
        """A tracklet as it was remembered; None when it is not, or no longer."""
        row = self._row.get(self.owner.get(tracklet, ""))
        known = None if row is None else self.people[row]
        if known is None or tracklet not in known.tracklets:
            return None
        k = known.tracklets.index(tracklet)
        back = k - len(known.tracklets)
        return Seen(
            known.cameras[back],
            known.starts[back],
            known.ends[back],
            known.vectors[k],
            known.prototypes[k],
            known.clarity[k],
            known.strangers[k],
            tracklet,
        )

    def remember(self, person: str, seen: Seen, strangers: Nearest) -> None:
        """A tracklet is this person's, who may be new."""
        row = self._add(person, seen, strangers)
        self.nearest.put(row, self.people[row].mean)

    def remember_all(self, seen: Iterable[tuple[str, Seen, Nearest]]) -> None:
        """The same for many, in the order of storing: the means are made once each."""
        rows = {self._add(*one) for one in seen}
        for row in sorted(rows):
            self.nearest.put(row, self.people[row].mean)

    def _add(self, person: str, seen: Seen, strangers: Nearest) -> int:
        row = self._row.get(person)
        if row is None:
            row = self._row[person] = len(self.people)
            self.people.append(Known(person, np.zeros(self._size, np.float32)))
            self._held[person] = []
        self.people[row].remember(seen, strangers)
        self._held[person].append(seen.id)
        self.owner[seen.id] = person
        return row

    def forget(self, person: str) -> None:
        """Nothing is known of this person any more, nor of their tracklets."""
        row = self._row.pop(person, None)
        if row is None:
            return
        for tracklet in self._held.pop(person):
            if self.owner.get(tracklet) == person:
                del self.owner[tracklet]
        for other in self._apart.pop(person, ()):
            self._apart[other].discard(person)
        last = self.people.pop()
        if last.id != person:
            self.people[row] = last
            self._row[last.id] = row
        self.nearest.remove(row)

    def tell_apart(self, one: str, other: str) -> None:
        """Somebody decided that they are two."""
        self._apart.setdefault(one, set()).add(other)
        self._apart.setdefault(other, set()).add(one)

    def are_apart(self, a: int, b: int) -> bool:
        """Whether somebody decided that the people of two rows are two."""
        return self.people[b].id in self._apart.get(self.people[a].id, ())

    def apart_of(self, person: str) -> Collection[str]:
        """The people of whom somebody decided that they are not this one."""
        return self._apart.get(person, ())


class Sample:
    """The vectors of the tracklets that were stored last, float32 (k, size), and each one's strangers."""

    def __init__(self, size: int) -> None:
        self._vectors = np.zeros((_SAMPLED, size), np.float32)
        self._strangers = np.zeros((len(Nearest._fields), _SAMPLED))
        self._tracklets: list[str] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._tracklets)

    @property
    def vectors(self) -> FloatArray:
        return self._vectors[: len(self)]

    @property
    def strangers(self) -> Strangers:
        return Strangers(*self._strangers[:, : len(self)])

    def put(self, tracklet: str, vector: FloatArray, strangers: Nearest) -> None:
        """Add one; the oldest goes when there are too many."""
        self._vectors[self._next], self._strangers[:, self._next] = vector, strangers
        if len(self) < _SAMPLED:
            self._tracklets.append(tracklet)
        else:
            self._tracklets[self._next] = tracklet
        self._next = (self._next + 1) % _SAMPLED

    def remove(self, tracklets: Collection[str]) -> None:
        """Forget some; the order of the others stays."""
        count = len(self)
        # While there is room the next one comes behind the last, and nothing is turned.
        turned = [(self._next + k) % count for k in range(count)]
        kept = [k for k in turned if self._tracklets[k] not in tracklets]
        if len(kept) == count:
            return
        vectors, strangers = np.zeros_like(self._vectors), np.zeros_like(self._strangers)
        vectors[: len(kept)], strangers[:, : len(kept)] = self._vectors[kept], self._strangers[:, kept]
        self._vectors, self._strangers = vectors, strangers
        self._tracklets = [self._tracklets[k] for k in kept]
        self._next = len(kept) % _SAMPLED

    def learn(self, strangers: dict[str, Nearest]) -> None:
        """Take over what is known better now, by tracklet."""
        for place, tracklet in enumerate(self._tracklets):
            if tracklet in strangers:
                self._strangers[:, place] = strangers[tracklet]
