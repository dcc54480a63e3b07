"""Sources that a server reads, each in a process of its own, so that one that dies takes nothing with it.

With DeepStream all sources are in one process, because they share the GPU's batches.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import delete, insert, or_, select, update

from reidstream.children import python_child
from reidstream.config import SourceConfig
from reidstream.config.sources import Polygon
from reidstream.errors import ConfigError
from reidstream.pipeline import EngineName
from reidstream.server.access.schema import notes, source_settings
from reidstream.server.camera_process import Order
from reidstream.server.desk import Desk
from reidstream.server.live.fragments import Fragment
from reidstream.server.live.hub import Hub
from reidstream.server.live.picture import LivePicture, Wanted
from reidstream.server.reader import Reader
from reidstream.sources import redacted, source_ids
from reidstream.sources.address import Kind, kind_of

_log = logging.getLogger(__name__)

# Under which notes that is kept which somebody drew on a source's picture.
_MASK, _ZONES = "ignore: ", "zones: "

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0
"""Seconds until a process that died is started again; doubles each time."""
_MOST_DEATHS = 5
_PATIENCE = 60.0
"""Seconds that a process has for finishing its tracks."""


@dataclass(slots=True)
class Camera:
    """One source.

    by_run: read by a `reidstream run` that stores through this server.
    state: waiting, running, complete, stopped, failed,
    skipped, paused or starting.
    """

    name: str
    config: SourceConfig
    paused: bool = False
    given: bool = False
    by_run: bool = False
    state: str = "starting"
    error: str | None = None
    frames: int = 0
    dropped: int = 0
    reconnects: int | None = None
    latency: float | None = None
    expected: int | None = None
    live: bool = False
    fps: float = 0.0
    last_frame_wall: float | None = None
    deaths: int = 0
    open_tracks: int = 0
    _seen: tuple[int, float] = field(default=(0, 0.0), repr=False)

    def take(self, report: dict[str, Any], now: float) -> None:
        """Take over what its process says of it."""
        self.state, self.error = report["state"], report["error"]
        self.expected, self.live, self.dropped = report["expected"], report["live"], report["dropped"]
        self.reconnects, self.latency = report.get("reconnects"), report.get("latency")
        if report["frames"] > self.frames:
            self.last_frame_wall = now
        self.frames = report["frames"]
        before, at = self._seen
        if now - at >= 2.0:
            self.fps = max(0.0, (self.frames - before) / (now - at)) if at else 0.0
            self._seen = (self.frames, now)

    @property
    def words(self) -> str:
        """How it is doing, for people."""
        if self.state == "running":
            late = time.time() - (self.last_frame_wall or time.time())
            if self.live and late > self.config.timeout:
                return f"no frame for {late:.0f} s; connecting again"
            return f"{self.fps:.1f} frames a second" + (f", {self.dropped} dropped" if self.dropped else "")
        words = {
            "starting": "starting",
            "waiting": "connecting",
            "complete": "read to its end",
            "skipped": "the gallery has all of it already",
            "stopped": "stopped",
            "paused": "paused",
        }
        return words.get(self.state, self.error or self.state)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; never a password."""
        return {
            "name": self.name,
            "uri": redacted(self.config.uri),
            "state": self.state,
            "words": redacted(self.words),
            "error": None if self.error is None else redacted(self.error),
            "paused": self.paused,
            "removable": not (self.given or self.by_run),
            "by_run": self.by_run,
            "frames": self.frames,
            "expected": self.expected,
            "dropped": self.dropped,
            "reconnects": self.reconnects,
            "latency": self.latency,
            "fps": round(self.fps, 2),
            "live": self.live,
            "last_frame": self.last_frame_wall,
            "deaths": self.deaths,
            "open_tracks": self.open_tracks,
            "ignored_regions": len(self.config.ignore),
            "zones": sorted(self.config.zones),
        }


