"""Rules of alerts in a server: looked at in a thread of their own, so that nobody who reads or stores waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from reidstream.alerts import Sighting, Watch
from reidstream.errors import ReIDStreamError

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
"""Seconds until what failed is tried again, twice as many each time."""


class Watching:
    """The newest sighting of each track waits here until the rules are looked at. ``close`` looks at what is left.

    What fails is said in the log and tried again; the thread goes on whatever it was. watch: who looks.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._waiting: dict[tuple[str, int], Sighting] = {}
        self._ready = threading.Condition()
        self._settle = self._ended = False
        self._busy = False
        self._pause = 0.0
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
                if self._pause:
                    # Whatever comes meanwhile would meet the same.
                    self._ready.wait_for(lambda: self._ended, self._pause)
                self._ready.wait_for(lambda: self._waiting or self._settle or self._ended)
                sightings, self._waiting = list(self._waiting.values()), {}
                settle, self._settle, ended = self._settle, False, self._ended
                self._busy = True
            again = [one for one in sightings if not self._saw(one)]
            settle_again = settle and not self._tried(self.watch.settle)
            with self._ready:
                for one in again:
                    # Unless there is a newer one, which holds all that this one does.
                    self._waiting.setdefault((one.content, one.track), one)
                self._settle |= settle_again
            failed = bool(again) or settle_again
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE) if failed else 0.0
            if ended and (failed or not sightings):
                return

    def _saw(self, one: Sighting) -> bool:
        return self._tried(partial(self.watch.saw, [one]))

    def _tried(self, look: Callable[[], object]) -> bool:
        """Whether rules could be looked at; what was wrong is said when they could not."""
        try:
            look()
        except ReIDStreamError as error:
            _log.warning("%s; rules are looked at again soon", error)
            return False
        except Exception:  # noqa: BLE001 - nobody would look at rules any more
            _log.exception("rules could not be looked at; this is a fault of the program, and is tried again")
            return False
        return True
