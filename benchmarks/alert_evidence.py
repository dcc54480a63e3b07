"""How soon, and how rightly, listed people are known while they are in view, by how much was seen of them.

    python -m benchmarks.alert_evidence SCENE=GALLERY=RECORDING [...] [--risk 0.02 0.1] [--draws 4] [--json out.json]

SCENE: a folder that `reidstream synth` made, or of a MOTChallenge sequence; GALLERY, RECORDING: what `reidstream run
SCENE/cam*/*.mp4 --gallery GALLERY --record RECORDING` made of it. Visits come one after the other, as they ended. Each
is looked at as a camera's process would have told of it, with each new crop, by those who are remembered then, and is
stored after that. Times are media times since a track's first frame, so that the machine's speed does not matter.

Printed: by crops seen, how sure the likeliest person was said to be and how often that was right (``sure`` and
``right`` of all looks at which somebody was said to be more likely than --floor); and for lists of half of the people,
drawn --draws times, at each risk: of visits of listed people, which share is rightly told of in view, and within 2 s of
the track's first frame; which share of all alerts in view, and of those within 2 s, is about somebody else; and the
seconds from the first frame to a right alert.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As the command does it, before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.identities import scene_of_folder, scene_of_sequence
from reidstream.alerts.sightings import OpenTracks, Sighting
from reidstream.config import TrackletConfig
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.engines.recording import RecordedEvents
from reidstream.evaluation.gallery_truth import match_tracklets
from reidstream.evaluation.sequences import find_sequences
from reidstream.gallery import Gallery
from reidstream.identities.in_view import InView, seen_of
from reidstream.identities.online import OnlineIdentities
from reidstream.types import SourceStarted


@dataclass(frozen=True)
class Look:
    """One look at somebody in view. after: seconds since the track's first frame; crops: how many were known.
    candidates: truth of each person who may be meant, and how probable they are."""

    visit: int
    person: int
    after: float
    crops: int
    strength: float
    candidates: tuple[tuple[int, float], ...]


def sightings_of(recording: Path) -> dict[tuple[str, int], list[Sighting]]:
    """Of each track, by content and number, what was told of it as it went on."""
    tracks, found = OpenTracks(TrackletConfig()), defaultdict(list)
    for event in RecordedEvents(recording).events():
        for sighting in tracks.take(event, True):
            found[sighting.content, sighting.track].append(sighting)
    return found


def looks_at(folder: Path, kept: Path, recording: Path) -> list[Look]:
    """Every look at a scene's visits."""
    made_up = (folder / "identities.csv").exists()
    sequence = None if made_up else find_sequences(folder)[0]
    scene = scene_of_folder(folder) if sequence is None else scene_of_sequence(sequence, False)
    with Gallery.open(kept) as source:
        visits = sorted(source.tracklets(), key=lambda one: one.end_media)
        boxes = (
            scene.truth if sequence is None else dict.fromkeys({one.source for one in visits}, scene.truth[scene.name])
        )
        matched = {t.tracklet: t for t in match_tracklets(visits, boxes)}
        space = source.space
    truth = {i: -1 if t.person is None or t.excused else t.person for i, t in matched.items()}
    told = sightings_of(recording)
    looks: list[Look] = []
    with (
        tempfile.TemporaryDirectory() as place,
        Gallery.open(
            Path(place) / "shop", write=True, create=True, space=space, config=GalleryConfig(index="exact")
        ) as gallery,
    ):
        for name, content in sorted({(one.source, one.content) for one in visits}):
            gallery.begin_source(SourceStarted(name, name, content, (960, 540), 25, 0.0), "benchmark")
        identities = OnlineIdentities(gallery, IdentityConfig())
        for number, visit in enumerate(visits):
            person = truth.get(visit.id, -1)
            memory = identities.decider.memory
            owners: dict[str, Counter[int]] = defaultdict(Counter)
            for tracklet, owner in memory.owner.items():
                owners[owner][truth.get(tracklet, -1)] += 1
            key = (visit.content, visit.track_id)
            for sighting in told.get(key, ()):
                ahead = visit.start_wall - visit.start_media
                view = InView(
                    *(visit.source, sighting.start_media + ahead, sighting.media + ahead),
                    *(sighting.vectors, sighting.quality),
                )
                seen = seen_of(identities.decider, view)
                decision = identities.decider.decide(seen, timed=True)
                # Whose is a person: whoever most of it is.
                said = tuple((owners[p].most_common(1)[0][0], q) for p, q in decision.cautious if p in owners)
                after = sighting.media - sighting.start_media
                looks.append(Look(number, person, after, len(sighting.quality), float(sighting.quality.sum()), said))
            gallery.add([visit])
            identities.catch_up()
    return looks


