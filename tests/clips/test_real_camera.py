"""A clip out of the packets of a real RTSP server."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from reidstream.clips.cutting import cut_ring
from reidstream.clips.span import Span
from reidstream.config import SourceConfig
from reidstream.sources import open_source
from reidstream.sources.packet_ring import ring_of
from tests.rtsp import Server
from tests.sources.conftest import gstreamer_python, server

__all__ = ["gstreamer_python", "server"]


@pytest.mark.gstreamer
def test_what_a_camera_sent_is_played_again(server: Server, tmp_path: Path) -> None:
    config = SourceConfig(uri=server.url, ring_seconds=60, ring_mib=16)
    with open_source(config, "door") as source:
        started = source.started()
        ring = ring_of(started.content)
        assert ring is not None
        times = []
        for frame in source:
            times.append(frame.media_time)
            if len(times) == 60:
                break
        shown = cut_ring(ring, Span(times[20], times[40]), tmp_path / "clip")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        pictures = list(container.decode(video=0))
    # A key frame every ten: all that was asked for, and at most nine more before it.
    assert shown.start <= times[20] + 0.001
    assert 20 <= len(pictures) <= 33
    assert pictures[0].width == 160
    steps = [float(b.time - a.time) for a, b in itertools.pairwise(pictures)]
    assert max(steps) < 0.1
