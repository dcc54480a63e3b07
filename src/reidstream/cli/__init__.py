"""The command line: one thin module per verb over the Python API."""

from __future__ import annotations

from reidstream.cli.app import main

__all__ = ["main"]
