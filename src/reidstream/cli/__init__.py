"""The command line: one thin module per verb over the Python API."""

from __future__ import annotations

import atexit
import gc
import os

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``reidstream`` command; see ``app.main``."""
    # Importing makes some hundred thousand objects that stay. Looking them through again and again, and once more when
    # the process ends, is a third of the time that a small command takes.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    # Pydantic would read what every installed package says of itself, in search of plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    from reidstream.cli import app

    app.main()
