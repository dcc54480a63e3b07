"""The camera's picture at the moment of an alert: the last few are kept, where somebody is watched for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from reidstream.alerts.sightings import Moment
from reidstream.sources.frame import Frame, Picture
from reidstream.sources.jpeg import jpeg_of
from reidstream.types import Observed

_EVERY = 0.5
"""Seconds of media time between two pictures that are kept."""
_KEPT = 12
_WIDTH = 960


class FrameShelf:
    """``observe`` every frame that is tracked; ``at`` gives the picture of a moment. Safe to use from several threads.

    wanted: of which sources anything is kept; of none until it is set. encode: gives the JPEG of a picture no wider
    than this.
    """

    def __init__(self, encode: Callable[[Picture, int], bytes] = jpeg_of) -> None:
        self.wanted: Callable[[str], bool] = lambda _source: False
        self._encode = encode
        self._lock = threading.Lock()
        self._kept: dict[str, deque[tuple[int, float, Moment]]] = {}

    def observe(self, frame: Frame, observed: Observed) -> None:
        """Keep the picture of a frame with somebody in it, twice a second at most."""
        if not len(observed.track_ids) or not self.wanted(frame.source):
            return
        kept = self._kept.get(frame.source)
        if kept and 0 <= frame.media_time - kept[-1][1] < _EVERY:
            return
        width, height = frame.picture.size
        boxes = np.clip(observed.boxes / np.array([width, height, width, height], np.float32), 0, 1)
        places = {
            track: (box[0], box[1], box[2], box[3])
            for track, box in zip(observed.track_ids.tolist(), np.round(boxes.astype(float), 4).tolist(), strict=True)
        }
        moment = Moment(self._encode(frame.picture, _WIDTH), places)
        with self._lock:
            self._kept.setdefault(frame.source, deque(maxlen=_KEPT)).append((frame.index, frame.media_time, moment))

    def at(self, source: str, frame: int) -> Moment | None:
        """The newest picture of a source that is no newer than this frame; None: there is none."""
        with self._lock:
            kept = list(self._kept.get(source, ()))
        return next((moment for index, _, moment in reversed(kept) if index <= frame), None)
