"""A server erases what is due, says beforehand what that is, and tells everybody who keeps people in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app as cli
from reidstream.config import Config, RetentionConfig
from reidstream.gallery import Gallery
from reidstream.server.access.roles import Role
from reidstream.server.desk import Desk
from tests.server.conftest import VISITS, Asking, Client
from tests.server.process import Served, made_gallery


@pytest.fixture
def desk(gallery: Gallery) -> Iterator[Desk]:
    made = Desk(gallery, Config(retention=RetentionConfig(cameras={"a": 30})))
    made.settle()
    yield made
    made.close()


def test_what_is_due_is_said_erased_and_gone_from_every_list(owner: Asking, desk: Desk, user: Client) -> None:
    before = owner.get("/retention")
    assert (before["due"]["visits"], before["due"]["people"], before["runs"]) == (4, 1, [])
    assert before["rules"]["cameras"] == {"a": 30.0}
    assert before["next"] > desk.begun
    user(Role.OPERATOR).post("/retention", status=403)
    user(Role.ADMIN, ["a"]).get("/retention", 403)
    job = owner.post("/retention", status=202)
    desk.jobs.wait(job["id"])
    done = owner.get(f"/jobs/{job['id']}")
    assert (done["state"], done["result"]["visits"], done["result"]["proven"]) == ("done", 4, True)
    people = owner.people()
    assert [person["cameras"] for person in people.values()] == [["b"], ["b"]]
    after = owner.get("/retention")
    assert (after["due"]["visits"], after["runs"][0]["state"]) == (0, "done")
    log = owner.get("/log")["entries"]
    assert any(entry["action"] == "erased what was due" for entry in log)


def test_it_is_due_when_its_hour_has_come(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not desk.retention_due()
    # A day later.
    now = desk.begun + 86_400.0
    monkeypatch.setattr("reidstream.server.desk.time.time", lambda: now)
    assert desk.retention_due()


@pytest.mark.usefixtures("unproven")
def test_a_server_without_rules_says_so(gallery: Gallery, tmp_path: Path, monkeypatch: Any) -> None:
    gallery.close()
    with Served(made_gallery(tmp_path / "shop", VISITS)) as running:
        done = CliRunner().invoke(cli, ["retention", "run", "--yes", "--gallery", str(running.gallery)])
        assert "no rules" in str(done.exception)
    with Served(made_gallery(tmp_path / "other", VISITS), "--set", "retention.days=30") as running:
        # What was never done with these rules waits for its hour; the command does it now.
        done = CliRunner().invoke(cli, ["retention", "plan", "--gallery", str(running.gallery)])
        assert "due: 6 visits" in done.output
        done = CliRunner().invoke(cli, ["retention", "run", "--yes", "--gallery", str(running.gallery)])
        assert "proof" in done.output, (done.output, done.exception)
        done = CliRunner().invoke(
            cli, ["retention", "run", "--yes", "--set", "retention.days=3", "--gallery", str(running.gallery)]
        )
        assert "its own configuration" in str(done.exception)
