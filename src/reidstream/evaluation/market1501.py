"""Folders laid out like Market-1501: ``query/`` and ``bounding_box_test/``, file names ``<person>_c<camera>...``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.evaluation.retrieval import LabelledImages
from reidstream.inference import Embedder
from reidstream.sources.frame import Pixels
from reidstream.types import IntArray

QUERY, GALLERY = "query", "bounding_box_test"
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp")
_NAME = re.compile(r"(-?\d+)_c(\d+)")
_BATCH = 64


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """paths: n files. persons, cameras: int64 (n,)."""

    paths: tuple[Path, ...]
    persons: IntArray
    cameras: IntArray

    def __len__(self) -> int:
        return len(self.paths)


def read_folder(folder: Path) -> tuple[ImageFiles, ImageFiles]:
    """The query and the gallery images of a benchmark folder.

    Raises SourceNotFound when a folder is missing or empty, SourceBroken for a name without person and camera.
    """
    return _images(folder / QUERY), _images(folder / GALLERY)


def embedded(files: ImageFiles, embedder: Embedder, progress: Callable[[int], None] | None = None) -> LabelledImages:
    """The images' vectors. progress: called with the number done. Raises SourceBroken for an unreadable image."""
    vectors = np.empty((len(files), embedder.space.size), np.float32)
    for begin in range(0, len(files), _BATCH):
        some = files.paths[begin : begin + _BATCH]
        vectors[begin : begin + len(some)] = embedder.embed([read_image(path) for path in some])
        if progress is not None:
            progress(begin + len(some))
    return LabelledImages(files.persons, files.cameras, vectors)


def read_image(path: Path) -> Pixels:
    """BGR uint8 (h, w, 3). Raises SourceBroken."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceBroken(f"{path} cannot be read: {error.strerror or error}") from None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise SourceBroken(f"{path} is not a picture that can be read")
    pixels: Pixels = image.astype(np.uint8, copy=False)
    return pixels


def _images(folder: Path) -> ImageFiles:
    if not folder.is_dir():
        raise SourceNotFound(
            f"no folder {folder}; expected {QUERY}/ and {GALLERY}/ with images called <person>_c<camera>..., "
            "as Market-1501 has them"
        )
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)
    if not paths:
        raise SourceNotFound(f"no images in {folder}; expected {', '.join(_IMAGES)}")
    labels = []
    for path in paths:
        found = _NAME.match(path.name)
        if found is None:
            raise SourceBroken(f"{path}: expected a name like 0002_c1s1_000451_01.jpg (person 2, camera 1)")
        labels.append((int(found[1]), int(found[2])))
    table = np.array(labels, np.int64)
    return ImageFiles(tuple(paths), table[:, 0], table[:, 1])
