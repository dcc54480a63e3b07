"""What a user may search for: a person in a photo, a stored tracklet, or a vector of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reidstream.errors import ReIDStreamError, SourceBroken, SourceNotFound, TrackletNotFound
from reidstream.types import FloatArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from reidstream.gallery import Gallery
    from reidstream.inference.protocols import Detector, Embedder
    from reidstream.sources.frame import Pixels

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Query:
    """A question to a gallery.

    vector: float32 (d,), unit length. about: what it was made from, for people. crop: a JPEG of the person, or None.
    box: xyxy of the person in the photo. people: how many were found in it. tracklet: the one that is asked for.
    """

    vector: FloatArray
    about: str
    crop: bytes | None = None
    box: Box | None = None
    people: int | None = None
    tracklet: str | None = None


def read_photo(path: Path) -> Pixels:
    """A picture file as BGR uint8 (height, width, 3), turned upright. Raises SourceNotFound or SourceBroken."""
    import cv2

    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise SourceNotFound(f"no picture at {path}") from None
    except OSError as error:
        raise SourceBroken(f"{path} cannot be read: {error.strerror or error}") from None
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise SourceBroken(f"{path} is not a picture that can be read (JPEG, PNG, WebP, BMP or TIFF expected)")
    pixels: Pixels = picture.astype(np.uint8, copy=False)
    return pixels


def photo_query(
    path: Path,
    embedder: Embedder,
    detector: Callable[[], Detector],
    *,
    box: Box | None = None,
    whole: bool = False,
    confidence: float = 0.3,
) -> Query:
    """The query for a person in a photo: in ``box``, in the ``whole`` picture, or the largest one that is found.

    detector: opens the detector; called only when people have to be looked for. confidence: what counts as found.
    Raises SourceNotFound, SourceBroken (no picture, nobody in it, box outside of it).
    """
    picture = read_photo(path)
    height, width = picture.shape[:2]
    people = None
    if whole:
        box = (0, 0, width, height)
    elif box is None:
        box, people = _largest_person(path, picture, detector(), confidence)
    x1, y1, x2, y2 = max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
    if x2 - x1 < 2 or y2 - y1 < 2:
        raise SourceBroken(f"box {','.join(map(str, box))} is not inside {path}, which has {width}x{height} pixels")
    crop = picture[y1:y2, x1:x2]
    return Query(embedder.embed([crop])[0], str(path), _jpeg(crop), (x1, y1, x2, y2), people)


def _largest_person(path: Path, picture: Pixels, detector: Detector, confidence: float) -> tuple[Box, int]:
    from reidstream.sources.frame import ArrayPicture

    found = detector.detect([ArrayPicture(picture)])[0]
    boxes = found.boxes[found.scores >= confidence]
    if not len(boxes):
        raise SourceBroken(
            f"nobody was found in {path}; name the person's box (--box x1,y1,x2,y2), "
            "or use the whole picture if it is a crop of a person (--whole)"
        )
    sizes = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    x1, y1, x2, y2 = boxes[int(sizes.argmax())].tolist()
    return (int(x1), int(y1), round(x2), round(y2)), len(boxes)


def vector_query(path: Path, size: int) -> Query:
    """The query in a NumPy file: one vector (d,) or (1, d). Raises SourceNotFound or SourceBroken."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise SourceNotFound(f"no vector at {path}") from None
    except (OSError, ValueError, EOFError) as error:
        raise SourceBroken(f"{path} is not a NumPy array: {error}") from None
    if not isinstance(array, np.ndarray) or array.shape not in {(size,), (1, size)} or array.dtype.kind not in "fiu":
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise SourceBroken(
            f"{path} must hold one vector of {size} numbers, as the gallery's model makes; found {found}"
        )
    vector = array.reshape(-1).astype(np.float32)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise SourceBroken(f"the vector in {path} must be finite and not zero")
    return Query(vector / np.float32(length), str(path))


def tracklet_query(gallery: Gallery, id: str) -> Query:
    """The query for people like a stored tracklet, named by its id or a unique beginning. Raises TrackletNotFound."""
    tracklet = gallery.tracklet(gallery.find(id))
    return Query(tracklet.embedding, f"tracklet {tracklet.id}", tracklet.crop, tracklet=tracklet.id)


def unknown_query(text: str, gallery: Gallery) -> ReIDStreamError:
    """The error for words that are neither a file nor a tracklet."""
    return TrackletNotFound(
        f"{text!r} is neither a file nor the beginning of one tracklet's id in gallery {gallery.place}; "
        "a query is a photo, a .npy file with a vector, or a tracklet id"
    )


def _jpeg(crop: Pixels) -> bytes:
    import cv2

    done, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise SourceBroken(f"a crop of {crop.shape[1]}x{crop.shape[0]} pixels could not be written as JPEG")
    return data.tobytes()
