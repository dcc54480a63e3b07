"""What runs the modules that processes of this package start for themselves: ``python -m reidstream.child MODULE ...``.

A child imports for half a second and may live for less. Importing makes some hundred thousand objects that stay;
looking them through again and again, and once more when the process ends, is a third of the time that it takes. Who
lives longer has garbage looked for as usual: rings of objects that hold pictures would fill the memory otherwise.
"""

from __future__ import annotations

import atexit
import gc
import runpy
import sys
import threading

_BEGINNING = 5.0
"""Seconds in which a child is taken to begin."""


def main() -> None:
    """Run the module that the first argument names as the main program, with the arguments behind it."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    later = threading.Timer(_BEGINNING, _as_usual, [usual])
    later.daemon = True
    later.start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _as_usual(thresholds: tuple[int, int, int]) -> None:
    gc.collect()
    # What is there now stays.
    gc.freeze()
    gc.set_threshold(*thresholds)


if __name__ == "__main__":
    main()
