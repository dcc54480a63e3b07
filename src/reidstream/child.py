"""What runs the modules that processes of this package start for themselves: ``python -m reidstream.child MODULE ...``.

A child imports for half a second and may live for less. Importing makes some hundred thousand objects that stay;
looking them through again and again, and once more when the process ends, is a third of the time that it takes.
"""

from __future__ import annotations

import atexit
import gc
import runpy
import sys


def main() -> None:
    """Run the module that the first argument names as the main program, with the arguments behind it."""
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
