"""The server as a process: its socket, its ends, and commands that go through it by themselves."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.client import Client
from reidstream.errors import ConfigError, GalleryLocked, IdentityChanged, NotAuthenticated, PersonNotFound
from reidstream.gallery import Gallery
from reidstream.identities.archive import export_gallery
from reidstream.identities.people import list_people
from reidstream.server.place import SETUP_FILE, SOCKET_FILE, is_served
from tests.server.conftest import IDS, PASSWORD, VISITS
from tests.server.process import Served, made_gallery


def command(gallery: str | Path, *words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*words, "--gallery", str(gallery), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.output


@pytest.mark.slow
def test_commands_go_through_the_server_that_owns_the_gallery(tmp_path: Path) -> None:
    # A path that is too long for the address of a socket.
    folder = tmp_path / ("a long name " * 8)
    elsewhere = tmp_path / "exported"
    with Gallery.open(made_gallery(tmp_path / "other", [(7, "c", 0, 5)])) as other:
        export_gallery(other, elsewhere)
    with Served(made_gallery(folder, VISITS)) as served:
        assert stat.S_IMODE((folder / SOCKET_FILE).stat().st_mode) == 0o600
        with pytest.raises(GalleryLocked):
            Gallery.open(folder, write=True)
        people = {p["number"]: p for p in command(folder, "people", "list")["people"]}
        assert set(people) == {1, 2, 3}
        assert command(folder, "people", "label", "1", "--name", "Ann")["summary"] == "labelled person 1 'Ann'"
        command(folder, "people", "merge", "2", "3")
        command(folder, "people", "undo")
        command(folder, "people", "split", "Ann", IDS[2][:30])
        command(folder, "people", "move", IDS[2], "Ann")
        command(folder, "people", "reject", IDS[4], "2")
        command(folder, "people", "undo")
        assert {p["number"] for p in command(folder, "people", "list")["people"]} >= {1, 2, 3}
        kinds = [o["kind"] for o in command(folder, "people", "history")["operations"]]
        assert {"label", "merge", "undo", "split", "move", "reject"} <= set(kinds)
        assert command(folder, "people", "resolve", "--yes")["applied"] is True
        assert command(folder, "gallery", "rebuild")["tracklets"] == len(IDS)
        assert command(folder, "gallery", "import", str(elsewhere))["tracklets"] == 1
        assert command(folder, "gallery", "import", str(elsewhere))["tracklets"] == 0
        assert command(folder, "gallery", "erase", IDS[3], "--yes")["proven"] is True
        done = command(folder, "people", "erase", "Ann", "--yes")
        assert done["people"] >= 1
        assert done["proven"] is True
        with pytest.raises(ConfigError, match="author"):
            command(folder, "people", "label", "2", "--name", "Ben", "--author", "somebody")
        assert served.end(signal.SIGINT) == 0
    assert not is_served(folder)
    assert not (folder / SOCKET_FILE).exists()
    command(folder, "people", "label", "2", "--name", "Ben")


@pytest.mark.slow
def test_a_server_elsewhere_is_asked_with_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Served(made_gallery(tmp_path / "shop", VISITS)) as served:
        secret = served.setup_link.split("#")[1]
        assert secret not in served.said
        assert stat.S_IMODE((served.gallery / SETUP_FILE).stat().st_mode) == 0o600
        wanted = {"secret": secret, "name": "grace", "password": PASSWORD}
        with httpx.Client(base_url=served.address, headers={"Origin": served.address}) as browser:
            assert browser.post("/api/v1/setup", json=wanted).status_code == 200
            made = browser.post("/api/v1/tokens", json={"name": "test", "role": "reviewer"}).json()
        with pytest.raises(NotAuthenticated):
            command(served.address, "people", "list")
        monkeypatch.setenv("REIDSTREAM_TOKEN", made["token"])
        assert command(served.address, "people", "list")["total"] == 3
        assert len(command(served.address, "people", "show", "1")["tracklets"]) == 3
        command(served.address, "people", "label", "1", "--name", "Ann")
        assert command(served.address, "gallery", "list", "--limit", "2")["tracklets"][0]["id"] == IDS[0]
        assert command(served.address, "gallery", "show", IDS[0][:31])["id"] == IDS[0]
        assert command(served.address, "search", IDS[0])["verdict"] == "given"
        assert command(served.address, "gallery", "info")["tracklets"] == 6
        with pytest.raises(PersonNotFound, match="Zoe"):
            command(served.address, "people", "show", "Zoe")
        with Client(served.address, token=made["token"]) as client:
            ann = client.person("Ann")
            with pytest.raises(IdentityChanged) as refused:
                client.decide(
                    "confirm", person=ann["id"], tracklets=[IDS[0]], seen={IDS[0]: "somebody else", IDS[2]: ann["id"]}
                )
            assert refused.value.now == {IDS[0]: ann["id"]}
            assert client.crop(IDS[0], 64)[:2] == b"\xff\xd8"
            with contextlib.closing(client.follow(after=0)) as follower:
                assert next(follower)["seq"] == 1
        assert served.end() == 0


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("curl")), reason="needs openssl and curl")
def test_a_server_with_a_certificate_of_its_own_is_reached_by_whoever_trusts_it(tmp_path: Path) -> None:
    certificate, key = tmp_path / "shop.pem", tmp_path / "shop.key"
    words = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-nodes"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", key, "-out", certificate, *words]
    subprocess.run(made, check=True, capture_output=True)
    given = ("--certificate", str(certificate), "--key", str(key))
    with Served(made_gallery(tmp_path / "shop", VISITS), *given, authority=certificate) as served:

        def curl(*more: str) -> subprocess.CompletedProcess[str]:
            command = ["curl", "--silent", "--show-error", "--noproxy", "*", *more]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

        assert curl("--cacert", str(certificate), f"{served.address}/readyz").stdout == "ready\n"
        assert "certificate" in curl(f"{served.address}/readyz").stderr
        assert re.fullmatch(r"https://localhost:[1-9]\d+", served.address)
        assert curl(f"http{served.address.removeprefix('https')}/readyz").returncode != 0
        assert served.setup_link.startswith(f"{served.address}/setup#")
        wanted = {"secret": served.setup_link.split("#")[1], "name": "grace", "password": PASSWORD}
        sent = ("--json", json.dumps(wanted), "-H", f"Origin: {served.address}", f"{served.address}/api/v1/setup")
        answered = curl("--cacert", str(certificate), "--include", *sent).stdout.lower()
        (cookie,) = [line for line in answered.splitlines() if line.startswith("set-cookie:")]
        assert "set-cookie: __host-" in cookie
        assert {"secure", "httponly", "samesite=lax"} <= {part.strip() for part in cookie.split(";")}
        assert served.end() == 0


@pytest.mark.slow
def test_a_server_that_was_killed_leaves_nothing_behind_that_hinders_the_next(tmp_path: Path) -> None:
    folder = made_gallery(tmp_path / "shop", VISITS)
    with Served(folder) as first:
        command(folder, "people", "label", "1", "--name", "Ann")
        first.end(signal.SIGKILL)
    assert (folder / SOCKET_FILE).exists()
    assert not is_served(folder)
    with Served(folder) as second:
        assert command(folder, "people", "show", "Ann")["number"] == 1
        assert second.end() == 0
    with Gallery.open(folder) as gallery:
        assert len(list_people(gallery)) == 3


def test_nobody_listens_beyond_this_machine_before_somebody_has_a_password(tmp_path: Path) -> None:
    folder = made_gallery(tmp_path / "shop", VISITS)
    done = CliRunner().invoke(app, ["serve", "--gallery", str(folder), "--host", "0.0.0.0", "--port", "18499"])
    assert isinstance(done.exception, ConfigError)
    assert "password" in str(done.exception)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_people_are_corrected_while_a_camera_runs_and_stopping_loses_nothing(tmp_path: Path) -> None:
    scene, folder = tmp_path / "scene", tmp_path / "shop"
    made = CliRunner().invoke(
        app, ["synth", str(scene), "--cameras", "1", "--people", "4", "--minutes", "0.4", "--seed", "5"]
    )
    assert made.exit_code == 0, made.output
    (video,) = scene.glob("cam*/*.mp4")
    with Served(folder, str(video)) as served:
        with served.owner() as owner:
            followed = owner.follow(after=0)
            with contextlib.closing(followed):
                first = next(event for event in followed if event["kind"] == "IdentityCreated")
            (source,) = owner.get("/sources")["sources"]
            assert source["state"] == "running"
            owner.label(first["person"], name="Ann")
            assert owner.person("Ann")["id"] == first["person"]
        assert served.end() == 0
    with Gallery.open(folder, write=True) as gallery:
        assert gallery.check().problems == []
        (recording,) = gallery.sources()
        assert recording.state in {"stopped", "complete"}
        people = list_people(gallery)
        assert sum(len(person.tracklets) for person in people) == len(gallery) >= 1
        assert "Ann" in {person.name for person in people}
