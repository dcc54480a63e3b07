"""Rules of alerts beside workers: whoever decides looks at whom workers have in view."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from reidstream.alerts import Sighting
from reidstream.cluster import in_view
from reidstream.errors import GalleryCorrupt, ReIDStreamError
from reidstream.server.desk import Desk

_log = logging.getLogger(__name__)

_LOOKS = 0.2
"""Seconds between two looks at who is in view."""
_SETTLES = 1.0
"""Seconds between two looks at what became of alerts: workers tell nobody of tracks that were not worth storing."""
_AT_ONCE = 200
_LONGEST_PAUSE = 30.0


class Looking:
    """While it is entered, rules are looked at. desk: of the gallery's owner.

    A row goes when it was looked at. Who is killed in between leaves it to the next one, who finds in the gallery what
    was said of that track already.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._closing = threading.Event()
        self._settled = 0.0
        self._thread = threading.Thread(target=self._look_on, name="who is in view", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()

    def _look_on(self) -> None:
        pause = _LOOKS
        while not self._closing.wait(pause):
            try:
                self._look()
                pause = _LOOKS
            except ReIDStreamError as error:
                # A lost gallery among them: whoever beats notices, and ends this.
                _log.warning("%s; rules are looked at again soon", error)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception:  # noqa: BLE001 - nobody would look at rules any more
                _log.exception("rules could not be looked at; this is a fault of the program, and is tried again")
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _look(self) -> None:
        gallery, watch = self._desk.gallery, self._desk.watching.watch
        with gallery.read() as connection:
            rows = in_view.waiting(connection, _AT_ONCE)
            unsettled = bool(watch.alerts.unsettled(connection))
        done: list[int] = []
        try:
            # With nobody in it, too: what has run out goes.
            watch.saw(())
            for row in rows:
                if (seen := _read(row)) is not None:
                    watch.saw([seen])
                done.append(row.number)
        finally:
            if done:
                with gallery.write() as connection:
                    in_view.looked_at(connection, done)
        if unsettled and time.monotonic() - self._settled >= _SETTLES:
            self._settled = time.monotonic()
            self._desk.watching.settle()


def _read(row: object) -> Sighting | None:
    try:
        return in_view.sighting_of(row)
    except GalleryCorrupt as error:
        _log.error("%s; it is left out", error)
        return None
