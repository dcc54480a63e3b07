"""What reading from a disk has in common, whether frames lie in one video file or in a folder of images."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Self

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken
from reidstream.sources.address import local_path, redacted
from reidstream.sources.frame import FittedPicture, Frame, Picture
from reidstream.types import SourceStarted


class StoredSource(ABC):
    """Frames from a path, in order; see ``Source`` for the contract. Safe to close from another thread.

    What differs is ``_read``, which sets ``_info`` before its first frame.
    """

    def __init__(self, config: SourceConfig, source_id: str) -> None:
        self._config = config
        self._id = source_id
        self._path: Path = local_path(config.uri)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._frames: Generator[Frame, None, None] | None = None
        self._first: Frame | None = None
        self._info: SourceStarted | None = None
        self._skipped = 0
        self._fitted_count = 0

    @property
    def id(self) -> str:
        return self._id

    @property
    def skipped(self) -> int:
        return self._skipped

    @property
    def dropped(self) -> int:
        return 0

    @property
    def fitted(self) -> int:
        return self._fitted_count

    def _fitted(self, picture: Picture, size: tuple[int, int]) -> Picture:
        """The picture in the source's size, whatever its own is."""
        if picture.size == size:
            return picture
        self._fitted_count += 1
        return FittedPicture(picture, size)

    @property
    def mended(self) -> int:
        return 0

    @property
    def reconnects(self) -> int:
        return 0

    def started(self) -> SourceStarted:
        with self._lock:
            if self._info is None:
                self._first = self._next()
                if self._first is None:
                    raise SourceBroken(f"{self._path}: closed before its first frame")
            assert self._info is not None
            return self._info

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        with self._lock:
            frame, self._first = self._first, None
            if self._closed.is_set():
                raise StopIteration
            frame = frame or self._next()
            if frame is None:
                raise StopIteration
            return frame

    def close(self) -> None:
        self._closed.set()
        # Whoever holds the lock is in the middle of one frame at most.
        with self._lock:
            if self._frames is not None:
                self._frames.close()
            self._first = None
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _read(self) -> Generator[Frame, None, None]:
        """The frames. Raises SourceError."""

    def _release(self) -> None:  # noqa: B027 - not every source has something open
        """Let go of what is open; called with the lock held, perhaps more than once."""

    def _next(self) -> Frame | None:
        if self._closed.is_set():
            return None
        if self._frames is None:
            self._frames = self._read()
        try:
            return next(self._frames, None)
        except (OSError, ValueError, RuntimeError) as error:
            raise SourceBroken(f"{self._path}: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """What went wrong, without a password that the system may have quoted."""
    return redacted(str(getattr(error, "strerror", None) or error))
