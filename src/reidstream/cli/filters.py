"""Options that say which tracklets are meant, as several verbs have them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from reidstream.errors import ConfigError
from reidstream.suggestions import did_you_mean

if TYPE_CHECKING:
    from reidstream.gallery import Filter, Gallery

SOURCE: Any = typer.Option(None, "--source", help="Only this source; repeatable.")
SINCE: Any = typer.Option(None, "--since", help="Only what was seen after this time: 2026-01-31T17:00 (UTC), or Unix.")
UNTIL: Any = typer.Option(None, "--until", help="Only what was seen before this time.")
FROM: Any = typer.Option(None, "--from", help="Only what was seen after this time in its video: 90, 1:30 or 0:01:30.")
TO: Any = typer.Option(None, "--to", help="Only what was seen before this time in its video.")


def filter_of(
    gallery: Gallery,
    sources: list[str] | None,
    since: str | None,
    until: str | None,
    start: str | None,
    stop: str | None,
) -> Filter:
    """The filter that the options describe. Raises ConfigError for a time that cannot be read or an unknown source."""
    from reidstream.gallery import Filter

    known = sorted({recording.source for recording in gallery.sources()})
    for source in sources or ():
        if source not in known:
            raise ConfigError(f"no source {source!r} in gallery {gallery.place}; {did_you_mean(source, known)}")
    return Filter(
        sources=tuple(sources or ()),
        since=None if since is None else wall_time(since),
        until=None if until is None else wall_time(until),
        media_since=None if start is None else media_time(start),
        media_until=None if stop is None else media_time(stop),
    )


def wall_time(text: str) -> float:
    """Unix seconds of a date and time (UTC unless it says otherwise), or of a plain number."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"a time must look like 2026-01-31T17:00 or 1769878800, got {text!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def media_time(text: str) -> float:
    """Seconds of h:mm:ss, m:ss or a plain number."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or any(part < 0 for part in parts):
        raise ConfigError(f"a time in a video must look like 90, 1:30 or 0:01:30, got {text!r}")
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + part
    return seconds
