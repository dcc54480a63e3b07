"""Small clips whose frames can be told apart: bars on the left show the frame's number, a fixed pattern is right."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.rtsp import PROBE, Server

MakeClip = Callable[..., Path]


def picture(index: int, width: int = 160, height: int = 96) -> npt.NDArray[np.uint8]:
    """BGR uint8 (height, width, 3) of frame ``index`` (below 256): eight bars, a bright one for each bit set."""
    image = np.full((height, width, 3), 40, np.uint8)
    for bit in range(8):
        if index >> bit & 1:
            image[:, bit * width // 16 : (bit + 1) * width // 16] = 210
    image[: height // 2, width // 2 : 3 * width // 4] = (255, 40, 40)
    image[height // 2 :, width // 2 : 3 * width // 4] = (40, 200, 40)
    image[: height // 2, 3 * width // 4 :] = (40, 40, 230)
    image[height // 2 :, 3 * width // 4 :] = (230, 230, 230)
    return image


def index_shown(image: npt.NDArray[np.uint8]) -> int:
    """Which frame a picture of ``picture`` is, after lossy coding."""
    width = image.shape[1]
    bars = image[:, : width // 2].reshape(image.shape[0], 8, width // 16, 3)
    return sum(1 << bit for bit in range(8) if np.median(bars[:, bit]) > 125)


@pytest.fixture(scope="session")
def shown() -> Callable[[npt.NDArray[np.uint8]], int]:
    """Which frame of ``make_clip`` a picture is."""
    return index_shown


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Encodes ``frames`` pictures into ``name``; times (seconds) default to 25 frames a second."""

    def make(
        name: str = "clip.mp4",
        frames: int = 30,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        size: tuple[int, int] = (160, 96),
        times: Sequence[float] | None = None,
        audio: bool = False,
        matrix: Sequence[int] | None = None,
        container_options: dict[str, str] | None = None,
        metadata: dict[str, str] | None = None,
        codec_options: dict[str, str] | None = None,
        prepare: Callable[[Any], None] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=container_options or {}) as container:
            container.metadata.update(metadata or {})
            stream = container.add_stream(codec, rate=25, options=codec_options or {})
            stream.width, stream.height = size
            stream.pix_fmt = pix_fmt
            stream.codec_context.gop_size = 10
            stream.codec_context.time_base = Fraction(1, 1000) if times is not None else Fraction(1, 25)
            if prepare is not None:
                prepare(stream)
            if matrix is not None:
                stream.set_display_matrix(matrix)
            sound = container.add_stream("aac", rate=48000) if audio else None
            for i in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(i, *size), format="bgr24")
                if times is not None:
                    frame.pts, frame.time_base = round(times[i] * 1000), Fraction(1, 1000)
                else:
                    frame.pts, frame.time_base = i, Fraction(1, 25)
                container.mux(stream.encode(frame))
                if sound is not None:
                    tone = av.AudioFrame.from_ndarray(np.zeros((2, 1920), np.float32), format="fltp", layout="stereo")
                    tone.sample_rate, tone.pts, tone.time_base = 48000, i * 1920, Fraction(1, 48000)
                    container.mux(sound.encode(tone))
            container.mux(stream.encode(None))
            if sound is not None:
                container.mux(sound.encode(None))
        return path

    return make


@pytest.fixture(scope="session")
def gstreamer_python() -> str:
    """An interpreter that has GStreamer's RTSP server."""
    for python in (sys.executable, "/usr/bin/python3"):
        if Path(python).exists() and subprocess.run([python, "-c", PROBE], capture_output=True).returncode == 0:
            return python
    pytest.skip("no interpreter with gi and GstRtspServer (Debian: python3-gi, gir1.2-gst-rtsp-server-1.0)")


@pytest.fixture
def server(gstreamer_python: str) -> Iterator[Server]:
    """A camera that shows a moving ball to whoever knows the password."""
    server = Server(gstreamer_python)
    yield server
    server.kill()
