"""How soon an alert is there after somebody came into view, and what looking at rules costs.

    python -m benchmarks.alerts [--tracklets 20000] [--people 5000] [--visits 20] [--json out.json]

A server's desk on the gallery of benchmarks/serve.py, in which every tenth person has a name. A camera of ten frames a
second shows one person after the other for four seconds each; crops come as the sampler takes them (0.4 s apart).
Every second visitor is on a watch list, and there is a rule about listed people and one about people without a name.
Measured is the time from the first frame that shows somebody to the committed event AlertRaised. Not in it: what the
models take for a frame, and the frames that the tracker needs before it believes in a track.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

# As the command does it, before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.gallery import people, seen
from benchmarks.serve import filled
from reidstream.alerts.lists import rule_settings
from reidstream.alerts.sightings import OpenTracks
from reidstream.config import TrackletConfig
from reidstream.identities.outbox import ALERT_RAISED, events_after
from reidstream.server.desk import Desk
from reidstream.types import EndReason, Observed, Samples, SourceStarted, TrackEnded

FPS = 10
IN_VIEW = 4.0
BETWEEN = 0.5
_SAMPLED_EVERY = 4


def measure(count: int, persons: int, visits: int, folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    means, deviation = people(persons, rng)
    with filled(folder, count, persons) as gallery:
        desk = Desk(gallery)
        desk.settle()
        watch = desk.watching.watch
        made = watch.lists.make("listed", "to be measured", time.time() + 3600, "benchmark")
        who = rng.choice(persons, visits, replace=False).tolist()
        for person in who[::2]:
            watch.lists.add_person(made.id, desk.catalogue.find(f"{person:012x}").best, "benchmark")
        for rule in ({"name": "listed", "who": "listed", "list": "listed"}, {"name": "unknown", "who": "unknown"}):
            watch.lists.add_rule(rule_settings({**rule, "purpose": "to be measured", "cooldown": 0}), "benchmark")
        watch.reload()
        tracks = OpenTracks(TrackletConfig())
        # Soon after the last of the gallery's tracklets: of another day looks are no proof.
        now = 2.0 * count + 60.0
        tracks.take(SourceStarted("door", "door", "door", (1920, 1080), FPS, now, None, True), True)
        desk.gallery.begin_source(SourceStarted("door", "door", "door", (1920, 1080), FPS, now), "benchmark")
        # Reading everybody takes a moment, once.
        desk.assigning.everybody()
        begun, frame = time.perf_counter(), 0
        last = desk.last_event()
        waits: list[float] = []
        raised = {"listed": 0, "unknown": 0}
        cpu = time.process_time()
        for visit, person in enumerate(who):
            crops = seen(np.repeat(means[person][None], round(IN_VIEW * FPS), axis=0), deviation, rng)
            came, found = 0.0, False
            for step in range(round((IN_VIEW + BETWEEN) * FPS)):
                time.sleep(max(0.0, begun + frame / FPS - time.perf_counter()))
                there = step < len(crops)
                came = came or time.perf_counter()
                sampled = None
                if there and step % _SAMPLED_EVERY == 0:
                    sampled = Samples(np.array([0]), crops[step][None], np.array([0.7], np.float32), (b"crop",))
                box = np.array([[800, 300, 900, 600]], np.float32)[: int(there)]
                ids = np.array([visit + 1], np.uint64)[: int(there)]
                scores = np.full(int(there), 0.9, np.float32)
                media = frame / FPS
                event = Observed("door", frame, media, now + media, ids, box, scores, sampled)
                desk.watching.put(tracks.take(event, True))
                frame += 1
                if step == len(crops):
                    desk.watching.put(tracks.take(TrackEnded("door", visit + 1, EndReason.LEFT), True))
                for told in events_after(gallery, last):
                    last = told.seq
                    if told.kind == ALERT_RAISED:
                        raised[told.payload["name"]] += 1
                        if not found:
                            # The event's own time: between two frames nobody looks.
                            waits.append(told.wall - (time.time() - (time.perf_counter() - came)))
                            found = True
        spent = time.process_time() - cpu
        desk.close()
    waits = sorted(waits)
    return {
        "tracklets": count,
        "people": persons,
        "visits": visits,
        "on_the_list": len(who[::2]),
        "raised_listed": raised["listed"],
        "raised_unknown": raised["unknown"],
        "seconds_p50": float(np.median(waits)) if waits else None,
        "seconds_most": waits[-1] if waits else None,
        "cores": spent / (frame / FPS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracklets", type=int, default=20_000)
    parser.add_argument("--people", type=int, default=5_000)
    parser.add_argument("--visits", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.tracklets, given.people, given.visits, Path(folder) / "gallery")
    for name, value in found.items():
        print(f"{name:14s} {value:.3f}" if isinstance(value, float) else f"{name:14s} {value}")
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
