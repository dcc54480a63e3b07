"""Video files that behave as cameras do: a frame is there when its time has come, and dropped when nobody takes it.

``python -m benchmarks.gpu --paced`` has every process that reads a source import this (``sitecustomize``).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

RATE = "REIDSTREAM_BENCHMARK_PACED"
"""The environment variable with the frames a second; without it nothing is paced."""
BUFFER = 8
"""Frames that may wait in a camera's buffer."""
OPENING = 3.0
"""Seconds after its first picture from which on a source is paced, in which the others are opened."""


def environment(folder: Path, rate: float) -> dict[str, str]:
    """What makes Python's processes pace their sources. folder: an empty one, for a file that they import."""
    root = str(Path(__file__).parents[1])
    (folder / "sitecustomize.py").write_text(
        f"import sys\nsys.path.append({root!r})\nfrom benchmarks.pacing import begin\nbegin()\n", "utf-8"
    )
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {RATE: str(rate), "PYTHONPATH": os.pathsep.join(paths)}


def begin() -> None:
    """Pace this process's files, whose frames then tell as wall time when they were due (``time.perf_counter``)."""
    if "reidstream.child" not in sys.orig_argv and "--child" not in sys.orig_argv:
        return
    from reidstream.sources.frame import Frame
    from reidstream.sources.video_file import VideoFileSource

    rate = float(os.environ[RATE])
    read = VideoFileSource._read
    late: dict[str, int] = {}

    def paced(source: VideoFileSource) -> Iterator[Frame]:
        begun = 0.0
        for frame in read(source):
            if not begun:
                # Cameras do not all take their pictures in the same moment.
                begun = time.perf_counter() + OPENING + (hash(source.id) % 100) / 100 / rate
                assert source._info is not None
                source._info = replace(source._info, live=True)
            due = begun + frame.index / rate
            early = due - time.perf_counter()
            if early < -BUFFER / rate:
                late[source.id] = late.get(source.id, 0) + 1
                continue
            time.sleep(max(early, 0.0))
            yield replace(frame, wall_time=due)

    VideoFileSource._read = paced  # type: ignore[method-assign,assignment]
    VideoFileSource.dropped = property(lambda source: late.get(source.id, 0))  # type: ignore[assignment,misc]
