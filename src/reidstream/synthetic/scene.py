"""Writing a scene: one video per camera, the truth beside it, several cameras at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import queue
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidstream.encoders import add_video
from reidstream.errors import ConfigError
from reidstream.synthetic.render import REFLECTED
from reidstream.synthetic.truth import (
    SceneTruth,
    Sighting,
    ThingRows,
    ThingTruth,
    TrackTruth,
    load_scene,
    write_camera,
    write_identities,
    write_thing_table,
    write_things,
)
from reidstream.synthetic.world import World

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Event

Progress = Callable[[str, int, int], None]
"""Called with (camera, frames done, frames in all)."""

BEGINNING = "2026-01-01T12:00:00.000000Z"
"""When every scene begins: all cameras of a world share one clock, and the same scene has the same times again."""


def write_scene(
    out: Path | str,
    world: World,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> SceneTruth:
    """Render every camera of ``world`` into the folder ``out`` and return the truth as read back from it.

    ``out/camN/camN.mp4`` (H.264), ``out/camN/gt/gt.txt`` and ``seqinfo.ini`` (MOTChallenge), ``out/identities.csv``
    (camera, track_id, person, first_frame, last_frame) and ``out/scene.json``. The folder appears when everything in
    it is complete. workers: processes (default: one per core); the result does not depend on it.

    Raises ConfigError when ``out`` exists and is not empty, unless ``overwrite`` is set and it holds a scene.
    """
    out = Path(out)
    _check_free(out, overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ConfigError(
            f"cannot write a scene at {out}: {error.strerror}; choose a folder you can write to"
        ) from None
    try:
        tracks, things = _render_all(building, world, workers or os.cpu_count() or 1, progress)
        write_identities(building / "identities.csv", tracks, postures=world.things)
        if world.things:
            write_thing_table(building / "things.csv", things)
        (building / "scene.json").write_text(json.dumps(parameters_of(world), indent=2) + "\n", encoding="utf-8")
        building.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        building.rename(out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return load_scene(out)


def _check_free(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out} is a file; a scene needs a folder")
    if any(out.iterdir()) and not (overwrite and (out / "scene.json").is_file()):
        hint = "choose another folder" if overwrite else "choose another folder, or let an earlier scene be overwritten"
        raise ConfigError(f"{out} is not empty; {hint}")


def parameters_of(world: World) -> dict[str, Any]:
    """What scene.json says of a world, as it is read back: what it was made with, its cameras and its people."""
    described = {
        "seed": world.seed,
        "minutes": world.minutes,
        "size": list(world.size),
        "fps": world.fps,
        "similar": world.similar,
        **({"things": True} if world.things else {}),
        "cameras": [
            {
                "name": place.name,
                "place": place.kind,
                "site": [round(n, 2) for n in place.site],
                "height": round(place.camera.position[2], 3),
                "focal": round(place.camera.focal, 2),
                "pitch_degrees": round(float(np.degrees(place.camera.pitch)), 2),
                "sensor": dataclasses.asdict(place.sensor),
            }
            for place in world.places
        ],
        "people": [
            {"person": number, "looks": look.describe(), "dressed_like": model}
            for number, (look, model) in enumerate(zip(world.looks, world.models, strict=True))
        ],
    }
    parsed: dict[str, Any] = json.loads(json.dumps(described))
    return parsed


_Truth = tuple[list[TrackTruth], list[ThingTruth]]


def _joined(parts: Iterable[_Truth]) -> _Truth:
    tracks, things = [], []
    for of_camera in parts:
        tracks += of_camera[0]
        things += of_camera[1]
    return tracks, things


def _render_all(folder: Path, world: World, workers: int, progress: Progress | None) -> _Truth:
    workers = min(workers, world.cameras)
    if workers == 1:
        report = (
            (lambda camera, done: progress(camera, done, world.frames)) if progress else (lambda camera, done: None)
        )
        return _joined(_render_camera(folder, world, camera, report) for camera in range(world.cameras))
    # A fresh interpreter per worker: forking a process that has threads (ONNX Runtime's, ChromaDB's) can hang it.
    context = multiprocessing.get_context("spawn")
    reports: Queue[tuple[str, int]] = context.Queue()
    stop = context.Event()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_connect, initargs=(reports, stop)) as pool:
        futures = [pool.submit(_render_in_worker, folder, world, camera) for camera in range(world.cameras)]
        try:
            _follow(futures, reports, world.frames, progress)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        return _joined(future.result() for future in futures)


def _follow(
    futures: list[Future[_Truth]], reports: Queue[tuple[str, int]], frames: int, progress: Progress | None
) -> None:
    """Pass on progress until all workers are done; the first failure is raised at once."""
    while not all(future.done() for future in futures):
        with contextlib.suppress(queue.Empty):
            camera, done = reports.get(timeout=0.2)
            if progress:
                progress(camera, done, frames)
        for future in futures:
            if future.done():
                future.result()


_reports: Queue[tuple[str, int]] | None = None
_stop: Event | None = None


def _connect(reports: Queue[tuple[str, int]], stop: Event) -> None:
    """Worker set-up: where progress goes, and one thread per worker."""
    global _reports, _stop
    import signal

    import cv2

    cv2.setNumThreads(1)
    # Ctrl-C reaches every process of a terminal; the parent decides, and says so through ``stop``.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _reports, _stop = reports, stop


def _render_in_worker(folder: Path, world: World, camera: int) -> _Truth:
    reports, stop = _reports, _stop
    assert reports is not None and stop is not None

    def report(name: str, done: int) -> None:
        if stop.is_set():
            raise InterruptedError("the scene is not wanted any more")
        reports.put((name, done))

    return _render_camera(folder, world, camera, report)


def _render_camera(folder: Path, world: World, camera: int, report: Callable[[str, int], None]) -> _Truth:
    """One camera: its video and its truth."""
    place = world.places[camera]
    target = folder / place.name
    target.mkdir()
    frames, visits, persons, boxes, visibility = [], [], [], [], []
    seen: list[ThingRows] = []
    with _Encoder(target / f"{place.name}.mp4", world.size, world.fps, place.sensor.quality) as encoder:
        for frame in world.render_frames(camera):
            encoder.write(frame.image)
            frames.append(np.full(len(frame.persons), frame.index, np.int64))
            visits.append(frame.visits)
            persons.append(frame.persons)
            boxes.append(frame.boxes)
            visibility.append(frame.visibility)
            at = np.full(len(frame.things), frame.index, np.int64)
            seen.append(ThingRows(at, frame.things + 1, frame.thing_boxes, frame.thing_visibility))
            if frame.index % 25 == 24:
                report(place.name, frame.index + 1)
    sighting = Sighting(
        frames=np.concatenate(frames),
        visits=np.concatenate(visits),
        persons=np.concatenate(persons),
        boxes=np.concatenate(boxes),
        visibility=np.concatenate(visibility),
    )
    tracks = write_camera(target, place.name, sighting, world.size, world.fps, world.frames)
    postures = {visit.person: visit.posture for visit in world.visits}
    tracks = [dataclasses.replace(track, posture=postures[track.person]) for track in tracks]
    things: list[ThingTruth] = []
    if world.things:
        rows = ThingRows(
            frames=np.concatenate([part.frames for part in seen]),
            ids=np.concatenate([part.ids for part in seen]),
            boxes=np.concatenate([part.boxes for part in seen]),
            visibility=np.concatenate([part.visibility for part in seen]),
        )
        write_things(target, rows)
        put = world.put_in(camera)
        things = [
            ThingTruth(place.name, number, "reflection" if number > REFLECTED else put[number - 1].kind)
            for number in np.unique(rows.ids).tolist()
        ]
    report(place.name, world.frames)
    return tracks, things


class _Encoder:
    """Video in MP4 (H.264 where FFmpeg can), one thread, so that the same frames always give the same stream."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, quality: int) -> None:
        import av

        self._av = av
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        self._container.metadata["creation_time"] = BEGINNING
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = add_video(self._container, size, rate, quality=quality, keyframes=max(1, round(2 * fps)))

    def __enter__(self) -> _Encoder:
        return self

    def write(self, image: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        import cv2

        planes = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
        for packet in self._stream.encode(self._av.VideoFrame.from_ndarray(planes, format="yuv420p")):
            self._container.mux(packet)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()
