"""People per camera, zone and hour: how many, how many of them new, for how long; and how sure that is.

Of the visits in one place and hour that are one person's, the surest stands for the person, who is one; each other one
is the same person's with its probability, else one person more. An undecided visit is one person too, and the same as
the one that it may be with that chance, if they are there. Whoever was seen before that hour comes back, as probably as
the surest visit is theirs; the others are new. So a number is a sum of independent events, and has an interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reidstream.gallery import Gallery
from reidstream.numbers.buckets import Bucket, spread
from reidstream.numbers.dwelling import StaysOf, stays_of
from reidstream.numbers.sureness import LEVEL, Counts, counts
from reidstream.numbers.visits import Asked, Floats, Ints, Mask, Visits, read_visits, read_zone_stays

WHOLE = ""
"""The camera's whole picture, where a zone's name would stand; as a camera: all of them together."""


@dataclass(frozen=True, slots=True)
class PeopleRow:
    """One place in one bucket. camera: "" for all together. zone: "" for the whole picture. begin: Unix seconds, None
    for the whole time; local: the same as date and time where it is counted.

    people, new, returning: expected, with the interval of LEVEL (low, high). visits: tracklets. undecided: how many of
    them nobody has been decided to be. seconds: of presence in all, inside the bucket. stays: those that began in it;
    median, mean, longest: their seconds. joined: how probably a stay is one person's, on average.
    """

    camera: str
    zone: str
    begin: float | None
    local: str | None
    people: float
    people_low: int
    people_high: int
    new: float
    new_low: int
    new_high: int
    returning: float
    returning_low: int
    returning_high: int
    visits: int
    undecided: int
    seconds: float
    stays: int
    median: float | None
    mean: float | None
    longest: float | None
    joined: float | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was asked for, row by row, in order of camera, zone and time.

    time_zone, bucket: of the rows. without_person: visits that wait to be given a person, and are not counted.
    """

    time_zone: str
    bucket: str
    without_person: int
    rows: tuple[PeopleRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "time_zone": self.time_zone,
            "bucket": self.bucket,
            "interval": LEVEL,
            "without_person": self.without_person,
            "rows": [asdict(row) for row in self.rows],
        }


def people_numbers(gallery: Gallery, asked: Asked) -> Numbers:
    """The numbers of every place in which anybody was, by camera, zone and bucket."""
    visits = read_visits(gallery, asked)
    zones = read_zone_stays(gallery, asked, visits)
    places: list[tuple[str, str]] = [(camera, WHOLE) for camera in visits.cameras]
    presences = [_Presences(visits.camera, np.arange(len(visits)), visits.start, visits.end)]
    if len(visits.cameras) > 1:
        places.append((WHOLE, WHOLE))
        everywhere = np.full(len(visits), len(places) - 1)
        presences.append(_Presences(everywhere, np.arange(len(visits)), visits.start, visits.end))
    presences.append(_Presences(zones.zone + len(places), zones.row, zones.start, zones.end))
    places += zones.zones
    rows = sorted(
        _rows(asked, visits, _joined(presences), places),
        key=lambda row: (row.camera, row.zone, -np.inf if row.begin is None else row.begin),
    )
    return Numbers(asked.clock.name, asked.bucket.value, visits.without, tuple(rows))


@dataclass(frozen=True, slots=True)
class _Presences:
    """Somebody was somewhere, arrays of one length. place: a number. row: which visit. start, end: Unix seconds."""

    place: Ints
    row: Ints
    start: Floats
    end: Floats


def _joined(parts: list[_Presences]) -> _Presences:
    place, row, start, end = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("place", "row", "start", "end")
    )
    return _Presences(place, row, start, end)


