"""What was kept long enough goes, what was not stays, and the log says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidstream.children import environment
from reidstream.cli.app import app
from reidstream.config import RetentionConfig, load_config
from reidstream.errors import ConfigError, TrackletNotFound
from reidstream.gallery import Gallery
from reidstream.identities.people import assign, create_person, list_people, prepare
from reidstream.identities.review import Review
from reidstream.retention import due_now, next_run, retain, runs_of
from reidstream.types import LeftOut, LeftOutReason
from tests.identities.conftest import Fill, Visit, made_tracklet

DAY = 86_400.0
NOW = 100 * DAY


def ago(person: int, camera: str, days: float) -> Visit:
    return (person, camera, NOW - days * DAY - 10, NOW - days * DAY)


# Ann (1) has come for long, Ben (2) only long ago, Cleo (3) is new.
VISITS = [ago(1, "door", 40), ago(1, "door", 2), ago(2, "door", 31), ago(2, "till", 30.5), ago(3, "till", 8)]
IDS = [made_tracklet(*visit).id for visit in VISITS]


def given(gallery: Gallery, named: tuple[int, ...] = ()) -> None:
    prepare(gallery)
    with gallery.write() as connection:
        owners: dict[int, str] = {}
        for visit, id in zip(VISITS, IDS, strict=True):
            if visit[0] not in owners:
                owners[visit[0]] = create_person(connection, id)
            assign(connection, [(id, owners[visit[0]], 0.9)])
    for person in named:
        Review(gallery, "grace").label(owners[person], f"Somebody {person}")


def left(gallery: Gallery) -> set[int]:
    return {IDS.index(id) for id in gallery.rows().id.tolist()}


def due_of(gallery: Gallery, **rules: Any) -> set[int]:
    return {IDS.index(id) for id in due_now(gallery, RetentionConfig(**rules), NOW).tracklets}


@pytest.mark.setting("retention.days", "retention.cameras", "retention.named_days")
def test_what_is_due_is_decided_by_camera_and_by_name(fill: Fill) -> None:
    gallery = fill(VISITS)
    given(gallery, named=(2,))
    assert due_of(gallery, days=30) == {0, 2, 3}
    assert due_of(gallery, days=30, cameras={"till": 7}) == {0, 2, 3, 4}
    assert due_of(gallery, cameras={"till": 7}) == {3, 4}
    assert due_of(gallery, days=30, cameras={"door": float("inf")}) == {3}
    # Ben has a name: he is kept longer than others, or shorter, whatever the camera.
    assert due_of(gallery, days=30, named_days=365) == {0}
    assert due_of(gallery, named_days=30.8) == {2}
    assert due_of(gallery, days=1, named_days=float("inf")) == {0, 1, 4}
    assert due_of(gallery) == set()


def test_it_is_said_beforehand_who_goes_with_their_last_visit(fill: Fill) -> None:
    gallery = fill(VISITS)
    given(gallery, named=(2,))
    due = due_now(gallery, RetentionConfig(days=30, cameras={"till": 100}), NOW)
    # Ann and Ben have visits that stay.
    assert (len(due.tracklets), due.people, due.named, due.kept) == (2, 0, 0, 3)
    due = due_now(gallery, RetentionConfig(days=30), NOW)
    assert (due.people, due.named) == (1, 1)
    door, till = due.cameras
    assert (door.camera, door.days, door.visits, door.named) == ("door", 30, 2, 1)
    assert (till.visits, till.first, till.last) == (1, VISITS[3][2], VISITS[3][3])
    assert not any(id in json.dumps(due.as_dict()) for id in IDS)


def test_what_is_due_is_erased_with_proof_and_the_log_says_so(fill: Fill) -> None:
    gallery = fill(VISITS)
    given(gallery, named=(2,))
    gallery.leave_out([unstored("a", 50), unstored("b", 1)])
    done = retain(gallery, RetentionConfig(days=30), "grace", now=lambda: NOW)
    assert (done["visits"], done["people"], done["left_out"], done["proven"]) == (3, 1, 1, True)
    assert left(gallery) == {1, 4}
    assert [one.id for one in gallery.left_out()] == ["b"]
    assert [len(person.tracklets) for person in list_people(gallery)] == [1, 1]
    (run,) = runs_of(gallery)
    assert (run.state, run.who, run.tracklets, run.people, run.proven) == ("done", "grace", 3, 1, True)
    assert run.rules == {"days": 30.0, "named_days": None, "cameras": {}}
    # The second time nothing is due, and that is said as well.
    again = retain(gallery, RetentionConfig(days=30), "grace", now=lambda: NOW)
    assert (again["visits"], again["proven"]) == (0, None)
    assert [run.state for run in runs_of(gallery)] == ["done", "done"]


def unstored(id: str, days: float) -> LeftOut:
    times = (NOW - days * DAY - 5, NOW - days * DAY)
    frames = {"start_frame": 0, "end_frame": 9, "start_media": 0.0, "end_media": 5.0}
    return LeftOut(
        id=id,
        source="door",
        content="content of door",
        track_id=7,
        part=0,
        why=LeftOutReason.TOO_SHORT,
        start_wall=times[0],
        end_wall=times[1],
        observations=2,
        confidence=0.5,
        quality=None,
        box=(0.0, 0.0, 1.0, 1.0),
        **frames,
    )


@pytest.mark.usefixtures("unproven")
def test_who_is_erased_by_somebody_else_meanwhile_does_not_stop_it(fill: Fill) -> None:
    gallery = fill(VISITS)
    given(gallery)
    asked: list[int] = []

    def erase(ids: Any, *, left_out: Any) -> Any:
        asked.append(len(ids))
        if len(asked) == 1:
            gallery.erase([IDS[0]])
            raise TrackletNotFound("gone; nothing was erased")
        return gallery.erase(ids, left_out=left_out)

    done = retain(gallery, RetentionConfig(days=30), "grace", erase, now=lambda: NOW)
    assert (asked, done["visits"], left(gallery)) == ([3, 2], 2, {1, 4})
    assert [run.state for run in runs_of(gallery)] == ["done", "failed"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_is_killed_is_taken_up_by_the_next_one(fill: Fill, moment: str) -> None:
    gallery = fill(VISITS)
    given(gallery, named=(2,))
    folder = gallery.place.folder
    assert folder is not None
    gallery.close()
    code = f"""
