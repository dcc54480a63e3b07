"""Cameras over TLS in GStreamer's pipeline: nvurisrcbin looks after none of them, and has no property for trust."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reidstream.config import SourceConfig
from reidstream.types import Event, Observed
from tests.blobs import write_blobs
from tests.deepstream.engine_runs import end_of, events_of, frames_of
from tests.deepstream.test_reopening import engine_of, run_until_back
from tests.rtsp import PASSWORD, Server, self_signed

pytestmark = [pytest.mark.gstreamer, pytest.mark.usefixtures("elements")]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path / "camera.pem", "IP:127.0.0.1")


@pytest.fixture
def tls_server(server: Server, certificate: Path) -> Iterator[Server]:
    """Beside the one without TLS, whose fixture skips where there is no server."""
    with_tls = Server(sys.executable, certificate)
    yield with_tls
    with_tls.kill()


def test_a_camera_over_tls_whose_certificate_is_named_comes_back_when_its_server_does(
    tmp_path: Path, tls_server: Server, certificate: Path
) -> None:
    def break_network(_engine: Any, _source: str) -> None:
        tls_server.kill()
        tls_server.start()

    camera = SourceConfig(uri=tls_server.url, timeout=1, certificate=str(certificate))
    engine = engine_of(tmp_path, [], cam=camera)
    events = run_until_back(engine, break_network, "cam")
    assert (end_of(events, "cam").error, end_of(events, "cam").stopped) == (None, True)
    assert any("opened again" in text for text in engine.status.warnings)


def test_a_certificate_that_nobody_has_signed_is_refused_and_the_others_go_on(
    tmp_path: Path, tls_server: Server
) -> None:
    clip = SourceConfig(uri=str(write_blobs(tmp_path / "a.mp4", [0], 40)))
    camera = SourceConfig(uri=tls_server.url, timeout=1)
    gone = SourceConfig(uri=tls_server.url, certificate=str(tmp_path / "gone.pem"))
    events = list(events_of(engine_of(tmp_path, [], cam=camera, gone=gone, a=clip)))
    error = str(end_of(events, "cam").error)
    assert "its certificate is not trusted" in error
    assert "this source's `certificate`" in error
    assert PASSWORD not in error
    assert "there is no certificate file" in str(end_of(events, "gone").error)
    assert (end_of(events, "a").frames, end_of(events, "a").error) == (40, None)


def test_where_no_certificate_is_to_be_checked_none_is(tmp_path: Path, tls_server: Server) -> None:
    engine = engine_of(tmp_path, [], cam=SourceConfig(uri=tls_server.url, certificate="any"))
    events: list[Event] = []
    for event in events_of(engine):
        events.append(event)
        if isinstance(event, Observed) and event.frame == 10:
            engine.stop()
    assert len(frames_of(events, "cam")) >= 10