def listed_alerts(looks: list[Look], risk: float, seed: int) -> tuple[Counter[str], list[float]]:
    """What a rule about half of the people, with their first visit on the list, says of later visits; and after how
    many seconds what is right."""
    people = sorted({look.person for look in looks if look.person >= 0})
    wanted = set(np.random.default_rng(seed).permutation(people)[: len(people) // 2].tolist())
    counted: Counter[str] = Counter()
    seconds: list[float] = []
    known: set[int] = set()
    by_visit: dict[int, list[Look]] = defaultdict(list)
    for look in looks:
        by_visit[look.visit].append(look)
    for _, own in sorted(by_visit.items()):
        person = own[0].person
        counted["visits"] += person in known
        for look in own:
            listed = [(who, p) for who, p in look.candidates if who in known]
            if sum(p for _, p in listed) < 1 - risk:
                continue
            right = max(listed, key=lambda one: one[1])[0] == person
            counted["right" if right else "wrong"] += 1
            counted[f"{'right' if right else 'wrong'} within 2 s"] += look.after <= 2
            seconds += [look.after] if right else []
            break
        if person in wanted:
            known.add(person)
    return counted, seconds


def reliability(looks: list[Look], floor: float) -> list[dict[str, Any]]:
    """By how many crops were known: looks, mean of what was said of the likeliest, and how often it was right."""
    rows = []
    for name, low, high in (("1", 1, 1), ("2", 2, 2), ("3", 3, 3), ("4", 4, 4), ("5-6", 5, 6), ("7-8", 7, 8)):
        some = [
            (max(look.candidates, key=lambda one: one[1]), look.person)
            for look in looks
            if low <= look.crops <= high and look.candidates
        ]
        sure = [(p, who == person) for (who, p), person in some if p >= floor]
        if sure:
            rows.append(
                {
                    "crops": name,
                    "looks": len(sure),
                    "sure": float(np.mean([p for p, _ in sure])),
                    "right": float(np.mean([right for _, right in sure])),
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", help="SCENE=GALLERY=RECORDING")
    parser.add_argument("--risk", type=float, nargs="+", default=[0.02, 0.05, 0.1, 0.2, 0.3])
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--floor", type=float, nargs="+", default=[0.5, 0.9])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    every = [looks_at(*map(Path, words.split("="))) for words in given.scenes]
    together = [look for looks in every for look in looks]
    found: dict[str, Any] = {"reliability": {}}
    for floor in given.floor:
        found["reliability"][floor] = reliability(together, floor)
        for row in found["reliability"][floor]:
            shown = f"{row['looks']:5d} looks, sure {row['sure']:.3f}, right {row['right']:.3f}"
            print(f"said >= {floor:g}, {row['crops']:>3} crops: {shown}")
    found["alerts"] = {}
    for risk in given.risk:
        total: Counter[str] = Counter()
        after: list[float] = []
        for looks in every:
            for seed in range(given.draws):
                counted, seconds = listed_alerts(looks, risk, seed)
                total += counted
                after += seconds
        found["alerts"][risk] = dict(total)
        soon = total["right within 2 s"] + total["wrong within 2 s"]
        visits, alerts = max(total["visits"], 1), total["right"] + total["wrong"]
        print(
            f"risk {risk:g}: of {total['visits']} visits {total['right'] / visits:.2f} told of in view, "
            f"{total['right within 2 s'] / visits:.2f} within 2 s, median {np.median(after or [np.nan]):.1f} s; wrong "
            f"{total['wrong'] / max(alerts, 1):.2f} of {alerts} alerts, "
            f"within 2 s {total['wrong within 2 s'] / max(soon, 1):.2f} of {soon}"
        )
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
