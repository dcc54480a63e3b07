"""Does a process that runs for long grow? Short runs, searches and cameras in one process, over and over, with figures.

    python -m benchmarks.soak [--minutes 60] [--camera rtsp://...]... [--video VIDEO]

Every round reads a video into a gallery of its own (removed afterwards), searches it with one of its crops, reads the
same video again (which adds nothing), opens a file that is damaged, and reads each camera for some seconds. Between
rounds, when nothing runs, resident memory, memory of child processes, open descriptors and threads are noted. The first
third warms up: allocators and model sessions take what they keep. Over the rest a line is fitted, and a figure grows
when its slope is more than three standard errors above 0; then this ends with 1. Without --video: a scene of
`reidstream synth`, ten seconds long.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import math
import shutil
import tempfile
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from reidstream.config import Config, SourceConfig
from reidstream.gallery import Gallery
from reidstream.pipeline import open_run

_CAMERA_SECONDS = 5.0
_BLOCKS = 12
"""Rounds are averaged in so many blocks before the line is fitted: neighbours resemble each other, and counting each of
them would make noise look like a trend."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds between two rounds."""

    seconds: float
    resident_mib: float
    children_mib: float
    descriptors: int
    threads: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--camera", action="append", default=[], help="An RTSP address or webcam; repeatable.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = arguments.video or _scene(Path(folder))
        samples = soak(video, arguments.camera, Path(folder), 60 * arguments.minutes)
    if not report(samples):
        raise SystemExit(1)


def soak(video: Path, cameras: list[str], folder: Path, seconds: float) -> list[Sample]:
    """Rounds until the time is over, with what the process held after each."""
    broken = folder / "broken.mp4"
    broken.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    began, samples = time.monotonic(), list[Sample]()
    print("  minutes   rounds    resident    children  descriptors  threads", flush=True)
    told = 0.0
    while time.monotonic() - began < seconds:
        _round(video, broken, cameras, folder / "gallery")
        gc.collect()
        samples.append(_sample(time.monotonic() - began))
        last = samples[-1]
        if last.seconds - told >= seconds / 30 or len(samples) == 1:
            told = last.seconds
            print(
                f"{last.seconds / 60:9.1f}{len(samples):9d}{last.resident_mib:8.1f} MiB{last.children_mib:8.1f} MiB"
                f"{last.descriptors:13d}{last.threads:9d}",
                flush=True,
            )
    return samples


def report(samples: list[Sample]) -> bool:
    """Print each figure's slope; whether none grows."""
    settled = [sample for sample in samples if sample.seconds > samples[-1].seconds / 3]
    if len(settled) < 2 * _BLOCKS:
        print(f"{len(settled)} rounds after warming up are too few to fit a line; let it run for longer")
        return False
    table = np.array([astuple(sample) for sample in settled])
    good = True
    for column, field in enumerate(fields(Sample)[1:], start=1):
        slope, error = trend(table[:, 0] / 3600, table[:, column])
        grows = slope > 3 * error
        good &= not grows
        verdict = "GROWS" if grows else "does not grow"
        print(f"{field.name:13s} {slope:+9.2f} an hour, standard error {error:.2f}: {verdict}")
    return good


def trend(hours: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The slope of the line through the means of blocks of values, and its standard error (least squares)."""
    x = np.array([block.mean() for block in np.array_split(hours, _BLOCKS)])
    y = np.array([block.mean() for block in np.array_split(values, _BLOCKS)])
    away = x - x.mean()
    slope = float(away @ (y - y.mean()) / (away @ away))
    residual = y - y.mean() - slope * away
    return slope, math.sqrt(float(residual @ residual) / (len(x) - 2) / float(away @ away))


def _round(video: Path, broken: Path, cameras: list[str], gallery: Path) -> None:
    _run([str(video), str(broken)], gallery)
    _run([str(video), str(broken)], gallery)
    for camera in cameras:
        _run([camera], gallery, _CAMERA_SECONDS)
    with Gallery.open(gallery) as opened:
        for tracklet in itertools.islice(opened.tracklets(), 3):
            opened.search(tracklet.embedding[None], 5)
    shutil.rmtree(gallery)


def _run(addresses: list[str], gallery: Path, seconds: float | None = None) -> None:
    sources = [SourceConfig(uri=address) for address in addresses]
    with open_run(sources, Config(), gallery, max_seconds=seconds) as run:
        run.run()


def _sample(seconds: float) -> Sample:
    process = psutil.Process()
    children = 0
    for child in process.children(recursive=True):
        try:
            children += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return Sample(
        seconds, process.memory_info().rss / 2**20, children / 2**20, process.num_fds(), process.num_threads()
    )


def _scene(folder: Path) -> Path:
    from reidstream.synthetic import World, write_scene

    world = World(seed=7, cameras=1, people=4, minutes=1 / 6, size=(480, 270), fps=15)
    return write_scene(folder / "scene", world, workers=1).cameras[0].video


if __name__ == "__main__":
    main()
