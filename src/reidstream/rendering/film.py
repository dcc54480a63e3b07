"""Videos that show what the tracker saw: boxes, track ids and trails drawn into the frames."""

from __future__ import annotations

import colorsys
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np

from reidstream.channel import Channel
from reidstream.encoders import add_video
from reidstream.errors import ConfigError, EngineError
from reidstream.files import beside, new_file
from reidstream.sources.frame import Frame, Pixels
from reidstream.types import Observed

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi")
TRAIL_SECONDS = 3.0
_WAITING = 8
"""Frames that wait for the encoder; a decoder that is faster than it has to wait too, so none is left out."""
_TIME_BASE = Fraction(1, 60_000)
"""Whole ticks for 24, 25, 29.97, 30, 50 and 60 frames a second, and small enough for MPEG-4's 16-bit clock."""
_GOLDEN = 0.618033988749895

Colour = tuple[int, int, int]


class Named(Protocol):
    """Who somebody is, as far as drawing goes."""

    @property
    def number(self) -> int: ...

    @property
    def title(self) -> str: ...


def track_colour(track_id: int) -> Colour:
    """BGR of a track: the same id always has the same colour, and ids that follow each other differ strongly."""
    # Steps of the golden ratio spread any run of consecutive numbers evenly over the circle of hues.
    red, green, blue = colorsys.hsv_to_rgb(track_id * _GOLDEN % 1.0, 0.75 + 0.25 * (track_id % 2), 1.0)
    return round(255 * blue), round(255 * green), round(255 * red)


def film_paths(path: Path, sources: Sequence[str]) -> dict[str, Path]:
    """Where each source's video goes: ``path`` itself when there is one source, else ``<name>-<source><suffix>``."""
    if len(sources) == 1:
        return {sources[0]: path}
    paths: dict[str, Path] = {}
    for source in sources:
        name = path.stem + "-" + re.sub(r"[^\w.-]+", "-", source)
        taken = {p.stem for p in paths.values()}
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        paths[source] = path.with_name(unique + path.suffix)
    return paths


