"""The command line: one thin module per verb over the Python API."""

from __future__ import annotations

import os

from reidstream.beginning import begin_quickly

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``reidstream`` command; see ``app.main``."""
    begin_quickly()
    # Pydantic would read what every installed package says of itself, in search of plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    from reidstream.cli import app

    app.main()