class Cameras:
    """All sources of a server. given: those of the command line; others are kept in the gallery.

    ``close`` ends the processes in the orderly way: what was seen is finished and stored. Safe to use from several
    threads.
    """

    def __init__(self, desk: Desk, given: Sequence[SourceConfig] = (), engine: EngineName = "local") -> None:
        self._desk, self._engine = desk, engine
        self._lock = threading.RLock()
        self._cameras: dict[str, Camera] = {}
        self._running: dict[str, _Running] = {}
        self._runs: dict[object, dict[str, Camera]] = {}
        self._timers: list[threading.Timer] = []
        self._closing = False
        self.live = Hub(self._want)
        """Who looks at what the cameras see just now."""
        desk.looked_at = lambda: self.live.wanted.keys()
        for name, config in zip(source_ids(given), given, strict=True):
            self._cameras[name] = Camera(name, config.model_copy(update={"name": name}), given=True)
        with desk.gallery.read() as connection:
            rows = connection.execute(select(source_settings)).all()
            begins = (notes.c.key.startswith(part, autoescape=True) for part in (_MASK, _ZONES))
            kept = connection.execute(select(notes).where(or_(*begins))).all()
        for row in rows:
            if row.name not in self._cameras:
                config = SourceConfig.model_validate_json(row.settings)
                self._cameras[row.name] = Camera(row.name, config, row.paused)
        for row in kept:
            part = _MASK if row.key.startswith(_MASK) else _ZONES
            camera = self._cameras.get(row.key.removeprefix(part))
            if camera is not None:
                camera.config = _drawn(camera.config, part, json.loads(row.value))

    def start(self) -> None:
        """Begin to read everything that is not paused."""
        with self._lock:
            for name in self._cameras:
                self._start(name)

    def all(self) -> list[Camera]:
        with self._lock:
            own = [self._cameras[name] for name in sorted(self._cameras)]
            return own + [run[name] for run in self._runs.values() for name in sorted(run)]

    def shows(self, camera: Camera) -> str:
        """Why there are no live pictures of a camera, in words; nothing if there are."""
        if camera.by_run:
            return "read by a command (reidstream run), which sends no pictures"
        if self._engine == "deepstream":
            return "DeepStream keeps its frames to itself: no live pictures"
        return ""

    def _want(self, wanted: Wanted) -> None:
        """Tell every process which of its sources somebody looks at."""
        with self._lock:
            running = list(dict.fromkeys(self._running.values()))
        for one in running:
            one.want(wanted)

    def occupied(self) -> dict[str, bool]:
        """Of every source that is read here: whether somebody is in its view. With DeepStream that is known of all
        together only, and of none said."""
        with self._lock:
            shared = self._engine == "deepstream"
            return {
                name: camera.state == "running" and camera.open_tracks > 0
                for name, camera in self._cameras.items()
                if not shared
            }

    def of_run(self, run: object, sources: dict[str, Camera] | None) -> None:
        """What a run that stores through this server reads just now; None: it has ended."""
        with self._lock:
            if sources is None:
                self._runs.pop(run, None)
            else:
                self._runs[run] = sources

    def get(self, name: str) -> Camera:
        """Raises ConfigError when there is none of that name."""
        with self._lock:
            if name not in self._cameras:
                known = ", ".join(sorted(self._cameras)) or "none"
                raise ConfigError(f"there is no source {name!r}; there are: {known}")
            return self._cameras[name]

    def add(self, config: SourceConfig) -> Camera:
        """Read one more source, now and whenever the server starts."""
        with self._lock:
            name = config.name or source_ids([config])[0]
            if name in self._cameras:
                raise ConfigError(f"there is a source called {name!r} already; give this one another name")
            config = config.model_copy(update={"name": name})
            with self._desk.gallery.write() as connection:
                values = {"name": name, "settings": config.model_dump_json(), "paused": False}
                connection.execute(insert(source_settings).values(**values))
            self._cameras[name] = Camera(name, config)
            self._start(name)
            return self._cameras[name]

    def pause(self, name: str, paused: bool) -> Camera:
        """Stop reading a source, or go on; what was seen is stored."""
        with self._lock:
            camera = self.get(name)
            camera.paused = paused
            with self._desk.gallery.write() as connection:
                key = source_settings.c.name == name
                connection.execute(update(source_settings).where(key).values(paused=paused))
            self._end(name)
            if paused:
                camera.state, camera.error, camera.fps = "paused", None, 0.0
            camera.deaths = 0
            self._start(name)
            return camera

    def draw(
        self, name: str, ignore: Sequence[Polygon] | None = None, zones: Mapping[str, Polygon] | None = None
    ) -> bool:
        """Keep which regions of a source's picture do not count, and its named zones; whether that is in force now.

        None: as before. They come before those of the camera list, also when the server starts again. A camera is begun
        anew with them; a video that is being read has them when it is read again, so that no recording is seen in two
        ways.
        """
        drawn = {part: value for part, value in ((_MASK, ignore), (_ZONES, zones)) if value is not None}
        with self._lock:
            camera = self.get(name)
            with self._desk.gallery.write() as connection:
                for part, value in drawn.items():
                    connection.execute(delete(notes).where(notes.c.key == part + name))
                    connection.execute(insert(notes).values(key=part + name, value=json.dumps(value)))
            for part, value in drawn.items():
                camera.config = _drawn(camera.config, part, value)
            again = name in self._running and kind_of(camera.config.uri) not in {Kind.FILE, Kind.FOLDER}
            if again:
                self._end(name)
                self._start(name)
            return again

    def remove(self, name: str) -> None:
        """Read a source no more; what is stored of it stays. Raises ConfigError for one of the command line."""
        with self._lock:
            if self.get(name).given:
                raise ConfigError(f"source {name!r} was named when the server was started; leave it out there")
            self._end(name)
            del self._cameras[name]
            with self._desk.gallery.write() as connection:
                connection.execute(delete(source_settings).where(source_settings.c.name == name))
                connection.execute(delete(notes).where(notes.c.key.in_([_MASK + name, _ZONES + name])))
            if self._group(name):
                self._start(next(iter(self._cameras), name))

    def close(self) -> None:
        """End all processes; everything that was seen is stored when it returns."""
        with self._lock:
            self._closing = True
            for timer in self._timers:
                timer.cancel()
            running = list(dict.fromkeys(self._running.values()))
            self._running.clear()
        for one in running:
            one.ask_to_stop()
        for one in running:
            one.wait()

    def _group(self, name: str) -> list[str]:
        """The sources that share a process with one of this name, itself among them if it is there."""
        return list(self._cameras) if self._engine == "deepstream" else [n for n in self._cameras if n == name]

    def _start(self, name: str) -> None:
        wanted = [self._cameras[n] for n in self._group(name) if not self._cameras[n].paused]
        if not wanted or self._closing or any(camera.name in self._running for camera in wanted):
            return
        desk = self._desk
        config = desk.config.model_copy(
            update={"local": desk.config.local.turn(list(self._cameras).index(wanted[0].name))}
        )
        order = Order(config, tuple(camera.config for camera in wanted), desk.gallery.place.address, self._engine)
        for camera in wanted:
            camera.state, camera.error = "starting", None
        running = _Running(order, desk, wanted, self._ended, self.live)
        for camera in wanted:
            self._running[camera.name] = running

    def _end(self, name: str) -> None:
        running = self._running.get(name)
        if running is None:
            return
        for camera in running.cameras:
            self._running.pop(camera.name, None)
        running.ask_to_stop()
        running.wait()

    def _ended(self, running: _Running, status: int) -> None:
        """A process has ended by itself."""
        with self._lock:
            mine = [camera for camera in running.cameras if self._running.get(camera.name) is running]
            for camera in mine:
                del self._running[camera.name]
            if status == 0 or not mine or self._closing:
                return
            deaths = max(camera.deaths for camera in mine) + 1
            for camera in mine:
                camera.deaths = deaths
                if running.said is None:
                    camera.state, camera.error = "failed", f"its process ended with status {status}"
                else:
                    camera.state, camera.error = "failed", running.said
            # What our own words explain will be no better the next time.
            if deaths < _MOST_DEATHS and running.said is None:
                wait = min(_FIRST_WAIT * 2 ** (deaths - 1), _LONGEST_WAIT)
                timer = threading.Timer(wait, self._again, [mine[0].name])
                timer.daemon = True
                self._timers.append(timer)
                timer.start()

    def _again(self, name: str) -> None:
        with self._lock:
            if name in self._cameras and not self._closing:
                self._start(name)


