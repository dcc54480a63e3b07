"""What nvurisrcbin is told of a source: it compares schemes letter by letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidstream.config import SourceConfig
from reidstream.engines.deepstream.running.engine import gst_uri
from reidstream.engines.deepstream.running.pipeline import source_properties


@pytest.mark.parametrize("uri", ["rtsp://10.0.0.7/Main", "RTSP://10.0.0.7/Main", "Rtsp://10.0.0.7/Main"])
def test_a_camera_is_watched_however_its_scheme_is_written(uri: str) -> None:
    address = gst_uri(SourceConfig(uri=uri))
    assert address == "rtsp://10.0.0.7/Main", "the path keeps its capitals"
    properties = source_properties(address, "tcp", 10.0, -1)
    assert properties["rtsp-reconnect-interval"] == 10 and properties["select-rtp-protocol"] == 4


def test_nothing_is_promised_for_a_camera_over_tls() -> None:
    address = gst_uri(SourceConfig(uri="RTSPS://10.0.0.7/s"))
    assert address == "rtsps://10.0.0.7/s"
    assert not source_properties(address, "tcp", 10.0, -1), "nvurisrcbin would not look at any of them"


def test_files_become_addresses(tmp_path: Path) -> None:
    assert gst_uri(SourceConfig(uri=str(tmp_path / "a b.mp4"))) == (tmp_path / "a b.mp4").resolve().as_uri()
