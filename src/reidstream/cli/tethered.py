"""A command of this program that ends in the orderly way when whoever started it is gone.

    python -m reidstream.cli.tethered worker --gallery ...

Its standard input is a pipe that its starter holds open. When that closes, however its starter ended, the command is
told to end as by SIGTERM: a worker stores what it has seen and gives its sources to others. One that does not come to
an end then is ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

_PATIENCE = 90.0
"""Seconds for ending in the orderly way; a worker waits no longer than a minute for its database then."""


def _follow_starter() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Timer(_PATIENCE, os._exit, [1]).start()


def main() -> None:
    from reidstream.cli.app import main as run

    # A daemon: it must not keep a command that has come to its end.
    threading.Thread(target=_follow_starter, name="tether", daemon=True).start()
    run()


if __name__ == "__main__":
    main()
