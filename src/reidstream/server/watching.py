"""Rules of alerts in a server: looked at in a thread of their own, so that nobody who reads or stores waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from reidstream.alerts import Sighting, Watch
from reidstream.errors import ReIDStreamError

_log = logging.getLogger(__name__)


class Watching:
    """The newest sighting of each track waits here until the rules are looked at. ``close`` looks at what is left.

    watch: who looks.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._waiting: dict[tuple[str, int], Sighting] = {}
        self._ready = threading.Condition()
        self._settle = self._ended = False
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="watching", daemon=True)
        self._thread.start()

    def put(self, sightings: Sequence[Sighting]) -> None:
        """Whoever is in view, as far as they are known by now."""
        with self._ready:
            for one in sightings:
                self._waiting.pop((one.content, one.track), None)
                self._waiting[one.content, one.track] = one
            self._ready.notify_all()

    def settle(self) -> None:
        """Something was stored, or was not worth it: look at it soon."""
        with self._ready:
            self._settle = True
            self._ready.notify_all()

    def wait(self) -> None:
        """Until everything that came was looked at."""
        with self._ready:
            self._ready.wait_for(lambda: not (self._waiting or self._settle or self._busy) or self._ended)

    def close(self) -> None:
        with self._ready:
            self._ended = self._settle = True
            self._ready.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._ready:
                self._busy = False
                self._ready.notify_all()
                self._ready.wait_for(lambda: self._waiting or self._settle or self._ended)
                sightings, self._waiting = list(self._waiting.values()), {}
                settle, self._settle, ended = self._settle, False, self._ended
                self._busy = True
            try:
                if sightings:
                    self.watch.saw(sightings)
                if settle:
                    self.watch.settle()
            except ReIDStreamError:
                # What was stored stays; rules are looked at again with whatever comes next.
                _log.exception("rules could not be looked at")
            if ended and not sightings:
                return
