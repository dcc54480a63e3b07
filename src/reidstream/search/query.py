"""What a user may search for: a person in a photo, a stored tracklet, or a vector of their own."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

from reidstream.errors import ReIDStreamError, SourceBroken, SourceNotFound, TrackletNotFound
from reidstream.types import Detections, FloatArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reidstream.gallery import Gallery
    from reidstream.inference.protocols import Detector, Embedder
    from reidstream.sources.frame import Pixels

Box = tuple[int, int, int, int]

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
CONFIDENCE = 0.3
"""What counts as a person found in a photo."""

# Photos in memory at once; those of cameras today take 36 to 150 MB each when they are unpacked.
_PHOTOS_AT_ONCE = 4
_CROPS_AT_ONCE = 32


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


Photo = str | Path | npt.NDArray[np.uint8]
"""A picture file, or BGR uint8 (height, width, 3)."""


def is_photo(query: object) -> TypeGuard[Photo]:
    """Whether a query is a photo and not a vector: a path, or a picture of whole numbers in three dimensions."""
    return isinstance(query, str | Path) or (
        isinstance(query, np.ndarray) and query.ndim == 3 and query.dtype == np.uint8
    )


def read_photo(photo: Photo) -> Pixels:
    """A photo as BGR uint8 (height, width, 3); files are turned upright. Raises SourceNotFound or SourceBroken."""
    import cv2

    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise SourceBroken(f"a picture is BGR uint8 (height, width, 3); got {photo.dtype} {photo.shape}")
        return photo
    path = Path(photo)

    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise SourceNotFound(f"no picture at {path}") from None
    except OSError as error:
        raise SourceBroken(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:
        # More pixels than OpenCV agrees to unpack.
        picture = None
    if picture is None:
        raise SourceBroken(f"{path} is not a picture that can be read (JPEG, PNG, WebP, BMP or TIFF expected)")
    pixels: Pixels = picture.astype(np.uint8, copy=False)
    return pixels


def photo_query(
    photo: Photo,
    embedder: Embedder,
    detector: Callable[[], Detector],
    *,
    box: Box | None = None,
    whole: bool = False,
    confidence: float = CONFIDENCE,
) -> Query:
    """The query for a person in a photo: in ``box``, in the ``whole`` picture, or the largest one that is found.

    detector: opens the detector; called only when people have to be looked for. confidence: what counts as found.
    Raises SourceNotFound, SourceBroken (no picture, nobody in it, box outside of it).
    """
    picture = read_photo(photo)
    path = "the picture" if isinstance(photo, np.ndarray) else str(photo)
    people = None
    if whole:
        box = (0, 0, picture.shape[1], picture.shape[0])
    elif box is None:
        box, people = _largest_person(path, _detected(detector(), [picture])[0], confidence)
    box, crop = _cut(path, picture, box)
    return Query(embedder.embed([crop])[0], path, _jpeg(crop), box, people)


def photo_queries(
    paths: Sequence[Path],
    embedder: Embedder,
    detector: Callable[[], Detector],
    *,
    whole: bool = False,
    confidence: float = CONFIDENCE,
) -> Iterator[tuple[Path, Query | str]]:
    """The queries of many photos, in the order given: as ``photo_query`` makes them, models running in batches.

    A photo that cannot be read, or in which nobody is found, gives the reason as text instead of a query. Photos that
    are named twice are asked once. The queries carry no crops.
    """
    paths = list(dict.fromkeys(paths))
    for begin in range(0, len(paths), _CROPS_AT_ONCE):
        some = paths[begin : begin + _CROPS_AT_ONCE]
        cut: dict[Path, tuple[Box, Pixels, int | None] | str] = {}
        for first in range(0, len(some), _PHOTOS_AT_ONCE):
            cut |= _people_in(some[first : first + _PHOTOS_AT_ONCE], detector, whole, confidence)
        crops = [found[1] for found in cut.values() if not isinstance(found, str)]
        vectors = iter(embedder.embed(crops))
        for path in some:
            found = cut[path]
            if isinstance(found, str):
                yield path, found
            else:
                yield path, Query(next(vectors), str(path), None, box=found[0], people=found[2])


def find_photos(place: Path) -> list[Path]:
    """The photos in a folder and the folders in it, by name; or the file itself. Raises SourceNotFound for none."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise SourceNotFound(f"no photo or folder of photos at {place}")
    photos = sorted(path for path in place.rglob("*") if path.suffix.lower() in PHOTO_ENDINGS and path.is_file())
    if not photos:
        raise SourceNotFound(f"no photos in {place}; looked for {', '.join(PHOTO_ENDINGS)}")
    return photos


