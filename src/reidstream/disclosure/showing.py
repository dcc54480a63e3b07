"""One visit, frame after frame, as it may be handed out: pictures and a film."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np

from reidstream.disclosure.covering import Box, Shown, alone, inside, surroundings_of, without
from reidstream.disclosure.others import Others, Way
from reidstream.encoders import add_video
from reidstream.errors import EngineError
from reidstream.sources.frame import ArrayPicture, Picture, Pixels
from reidstream.types import FloatArray, Tracklet

if TYPE_CHECKING:
    from reidstream.inference.protocols import Detector

_TIME_BASE = Fraction(1, 60_000)
_QUALITY = 90
_TILED = 1.5
"""From how many times the width of a detector's input on a picture is looked at in parts as well."""
_TILE = 0.6
"""Width and height of a part: parts overlap, so that nobody small is cut in all of them."""
_WITHIN = 0.8
"""What lies so far inside the person's own box in a part is a part of them."""


@dataclass(slots=True)
class Counts:
    """frames: how many were looked at. unseen: in how many the person is not shown. unsure: in how many somebody else
    was there whose place is not known; everything around the person is then unrecognisable, whatever is shown else."""

    frames: int = 0
    unseen: int = 0
    unsure: int = 0


@dataclass(slots=True)
class Showing:
    """What may be seen of one visit.

    confirmed: the person is shown only where the detector finds them, for pictures whose frames are known by their
    times alone.
    """

    tracklet: Tracklet
    others: Others
    detector: Detector
    shown: Shown = Shown.PERSON
    confirmed: bool = False
    counts: Counts = field(default_factory=Counts)
    _way: Way | None = field(init=False)
    _surroundings: Pixels | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._way = Way(self.tracklet) if len(self.tracklet.frames) else None

    def own(self, frame: int) -> Box | None:
        """Where the person is in a frame, by their path."""
        if self._way is not None:
            return self._way.at(frame)
        return self.tracklet.crop_box if frame == self.tracklet.crop_frame else None

    def frame(self, frame: int, picture: Picture) -> Pixels:
        """A frame as it may be handed out, BGR, counted."""
        pixels = picture.bgr()
        own = self.own(frame)
        detected = self._detected(picture, own)
        found = self.others.found(frame, own, detected, confirmed=self.confirmed)
        fits = self._surroundings is not None and self._surroundings.shape == pixels.shape
        if not fits:
            everybody = found.others if found.own is not None or own is None else np.concatenate([found.others, [own]])
            self._surroundings = surroundings_of(pixels, everybody.astype(np.float32))
        assert self._surroundings is not None
        self.counts.frames += 1
        self.counts.unseen += found.own is None
        self.counts.unsure += not found.sure
        if self.shown is Shown.SCENE and found.sure:
            return without(pixels, found.others)
        return alone(pixels, found.own, found.others, self._surroundings)

    def _detected(self, picture: Picture, own: Box | None) -> FloatArray:
        """Everybody whom the detector finds; where the scene is shown, small people as well."""
        width, height = picture.size
        if self.shown is Shown.PERSON or max(width, height) < _TILED * max(self.detector.input_size):
            return self.detector.detect([picture])[0].boxes
        pixels = picture.bgr()
        wide, high = round(_TILE * width), round(_TILE * height)
        corners = [(x, y) for y in (0, height - high) for x in (0, width - wide)]
        parts = [ArrayPicture(np.ascontiguousarray(pixels[y : y + high, x : x + wide])) for x, y in corners]
        whole, *tiles = self.detector.detect([picture, *parts])
        boxes = [whole.boxes]
        for (x, y), tile in zip(corners, tiles, strict=True):
            placed = tile.boxes + np.array([x, y, x, y], np.float32)
            boxes.append(placed if own is None else placed[_inside_share(placed, own) < _WITHIN])
        return np.concatenate(boxes)


def _inside_share(boxes: FloatArray, own: Box) -> FloatArray:
    """How much of each box is inside another one, float32 (n,), 0..1."""
    x1, y1, x2, y2 = own
    low = np.maximum(boxes[:, :2], np.array([x1, y1], np.float32))
    high = np.minimum(boxes[:, 2:], np.array([x2, y2], np.float32))
    inner = np.maximum(high - low, 0).prod(axis=1)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    share: FloatArray = inner / area
    return share


def cut(picture: Pixels, box: Box | None) -> Pixels | None:
    """The part of a picture in a box; None for nothing."""
    if box is None:
        return None
    x1, y1, x2, y2 = inside(box, picture)
    return picture[y1:y2, x1:x2] if x2 > x1 and y2 > y1 else None


def jpeg(picture: Pixels) -> bytes:
    """A picture as JPEG, in which nothing is written but the picture."""
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise EngineError("a picture could not be written as JPEG")
    return data.tobytes()


class Film:
    """Frames as a video file, begun with the first; a context manager. Raises EngineError when it cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames = 0
        self._container: Any = None
        self._stream: Any = None
        self._begun = 0.0
        self._last = -1

    def add(self, picture: Pixels, time: float) -> None:
        """The next frame. time: seconds, of any clock that grows."""
        import av

        try:
            if self._container is None:
                self._container = av.open(f"file:{self.path}", "w", options={"movflags": "faststart"})
                self._stream = add_video(self._container, (picture.shape[1], picture.shape[0]), 30)
                self._stream.codec_context.time_base = _TIME_BASE
                self._begun = time
            size = self._stream.width, self._stream.height
            if picture.shape[1] - size[0] not in (0, 1) or picture.shape[0] - size[1] not in (0, 1):
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
            shown = np.ascontiguousarray(picture[: size[1], : size[0]])
            frame = av.VideoFrame.from_ndarray(shown, format="bgr24")
            frame.pts = self._last = max(self._last + 1, round((time - self._begun) / _TIME_BASE))
            frame.time_base = _TIME_BASE
            self._container.mux(self._stream.encode(frame))
            self.frames += 1
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _unwritable(self.path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import av

        if self._container is None:
            return
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except (av.error.FFmpegError, OSError, ValueError) as failure:
            if kind is None:
                raise _unwritable(self.path, failure) from None


def _unwritable(path: Path, error: Exception) -> EngineError:
    return EngineError(f"{path.name} cannot be written: {getattr(error, 'strerror', None) or error}")
