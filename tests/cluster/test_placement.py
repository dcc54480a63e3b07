"""Workers on a real Ray cluster of this machine, with fractions of its processors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from reidstream.children import command_of, environment
from reidstream.cluster.opening import opened
from reidstream.config import Config
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import State
from reidstream.identities.people import list_people
from tests.cluster.processes import Command, wait_until
from tests.cluster.replays import recorded, walks_of
from tests.cluster.storm import undisturbed
from tests.postgres import PostgresServer
from tests.server.process import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SHARES = ("--cpus", "0.25", "--engine", "replay")
QUICK = ("--set", "workers.lease_seconds=2")


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[tuple[str, str]]:
    """The address of a Ray cluster of one machine with two processors, and the one for who is not part of it."""
    pytest.importorskip("ray", reason="needs Ray (.ci/ray installs it)")
    # Sockets have short names: not below pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    port, outside = free_port(), free_port()
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    start = ["start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", f"--temp-dir={folder}"]
    start.append(f"--ray-client-server-port={outside}")
    kept = {**environment(), "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    # A loaded machine takes longer than half a minute to begin the process that serves who is outside.
    kept |= {"RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "200"}
    log = folder.with_suffix(".log")
    with log.open("wb") as said:
        head = subprocess.Popen([*ray, *start, "--block"], env=kept, stdout=said, stderr=said)
    try:
        wait_until(lambda: "Ray runtime started" in log.read_text() or head.poll() is not None, "Ray to start")
        assert head.poll() is None, log.read_text()
        yield f"127.0.0.1:{port}", f"ray://127.0.0.1:{outside}"
    finally:
        head.terminate()
        head.wait(60)
        shutil.rmtree(folder, ignore_errors=True)
        log.unlink()


class Asked:
    """``reidstream cluster`` on one gallery."""

    def __init__(self, folder: Path, url: str, address: str, outside: str) -> None:
        self.outside = outside
        self.url, self._folder, self._words = url, folder, ("--gallery", url, "--address", address)
        self.commands: list[Command] = []

    def run(self, *words: str) -> Command:
        log = self._folder / f"cluster{len(self.commands)}.log"
        command = Command(log, "cluster", "run", *words, *self._words, *SHARES, *QUICK)
        self.commands.append(command)
        return command

    def say(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = command_of("reidstream", "cluster", verb, *self._words, *words)
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240, check=False)

    def status(self) -> dict[str, Any]:
        said = self.say("status", "--json")
        found: dict[str, Any] = json.loads(said.stdout)
        assert said.returncode == (1 if found["troubles"] else 0), said.stderr
        return found

    def rows(self, query: str) -> list[Any]:
        with opened(self.url, Config(), None) as there, there.database.read() as connection:
            return list(connection.execute(text(query)).all())

    def readers(self) -> dict[str, str]:
        """Who reads each source, of those whose lease holds."""
        query = "SELECT source, worker FROM leases WHERE state = 'running' AND until > clock_timestamp()"
        return {row.source: row.worker for row in self.rows(query)}


@pytest.fixture
def asked(tmp_path: Path, postgres: str, ray_cluster: tuple[str, str]) -> Iterator[Asked]:
    made = Asked(tmp_path, postgres, *ray_cluster)
    yield made
    for command in made.commands:
        if command.running:
            command.kill()
    made.say("stop")


def listed(folder: Path, cameras: list[Path]) -> Path:
    """A list of cameras as a user keeps it, replaced whole."""
    table = "\n".join(f'[[sources]]\nuri = "{path}"\nname = "{path.stem}"\n' for path in cameras)
    (folder / "new.toml").write_text(table)
    return (folder / "new.toml").replace(folder / "cameras.toml")


def test_cameras_are_served_again_whatever_is_killed_and_the_list_is_followed(asked: Asked, tmp_path: Path) -> None:
    cameras = [recorded(tmp_path, f"live{n}", walks_of(n, 6, 400), seconds=1602, live=True) for n in range(3)]
    run = asked.run(str(listed(tmp_path, cameras[:2])), "--most", "1")
    wait_until(lambda: "in the list" in run.said or not run.running, "the list")
    wait_until(lambda: len(asked.readers()) == 2, "two cameras to be read")
    placed = {one["name"]: one for one in asked.status()["placed"]}
    assert sorted(placed) == ["decider", "worker-0001", "worker-0002"]

    # The worker's process: its actor starts it again.
    before = asked.readers()
    os.kill(placed["worker-0001"]["process"], signal.SIGKILL)
    wait_until(
        lambda: len(now := asked.readers()) == 2 and len(set(now.items()) - set(before.items())) == 1, "both again"
    )
    # The actor: Ray places it again, and the process that it leaves drains by itself.
    os.kill(placed["worker-0002"]["actor"], signal.SIGKILL)
    wait_until(lambda: len(now := asked.readers()) == 2 and not set(now.items()) & set(before.items()), "both again")
    wait_until(lambda: asked.rows("SELECT id FROM tracklets OFFSET 20"), "tracklets")

    # One camera more, and one less.
    listed(tmp_path, cameras[1:])
    wait_until(lambda: sorted(asked.readers()) == ["live1", "live2"], "the new list")
    wait_until(lambda: not asked.rows("SELECT name FROM worker_sources WHERE name = 'live0'"), "one to leave the list")
    assert asked.rows("SELECT id FROM tracklets WHERE source = 'live0'")

    # Whoever placed them is killed: everything goes on, and is found again.
    held = asked.readers()
    run.kill()
    again = asked.run(str(tmp_path / "cameras.toml"), "--most", "1")
    wait_until(lambda: "in the list" in again.said or not again.running, "the list")
    # The one that was killed is spoken of for a while; nothing else is wrong.
    (trouble,) = asked.status()["troubles"]
    assert f"-{placed['worker-0001']['process']}-" in trouble
    assert asked.readers() == held
    again.kill()
    # With other settings those that were placed before are replaced: one worker reads both cameras.
    other = asked.run(str(tmp_path / "cameras.toml"), "--most", "2")
    wait_until(lambda: "drained" in other.said or not other.running, "the former to be drained")
    wait_until(lambda: len(set(asked.readers().values())) == 1 and len(asked.readers()) == 2, "one worker")
    assert [one["name"] for one in asked.status()["placed"]] == ["decider", "worker-0001"]
    assert other.end() == 0, other.said
    assert asked.readers() == {}
    assert asked.status()["placed"] == []
    with Gallery.open(asked.url) as gallery:
        assert all(recording.state is State.STOPPED for recording in gallery.sources())
        told = {person.id: person.tracklets for person in list_people(gallery)}
        everybody = [tracklet for tracklets in told.values() for tracklet in tracklets]
        # Draining ends with who decides: nothing that was stored waits, and nothing is there twice.
        assert sorted(everybody) == sorted(gallery.rows().id.tolist())
        assert gallery.check().problems == []


def test_a_pile_ends_with_the_gallery_of_one_machine(
    asked: Asked, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    files = [recorded(tmp_path, f"c{n}", walks_of(n, 8, 10), seconds=42, wall=1e9 + 60 * n) for n in range(6)]
    calm = tmp_path / "calm"
    calm.mkdir()
    words = [word for path in files for word in ("--cameras", str(path))]
    ids, people = undisturbed(calm, postgres_server.new_database(), words)
    run = asked.run(*map(str, files), "--speed", "8", "--workers", "2")
    wait_until(lambda: "at a time" in run.said or not run.running, "the pile to begin")
    # One of the tasks' workers is killed on the way.
    wait_until(lambda: run.said and asked.rows("SELECT id FROM tracklets OFFSET 3"), "tracklets")
    (victim,) = asked.rows("SELECT name FROM workers WHERE role = 'worker' ORDER BY name LIMIT 1")
    os.kill(int(victim.name.split("-")[-2]), signal.SIGKILL)
    assert run.child.wait(240) == 0, run.said
    assert "6 videos done" in run.said
    with Gallery.open(asked.url) as gallery:
        assert set(gallery.rows().id.tolist()) == ids
        assert len(gallery.rows()) == len(ids)
        assert {frozenset(person.tracklets) for person in list_people(gallery)} == people
    assert asked.rows("SELECT * FROM inbox") == []
    # The same again changes nothing.
    assert asked.run(*map(str, files), "--speed", "0").child.wait(240) == 0
    with Gallery.open(asked.url) as gallery:
        assert set(gallery.rows().id.tolist()) == ids


def test_cameras_in_the_list_have_no_end_that_a_pile_could_wait_for(asked: Asked, tmp_path: Path) -> None:
    camera = recorded(tmp_path, "live", walks_of(1, 3, 5), seconds=22, live=True)
    first = asked.run(str(camera), "--speed", "0")
    assert first.child.wait(240) == 0, first.said
    with opened(asked.url, Config(), None) as there, there.database.write() as connection:
        connection.execute(text("UPDATE worker_sources SET live = true"))
    second = asked.run(str(recorded(tmp_path, "more", walks_of(2, 3, 5), seconds=22)))
    assert second.child.wait(240) == 2
    assert "which have no end" in second.said.replace("\n", " ")
    # Asked from outside of the cluster.
    shown = asked.say("status", "--json", "--address", asked.outside)
    assert shown.stdout, shown.stderr
    found = json.loads(shown.stdout)
    assert [machine["cpus"] for machine in found["machines"]] == [2.0]
    assert found["placed"] == []
