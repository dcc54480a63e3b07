"""When a recording began: what its container or its name says, else its modification time less its length."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TAGS = ("com.apple.quicktime.creationdate", "creation_time", "date")
"""What containers call the time at which a recording began; Apple's has the time zone."""
_DATE = r"(?P<year>\d{4})(?P<d>[-_.]?)(?P<month>\d{2})(?P=d)(?P<day>\d{2})"
_TIME = r"(?P<hour>\d{2})(?P<t>[-_.:]?)(?P<minute>\d{2})(?P=t)(?P<second>\d{2})"
_ZONE = r"(?P<zone>Z|[+-]\d{2}:?\d{2}(?!\d))?"
_BOTH = re.compile(rf"(?<!\d){_DATE}(?:[-_. T]| at | - )?{_TIME}(?:[.,]\d{{1,6}})?{_ZONE}(?!\d)")
_DATE_FOLDER = re.compile(rf"(?<!\d){_DATE}(?!\d)")
_TIME_FIRST = re.compile(rf"(?:^|(?<=[^\d])){_TIME}(?!\d)")
LAST_WRITTEN = "its modification time"
_LAST_PACKETS = 16
"""Among so many at the end of a file the latest is looked for: pictures are stored out of order."""
_TAIL = 3.0
"""Seconds before the stated end from which packets are read."""


@dataclass(frozen=True, slots=True)
class Dated:
    """When a recording began, Unix seconds, and what says so, in words for people."""

    begun: float
    by: str


def dated(path: Path, tags: Iterable[Mapping[str, str]], length: float | None) -> Dated:
    """When the recording at ``path`` began.

    tags: of the container and of its video. A time in a name without a zone is this machine's local time, as recorders
    write it. length: seconds, None when not known. Raises OSError when there is no such file.
    """
    for found in tags:
        for tag in _TAGS:
            begun = _tag_time(found.get(tag, ""))
            if begun is not None:
                return Dated(begun, "its container")
    begun = name_time(path)
    if begun is not None:
        return Dated(begun, "its name")
    written = path.stat().st_mtime
    if length is None:
        return Dated(written, LAST_WRITTEN)
    return Dated(written - length, "its modification time less its length")


def name_time(path: Path) -> float | None:
    """The date and time in a file's name, or a time there and a date in one of the two folders above; Unix seconds."""
    found = _BOTH.search(path.name)
    if found is not None:
        return _moment(found.groupdict())
    time = _TIME_FIRST.search(path.name)
    if time is None:
        return None
    for folder in path.absolute().parents[:2]:
        date = _DATE_FOLDER.search(folder.name)
        if date is not None:
            return _moment({**date.groupdict(), **time.groupdict(), "zone": None})
    return None


def recorded_length(container: Any, stream: Any) -> float | None:
    """Seconds of video in a newly opened ``av`` container; None when not even its packets say.

    A header's duration is that of the latest stamp, which may be wrong; so the last packets are looked at, too.
    """
    import av

    stated: float | None = None if container.duration is None else container.duration / 1e6
    first = float((stream.start_time or 0) * stream.time_base)
    if stated is not None and stated > _TAIL:
        try:
            container.seek(round((stated - _TAIL) * 1e6) + (container.start_time or 0))
        except av.error.FFmpegError:
            return stated
    stamps: list[float] = []
    count = 0
    try:
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            count += packet.size > 0
            if stamp is not None and packet.size:
                stamps = [*stamps[1 - _LAST_PACKETS :], float(stamp * packet.time_base)]
    except av.error.FFmpegError:
        pass
    rate = float(stream.guessed_rate or stream.average_rate or 0)
    if not stamps:
        return stated if stated is not None else count / rate if count and rate else None
    end = max(stamps) - first + (1 / rate if rate else 0.0)
    return end if stated is None else max(0.0, min(end, stated))


def _tag_time(text: str) -> float | None:
    try:
        created = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) < len("2026-01-31T17:00"):
        # A date alone says nothing about the hour.
        return None
    if created.tzinfo is None:
        created = created.replace(tzinfo=datetime.UTC)
    # Recorders without a clock write the zero of their epoch, 1904 or 1970.
    return created.timestamp() if created.year > 1971 else None


def _moment(parts: Mapping[str, str | None]) -> float | None:
    numbers = [int(parts[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    zone = parts["zone"]
    try:
        moment = datetime.datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001 - local time, unless it says
        if zone is not None:
            moment = datetime.datetime.fromisoformat(f"{moment.isoformat()}{'+00:00' if zone == 'Z' else zone}")
        begun = moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    soon = datetime.datetime.now(datetime.UTC).timestamp() + 2 * 86_400
    return begun if numbers[0] >= 1990 and begun < soon else None
