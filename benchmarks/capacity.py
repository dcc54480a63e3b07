"""How many live cameras a processor carries, by picture size, rate and people in view.

    python -m benchmarks.capacity [--sizes 640x360,1280x720,1920x1080] [--rates 5,10,25] [--people 3,20] [--seconds 12]
    python -m benchmarks.capacity --carry    # and try it: so many cameras at once, of which none loses frames

Cameras are H.264 files that are handed on packet by packet at the pace of their clock, through everything that the
packets of a camera go through: decoding, a buffer that drops the oldest frame, detection, tracking, vectors, gallery.
Cameras deliver 25 frames a second, ``rate`` of them looked at (``max_fps``); all have to be decoded. What one camera
costs is processor time, which other programs on the machine change little; from it follows how many fit into the cores
while a tenth is left free. ``--carry`` wants an idle machine. Models are those of the package.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from reidstream.config import SourceConfig, load_config
from reidstream.sources import live
from reidstream.sources.connection import Arrival
from reidstream.sources.decoding import ON_PROCESSOR, Decoding, Pictures, spread

FPS = 25.0
CLIP_SECONDS = 16.0
FREE = 0.1
"""Part of the cores that is left for what else a machine has to do."""
LOST = 0.01
"""A camera that loses more of its frames than this is one too many."""


class PacedConnection:
    """A file as a camera: its packets come when they are due, again and again."""

    def __init__(self, config: SourceConfig, decoding: Decoding = ON_PROCESSOR) -> None:
        import av

        self._decoding = decoding
        self._path = config.uri.removeprefix("rtsp://clip").partition("#")[0]
        self._container = av.open(self._path)
        self._stream = self._container.streams.video[0]
        spread(self._stream, 2)

    @property
    def fps(self) -> float:
        return FPS

    def take_skipped(self) -> int:
        return 0

    def arrivals(self, closed: threading.Event) -> Iterator[Arrival]:
        pictures = Pictures(self._decoding)
        # Cameras do not deliver all in the same instant.
        began = time.monotonic() + np.random.default_rng(os.getpid()).random() / FPS
        index = 0
        while True:
            for packet in self._container.demux(self._stream):
                if packet.size == 0:
                    continue
                if closed.wait(max(0.0, began + index / FPS - time.monotonic())):
                    return
                index += 1
                for frame in packet.decode():
                    yield Arrival(pictures.of(frame), index / FPS)
            self._container.seek(0)

    def __enter__(self) -> PacedConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_run(Path(arguments.child), arguments.cameras, arguments.rate, arguments.seconds)))
        return
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    print(f"{cores} cores, load {load:.1f} at the beginning, {arguments.seconds:g} s each")
    carried = " carried |" if arguments.carry else ""
    print(f"| picture | people in view | looked at | cores per camera | cameras on {cores} cores |{carried}")
    print("|---|---|---|---|---|" + ("---|" if arguments.carry else ""))
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes.split(","):
            for people in map(int, arguments.people.split(",")):
                clip, seen = _clip(Path(folder), size, people)
                for rate in map(float, arguments.rates.split(",")):
                    one = _child(clip, 1, rate, arguments.seconds)
                    fits = int((1 - FREE) * cores / one["cores"])
                    row = f"| {size} | {seen:.1f} | {rate:g}/s | {one['cores']:.2f} | {fits} |"
                    print(row + (f" {_carried(clip, fits, rate, arguments)} |" if arguments.carry else ""), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="640x360,1280x720,1920x1080")
    parser.add_argument("--rates", default="5,10,25")
    parser.add_argument("--people", default="3,20", help="How many come to the camera in the clip; fewer are in view.")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--carry", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--cameras", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def _clip(folder: Path, size: str, people: int) -> tuple[Path, float]:
    """A video of made-up people, and how many of them are in view on average."""
    from reidstream.synthetic import World, write_scene

    width, height = map(int, size.split("x"))
    world = World(seed=5, cameras=1, people=people, minutes=CLIP_SECONDS / 60, size=(width, height), fps=FPS)
    scene = write_scene(folder / f"{size}-{people}", world)
    (camera,) = scene.cameras
    return camera.video, len(camera.boxes) / camera.length


def _child(clip: Path, cameras: int, rate: float, seconds: float) -> dict[str, Any]:
    words = ["--child", str(clip), "--cameras", str(cameras), "--rate", str(rate), "--seconds", str(seconds)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.capacity", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"a run failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _carried(clip: Path, fits: int, rate: float, arguments: argparse.Namespace) -> int:
    """The largest number of cameras none of which loses frames, tried from what should fit upwards or downwards."""
    number = max(1, fits)
    holds = _child(clip, number, rate, arguments.seconds)["lost"] <= LOST
    step = 1 if holds else -1
    while number + step > 0:
        if (_child(clip, number + step, rate, arguments.seconds)["lost"] <= LOST) != holds:
            break
        number += step
    return number if holds else max(0, number - 1)


def _run(clip: Path, cameras: int, rate: float, seconds: float) -> dict[str, Any]:
    """Cores that so many cameras keep busy, and the worst camera's share of frames that were dropped."""
    from reidstream.pipeline import open_run

    live.connect = PacedConnection  # type: ignore[assignment]
    sources = [
        SourceConfig(uri=f"rtsp://clip{clip}#{number}", name=f"camera{number}", max_fps=rate if rate < FPS else None)
        for number in range(cameras)
    ]
    # One process, which is the default for so few cores, and in which the connections are replaced.
    config = load_config(None, ["local.processes=1"])
    with tempfile.TemporaryDirectory() as folder, open_run(sources, config, Path(folder) / "gallery") as run:
        thread = threading.Thread(target=run.run)
        thread.start()
        # The first seconds open connections and import ChromaDB.
        _wait_for(lambda: min((s.processed for s in run.summary.sources.values()), default=0) > rate)
        time.sleep(3)
        before, began = _processor_seconds(), time.monotonic()
        frames = {name: (s.processed, s.dropped) for name, s in run.summary.sources.items()}
        time.sleep(seconds)
        spent, passed = _processor_seconds() - before, time.monotonic() - began
        lost = max(
            (s.dropped - frames[name][1]) / max(1, s.dropped - frames[name][1] + s.processed - frames[name][0])
            for name, s in run.summary.sources.items()
        )
        looked_at = sum(s.processed - frames[name][0] for name, s in run.summary.sources.items())
        run.stop()
        thread.join()
    # On a machine with other work frames are dropped; what they would have cost as well is counted.
    due = max(looked_at, rate * passed * cameras)
    return {"cores": spent / passed * due / max(looked_at, 1), "lost": lost}


def _wait_for(condition: Any) -> None:
    until = time.monotonic() + 120
    while not condition():
        if time.monotonic() > until:
            raise SystemExit("no frames came for two minutes")
        time.sleep(0.1)


def _processor_seconds() -> float:
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


if __name__ == "__main__":
    main()