class Renderer:
    """Draws frames and encodes them, each source on a thread of its own; a context manager.

    ``draw`` may be called from any thread, per source in frame order. The video keeps the frames' own times, and it
    appears under its name when ``close`` has completed it. Raises ConfigError for a path that cannot become a video.
    """

    def __init__(self, path: Path, sources: Sequence[str]) -> None:
        path = Path(path)
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"{path}: a rendered video must end with one of {', '.join(SUFFIXES)}")
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent} to put the video into")
        self._paths = film_paths(path, sources)
        self._films: dict[str, _Film] = {}
        self._lock = threading.Lock()
        self._closed = False

    def draw(self, frame: Frame, observed: Observed, people: Mapping[int, Named] | None = None) -> None:
        """Add a frame with what was seen in it. Waits while the encoder is more than a few frames behind.

        people: who a track is, by track id; written and coloured in place of the track's number.
        """
        with self._lock:
            if self._closed:
                return
            film = self._films.get(frame.source)
            if film is None:
                film = self._films[frame.source] = _Film(self._paths[frame.source])
        film.frames.put((frame, observed, people or {}))

    def close(self) -> list[Path]:
        """Complete all videos and return their paths. Raises EngineError when one could not be written."""
        with self._lock:
            self._closed = True
            films = list(self._films.values())
        for film in films:
            film.frames.close()
        for film in films:
            film.thread.join()
        failures = [f"{film.path}: {film.failure}" for film in films if film.failure is not None]
        if failures:
            raise EngineError("the rendered video cannot be written: " + "; ".join(failures))
        return [film.path for film in films]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Film:
    """One source's video and the thread that makes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: Channel[tuple[Frame, Observed, Mapping[int, Named]]] = Channel(_WAITING)
        self.failure: str | None = None
        self.thread = threading.Thread(target=self._run, name=f"render {path.name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        import av

        unfinished = beside(self.path)
        try:
            new_file(unfinished)
            with av.open(f"file:{unfinished}", "w") as container:
                self._encode(container)
            unfinished.replace(self.path)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.failure = str(getattr(error, "strerror", None) or error)
            unfinished.unlink(missing_ok=True)
        finally:
            # Whatever happened, nobody may wait for room in the queue.
            self.frames.abandon()

    def _encode(self, container: Any) -> None:
        import av

        stream: Any = None
        trails = Trails()
        last = -1
        for frame, observed, people in self.frames:
            image = annotated(frame.picture.bgr(), observed, trails, people)
            if stream is None:
                stream = add_video(container, frame.picture.size, 30)
                stream.codec_context.time_base = _TIME_BASE
            image = _fitted(image, stream.width, stream.height)
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts = last = max(last + 1, round(frame.media_time / _TIME_BASE))
            picture.time_base = _TIME_BASE
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode(None))


class Trails:
    """Where tracks have stood lately."""

    def __init__(self, seconds: float = TRAIL_SECONDS) -> None:
        self._seconds = seconds
        self._points: dict[int, deque[tuple[float, int, int]]] = {}

    def add(self, observed: Observed) -> None:
        """Take note of the feet of everybody in a frame, and forget what is too old."""
        x = (observed.boxes[:, 0] + observed.boxes[:, 2]) / 2
        feet = np.rint(np.stack([x, observed.boxes[:, 3]], 1)).astype(int)
        for track_id, (fx, fy) in zip(observed.track_ids.tolist(), feet.tolist(), strict=True):
            self._points.setdefault(track_id, deque()).append((observed.media_time, fx, fy))
        oldest = observed.media_time - self._seconds
        for track_id in list(self._points):
            points = self._points[track_id]
            while points and points[0][0] < oldest:
                points.popleft()
            if not points:
                del self._points[track_id]

    def lines(self) -> dict[int, Pixels]:
        """The trail of each track, int32 (n, 2), oldest point first."""
        return {i: np.array([p[1:] for p in points], np.int32) for i, points in self._points.items()}


def annotated(image: Pixels, observed: Observed, trails: Trails, people: Mapping[int, Named] | None = None) -> Pixels:
    """A copy of a BGR image with boxes, ids and trails; boxes that the tracker only predicted are thin.

    people: who a track is, by track id: a person has one colour in all tracks and cameras.
    """
    canvas = image.copy()
    named = {track_id: (person.number, person.title) for track_id, person in (people or {}).items()}
    trails.add(observed)
    width = max(1, round(image.shape[0] / 400))
    for track_id, line in trails.lines().items():
        colour = track_colour(named.get(track_id, (track_id, ""))[0])
        cv2.polylines(canvas, [line], False, colour, width, cv2.LINE_AA)
    corners = np.rint(observed.boxes).astype(int).tolist()
    for track_id, box, confidence in zip(
        observed.track_ids.tolist(), corners, observed.confidences.tolist(), strict=True
    ):
        x1, y1, x2, y2 = box
        number, title = named.get(track_id, (track_id, str(track_id)))
        colour = track_colour(number)
        cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), colour, 1 if confidence < 0 else width + 1, cv2.LINE_AA)
        _label(canvas, title, x1, y1, colour)
    return canvas


def _label(canvas: Pixels, text: str, x: int, y: int, colour: Colour) -> None:
    scale = max(0.4, canvas.shape[0] / 1400)
    thickness = max(1, round(2 * scale))
    (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    x = min(max(x, 0), max(0, canvas.shape[1] - width - 4))
    top = max(0, y - height - baseline - 2)
    cv2.rectangle(canvas, (x, top), (x + width + 4, top + height + baseline + 2), colour, -1)
    # Black on bright colours, white on dark ones (weights of ITU-R BT.601 luma).
    bright = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2] > 110
    ink = (0, 0, 0) if bright else (255, 255, 255)
    cv2.putText(canvas, text, (x + 2, top + height + 1), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)


def _fitted(image: Pixels, width: int, height: int) -> Pixels:
    if abs(image.shape[1] - width) > 1 or abs(image.shape[0] - height) > 1:
        # The camera changed its resolution; the video cannot.
        resized: Pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return resized
    return np.ascontiguousarray(image[:height, :width])
