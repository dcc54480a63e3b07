"""Everybody as columns, so that lists of tens of thousands are filtered, counted and put in order in bulk."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.identities.catalogue import Catalogue, Entry
from reidstream.types import IntArray

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

# Views of callers who may see some cameras only that are kept until something changes.
_VIEWS = 8


class PeopleOrder(StrEnum):
    """What a list of people begins with."""

    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"
    NUMBER = "number"
    TRACKLETS = "tracklets"
    LEAST_SURE = "least_sure"


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """Whom a list shows; see the interface's parameters. cameras, since, until: of one and the same visit."""

    cameras: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    named: bool | None = None
    words: str = ""
    quality: float = 0.0
    surer: float = 0.0
    doubtful: float | None = None


class PeopleTable:
    """n people; every column has length n. Made once for as long as nothing changes."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._columns: dict[str, npt.NDArray[Any]] = {}
        self._orders: dict[PeopleOrder, tuple[IntArray, Numbers]] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def with_changes(self, changed: Collection[str], entries: Sequence[Entry]) -> PeopleTable:
        """The table when some people have changed. entries: those of them who are still there, as they are now."""
        kept = [row for row, entry in enumerate(self.entries) if entry.person.id not in changed]
        table = PeopleTable([*(self.entries[row] for row in kept), *entries])
        fresh = PeopleTable(entries)
        for name, values in self._columns.items():
            table._columns[name] = np.concatenate([values[kept], _COLUMNS[name](fresh)])
        return table

    def where(self, wanted: PeopleFilter, hidden: Collection[str], *, shown: bool) -> Mask:
        """bool (n,): whom a filter means. hidden: ids of people; shown: those who are not, or those who are."""
        if hidden:
            mask = np.fromiter(((e.person.id in hidden) != shown for e in self.entries), bool, len(self))
        else:
            mask = np.full(len(self), shown)
        mask &= ~self._undecided
        if wanted.cameras or (wanted.since is not None and wanted.until is not None):
            mask &= self._visited(wanted)
        else:
            if wanted.since is not None:
                mask &= self._last_seen >= wanted.since
            if wanted.until is not None:
                mask &= self._first_seen <= wanted.until
        if wanted.named is not None:
            mask &= self._named == wanted.named
        if wanted.quality:
            mask &= self._quality >= wanted.quality
        if wanted.surer:
            mask &= self._surest > wanted.surer
        if wanted.doubtful is not None:
            mask &= self._least_sure < wanted.doubtful
        if wanted.words:
            mask &= self._called(wanted.words)
        return mask

    def names_with(self, words: str) -> dict[str, str]:
        """Names in which some words are, each with its person's id."""
        text = words.casefold()
        found = [row for row, name in enumerate(self._texts[0]) if name and text in name]
        return {self.entries[row].person.name: self._id(row) for row in found}

    def _called(self, words: str) -> Mask:
        """Who is meant by some words: part of the name or notes, the number, or the id."""
        text = words.casefold().strip()
        number = text.removeprefix("person").strip().removeprefix("#")
        names, notes, numbers, ids = self._texts
        found = [text in name for name in names]
        for row, note in notes.items():
            found[row] |= text in note
        for meant in (numbers.get(number), ids.get(text)):
            if meant is not None:
                found[meant] = True
        return np.array(found, bool)

    @cached_property
    def _texts(self) -> tuple[list[str], dict[int, str], dict[str, int], dict[str, int]]:
        """Names in small letters, notes of those who have any by row, and rows by number and id."""
        people = [entry.person for entry in self.entries]
        return (
            [person.name.casefold() for person in people],
            {row: person.notes.casefold() for row, person in enumerate(people) if person.notes},
            {str(person.number): row for row, person in enumerate(people)},
            {person.id: row for row, person in enumerate(people)},
        )

    def page(
        self,
        mask: Mask,
        order: PeopleOrder,
        limit: int,
        after: tuple[float, str] | None = None,
        upto: tuple[float, str] | None = None,
    ) -> tuple[list[Entry], tuple[float, str] | None]:
        """Some of those that a mask means, in order, and what the following page is after; None on the last one.

        upto: none beyond this place, which another page is after.
        """
        if order not in self._orders:
            keys = self._keys(order)
            rows = np.lexsort((self._ids, keys)) if len(self) else np.zeros(0, np.int64)
            self._orders[order] = rows, keys[rows]
        rows, keys = self._orders[order]
        found = mask[rows]
        rows, keys = rows[found], keys[found]
        begin = 0 if after is None else self._place(rows, keys, after)
        end = len(rows) if upto is None else self._place(rows, keys, upto)
        rows = rows[:end]
        page = rows[begin : begin + limit].tolist()
        more = begin + limit < len(rows)
        last = (float(keys[begin + len(page) - 1]), self._id(page[-1])) if more else None
        return [self.entries[row] for row in page], last

    def _place(self, rows: npt.NDArray[np.int64], keys: Numbers, place: tuple[float, str]) -> int:
        """How many come before a place or are at it."""
        first, last = (int(np.searchsorted(keys, place[0], side)) for side in ("left", "right"))
        # Those of one key are in the order of their ids.
        return bisect_right(range(first, last), place[1], key=lambda n: self._id(int(rows[n]))) + first

    @cached_property
    def undecided(self) -> int:
        """How many tracklets are nobody yet; no list of people has them."""
        return int(self._undecided.sum())

    @cached_property
    def visits(self) -> int:
        """How many visits all of them have."""
        return int(self._count.sum())

    def _id(self, row: int) -> str:
        return self.entries[row].person.id

    def _keys(self, order: PeopleOrder) -> Numbers:
        """What is put in order, the smallest first."""
        match order:
            case PeopleOrder.LAST_SEEN:
                return -self._last_seen
            case PeopleOrder.FIRST_SEEN:
                return self._first_seen
            case PeopleOrder.NUMBER:
                return self._held("number")
            case PeopleOrder.TRACKLETS:
                return -self._count
            case PeopleOrder.LEAST_SURE:
                return self._least_sure

    def _held(self, name: str) -> npt.NDArray[Any]:
        if name not in self._columns:
            self._columns[name] = _COLUMNS[name](self)
        return self._columns[name]

    @property
    def _ids(self) -> npt.NDArray[np.str_]:
        return self._held("id")

    @property
    def _first_seen(self) -> Numbers:
        return self._held("first seen")

    @property
    def _last_seen(self) -> Numbers:
        return self._held("last seen")

    @property
    def _count(self) -> Numbers:
        return self._held("count")

    @property
    def _least_sure(self) -> Numbers:
        return self._held("least sure")

    @property
    def _surest(self) -> Numbers:
        return self._held("surest")

    @property
    def _quality(self) -> Numbers:
        return self._held("quality")

    @property
    def _undecided(self) -> Mask:
        return self._held("undecided")

    @property
    def _named(self) -> Mask:
        return self._held("named")

    @cached_property
    def _every_visit(self) -> tuple[IntArray, IntArray, Numbers, Numbers, dict[str, int]]:
        """Of all visits: row of the person, number of the camera, start and end; and the cameras' numbers."""
        visits = [visit for entry in self.entries for visit in entry.visits]
        owner = np.repeat(np.arange(len(self)), self._count.astype(np.int64))
        numbers = {camera: n for n, camera in enumerate(sorted({visit.source for visit in visits}))}
        times = np.fromiter(chain.from_iterable((v.start, v.end) for v in visits), np.float64, 2 * len(visits))
        camera = np.fromiter((numbers[visit.source] for visit in visits), np.int64, len(visits))
        return owner, camera, times[::2], times[1::2], numbers

    def _visited(self, wanted: PeopleFilter) -> Mask:
        owner, camera, start, end, numbers = self._every_visit
        mask = np.ones(len(owner), bool)
        if wanted.cameras:
            mask &= np.isin(camera, [numbers[name] for name in wanted.cameras if name in numbers])
        if wanted.since is not None:
            mask &= end >= wanted.since
        if wanted.until is not None:
            mask &= start <= wanted.until
        return np.bincount(owner[mask], minlength=len(self)) > 0


