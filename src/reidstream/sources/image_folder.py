"""Folders of images as a video, also in MOTChallenge's layout (``img1/`` with ``seqinfo.ini``)."""

from __future__ import annotations

import configparser
import logging
import re
from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np

from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.sources.address import IMAGE_SUFFIXES, redacted
from reidstream.sources.clock import Thinning
from reidstream.sources.dating import name_time
from reidstream.sources.fingerprint import folder_beginning, folder_fingerprint
from reidstream.sources.frame import ArrayPicture, Frame, Pixels
from reidstream.sources.stored import StoredSource
from reidstream.types import SourceStarted

logger = logging.getLogger(__name__)

DEFAULT_FPS = 25.0


class ImageFolderSource(StoredSource):
    """The images of one folder in name order, numbers in names by their value. See ``Source`` for the contract.

    The folder may hold the images itself or an ``img1`` folder; ``seqinfo.ini`` beside ``img1`` gives the frame rate
    unless the configuration does. Images that cannot be decoded are left out and counted, their place in time is kept.
    """

    def _read(self) -> Generator[Frame, None, None]:
        if not self._path.is_dir():
            raise SourceNotFound(f"{self._path}: no such folder")
        paths, fps = self._images()
        named = name_time(paths[0])
        start = paths[0].stat().st_mtime if named is None else named
        by = "its first image's modification time" if named is None else "its first image's name"
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
                beginning, length = folder_beginning(paths, fps)
                self._info = SourceStarted(
                    source=self._id,
                    uri=redacted(self._config.uri),
                    content=folder_fingerprint(paths, fps),
                    size=(pixels.shape[1], pixels.shape[0]),
                    fps=min(fps, self._config.max_fps or fps),
                    wall_time=start + time,
                    frames=len(paths),
                    dated=by,
                    beginning=beginning,
                    length=length,
                )
            picture = self._fitted(ArrayPicture(pixels), self._info.size)
            yield Frame(self._id, index, time, start + time, picture)
        if self._info is None:
            raise SourceBroken(f"{self._path}: none of its {len(paths)} images can be decoded")

    def _images(self) -> tuple[list[Path], float]:
        inner = self._path / "img1"
        folder = inner if inner.is_dir() else self._path
        names = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
        if not names:
            raise SourceBroken(f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
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
