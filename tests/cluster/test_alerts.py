"""Rules of alerts where workers read and one process decides."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from reidstream.alerts import Alerts
from reidstream.cli.app import app
from reidstream.cluster import in_view
from reidstream.cluster.looking import Looking
from reidstream.cluster.schema import CLUSTER_MIGRATIONS
from reidstream.cluster.schema import in_view as table
from reidstream.cluster.stores import STORES
from reidstream.config import Config
from reidstream.gallery import Gallery
from reidstream.gallery.left_out import write as leave_out
from reidstream.gallery.personal import Subject
from reidstream.identities.outbox import events_after
from reidstream.server.desk import Desk
from reidstream.types import LeftOut, LeftOutReason, SourceStarted
from tests.alerts.conftest import sighting, track_of
from tests.cluster.processes import fleet, wait_until
from tests.cluster.replays import recorded
from tests.cluster.test_decider import decided
from tests.identities.conftest import SPACE, made_tracklet


def ruled(url: str, *words: str) -> None:
    """A gallery with a rule."""
    Gallery.open(url, write=True, create=True, space=SPACE).close()
    written = ["watch", "rule", "seen", "--purpose", "to be greeted", "--cooldown", "0", "--gallery", url, *words]
    done = CliRunner().invoke(app, written)
    assert done.exit_code == 0, done.output


def alerts_of(url: str) -> list[dict[str, Any]]:
    with Gallery.open(url) as gallery:
        return Alerts(gallery).page(1000)


@pytest.mark.slow
def test_whoever_is_in_view_of_a_worker_is_told_of_once_whoever_is_killed(tmp_path: Path, postgres: str) -> None:
    ruled(postgres, "--who", "anybody", "--camera", "door")
    walks = [(number + 1, 4.0 * number, 4.0 * number + 3.0) for number in range(15)]
    listed = [
        word for name in ("door", "hall") for word in ("--cameras", str(recorded(tmp_path, name, walks, seconds=62)))
    ]
    with fleet(tmp_path, postgres, speed=4) as running:
        first = running.decider()
        wait_until(lambda: "deciding who is who" in first.said, "the decider")
        worker = running.worker("--until-done", *listed)

        def in_view_now(besides: int) -> bool:
            found = alerts_of(postgres)
            return len(found) > besides and any(one["state"] == "raised" for one in found)

        wait_until(lambda: in_view_now(0), "an alert while somebody is in view")
        first.send(signal.SIGKILL)
        first.child.wait()
        second = running.decider()
        wait_until(lambda: "deciding who is who" in second.said, "another decider")
        before = len(alerts_of(postgres))
        wait_until(lambda: in_view_now(before), "the next alert")
        # Whoever takes its place reads the recording from its beginning.
        worker.kill()
        other = running.worker("--until-done")
        assert other.child.wait(180) == 0, running.logs()
        wait_until(lambda: decided(running, 30), "everybody to be decided on")
        wait_until(lambda: all(one["state"] == "confirmed" for one in alerts_of(postgres)), "all alerts to be settled")
        wait_until(lambda: len(alerts_of(postgres)) == 15, "an alert about everybody")
        assert second.end() == 0, running.logs()
    with Gallery.open(postgres) as gallery:
        told = [event for event in events_after(gallery, 0, 10_000) if event.kind.startswith("Alert")]
        with gallery.read() as connection:
            assert connection.execute(select(table.c.source)).all() == []
    assert {one["source"] for one in alerts_of(postgres)} == {"door"}
    assert Counter(event.kind for event in told) == {"AlertRaised": 15}
    assert len({event.payload["alert"] for event in told}) == 15
    # While they were in view: nothing was stored of them yet.
    assert any("tracklet" not in event.payload for event in told)


def test_what_a_worker_found_not_worth_storing_is_withdrawn(postgres: str) -> None:
    ruled(postgres, "--who", "anybody")
    with Gallery.open(postgres, write=True) as gallery:
        gallery.migrate("cluster", CLUSTER_MIGRATIONS)
        gallery.begin_source(SourceStarted("a", "a.mp4", "content of a", (640, 480), 10, 0.0), "settings")
        desk = Desk(gallery, Config())
        with Looking(desk):
            with gallery.write() as connection:
                in_view.put(connection, [sighting(3, 50.0, 1.0)])
                # A newer one without a picture leaves the one before.
                in_view.put(connection, [sighting(3, 50.0, 2.0, frame=None, frame_box=None)])
            (alert,) = wait_until(lambda: alerts_of(postgres), "the alert")
            assert (alert["state"], alert["why"]["seconds"], alert["frame"]) == ("raised", 2.0, True)
            short = LeftOutReason.TOO_SHORT
            left = ("0a", "a", "content of a", track_of(3, 50.0), 0, short, 0, 1, 50.0, 52.0, 50.0, 52.0, 2, 0.5)
            with gallery.write() as connection:
                leave_out(connection, [LeftOut(*left, None, (0.0, 0.0, 9.0, 9.0))])
            wait_until(lambda: alerts_of(postgres)[0]["state"] == "withdrawn", "it to be withdrawn")
        desk.close()


def test_a_sighting_that_cannot_be_read_keeps_nobody_from_the_next(postgres: str) -> None:
    ruled(postgres, "--who", "anybody")
    with Gallery.open(postgres, write=True) as gallery:
        gallery.migrate("cluster", CLUSTER_MIGRATIONS)
        with gallery.write() as connection:
            in_view.put(connection, [sighting(3, 50.0, 2.0), sighting(4, 60.0, 2.0)])
            connection.execute(table.update().where(table.c.track == str(track_of(3, 50.0))).values(payload=b"torn"))
        desk = Desk(gallery, Config())
        with Looking(desk):
            (alert,) = wait_until(lambda: alerts_of(postgres), "the alert")
            assert alert["media"] == 62.0

            def nothing_left() -> bool:
                with gallery.read() as connection:
                    return not in_view.waiting(connection, 10)

            wait_until(nothing_left, "both to be gone")
        desk.close()


def test_erasing_somebody_takes_out_who_is_in_view_beside_them(postgres: str) -> None:
    with Gallery.open(postgres, write=True, create=True, space=SPACE) as gallery:
        gallery.migrate("cluster", CLUSTER_MIGRATIONS)
        started = SourceStarted("door", "door.mp4", "content of door", (640, 480), 10, 0.0)
        gallery.begin_source(started, "settings")
        visit = made_tracklet(1, "door", 0.0, 5.0)
        gallery.add([visit])
        own = sighting(1, 0.0, 2.0, source="door")
        beside = sighting(2, 0.0, 2.0, source="door")
        with gallery.write() as connection:
            in_view.put(connection, [own, beside])
            connection.execute(table.update().where(table.c.track == str(own.track)).values(id=visit.id))
        (store,) = [one for one in STORES if one.tables == ("in_view",)]
        assert store.trace is not None
        with gallery.read() as connection:
            assert list(store.trace(connection, Subject((visit.id,)))) == ["1 rows of in_view"]
        assert gallery.erase([visit.id]).tracklets == 1
        with gallery.read() as connection:
            assert in_view.waiting(connection, 10) == []
