"""Hours and days of a place: where on the Unix clock they begin, daylight saving included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from reidstream.errors import ConfigError
from reidstream.suggestions import did_you_mean

Floats = npt.NDArray[np.float64]

_QUARTER = 900.0
"""Seconds. Offsets of all time zones of today, and the moments at which they change, are whole quarters of an hour."""


class Bucket(StrEnum):
    """Over what is counted."""

    HOUR = "hour"
    DAY = "day"
    ALL = "all"

    @property
    def seconds(self) -> float:
        """About how long one is; 0 for everything at once."""
        return {"hour": 3600.0, "day": 86400.0, "all": 0.0}[self.value]


@dataclass(frozen=True)
class Clock:
    """A time zone by its name (``Europe/Berlin``). Raises ConfigError for one that is not known."""

    name: str = "UTC"

    def __post_init__(self) -> None:
        _ = self.zone

    @cached_property
    def zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.name)
        except (KeyError, ValueError, OSError):
            from zoneinfo import available_timezones

            meant = did_you_mean(self.name, sorted(available_timezones()))
            raise ConfigError(f"no time zone {self.name!r}; {meant}; they are called like Europe/Berlin") from None

    def said(self, moment: float) -> str:
        """A moment (Unix seconds) as date, time of day and offset; as the number where dates cannot be written."""
        try:
            return datetime.fromtimestamp(moment, self.zone).isoformat(timespec="seconds")
        except (ValueError, OverflowError, OSError):
            return f"{moment:g} s"

    def begins(self, moments: Floats, bucket: Bucket) -> Floats:
        """float64 (n,): Unix seconds at which the hour or day begins that each moment (n,) lies in.

        With ALL every moment is in one bucket, which begins at minus infinity.
        """
        if bucket is Bucket.ALL:
            return np.full(moments.shape, -np.inf)
        quarters, where = np.unique(np.floor(moments / _QUARTER), return_inverse=True)
        found = np.array([self._begin(quarter * _QUARTER, bucket) for quarter in quarters.tolist()])
        return found[where] if len(found) else np.zeros(0)

    def _begin(self, moment: float, bucket: Bucket) -> float:
        try:
            local = datetime.fromtimestamp(moment, self.zone)
            if bucket is Bucket.HOUR:
                # On the Unix clock: an hour that comes twice, in autumn, is two hours.
                return moment - 60 * local.minute - local.second
            return datetime(local.year, local.month, local.day, tzinfo=self.zone).timestamp()
        except (ValueError, OverflowError, OSError):
            # Before the year 1 or after 9999, where no time zone is defined.
            return float(np.floor(moment / bucket.seconds) * bucket.seconds)

    def day(self, text: str) -> float:
        """Unix seconds at which a day (2026-01-31), or a moment of one (2026-01-31T17:00), begins here.

        Raises ConfigError for anything else.
        """
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigError(f"a time must look like 2026-01-31 or 2026-01-31T17:00, got {text!r}") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).timestamp()

    def next_day(self, text: str) -> float:
        """When the day after a day (2026-01-31) begins here. Raises ConfigError for anything else."""
        try:
            following = date.fromisoformat(text) + timedelta(days=1)
        except (ValueError, OverflowError):
            raise ConfigError(f"a day must look like 2026-01-31, got {text!r}") from None
        return datetime(following.year, following.month, following.day, tzinfo=self.zone).timestamp()


UTC_CLOCK = Clock(str(UTC))


def spread(clock: Clock, start: Floats, end: Floats, bucket: Bucket) -> tuple[npt.NDArray[np.intp], Floats]:
    """Each interval in all buckets that it touches: rows (m,) of the intervals, and where their buckets begin (m,).

    start, end: float64 (n,) Unix seconds, start <= end.
    """
    rows = np.arange(len(start))
    if bucket is Bucket.ALL or not len(start):
        return rows, clock.begins(start, bucket)
    first = clock.begins(start, bucket)
    # One more than could be: what begins after the interval's end is taken out below.
    count = np.floor((end - first) / bucket.seconds).astype(np.int64) + 2
    rows = np.repeat(rows, count)
    step = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    # The middle of a bucket stays in it when a day is an hour longer or shorter.
    begins = clock.begins(first[rows] + (step + 0.5) * bucket.seconds, bucket)
    begins[step == 0] = first
    touched = (step == 0) | (begins < end[rows])
    return rows[touched], begins[touched]
