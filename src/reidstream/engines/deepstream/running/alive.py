"""A file by which somebody outside, such as a container's health check, sees that a run goes on."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

logger = logging.getLogger(__name__)

_EVERY = 10.0
"""Seconds between two signs of life."""


class AliveFile:
    """``alive`` in a folder: its time is that of the last sign, its text the name of the machine or container.

    It goes when the run ends; one that stays behind is of a run that was killed. What cannot be written is said once,
    and stops nobody.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "alive"
        self._due = float("-inf")

    def sign(self, now: float) -> None:
        """The run goes on. now: monotonic seconds."""
        if now < self._due:
            return
        self._due = now + _EVERY
        try:
            self._path.write_text(f"{socket.gethostname()}\n", encoding="utf-8")
        except OSError as error:
            self._due = float("inf")
            logger.warning("the sign of life for health checks cannot be written: %s", error)

    def remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s stays behind: %s", self._path, error)
