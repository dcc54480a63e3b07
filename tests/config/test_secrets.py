"""Secrets are given by file or variable, reach whom they are for, and are seen by nobody else."""

from __future__ import annotations

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import GalleryConfig, SourceConfig
from reidstream.config.secrets import filled_in, secret
from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.gallery.database import place_of
from reidstream.identities.outbox import append_events
from reidstream.identities.people import prepare
from reidstream.sources import source_ids
from reidstream.types import EmbeddingSpace
from tests.slow import first_quick

SPACE = EmbeddingSpace("a", "a", 4)
PASSWORD = "p@ss/w:rd?"


def test_secrets_are_read_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("CAM", PASSWORD)
    for named in (f"{{file:{file}}}", "{env:CAM}"):
        address = filled_in(f"rtsp://viewer:{named}@10.0.0.5/stream")
        assert address == "rtsp://viewer:p%40ss%2Fw%3Ard%3F@10.0.0.5/stream"
        url = place_of(f"postgresql://shop:{named}@host/name").url
        assert url is not None
        assert url.password == PASSWORD
        assert PASSWORD not in str(place_of(f"postgresql://shop:{named}@host/name"))
        assert source_ids([SourceConfig(uri=f"rtsp://viewer:{named}@10.0.0.5/stream")]) == ["10.0.0.5-stream"]
    assert filled_in("rtsp://viewer@10.0.0.5/{stream}") == "rtsp://viewer@10.0.0.5/{stream}"


def test_a_secret_that_is_not_there_is_named_but_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the environment variable REIDSTREAM_NOT_SET holds no secret"):
        filled_in("rtsp://viewer:{env:REIDSTREAM_NOT_SET}@host/x")
    with pytest.raises(ConfigError, match=r"the file .*nowhere with a secret cannot be read: No such file"):
        secret("file", str(tmp_path / "nowhere"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="holds no secret"):
        secret("file", str(tmp_path / "empty"))


class Receiver(http.server.BaseHTTPRequestHandler):
    """Accepts events, and looks at the command line of who sends them."""

    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        child: subprocess.Popen[str] = self.server.child  # type: ignore[attr-defined]
        title = Path(f"/proc/{child.pid}/cmdline").read_bytes().decode()
        self.server.seen.append((title, self.headers["Authorization"]))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def eventful(tmp_path: Path) -> Path:
    """A gallery in which something has happened."""
    path = tmp_path / "shop"
    config = GalleryConfig(index="exact")
    with Gallery.open(path, write=True, create=True, space=SPACE, config=config) as gallery:
        prepare(gallery)
        with gallery.write() as connection:
            append_events(connection, [("IdentitiesResolved", {"people": 1})])
    return path


@pytest.mark.parametrize("given", first_quick(["{env:HOOK}", "{file:PLACE}", "p%40ss%2Fw%3Ard%3F"]))
def test_the_list_of_processes_shows_no_password_and_the_receiver_gets_it(
    eventful: Path, receiver: Any, tmp_path: Path, given: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{PASSWORD}\n")
    word = given.replace("PLACE", str(file))
    address = f"http://user:{word}@127.0.0.1:{receiver.server_port}/hook"
    command = [sys.executable, "-m", "reidstream", "events", "--gallery", str(eventful), "--webhook", address]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOOK": PASSWORD}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    receiver.child = child
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0, output
    ((title, authorization),) = receiver.seen
    assert "--webhook" in title
    assert PASSWORD not in title
    assert "p%40ss" not in title
    assert authorization == "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != file)
    assert PASSWORD.encode() not in stored
    assert b"p%40ss" not in stored


def test_commands_do_not_print_the_password_of_a_database(postgres: str) -> None:
    address = postgres.replace("postgres:@", "postgres:geheim@")
    assert address != postgres
    runner = CliRunner()
    with Gallery.open(address, write=True, create=True, space=SPACE):
        pass
    for command in (["gallery", "rebuild"], ["gallery", "info"], ["gallery", "check"]):
        for form in ([], ["--json"]):
            done = runner.invoke(app, [*command, "--gallery", address, *form])
            assert done.exit_code == 0, done.output
            assert "geheim" not in done.output
            assert not form or json.loads(done.stdout)