def _numbers(value: Callable[[Entry], float]) -> Callable[[PeopleTable], Numbers]:
    return lambda table: np.fromiter(map(value, table.entries), np.float64, len(table))


def _whether(value: Callable[[Entry], bool]) -> Callable[[PeopleTable], Mask]:
    return lambda table: np.fromiter(map(value, table.entries), bool, len(table))


_COLUMNS: dict[str, Callable[[PeopleTable], npt.NDArray[Any]]] = {
    "id": lambda table: np.array([entry.person.id for entry in table.entries], np.str_),
    "number": _numbers(lambda entry: entry.person.number),
    "first seen": _numbers(lambda entry: entry.first_seen),
    "last seen": _numbers(lambda entry: entry.last_seen),
    "count": _numbers(lambda entry: len(entry.visits)),
    "least sure": _numbers(lambda entry: entry.least_sure),
    "surest": _numbers(lambda entry: max(visit.probability for visit in entry.visits)),
    "quality": _numbers(lambda entry: entry.quality),
    "undecided": _whether(lambda entry: entry.undecided),
    "named": _whether(lambda entry: bool(entry.person.name)),
}


class PeopleTables:
    """The table of each view of a gallery, kept until something changes. Safe to use from several threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._version = -1
        self._views: dict[frozenset[str] | None, PeopleTable] = {}

    def of(self, cameras: Collection[str] | None) -> PeopleTable:
        """What somebody may know who may see these cameras only; None: all of them."""
        view = None if cameras is None else frozenset(cameras)
        with self._lock:
            self._follow()
            if view not in self._views:
                entries = self._catalogue.entries()
                if view is not None:
                    entries = [seen for entry in entries if (seen := entry.within(view)) is not None]
                    if len(self._views) >= _VIEWS:
                        self._views.clear()
                self._views[view] = PeopleTable(entries)
            return self._views[view]

    def _follow(self) -> None:
        version, changed = self._catalogue.changed_since(self._version)
        if version == self._version:
            return
        self._version = version
        if changed is None:
            self._views = {}
            return
        found = [entry for person in sorted(changed) if (entry := self._catalogue.get(person)) is not None]
        self._views = {
            view: table.with_changes(changed, [seen for entry in found if (seen := entry.within(view)) is not None])
            for view, table in self._views.items()
        }
