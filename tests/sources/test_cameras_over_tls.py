"""Cameras over TLS: a real server whose certificate nobody has signed."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reidstream.config import SourceConfig
from reidstream.errors import SourceNotFound
from reidstream.sources import Source, expand_sources, open_source
from tests.rtsp import PASSWORD, PROBE, Server, self_signed

pytestmark = pytest.mark.gstreamer


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path / "camera.pem", "IP:127.0.0.1")


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    if subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=False).returncode:
        pytest.skip("GstRtspServer is missing (Debian: gir1.2-gst-rtsp-server-1.0)")
    server = Server(sys.executable, certificate)
    yield server
    server.kill()


def camera(url: str, **settings: Any) -> Source:
    return open_source(SourceConfig(uri=url, timeout=5, **settings), "cam")


@pytest.mark.setting("sources.certificate")
def test_a_certificate_that_nobody_has_signed_is_trusted_where_it_is_named_and_refused_elsewhere(
    server: Server, certificate: Path
) -> None:
    assert server.url.startswith("rtsps://")
    with camera(server.url) as source, pytest.raises(SourceNotFound) as refused:
        source.started()
    text = str(refused.value)
    assert "certificate is not trusted (self-signed certificate)" in text
    assert "this source's `certificate`" in text
    assert PASSWORD not in text
    for trusted in (str(certificate), "any"):
        with camera(server.url, certificate=trusted) as source:
            assert source.started().size == (160, 96)
            assert len(list(itertools.islice(source, 5))) == 5


def test_who_is_on_the_machine_s_list_is_trusted(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with camera(server.url) as source:
        assert source.started().size == (160, 96)


def test_a_camera_over_tls_that_dies_is_connected_again(server: Server, certificate: Path) -> None:
    with camera(server.url, certificate=str(certificate)) as source:
        before = list(itertools.islice(source, 10))
        server.kill()
        server.start()
        after = next(frame for frame in source if source.reconnects)
    assert after.index > before[-1].index
    assert after.media_time > before[-1].media_time


def test_another_s_certificate_is_refused_with_the_reason(server: Server, tmp_path: Path) -> None:
    other = self_signed(tmp_path / "other.pem", "DNS:elsewhere")
    with camera(server.url, certificate=str(other)) as source, pytest.raises(SourceNotFound, match="not trusted"):
        source.started()
    server.kill()
    elsewhere = Server(sys.executable, other)
    try:
        with (
            camera(elsewhere.url, certificate=str(other)) as source,
            pytest.raises(SourceNotFound, match=r"not trusted \(.*127\.0\.0\.1"),
        ):
            source.started()
    finally:
        elsewhere.kill()


def test_a_file_that_is_missing_or_holds_no_certificate_is_named(server: Server, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no certificate\n")
    for path, words in ((tmp_path / "gone.pem", "there is no certificate file"), (text, "holds no certificates")):
        with camera(server.url, certificate=str(path)) as source, pytest.raises(SourceNotFound, match=words) as failed:
            source.started()
        assert path.name in str(failed.value)


def test_the_certificate_of_a_list_counts_from_the_list_s_folder(tmp_path: Path) -> None:
    listed = tmp_path / "cameras.toml"
    text = '[[sources]]\nuri = "rtsps://10.0.0.7/{}"\ncertificate = "{}"\n'
    listed.write_text(text.format("a", "certificates/a.pem") + text.format("b", "any"))
    found = [config.certificate for config in expand_sources([str(listed)])]
    assert found == [str(tmp_path / "certificates" / "a.pem"), "any"]
