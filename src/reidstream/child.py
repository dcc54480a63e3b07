"""What runs the modules that processes of this package start for themselves: ``python -m reidstream.child MODULE ...``.

A child imports for half a second and may live for less.
"""

from __future__ import annotations

import runpy
import sys

from reidstream.beginning import begin_quickly


def main() -> None:
    """Run the module that the first argument names as the main program, with the arguments behind it."""
    begin_quickly()
    # httpx's own command line, which brings rich and pygments with it and may be left out: nobody here asks for it.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