import os, signal
from reidstream.config import RetentionConfig
from reidstream.gallery import Gallery, erasing
from reidstream.retention import retain

def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

gallery = Gallery.open({str(folder)!r}, write=True)
if {moment!r} == "before":
    erasing.find_traces = die
else:
    erasing._fold_log = die
retain(gallery, RetentionConfig(days=30), "grace", now=lambda: {NOW})
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment())
    assert child.returncode == -signal.SIGKILL, child.stderr
    with Gallery.open(folder, write=True) as opened:
        # All of it or nothing, and nothing in between.
        assert left(opened) == ({0, 1, 2, 3, 4} if moment == "before" else {1, 4})
        assert next_run(opened, RetentionConfig(days=30), since=NOW + 1, now=NOW + 1) == NOW + 1
        done = retain(opened, RetentionConfig(days=30), "grace", now=lambda: NOW)
        assert left(opened) == {1, 4}
        assert done["visits"] == (3 if moment == "before" else 0)
        assert [(run.state, run.tracklets) for run in runs_of(opened)] == [("done", done["visits"]), ("interrupted", 3)]
        assert opened.check().problems == []
    for path in filter(Path.is_file, folder.rglob("*")):
        data = path.read_bytes()
        assert IDS[2].encode() not in data
        assert b"Somebody 2" not in data


@pytest.mark.usefixtures("unproven")
@pytest.mark.setting("retention.hour")
def test_a_server_erases_once_a_day_in_its_hour_and_new_rules_wait_for_it(fill: Fill) -> None:
    gallery = fill(VISITS)
    rules = RetentionConfig(days=30, hour=4)

    def clock(day: int, hour: int) -> float:
        return time.mktime((2026, 3, day, hour, 0, 0, 0, 0, -1))

    assert next_run(gallery, RetentionConfig(), clock(1, 0), clock(1, 1)) is None
    assert next_run(gallery, rules, clock(1, 6), clock(1, 7)) == clock(2, 4)
    retain(gallery, rules, "retention", now=lambda: clock(2, 4))
    assert next_run(gallery, rules, clock(1, 6), clock(2, 5)) == clock(3, 4)
    # A server that was not there in its hour does it when it is back; with other rules it waits.
    assert next_run(gallery, rules, clock(5, 9), clock(5, 9)) == clock(3, 4)
    assert next_run(gallery, RetentionConfig(days=5, hour=7), clock(5, 9), clock(5, 9)) == clock(6, 7)

    def refuse(ids: Any, *, left_out: Any) -> Any:
        raise OSError("no space left")

    due = RetentionConfig(days=0.001, hour=4)
    other = fill(VISITS, name="other")
    with pytest.raises(OSError, match="no space"):
        retain(other, due, "retention", refuse, now=lambda: NOW)
    assert runs_of(other)[0].state == "failed"
    assert next_run(other, due, 0.0, NOW) == NOW + 3600


def test_the_commands_say_what_they_would_do_do_it_and_keep_account(fill: Fill) -> None:
    gallery = fill(VISITS)
    folder = str(gallery.place.folder)
    gallery.close()
    run = CliRunner()

    def said(*words: str) -> Any:
        done = run.invoke(app, ["retention", *words, "--gallery", folder])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    # All of it was seen in 1970.
    plan = said("plan", "--set", "retention.days=30", "--set", "retention.cameras.till=inf")
    assert "for ever" in plan
    assert "due: 3 visits" in plan
    assert "nothing was erased by rules yet" in said("log")
    refused = run.invoke(app, ["retention", "run", "--gallery", folder, "--set", "retention.days=30"], input="n\n")
    assert refused.exit_code == 1
    with Gallery.open(folder) as opened:
        assert len(opened) == 5
    done = json.loads(said("run", "--set", "retention.days=30", "--yes", "--json"))
    assert (done["visits"], done["proven"]) == (5, True)
    assert "all 30.0 d" in said("log")
    assert "nothing is due" in said("run", "--set", "retention.days=30", "--yes")
    with pytest.raises(ConfigError, match="no rules"):
        run.invoke(app, ["retention", "run", "--gallery", folder, "--yes"], catch_exceptions=False)
    for wrong in ("retention.days=0", "retention.hour=24", "retention.cameras.till=-1"):
        with pytest.raises(ConfigError, match="retention"):
            load_config(None, [wrong])
    assert os.path.isdir(folder)
