"""How soon a listed person is told of, with real models on a camera at its own pace.

    python -m benchmarks.alerts_camera SCENE --gallery FOLDER [--camera NAME] [--seconds 60] [--json out.json]

SCENE: a folder that `reidstream synth` made; FOLDER: its gallery (benchmarks/regimes.py --kept), of which a copy is
used. One camera of it is read anew as fast as its frames are due, with the embedded models; on the list is everybody
whom another camera has seen. Measured is the time from a track's first frame to the committed event AlertRaised, of a
rule about listed people and of one about anybody, which waits for no evidence; who is meant is compared with the
labels. ``in_view`` of the alerts came before their track's last frame, and ``picture`` is from the picture that they
were raised by (who is told of at the end waits for the tracker's patience, too). Frames are read on time or, by what
"late_most" says, later: then the machine was too slow, and the times hold that.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

# As the command does it, before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sqlalchemy import select

from benchmarks.identities import scene_of_folder
from reidstream.alerts import WatchLists
from reidstream.alerts.lists import rule_settings
from reidstream.alerts.schema import alerts as alert_table
from reidstream.config import Config, SourceConfig
from reidstream.errors import ConfigError
from reidstream.evaluation.gallery_truth import match_tracklets
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import ALERT_RAISED, all_events_after
from reidstream.pipeline import open_run
from reidstream.sources.frame import Frame
from reidstream.types import Observed


class Pace:
    """Keeps a recording to its own time. late: by how many seconds frames came too late."""

    def __init__(self) -> None:
        self.begun = 0.0
        self.late: list[float] = []

    def observe(self, frame: Frame, _observed: Observed) -> None:
        if not self.begun:
            # The first frame has come; opening the models is not the camera's.
            self.begun = time.time() - frame.media_time
        ahead = self.begun + frame.media_time - time.time()
        self.late.append(max(0.0, -ahead))
        time.sleep(max(0.0, ahead))


def measure(folder: Path, kept: Path, camera: str | None, seconds: float, place: Path) -> dict[str, Any]:
    scene = scene_of_folder(folder)
    name = camera or sorted(scene.sources)[0]
    shutil.copytree(kept, place)
    entries: dict[str, int] = {}
    with Gallery.open(place, write=True) as gallery:
        OnlineIdentities(gallery, Config().identities).catch_up()
        lists = WatchLists(gallery)
        made = lists.make("listed", "to be measured", time.time() + 86_400, "benchmark")
        rule = {"name": "listed", "who": "listed", "list": "listed", "purpose": "to be measured", "cooldown": 0}
        anybody = {"name": "anybody", "who": "anybody", "purpose": "to be measured", "cooldown": 0}
        for wanted in (rule, anybody):
            lists.add_rule(rule_settings({**wanted, "cameras": [name]}), "benchmark")
        matched = match_tracklets(gallery.tracklets(), scene.truth)
        source_of = {one.id: one.source for one in gallery.tracklets()}
        listed: set[int] = set()
        for one in matched:
            if one.person is None or one.excused or one.person in listed or source_of[one.tracklet] == name:
                continue
            try:
                entries[lists.add_person(made.id, one.tracklet, "benchmark").id] = one.person
                listed.add(one.person)
            except ConfigError as error:  # two people were taken for one
                print(f"person {one.person}: {error}")
        before = max((event.seq for event in all_events_after(gallery, 0)), default=0)
    pace = Pace()
    source = SourceConfig(uri=str(scene.sources[name].uri), name=name)
    with open_run([source], Config(), place, replace=True, observer=pace.observe, max_seconds=seconds) as run:
        summary = run.run()
    fps = summary.sources[name].frames / max(summary.seconds, 1e-6)
    with Gallery.open(place) as gallery:
        raised = {e.payload["alert"]: e for e in all_events_after(gallery, before) if e.kind == ALERT_RAISED}
        stored = list(gallery.tracklets())
        truth = {one.tracklet: one.person for one in match_tracklets(stored, scene.truth)}
        ended = {one.id: one.end_media for one in stored}
        with gallery.read() as connection:
            rows = [row for row in connection.execute(select(alert_table)).all() if row.id in raised]
    found: dict[str, Any] = {
        "camera": name,
        "frames_per_second": fps,
        "late_most": max(pace.late, default=0.0),
        "listed": len(entries),
    }
    for rule_name in ("listed", "anybody"):
        own = [row for row in rows if raised[row.id].payload["name"] == rule_name]
        after = np.array([raised[row.id].wall - pace.begun - row.start_media for row in own])
        found[f"{rule_name}_alerts"] = len(own)
        found[f"{rule_name}_withdrawn"] = sum(row.state == "withdrawn" for row in own)
        if rule_name == "listed":
            found["listed_right"] = sum(truth.get(row.tracklet, -1) == entries.get(row.entry) for row in own)
        if len(own):
            found[f"{rule_name}_seconds_p50"] = float(np.median(after))
            found[f"{rule_name}_seconds_p90"] = float(np.quantile(after, 0.9))
            found[f"{rule_name}_within_2"] = float(np.mean(after <= 2))
            in_view = np.array([row.media < ended.get(row.tracklet, np.inf) for row in own])
            after_picture = np.array([raised[row.id].wall - pace.begun - row.media for row in own])
            found[f"{rule_name}_in_view"] = int(in_view.sum())
            if in_view.any():
                found[f"{rule_name}_in_view_picture_p50"] = float(np.median(after_picture[in_view]))
                found[f"{rule_name}_in_view_picture_most"] = float(after_picture[in_view].max())
            found[f"{rule_name}_picture_most"] = float(after_picture.max())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--gallery", type=Path, required=True)
    parser.add_argument("--camera")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.scene, given.gallery, given.camera, given.seconds, Path(folder) / "gallery")
    for name, value in found.items():
        print(f"{name:22s} {value:.3f}" if isinstance(value, float) else f"{name:22s} {value}")
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
