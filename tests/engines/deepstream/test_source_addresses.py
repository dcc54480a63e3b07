"""What nvurisrcbin is told of a source: it compares schemes letter by letter."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from reidstream.config import SourceConfig
from reidstream.engines.deepstream.running.pipeline import source_properties
from reidstream.engines.deepstream.running.source import gst_uri, looked_after


@pytest.mark.parametrize("uri", ["rtsp://10.0.0.7/Main", "RTSP://10.0.0.7/Main", "Rtsp://10.0.0.7/Main"])
def test_a_camera_is_watched_however_its_scheme_is_written(uri: str) -> None:
    address = gst_uri(SourceConfig(uri=uri))
    assert address == "rtsp://10.0.0.7/Main", "the path keeps its capitals"
    properties = source_properties(address, "tcp", 10.0)
    assert properties["rtsp-reconnect-interval"] == 10 and properties["select-rtp-protocol"] == 4
    assert looked_after(SourceConfig(uri=uri)), "it gets the time that nvurisrcbin needs to connect again"


@pytest.mark.parametrize("uri", ["rtsps://10.0.0.7/Main", "/dev/video0", "street.mp4"])
def test_nvurisrcbin_looks_after_nothing_else(uri: str) -> None:
    assert not looked_after(SourceConfig(uri=uri))


@pytest.mark.parametrize(("transport", "scheme"), [("tcp", "rtspst"), ("udp", "rtsps")])
def test_over_tls_the_scheme_carries_the_transport(transport: Literal["tcp", "udp"], scheme: str) -> None:
    """nvurisrcbin looks at none of its properties there, and GStreamer's own element knows such schemes."""
    address = gst_uri(SourceConfig(uri="RTSPS://10.0.0.7/S", rtsp_transport=transport))
    assert address == f"{scheme}://10.0.0.7/S"
    assert not source_properties(address, transport, 10.0)


def test_files_become_addresses(tmp_path: Path) -> None:
    assert gst_uri(SourceConfig(uri=str(tmp_path / "a b.mp4"))) == (tmp_path / "a b.mp4").resolve().as_uri()
