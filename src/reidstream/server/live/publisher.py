"""In a camera's process: pictures of what it sees, and its film, for as long as somebody looks.

Tracking never waits for it: a frame is put down for a thread that makes the JPEG and sends it, and a newer frame takes
the place of one that the thread has not come to.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from reidstream.config.live import LiveConfig
from reidstream.server.live.fragments import Fragment, Fragmenter
from reidstream.server.live.picture import LivePicture, View, Wanted
from reidstream.sources.frame import Frame, Picture
from reidstream.sources.jpeg import jpeg_of
from reidstream.sources.packet_tap import PacketTap, tap_of
from reidstream.types import Observed

LARGE_FPS = 10.0
_WIDTH = {View.TILE: 640, View.LARGE: 1280}
_MOST_BYTES = 16 * 2**20
"""Of films that wait to be sent. With more, they begin anew with their next key frames."""
_NO_PACKETS = "there are pictures of it only: it is no camera whose packets are handed on"


@dataclass(slots=True)
class _Shown:
    """What was last sent of one view of one camera: when it was due, and whether somebody was in it."""

    at: float
    busy: bool


class Publisher:
    """``observe`` every frame; wants come by ``connection``, pictures leave by it.

    clock: seconds, growing. encode: gives the JPEG of a picture no wider than this.
    """

    def __init__(
        self,
        connection: Connection,
        config: LiveConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        encode: Callable[[Picture, int], bytes] | None = None,
    ) -> None:
        self._connection, self._config, self._clock = connection, config, clock
        self._encode = encode or jpeg_of
        self._wanted: Wanted = {}
        self._shown: dict[tuple[str, View], _Shown] = {}
        self._waiting: dict[tuple[str, View], tuple[Frame, Observed]] = {}
        self._lost: dict[tuple[str, View], int] = {}
        # Of sources whose film somebody looks at; without a tap there is none.
        self._films: dict[str, tuple[Fragmenter, PacketTap | None]] = {}
        self._fragments: deque[Fragment] = deque()
        self._bytes = 0
        self._ready = threading.Condition()
        self._ended = False
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("live pictures", self._send), ("live wishes", self._listen))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def want(self, wanted: Wanted) -> None:
        """Which cameras are looked at now. Of what was not looked at before, the next frame is sent."""
        with self._ready:
            for source, views in wanted.items():
                for view in views - self._wanted.get(source, frozenset()):
                    self._shown.pop((source, view), None)
            self._wanted = wanted
            for source in [name for name in self._films if View.MOVING not in wanted.get(name, ())]:
                _, tap = self._films.pop(source)
                if tap is not None:
                    tap.taker = None

    def observe(self, frame: Frame, observed: Observed) -> None:
        """A frame was tracked. Takes next to no time, and none at all of what nobody looks at."""
        views = self._wanted.get(frame.source)
        if not views:
            return
        if View.MOVING in views and frame.source not in self._films:
            self._film(frame.source)
        now, busy = self._clock(), bool(len(observed.track_ids))
        for view in views:
            key = frame.source, view
            last = self._shown.get(key)
            pause = self._pause(view, busy or (last is not None and last.busy))
            if last is not None and now - last.at < pause:
                continue
            # From when it was due, not from now: the rate is kept although no frame comes just then.
            late = last is None or now - last.at >= 2 * pause
            self._shown[key] = _Shown(now if last is None or late else last.at + pause, busy)
            with self._ready:
                if key in self._waiting:
                    self._lost[key] = self._lost.get(key, 0) + 1
                self._waiting[key] = frame, observed
                self._ready.notify()

    def close(self) -> None:
        with self._ready:
            self._ended = True
            self._ready.notify_all()

    def _pause(self, view: View, busy: bool) -> float:
        """Seconds between two pictures. busy: somebody is there, or was, and must not stay on the screen."""
        if view is not View.TILE:
            return 1.0 / LARGE_FPS
        return 1.0 / self._config.fps if busy else self._config.still_seconds

    def _send(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._fragments or self._waiting or self._ended)
                if self._ended:
                    return
                fragments, self._fragments, self._bytes = list(self._fragments), deque(), 0
                key = next(iter(self._waiting), None)
                if key is not None:
                    frame, observed = self._waiting.pop(key)
                    lost = self._lost.pop(key, 0)
            try:
                for fragment in fragments:
                    self._connection.send(fragment)
                if key is not None:
                    self._connection.send(self._picture(key[1], frame, observed, lost))
            except OSError:
                # The server has gone; the run hears of it when it stores.
                return

    def _film(self, source: str) -> None:
        """Begin to hand on the film of a source."""
        tap = tap_of(source)
        film = Fragmenter(source, self._put)
        with self._ready:
            self._films[source] = film, tap
        if tap is None:
            self._put(Fragment(source, 0, "", b"", refused=_NO_PACKETS))
        else:
            tap.taker = film.take

    def _put(self, fragment: Fragment) -> None:
        with self._ready:
            if self._bytes + len(fragment.data) > _MOST_BYTES:
                self._fragments.clear()
                self._bytes = 0
                for film, _ in self._films.values():
                    film.restart()
                return
            self._fragments.append(fragment)
            self._bytes += len(fragment.data)
            self._ready.notify()

    def _picture(self, view: View, frame: Frame, observed: Observed, lost: int) -> LivePicture:
        size = frame.picture.size
        parts = np.clip(observed.boxes / np.array([*size, *size], np.float32), 0.0, 1.0)
        boxes = np.round(parts.astype(np.float64), 4).tolist()
        found = (observed.confidences >= 0).tolist()
        tracks = tuple(
            (number, (box[0], box[1], box[2], box[3]), seen)
            for number, box, seen in zip(observed.track_ids.tolist(), boxes, found, strict=True)
        )
        jpeg = b"" if view is View.MOVING else self._encode(frame.picture, _WIDTH[view])
        return LivePicture(frame.source, view, frame.wall_time, frame.index, size, tracks, jpeg, lost)

    def _listen(self) -> None:
        while True:
            try:
                self.want(self._connection.recv())
            except (EOFError, OSError):
                return
