"""Photos that somebody sends: unpacked in a process that may die, then looked at by the models."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidstream.config import Config
from reidstream.errors import SourceBroken
from reidstream.gallery import Gallery
from reidstream.search.answers import QueryModels
from reidstream.search.query import CONFIDENCE, Box, Query, photo_query, read_photo
from reidstream.sources.frame import ArrayPicture

if TYPE_CHECKING:
    from reidstream.inference.protocols import Detector, Embedder

MOST_BYTES = 24 * 2**20
MOST_PIXELS = 50_000_000
_MOST_SIDE = 4096
_PATIENCE = 20.0
"""Seconds in which a photo must be unpacked."""
_MOST_MEMORY = 2 * 2**30
# Photos that are unpacked or looked at in the same moment.
_AT_ONCE = 2

# Run by an interpreter of its own: reads a file, writes it anew as an upright JPEG of bounded size. What a decoder can
# be made to do by a crafted file ends there.
_UNPACK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[4]),) * 2)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import os
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = sys.argv[5]
import cv2, numpy
cv2.setNumThreads(1)
picture = cv2.imdecode(numpy.fromfile(sys.argv[1], numpy.uint8), cv2.IMREAD_COLOR)
if picture is None or picture.shape[0] * picture.shape[1] > int(sys.argv[5]):
    sys.exit(3)
scale = int(sys.argv[6]) / max(picture.shape[:2])
if scale < 1:
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
if not cv2.imwrite(sys.argv[2], picture):
    sys.exit(3)
print(min(1.0, scale))
"""


def media_types() -> tuple[str, ...]:
    """Kinds of photos that are read."""
    return ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff", "application/octet-stream")


class Photos:
    """Queries from photos. The models are opened when the first photo comes. Safe to use from several threads.

    open_models: gives the detector and the embedder; those of the gallery if not given.
    """

    def __init__(
        self, gallery: Gallery, config: Config, open_models: Callable[[], tuple[Detector, Embedder]] | None = None
    ) -> None:
        self._gallery, self._config = gallery, config
        self._open = open_models or self._open_own
        self._models: tuple[Detector, Embedder] | None = None
        self._lock = threading.Lock()
        self._unpacking = threading.Semaphore(_AT_ONCE)

    def query(self, data: bytes, box: Box | None = None, whole: bool = False) -> Query:
        """The query for the person in a photo. Raises SourceBroken."""
        with self._unpacked(data) as (path, scale):
            if box is not None:
                x1, y1, x2, y2 = (round(side * scale) for side in box)
                box = (x1, y1, x2, y2)
            with self._lock:
                detector, embedder = self._opened()
                try:
                    asked = photo_query(path, embedder, lambda: detector, box=box, whole=whole)
                except SourceBroken as error:
                    raise SourceBroken(_without(error, path)) from None
        found = None
        if asked.box is not None:
            x1, y1, x2, y2 = (round(side / scale) for side in asked.box)
            found = (x1, y1, x2, y2)
        return Query(asked.vector, "a photo", asked.crop, found, asked.people)

    def people(self, data: bytes) -> dict[str, Any]:
        """The people in a photo, the largest first, and the photo's size, in its own pixels."""
        with self._unpacked(data) as (path, scale):
            picture = read_photo(path)
            with self._lock:
                detector, _ = self._opened()
                (found,) = detector.detect([ArrayPicture(picture)])
        boxes = found.boxes[found.scores >= CONFIDENCE]
        order = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
        height, width = picture.shape[:2]
        return {
            "width": round(width / scale),
            "height": round(height / scale),
            "people": np.round(boxes[order] / scale).astype(int).tolist(),
        }

    def _unpacked(self, data: bytes) -> _Unpacked:
        return _Unpacked(data, self._unpacking)

    def _opened(self) -> tuple[Detector, Embedder]:
        if self._models is None:
            self._models = self._open()
        return self._models

    def _open_own(self) -> tuple[Detector, Embedder]:
        models = QueryModels(self._gallery, self._config.detector.model)
        return models.detector(), models.embedder()


class _Unpacked:
    """A photo as a file that our own process may read, and how much smaller it was made; gone afterwards."""

    def __init__(self, data: bytes, slots: threading.Semaphore) -> None:
        self._data, self._slots = data, slots
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> tuple[Path, float]:
        with self._slots:
            self._folder = tempfile.TemporaryDirectory(prefix="reidstream-photo-")
            try:
                return self._unpack(Path(self._folder.name))
            except BaseException:
                self._folder.cleanup()
                raise

    def __exit__(self, *_: object) -> None:
        assert self._folder is not None
        self._folder.cleanup()

    def _unpack(self, folder: Path) -> tuple[Path, float]:
        sent, made = folder / "sent", folder / "photo.jpg"
        sent.write_bytes(self._data)
        limits = map(str, (_MOST_MEMORY, round(_PATIENCE), MOST_PIXELS, _MOST_SIDE))
        command = [sys.executable, "-I", "-c", _UNPACK, str(sent), str(made), *limits]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise SourceBroken(f"the photo could not be unpacked within {_PATIENCE:.0f} s") from None
        if done.returncode != 0 or not made.is_file():
            raise SourceBroken(
                "this is not a picture that can be read (JPEG, PNG, WebP, BMP or TIFF expected, "
                f"at most {MOST_PIXELS // 10**6} million pixels)"
            )
        return made, float(done.stdout)


def _without(error: Exception, path: Path) -> str:
    return str(error).replace(str(path), "the photo")
