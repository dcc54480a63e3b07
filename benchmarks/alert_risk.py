"""How often alerts about listed people are right at an accepted risk, on labelled scenes through the models.

    python -m benchmarks.alert_risk SCENE [...] [--kept build/galleries] [--engine detected] [--risk 0.1] [--seed 1]

SCENE: a folder that `reidstream synth` made; its gallery is made with the embedded models, or taken from --kept
(benchmarks/regimes.py keeps it there, too). Its visits come one after the other, as they ended: each is first somebody
in view, of whom the crops of the tracklet are known, then stored and decided. Half of the people, drawn by --seed, go
on a watch list with their first visit; the rest never do, so that whoever is taken for somebody listed is a false
alert. An alert is right when its visit shows the person whose entry it names. Counted are alerts as they were raised in
view, alerts as they stand when everything was decided, and visits of listed people that were told of at all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

# As the command does it, before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sqlalchemy import select

from benchmarks.identities import Scene, scene_of_folder
from benchmarks.regimes import labelled
from reidstream.alerts import Sighting, Watch
from reidstream.alerts.lists import rule_settings
from reidstream.alerts.schema import alerts as alert_table
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.types import SourceStarted, Tracklet


def measure(scene: Scene, engine: str, kept: Path, risk: float, seed: int) -> dict[str, Any]:
    evidence, shown = labelled(scene, engine, kept)
    person_of = dict(zip(evidence.ids, shown.tolist(), strict=True))
    with Gallery.open(kept / f"{scene.name}-embedded-{engine}") as source:
        visits = sorted(source.tracklets(), key=lambda one: one.end_wall)
        space = source.space
    people = sorted({person for person in person_of.values() if person >= 0})
    drawn = np.random.default_rng(seed).permutation(people)
    wanted = set(drawn[: len(people) // 2].tolist())
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.open(
            Path(folder) / "shop", write=True, create=True, space=space, config=GalleryConfig(index="exact")
        ) as gallery,
    ):
        for name, content in sorted({(one.source, one.content) for one in visits}):
            gallery.begin_source(SourceStarted(name, name, content, (1920, 1080), 25, 0.0), "benchmark")
        identities = OnlineIdentities(gallery, IdentityConfig())
        watch = Watch(gallery, lambda: identities)
        made = watch.lists.make("listed", "to be measured", time.time() + 86_400, "benchmark")
        rule = {"name": "listed", "who": "listed", "list": "listed", "purpose": "to be measured"}
        watch.lists.add_rule(rule_settings({**rule, "cooldown": 0, "risk": risk}), "benchmark")
        watch.reload()
        # Entry of the list → whose it is.
        entries: dict[str, int] = {}
        told_in_view: set[str] = set()
        due = 0
        visit_of = {(one.content, str(one.track_id)): person_of[one.id] for one in visits if one.id in person_of}
        for visit in visits:
            person = person_of.get(visit.id, -1)
            due += person in entries.values()
            told_in_view |= set(watch.saw([_in_view(visit)]))
            gallery.add([visit])
            identities.catch_up()
            if person in wanted and person not in entries.values():
                # Who was taken for somebody on the list stands there already.
                with contextlib.suppress(ConfigError):
                    entries[watch.lists.add_person(made.id, visit.id, "benchmark").id] = person
                watch.reload()
            watch.settle()
        with gallery.read() as connection:
            alerts = connection.execute(select(alert_table)).all()
    right = {one.id: visit_of.get((one.content, one.track), -1) == entries.get(one.entry) for one in alerts}
    standing = [one.id for one in alerts if one.state != "withdrawn"]
    found = {(one.content, one.track) for one in alerts if right[one.id] and one.state != "withdrawn"}
    return {
        "scene": scene.name,
        "visits": len(visits),
        "people": len(people),
        "listed": len(entries),
        "visits_of_listed": due,
        "raised_in_view": len(told_in_view),
        "right_in_view": sum(right[id] for id in told_in_view),
        "standing": len(standing),
        "right_standing": sum(right[id] for id in standing),
        "told_of": len(found),
    }


def _in_view(visit: Tracklet) -> Sighting:
    """Somebody just before they leave, as far as their tracklet says."""
    quality = np.full(len(visit.prototypes), visit.quality, np.float32)
    return Sighting(
        *(visit.source, visit.content, visit.track_id, visit.start_media, visit.start_wall, visit.end_media),
        visit.end_wall,
        (0.0, 0.0, 1.0, 1.0),
        visit.prototypes,
        quality,
        ended=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--kept", type=Path, default=Path("build/galleries"))
    parser.add_argument("--engine", choices=("detected", "perfect"), default="detected")
    parser.add_argument("--risk", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = []
    for folder in given.scenes:
        for seed in (given.seed, given.seed + 1):
            found.append({"seed": seed, **measure(scene_of_folder(folder), given.engine, given.kept, given.risk, seed)})
            print(" ".join(f"{name} {value}" for name, value in found[-1].items()), flush=True)
    for kind in ("in_view", "standing"):
        raised = sum(one["raised_in_view" if kind == "in_view" else "standing"] for one in found)
        right = sum(one[f"right_{kind}"] for one in found)
        share = f"{1 - right / raised:.3f} wrong" if raised else "none"
        print(f"{kind}: {raised} alerts, {right} right, {share} (accepted {given.risk:g})")
    print(f"told of: {sum(one['told_of'] for one in found)} of {sum(one['visits_of_listed'] for one in found)} visits")
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
