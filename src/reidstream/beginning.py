"""A process begins and ends quickly, and looks for garbage as usual in between.

Importing makes some hundred thousand objects that stay. Looking them through again and again, and once more when the
process ends, is a third of the time that a small command takes. Who lives longer must not go on so: rings of objects
that hold pictures would fill the memory.
"""

from __future__ import annotations

import atexit
import gc
import threading

_SECONDS = 5.0
"""How long a process is taken to begin."""


def begin_quickly() -> None:
    """Look for garbage seldom for some seconds, and not at the end."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    later = threading.Timer(_SECONDS, _as_usual, [usual])
    later.daemon = True
    later.start()


def _as_usual(thresholds: tuple[int, int, int]) -> None:
    gc.collect()
    # What is there now stays.
    gc.freeze()
    gc.set_threshold(*thresholds)
