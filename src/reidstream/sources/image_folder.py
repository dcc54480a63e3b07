"""Folders of images as a video, also in MOTChallenge's layout (``img1/`` with ``seqinfo.ini``)."""

from __future__ import annotations

import configparser
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.sources.address import IMAGE_SUFFIXES, local_path, redacted
from reidstream.sources.clock import Thinning
from reidstream.sources.fingerprint import folder_fingerprint
from reidstream.sources.frame import ArrayPicture, Frame, Pixels
from reidstream.types import SourceStarted

logger = logging.getLogger(__name__)

DEFAULT_FPS = 25.0


class ImageFolderSource:
    """The images of one folder in name order, numbers in names by their value. See ``Source`` for the contract.

    ``folder`` may hold the images itself or an ``img1`` folder; ``seqinfo.ini`` beside ``img1`` gives the frame rate
    unless the configuration does. Images that cannot be decoded are left out and counted, their place in time is kept.
    """

    def __init__(self, config: SourceConfig, source_id: str) -> None:
        self._config = config
        self._id = source_id
        self._folder = local_path(config.uri)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._frames: Iterator[Frame] | None = None
        self._first: Frame | None = None
        self._info: SourceStarted | None = None
        self._skipped = 0

    @property
    def id(self) -> str:
        return self._id

    @property
    def skipped(self) -> int:
        return self._skipped

    @property
    def dropped(self) -> int:
        return 0

    def started(self) -> SourceStarted:
        with self._lock:
            if self._info is None:
                self._first = self._next()
                if self._first is None:
                    raise SourceBroken(f"{self._folder}: closed before its first frame")
            assert self._info is not None
            return self._info

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        with self._lock:
            frame, self._first = self._first, None
            frame = None if self._closed.is_set() else frame or self._next()
            if frame is None:
                raise StopIteration
            return frame

    def close(self) -> None:
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> Frame | None:
        if self._closed.is_set():
            return None
        if self._frames is None:
            self._frames = self._read()
        try:
            return next(self._frames, None)
        except OSError as error:
            raise SourceBroken(f"{self._folder}: {error.strerror or error}") from None

    def _read(self) -> Iterator[Frame]:
        if not self._folder.is_dir():
            raise SourceNotFound(f"{self._folder}: no such folder")
        paths, fps = self._images()
        start = paths[0].stat().st_mtime
        thinning = Thinning(self._config.max_fps)
        for index, path in enumerate(paths):
            time = index / fps
            if not thinning.keeps(time):
                continue
            pixels = _decoded(path)
            if pixels is None:
                self._skipped += 1
                logger.warning("%s: %s is not an image that can be read, left out", self._id, path.name)
                continue
            if self._info is None:
                self._info = SourceStarted(
                    source=self._id,
                    uri=redacted(self._config.uri),
                    content=folder_fingerprint(paths, fps),
                    size=(pixels.shape[1], pixels.shape[0]),
                    fps=min(fps, self._config.max_fps or fps),
                    wall_time=start + time,
                    frames=len(paths),
                )
            yield Frame(self._id, index, time, start + time, ArrayPicture(pixels))
        if self._info is None:
            raise SourceBroken(f"{self._folder}: none of its {len(paths)} images can be decoded")

    def _images(self) -> tuple[list[Path], float]:
        inner = self._folder / "img1"
        folder = inner if inner.is_dir() else self._folder
        names = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
        if not names:
            raise SourceBroken(
                f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); to read videos, name the files"
            )
        fps = self._config.fps
        if fps is None and folder.name == "img1" and (folder.parent / "seqinfo.ini").is_file():
            fps = _sequence_fps(folder.parent / "seqinfo.ini")
        return sorted(names, key=_natural), fps or DEFAULT_FPS


def _natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    parts = re.findall(r"(\d+)|(\D+)", path.name)
    return [(0, int(digits), "") if digits else (1, 0, text) for digits, text in parts], path.name


def _decoded(path: Path) -> Pixels | None:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError:
        return None
    if not data.size:
        return None
    try:
        pixels: Pixels | None = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return pixels


def _sequence_fps(path: Path) -> float:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        fps = parser.getfloat("Sequence", "frameRate")
    except (configparser.Error, UnicodeDecodeError, ValueError) as error:
        raise SourceBroken(f"{path}: expected frameRate in section [Sequence], found: {error}") from None
    if not 0 < fps <= 1000:
        raise SourceBroken(f"{path}: frameRate must be between 0 and 1000, got {fps}")
    return fps
