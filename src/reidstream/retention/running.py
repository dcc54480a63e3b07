"""Erasing what is due: by the same proven way as erasing a person, noted before and after.

A run that is killed has erased everything or nothing: an erasure is one transaction, and what was begun behind it is
completed when the gallery is next opened. The next run finds what is still due, and the log says of the former one that
it was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from reidstream.config.retention import RetentionConfig
from reidstream.errors import TrackletNotFound
from reidstream.gallery import Gallery
from reidstream.gallery.erasing import Erasure
from reidstream.retention import log
from reidstream.retention.due import due_now

_ATTEMPTS = 5
_RETRY = 3600.0
"""Seconds after which what failed is tried again."""


class Erase(Protocol):
    """``Gallery.erase``, or a server's way of it."""

    def __call__(self, ids: Any, *, left_out: Any) -> Erasure: ...


def retain(
    gallery: Gallery,
    rules: RetentionConfig,
    who: str,
    erase: Erase | None = None,
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Erase what is due; plain values of what was, and the proof. Raises what ``Gallery.erase`` does.

    who: for the log. erase: by which way; the gallery's own if none is given.
    """
    erasing: Erase = erase or (lambda ids, *, left_out: gallery.erase(ids, left_out=left_out, author=who))
    for attempt in range(_ATTEMPTS):
        due = due_now(gallery, rules, now())
        number = log.begin(gallery, rules, who, due)
        done = {**due.as_dict(), "run": number}
        if not due:
            log.end(gallery, number, now(), "done", None)
            return {**done, "proven": None, "reach": "", "pieces": 0}
        try:
            erasure = erasing(due.tracklets, left_out=due.left_out)
        except TrackletNotFound:
            # Somebody was erased meanwhile; nothing of this was.
            log.end(gallery, number, now(), "failed", None)
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        except BaseException:
            log.end(gallery, number, now(), "failed", None)
            raise
        proven = erasure.proven if due.tracklets else None
        log.end(gallery, number, now(), "done", proven, erasure.reach)
        return {**done, "proven": proven, "reach": erasure.reach, "pieces": erasure.pieces}
    raise AssertionError("the last attempt returns or raises")


def next_run(gallery: Gallery, rules: RetentionConfig, since: float, now: float) -> float | None:
    """When a server that runs since a moment erases next (Unix seconds; not after ``now``: at once). None: never.

    Once a day in the hour of the rules. Rules that never ran yet, or have changed, wait for that hour, so that somebody
    may look at what they mean; what was interrupted or missed is done at once, what failed after an hour.
    """
    if not rules.is_set:
        return None
    last = next(iter(log.runs_of(gallery, 1)), None)
    if last is None or last.rules != log.said(rules):
        return _hour_after(since, rules.hour)
    if last.state == "interrupted":
        return now
    if last.state == "running":
        # Of a process that is gone, if it began before this server did.
        return now if last.begun_wall < since else _hour_after(now, rules.hour)
    if last.state == "failed":
        return last.begun_wall + _RETRY
    return _hour_after(last.begun_wall, rules.hour)


def _hour_after(moment: float, hour: int) -> float:
    """The next time after a moment at which the machine's clock shows an hour."""
    local = time.localtime(moment)
    first = time.mktime((*local[:3], hour, 0, 0, 0, 0, -1))
    if first > moment:
        return first
    return time.mktime((local[0], local[1], local[2] + 1, hour, 0, 0, 0, 0, -1))
