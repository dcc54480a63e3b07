"""A list of cameras that may change while the engine runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from reidstream.config import SourceConfig
from reidstream.errors import ConfigError
from reidstream.sources import expand_sources

logger = logging.getLogger(__name__)

_AGAIN = 60.0
"""Seconds after which a camera of the list that has ended, or was given up, is taken up again."""


@dataclass(frozen=True, slots=True)
class ListSteps:
    """What a look at the list asks for. gone: keys of cameras that were taken off. new: cameras to open."""

    gone: tuple[str, ...] = ()
    new: tuple[SourceConfig, ...] = ()


class CameraList:
    """A TOML file with ``[[sources]]``, looked at again and again; safe from any thread.

    A camera is known by its name, or by its address when it has none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._cameras: Mapping[str, SourceConfig] = {}
        self._ended: dict[str, float] = {}
        # What it says at the start is the run's own list already.
        self._changed()

    def ended(self, config: SourceConfig) -> None:
        """A camera has ended by itself; while it is on the list, it is taken up again after a minute."""
        self._ended[camera_key(config)] = time.monotonic()

    def steps(self, running: Collection[str]) -> ListSteps:
        """What is to be done now. running: keys of the cameras that have not ended.

        A half-written or broken list takes no camera away: it is reported, and the last good one counts.
        """
        changed, now = self._changed(), time.monotonic()
        # A copy in one step: cameras end on another thread.
        rested = {key for key, since in dict(self._ended).items() if now - since >= _AGAIN}
        new = {key for key in self._cameras if key not in running and (changed or key in rested)}
        for key in new:
            self._ended.pop(key, None)
        gone = tuple(key for key in running if key not in self._cameras) if changed else ()
        return ListSteps(gone, tuple(config for key, config in self._cameras.items() if key in new))

    def _changed(self) -> bool:
        """Reads the file when it is another than at the last look."""
        stamp = self._written()
        if stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._cameras = {camera_key(config): config for config in expand_sources([str(self._path)])}
        except ConfigError as error:
            logger.warning("the camera list is left as it was: %s", error)
            return False
        return True

    def _written(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def camera_key(config: SourceConfig) -> str:
    return config.name or config.uri
