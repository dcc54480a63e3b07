"""How often somebody may try to come in."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from reidstream.errors import TooManyAttempts

# So many wrong tries are free; each one after doubles the wait.
_FREE = 5
_FIRST_WAIT = 2.0
_LONGEST_WAIT = 900.0
_FORGOTTEN = 3600.0
# Names and addresses that are remembered; the oldest are forgotten first.
_REMEMBERED = 10_000


class Attempts:
    """Counts failures by name and by address. Safe to use from several threads. clock: seconds, growing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def demand(self, name: str, address: str) -> None:
        """Raise TooManyAttempts when the next try comes too soon."""
        now = self._clock()
        with self._lock:
            waits = [self._wait(key, now) for key in _keys(name, address)]
        if max(waits) > 0:
            raise TooManyAttempts(f"too many wrong attempts; try again in {max(waits):.0f} s", max(waits))

    def failed(self, name: str, address: str) -> None:
        with self._lock:
            for key in _keys(name, address):
                count, _ = self._failures.pop(key, (0, 0.0))
                self._failures[key] = (count + 1, self._clock())
            while len(self._failures) > _REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        with self._lock:
            self._failures.pop(f"name {name}", None)
            self._failures.pop(f"from {address}", None)

    def _wait(self, key: str, now: float) -> float:
        count, last = self._failures.get(key, (0, 0.0))
        if now - last > _FORGOTTEN:
            self._failures.pop(key, None)
            return 0.0
        if count < _FREE:
            return 0.0
        return last + min(_FIRST_WAIT * 2.0 ** (count - _FREE), _LONGEST_WAIT) - now


def _keys(name: str, address: str) -> tuple[str, str]:
    return f"name {name}", f"from {address}"
