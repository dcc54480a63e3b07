"""A command that is kept running, as actors of a cluster do it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from reidstream.children import environment
from reidstream.cluster.keeping import Kept
from reidstream.cluster.opening import opened
from reidstream.config import Config
from tests.cluster.processes import wait_until
from tests.cluster.replays import recorded, walks_of


def words(folder: Path, url: str) -> list[str]:
    """A worker that reads one camera."""
    camera = recorded(folder, "door", walks_of(1, 5, 300), seconds=1300, live=True)
    (folder / "settings.toml").write_text("[workers]\nlease_seconds = 2\n")
    return ["worker", "--gallery", url, "--engine", "replay", "--cameras", str(camera)]


def readers(url: str) -> list[str]:
    """The workers whose leases hold."""
    query = "SELECT worker FROM leases WHERE state = 'running' AND until > clock_timestamp()"
    with opened(url, Config(), None) as there, there.database.read() as connection:
        return list(connection.execute(text(query)).scalars())


def made(url: str) -> bool:
    from reidstream.errors import GalleryNotFound

    try:
        return bool(readers(url))
    except GalleryNotFound:
        return False


@pytest.mark.slow
def test_it_is_started_again_until_it_is_stopped_and_then_ends_in_the_orderly_way(
    tmp_path: Path, postgres: str
) -> None:
    settings = {"settings.toml": b"[workers]\nlease_seconds = 2\n"}
    kept = Kept([*words(tmp_path, postgres), "--config", "{folder}/settings.toml"], settings)
    try:
        wait_until(lambda: made(postgres), "the camera to be read")
        first = kept.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        # The lease of who was killed holds for a while, and its number is still that of the command at first.
        wait_until(lambda: kept.pid not in {None, first}, "another process")
        wait_until(lambda: any(f"-{kept.pid}-" in worker for worker in readers(postgres)), "it to be read again")
        assert (kept.starts, kept.status) == (2, -signal.SIGKILL)
    finally:
        assert kept.stop() == 0
    assert kept.pid is None
    # It gave back what it had read.
    assert readers(postgres) == []


@pytest.mark.slow
def test_a_command_whose_starter_was_killed_ends_in_the_orderly_way(tmp_path: Path, postgres: str) -> None:
    given = [*words(tmp_path, postgres), "--set", "workers.lease_seconds=300"]
    program = f"import time\nfrom reidstream.cluster.keeping import Kept\nkept = Kept({given!r})\ntime.sleep(3600)\n"
    starter = subprocess.Popen([sys.executable, "-c", program], env=environment())
    wait_until(lambda: made(postgres), "the camera to be read")
    starter.kill()
    starter.wait()
    # Its lease holds for minutes yet; it has given it back.
    wait_until(lambda: readers(postgres) == [], "the camera to be given back")
