"""The frame of a recording at a visit's best picture, with the box: cut out in a process that may die.

Run as a main program: the order as JSON on standard input, the answer as JSON on standard output.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reidstream.config import SourceConfig
from reidstream.errors import ReIDStreamError, SourceBroken
from reidstream.gallery import Gallery
from reidstream.server.picture_child import answer_of, jpeg_text

_AT_ONCE = threading.Semaphore(2)
# A frame is the one that is meant when it is no further away than this, in frames of the recording's own rate.
_NEAR = 0.75
_COLOUR = (60, 220, 60)


@dataclass(frozen=True, slots=True)
class StillOrder:
    """Which frame. path: the recording. content: its fingerprint. frame: its number, media_time: seconds from the
    recording's first frame. box: xyxy in pixels of the frame, or none. rate: frames a second."""

    path: str
    content: str
    frame: int
    media_time: float
    rate: float
    box: tuple[float, float, float, float] | None


def still_of(gallery: Gallery, tracklet: str) -> tuple[bytes | None, str]:
    """The frame of a tracklet's best picture as JPEG, and why there is none, in words. Raises TrackletNotFound."""
    whole = gallery.tracklet(tracklet)
    recording = next((one for one in gallery.sources() if one.content == whole.content), None)
    if recording is None:
        return None, "what it was seen in is not known any more"
    if recording.live:
        return None, f"{whole.source} is a live camera: nothing of it is kept but the pictures"
    path = Path(recording.uri)
    if not path.exists():
        return None, f"the recording {path.name} is not where it was read from"
    frame = whole.start_frame if whole.crop_frame is None else whole.crop_frame
    part = (frame - whole.start_frame) / max(whole.end_frame - whole.start_frame, 1)
    time = whole.start_media + part * (whole.end_media - whole.start_media)
    order = StillOrder(str(path), whole.content, frame, time, recording.fps, whole.crop_box)
    try:
        return _cut(order), ""
    except SourceBroken as error:
        return None, str(error)


def _cut(order: StillOrder) -> bytes:
    name = Path(order.path).name
    try:
        with _AT_ONCE:
            answer = answer_of("reidstream.server.still", json.dumps(asdict(order)), f"{name} gave no frame")
    except SourceBroken as error:
        raise SourceBroken(str(error).replace(order.path, name)) from None
    return base64.b64decode(answer["picture"])


def main() -> None:
    import cv2

    sent = json.loads(sys.stdin.read())
    order = StillOrder(**sent)
    try:
        picture = _frame(order)
    except (ReIDStreamError, OSError, StopIteration) as error:
        json.dump({"error": str(error) or "the recording ends before this frame"}, sys.stdout)
        return
    width = picture.shape[1]
    if order.box is not None:
        x1, y1, x2, y2 = (round(side) for side in order.box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), _COLOUR, max(2, round(width / 480)))
    json.dump({"picture": jpeg_text(picture, 85)}, sys.stdout)


def _frame(order: StillOrder) -> Any:
    from reidstream.sources import open_source
    from reidstream.sources.fingerprint import file_fingerprint

    path = Path(order.path)
    if path.is_file():
        if file_fingerprint(path) != order.content:
            raise SourceBroken(f"{path.name} is not what was read: it has changed since")
        with suppress(SourceBroken):
            return _sought(order)
    # A folder of images, or a recording whose times were mended: from its beginning.
    with open_source(SourceConfig(uri=order.path), "still") as source:
        if source.started().content != order.content:
            raise SourceBroken(f"{path.name} is not what was read: it has changed since")
        return next(frame.picture.bgr() for frame in source if frame.index >= order.frame).copy()


def _sought(order: StillOrder) -> Any:
    """The frame at a time. Raises SourceBroken where seeking leads elsewhere."""
    import av

    from reidstream.sources.decoding import Pictures

    near = _NEAR / max(order.rate, 1.0)
    try:
        with av.open(f"file:{order.path}", metadata_errors="replace") as container:
            stream = max(container.streams.video, key=lambda one: one.width * one.height)
            first = next(container.decode(stream)).pts
            base = float(stream.time_base or 0)
            if first is None or not base:
                raise SourceBroken("no times")
            container.seek(first + round((order.media_time - near) / base), stream=stream)
            for decoded in container.decode(stream):
                time = (decoded.pts - first) * base if decoded.pts is not None else -1.0
                if abs(time - order.media_time) <= near:
                    return Pictures().of(decoded).bgr().copy()
                if time > order.media_time:
                    break
    except (av.error.FFmpegError, OSError, ValueError, StopIteration) as error:
        raise SourceBroken(str(error)) from None
    raise SourceBroken("not found by seeking")


if __name__ == "__main__":
    main()
