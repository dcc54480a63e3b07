"""A list of cameras that may change while the engine runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from reidstream.config import SourceConfig
from reidstream.errors import ConfigError
from reidstream.sources import expand_sources

logger = logging.getLogger(__name__)


class CameraList:
    """A TOML file with ``[[sources]]``, looked at again and again.

    A camera is known by its name, or by its address when it has none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = self._look()

    def changed(self) -> Mapping[str, SourceConfig] | None:
        """The cameras by key when the file has changed since the last look; None when not, or when it cannot be read.

        A half-written or broken list takes no camera away: it is reported, and the last good one counts.
        """
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            return {camera_key(config): config for config in expand_sources([str(self._path)])}
        except ConfigError as error:
            logger.warning("the camera list is left as it was: %s", error)
            return None

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def camera_key(config: SourceConfig) -> str:
    return config.name or config.uri