def _rows(asked: Asked, visits: Visits, there: _Presences, places: list[tuple[str, str]]) -> Iterator[PeopleRow]:
    which, begins = spread(asked.clock, there.start, there.end, asked.bucket)
    # A cell is a place in a bucket.
    starts, bucket = np.unique(begins, return_inverse=True)
    cells, cell = np.unique(there.place[which] * max(len(starts), 1) + bucket, return_inverse=True)
    seconds = np.bincount(cell, _inside(there.start[which], there.end[which], begins, asked), minlength=len(cells))
    people, new, returning, number, undecided = _people(visits, there.row[which], cell, begins, asked, len(cells))
    held = stays_of(there.place, visits.owner[there.row], there.start, there.end, visits.sure[there.row], asked.stay)
    dwell = _Dwell(held, asked, cells, starts)
    for n, key in enumerate(cells.tolist()):
        camera, zone = places[key // max(len(starts), 1)]
        begin = float(starts[key % max(len(starts), 1)])
        whole = asked.bucket is Bucket.ALL
        stays, median, mean, longest, joined = dwell.at(n)
        yield PeopleRow(
            camera,
            zone,
            None if whole else begin,
            None if whole else asked.clock.said(begin),
            *_at(people, n),
            *_at(new, n),
            *_at(returning, n),
            int(number[n]),
            int(undecided[n]),
            round(float(seconds[n]), 1),
            stays,
            median,
            mean,
            longest,
            joined,
        )


def _inside(start: Floats, end: Floats, begins: Floats, asked: Asked) -> Floats:
    """Seconds of each interval that lie in the bucket that begins there."""
    if asked.bucket is Bucket.ALL:
        return end - start
    # Where the next one begins: a day may have 23 hours.
    ends = asked.clock.begins(begins + 1.5 * asked.bucket.seconds, asked.bucket)
    found: Floats = np.maximum(np.minimum(end, ends) - np.maximum(start, begins), 0.0)
    return found


def _people(
    visits: Visits, row: Ints, cell: Ints, begins: Floats, asked: Asked, cells: int
) -> tuple[Counts, Counts, Counts, Ints, Ints]:
    """People, new ones, returning ones, visits, and undecided visits of each cell.

    row: int64 (m,), a visit that was in ``cell`` (m,), whose bucket begins at ``begins`` (m,).
    """
    # Of somebody who was in a zone twice, once.
    _, once = np.unique(cell * max(len(visits), 1) + row, return_index=True)
    row, cell, begins = row[once], cell[once], begins[once]
    group, sure, decided = visits.group[row], visits.sure[row], visits.decided[row]
    order = np.lexsort((-sure, ~decided, group, cell))
    row, cell, begins, group = row[order], cell[order], begins[order], group[order]
    sure, decided = sure[order], decided[order]
    leads: Mask = np.ones(len(row), bool)
    leads[1:] = (cell[1:] != cell[:-1]) | (group[1:] != group[:-1])
    leader = np.flatnonzero(leads)[np.cumsum(leads) - 1] if len(row) else np.zeros(0, np.int64)
    # Two that may both be somebody who is not there are the same as probably as both are that one.
    other = 1.0 - sure * np.where(decided[leader], 1.0, sure[leader])
    certain = np.bincount(cell[leads], minlength=cells).astype(np.float64)
    people = counts(cell[~leads], other[~leads], cells, certain)
    since = np.where(np.isneginf(begins), -np.inf if asked.since is None else asked.since, begins)
    before = leads & (visits.first[row] < since)
    returning = counts(cell[before], sure[before], cells)
    # Whoever was not seen before is new for certain; whoever was, if it is not them after all.
    fresh = np.bincount(cell[leads & ~before], minlength=cells).astype(np.float64)
    events = np.concatenate([other[~leads], 1.0 - sure[before]])
    new = counts(np.concatenate([cell[~leads], cell[before]]), events, cells, fresh)
    undecided = np.bincount(cell, ~decided, minlength=cells)
    return people, new, returning, np.bincount(cell, minlength=cells), undecided.astype(np.int64)


def _at(found: Counts, n: int) -> tuple[float, int, int]:
    return round(float(found.expected[n]), 3), int(found.low[n]), int(found.high[n])


class _Dwell:
    """How long the stays were that began in each cell."""

    def __init__(self, held: StaysOf, asked: Asked, cells: Ints, starts: Floats) -> None:
        begins = asked.clock.begins(held.start, asked.bucket)
        cell = np.searchsorted(cells, held.place * max(len(starts), 1) + np.searchsorted(starts, begins))
        length = held.end - held.start
        order = np.lexsort((length, cell))
        self._length, cell = length[order], cell[order]
        self._joined = held.joined[order]
        self._first = np.searchsorted(cell, np.arange(len(cells)))
        self._last = np.searchsorted(cell, np.arange(len(cells)), side="right")

    def at(self, n: int) -> tuple[int, float | None, float | None, float | None, float | None]:
        """stays, median, mean, longest, joined."""
        own = slice(int(self._first[n]), int(self._last[n]))
        lengths = self._length[own]
        if not len(lengths):
            return 0, None, None, None, None
        middle = float(np.median(lengths))
        numbers = (middle, float(lengths.mean()), float(lengths[-1]))
        rounded = tuple(round(number, 1) for number in numbers)
        return len(lengths), rounded[0], rounded[1], rounded[2], round(float(self._joined[own].mean()), 3)