def _drawn(config: SourceConfig, part: str, value: Any) -> SourceConfig:
    """The source with what was drawn: polygons that do not count, or zones by name."""
    if part == _MASK:
        return config.model_copy(update={"ignore": tuple(_corners(polygon) for polygon in value)})
    return config.model_copy(update={"zones": {name: _corners(polygon) for name, polygon in value.items()}})


def _corners(polygon: Polygon) -> Polygon:
    return tuple((x, y) for x, y in polygon)


class _Running:
    """A process that reads some sources, and the thread that answers it."""

    def __init__(
        self, order: Order, desk: Desk, cameras: list[Camera], ended: Callable[[_Running, int], None], live: Hub
    ) -> None:
        self.cameras = cameras
        self._live = live
        self.said: str | None = None
        self._desk, self._ended = desk, ended
        self._answered = threading.Event()
        self._wanting = threading.Lock()
        self._wanted: Wanted = {}
        # Pictures go their own way, so that what is stored never waits for them.
        self._pictures, theirs = Pipe()
        # A group of its own: the terminal's Ctrl-C goes to the server alone.
        self._child = python_child(
            "reidstream.server.camera_process",
            str(theirs.fileno()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._answers = Connection(os.dup(self._child.stdin.fileno()), readable=False)
        self._requests = Connection(os.dup(self._child.stdout.fileno()), writable=False)
        self._child.stdin.close()
        self._child.stdout.close()
        with contextlib.suppress(OSError):
            self._answers.send(order)
        self._thread = threading.Thread(target=self._answer, name=f"camera {cameras[0].name}", daemon=True)
        self._thread.start()
        self.want(live.wanted)
        threading.Thread(target=self._show, name=f"pictures of {cameras[0].name}", daemon=True).start()

    def want(self, wanted: Wanted) -> None:
        """Say which of its sources somebody looks at."""
        own = {camera.name: wanted[camera.name] for camera in self.cameras if camera.name in wanted}
        with contextlib.suppress(OSError), self._wanting:
            if own != self._wanted:
                self._pictures.send(own)
                self._wanted = own

    def ask_to_stop(self) -> None:
        with contextlib.suppress(OSError):
            self._child.terminate()

    def wait(self) -> None:
        """Until it has ended; one that does not finish in time is killed, what it had stored is safe."""
        try:
            self._child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            _log.warning("the process of %s does not end and is killed", self.cameras[0].name)
            self._child.kill()
        # Not until the thread has ended: telling of the end takes a lock that whoever waits here may hold.
        self._answered.wait()

    def _answer(self) -> None:
        Reader(self._desk, self._take).answer(self._requests, self._answers)
        status = self._child.wait()
        self._answers.close()
        self._requests.close()
        self._answered.set()
        self._ended(self, status)

    def _show(self) -> None:
        """Hand on the pictures that come, until the process has ended."""
        own = {camera.name for camera in self.cameras}
        while True:
            try:
                picture: LivePicture | Fragment = self._pictures.recv()
            except (EOFError, OSError):
                break
            if picture.source in own:
                self._live.publish(picture)
        for name in own:
            self._live.forget(name)
        with self._wanting:
            self._pictures.close()

    def _take(self, report: dict[str, Any]) -> bool:
        if "error" in report:
            self.said = report["error"]
            return True
        now = time.time()
        for camera in self.cameras:
            if camera.name in report["sources"]:
                camera.take(report["sources"][camera.name], now)
                camera.open_tracks = report["open_tracks"]
        return True