def _people_in(
    paths: Sequence[Path], detector: Callable[[], Detector], whole: bool, confidence: float
) -> dict[Path, tuple[Box, Pixels, int | None] | str]:
    """The box and crop of the person in each photo with the number of people there, or why there is none."""
    cut: dict[Path, tuple[Box, Pixels, int | None] | str] = {}
    pictures: dict[Path, Pixels] = {}
    for path in paths:
        try:
            pictures[path] = read_photo(path)
        except ReIDStreamError as error:
            cut[path] = str(error)
    found = None if whole or not pictures else _detected(detector(), list(pictures.values()))
    for number, (path, picture) in enumerate(pictures.items()):
        try:
            box: Box = (0, 0, picture.shape[1], picture.shape[0])
            people = None
            if found is not None:
                box, people = _largest_person(str(path), found[number], confidence)
            box, crop = _cut(str(path), picture, box)
            # A copy: the photo itself need not stay in memory.
            cut[path] = box, crop.copy(), people
        except ReIDStreamError as error:
            cut[path] = str(error)
    return cut


def _cut(path: str, picture: Pixels, box: Box) -> tuple[Box, Pixels]:
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
    if x2 - x1 < 2 or y2 - y1 < 2:
        raise SourceBroken(f"box {','.join(map(str, box))} is not inside {path}, which has {width}x{height} pixels")
    return (x1, y1, x2, y2), picture[y1:y2, x1:x2]


def _detected(detector: Detector, pictures: Sequence[Pixels]) -> list[Detections]:
    from reidstream.sources.frame import ArrayPicture

    return detector.detect([ArrayPicture(picture) for picture in pictures])


def _largest_person(path: str, found: Detections, confidence: float) -> tuple[Box, int]:
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
    vector = read_vector(path)
    if len(vector) != size:
        raise SourceBroken(
            f"{path} must hold one vector of {size} numbers, as the gallery's model makes; found {len(vector)}"
        )
    return Query(vector, str(path))


_MOST_BYTES = 2**20
"""No vector needs more."""


def _small_array(path: Path) -> Any:
    """What NumPy reads in a small file. Raises OSError, or ValueError for whatever is wrong with it."""
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"one vector takes less than {_MOST_BYTES:,} bytes")
    try:
        source = io.BytesIO(data)
        if data.startswith(np.lib.format.MAGIC_PREFIX):
            version = np.lib.format.read_magic(source)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(source)
            # A header of a few bytes may ask for all the memory there is.
            if dtype.hasobject or math.prod(shape) * dtype.itemsize > len(data):
                raise ValueError(f"its header speaks of {dtype} {shape}, which is not in it")
            source.seek(0)
        return np.load(source, allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - the header is parsed as Python, which raises whatever Python does
        raise ValueError(str(error).splitlines()[0] if str(error) else type(error).__name__) from None


def read_vector(path: Path) -> FloatArray:
    """The vector float32 (d,) in a NumPy file, made unit length. Raises SourceNotFound or SourceBroken."""
    try:
        array = _small_array(path)
    except FileNotFoundError:
        raise SourceNotFound(f"no vector at {path}") from None
    except (OSError, ValueError, EOFError) as error:
        raise SourceBroken(f"{path} is not a NumPy array: {error}") from None
    one = isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and array.ndim in {1, 2}
    if not one or (array.ndim == 2 and len(array) != 1):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise SourceBroken(f"{path} must hold one vector of numbers, as the gallery's model makes; found {found}")
    with np.errstate(all="ignore"):
        # What float32 cannot hold becomes infinite, and is refused as such.
        vector = array.reshape(-1).astype(np.float32)
        length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise SourceBroken(f"the vector in {path} must be finite and not zero")
    unit: FloatArray = vector / np.float32(length)
    return unit


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
