"""An engine that gives nothing any more and does not end, in a worker that is otherwise well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reidstream.cluster import sources as listing
from reidstream.cluster.opening import opened
from reidstream.config import Config, SourceConfig
from reidstream.engines.recording import Recorder
from reidstream.gallery import Gallery
from reidstream.types import Observed, SourceEnded, SourceStarted
from tests.cluster.processes import fleet, wait_until
from tests.cluster.replays import events, recorded, walks_of
from tests.identities.conftest import SPACE

EAGER = ("--set", "workers.checkpoint_seconds=0.2")
HASTY = (*EAGER, "--set", "workers.silent_seconds=2")


def stalling(folder: Path, source: str) -> Path:
    """A camera that shows two people for four seconds; the engine then waits for a frame that comes in eleven days."""
    path = folder / f"{source}.parquet"
    given = events(source, [(1, 0.0, 900.0), (2, 0.0, 900.0)], seconds=4, live=True)
    seen = [event for event in given if isinstance(event, SourceStarted | Observed)]
    last = seen[-1]
    assert isinstance(last, Observed)
    late = replace(last, frame=last.frame + 1, media_time=1e6, wall_time=last.wall_time + 1e6)
    with Recorder(path, SPACE) as record:
        for event in [*seen, late, SourceEnded(source, late.frame + 1, late.wall_time)]:
            record.write(event)
    return path


@pytest.mark.slow
@pytest.mark.setting("workers.silent_seconds")
def test_a_hung_engines_camera_is_taken_by_another_and_nothing_is_lost(tmp_path: Path, postgres: str) -> None:
    well = recorded(tmp_path, "well", walks_of(1, 5, 300), seconds=1300, live=True)
    with fleet(tmp_path, postgres) as running:
        first = running.worker("--cameras", str(well), *HASTY)
        wait_until(lambda: "reading well" in first.said or not first.running, "the first camera")
        door = SourceConfig(uri=str(stalling(tmp_path, "door")), name="door")
        with opened(postgres, Config(), None) as there, there.database.write() as connection:
            listing.add(connection, [door])
        wait_until(lambda: "reading door" in first.said, "the second camera")
        second = running.worker(*EAGER, "--set", "workers.silent_seconds=300")
        # What the engine had seen is stored by who takes its camera.
        wait_until(lambda: "reading door, 2 open tracks of its former worker stored" in second.said, "the takeover")
        assert "door gives nothing, and does not end" in first.said
        # The other camera is stored and given away in the orderly way; the process ends though a thread never does.
        assert first.child.wait(120) == 1, first.said
        assert "to be started again" in first.said.replace("\n", " ")
        wait_until(lambda: "reading well" in second.said, "the other camera")
        assert "reading well, " not in second.said
        (status,) = [source for source in running.status()["sources"] if source["name"] == "well"]
        assert (status["takeovers"], status["failures"]) == (0, 0)
    with Gallery.open(postgres) as gallery:
        rows = gallery.rows()
        assert rows.reason[rows.source == "door"].tolist() == ["shutdown", "shutdown"]
        assert (rows.source == "well").any()


@pytest.mark.slow
def test_a_camera_that_is_away_is_tried_anew_without_harm_to_its_worker(tmp_path: Path, postgres: str) -> None:
    """An engine that works ends a silent camera when it is asked to."""
    # Its frames are one and a half seconds apart.
    silent = recorded(tmp_path, "door", [(1, 0.0, 900.0)], seconds=900, fps=0.7, live=True)
    with fleet(tmp_path, postgres) as running:
        worker = running.worker("--cameras", str(silent), *EAGER, "--set", "workers.silent_seconds=1")
        wait_until(lambda: worker.said.count("reading door") > 2, "it to be tried anew")
        assert "gives nothing" not in worker.said
        assert worker.end() == 0
