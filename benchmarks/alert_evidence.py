"""How soon, and how rightly, listed people are known while they are in view, by how much was seen of them.

    python -m benchmarks.alert_evidence SCENE=GALLERY=RECORDING [...] [--risk 0.1] [--draws 4] [--json out.json]

SCENE: a folder that `reidstream synth` made; GALLERY, RECORDING: what `reidstream run SCENE/cam*/*.mp4 --gallery
GALLERY --record RECORDING` made of it. Visits come one after the other, as they ended. Each is looked at as a camera's
process would have told of it, with each new crop, by those who are remembered then, and is stored after that. Times are
media times since a track's first frame, so that the machine's speed does not matter.

Printed: by crops seen, how sure the likeliest person was said to be and how often that was right (``sure`` and
``right`` of all looks at which somebody was said to be more likely than --floor); and for lists of half of the people,
drawn --draws times: of visits of listed people, how many are told of in view at this risk, within 2 s of the track's
first frame and of its first crop, and how many of those alerts are about somebody else.
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

from benchmarks.identities import scene_of_folder
from reidstream.alerts.sightings import OpenTracks, Sighting
from reidstream.config import TrackletConfig
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.engines.recording import RecordedEvents
from reidstream.evaluation.gallery_truth import match_tracklets
from reidstream.gallery import Gallery
from reidstream.identities.in_view import InView, seen_of
from reidstream.identities.online import OnlineIdentities
from reidstream.types import Observed, SourceStarted


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


def first_crops(recording: Path) -> dict[tuple[str, int], tuple[float, float]]:
    """Media times of the first frame and of the first good crop of each track."""
    content, first, crop = {}, {}, {}
    least = TrackletConfig().min_quality
    for event in RecordedEvents(recording).events():
        if isinstance(event, SourceStarted):
            content[event.source] = event.content
        if not isinstance(event, Observed):
            continue
        for track in event.track_ids.tolist():
            first.setdefault((content[event.source], track), event.media_time)
        if event.samples is not None:
            for row, quality in zip(event.samples.rows.tolist(), event.samples.quality.tolist(), strict=True):
                if quality >= least:
                    crop.setdefault((content[event.source], int(event.track_ids[row])), event.media_time)
    return {key: (first[key], when) for key, when in crop.items()}


def looks_at(folder: Path, kept: Path, recording: Path) -> tuple[list[Look], dict[int, float]]:
    """Every look, and of each visit the seconds until its first good crop."""
    scene = scene_of_folder(folder)
    with Gallery.open(kept) as source:
        visits = sorted(source.tracklets(), key=lambda one: one.end_media)
        matched = {t.tracklet: t for t in match_tracklets(visits, scene.truth)}
        space = source.space
    truth = {i: -1 if t.person is None or t.excused else t.person for i, t in matched.items()}
    told, crops = sightings_of(recording), first_crops(recording)
    looks: list[Look] = []
    until: dict[int, float] = {}
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
                said = tuple((owners[p].most_common(1)[0][0], q) for p, q in decision.candidates if p in owners)
                after = sighting.media - sighting.start_media
                looks.append(Look(number, person, after, len(sighting.quality), float(sighting.quality.sum()), said))
            if key in crops:
                until[number] = crops[key][1] - crops[key][0]
            gallery.add([visit])
            identities.catch_up()
    return looks, until


def listed_alerts(looks: list[Look], until: dict[int, float], risk: float, seed: int) -> Counter[str]:
    """What a rule about half of the people, with their first visit on the list, says of later visits."""
    people = sorted({look.person for look in looks if look.person >= 0})
    wanted = set(np.random.default_rng(seed).permutation(people)[: len(people) // 2].tolist())
    counted: Counter[str] = Counter()
    known: set[int] = set()
    by_visit: dict[int, list[Look]] = defaultdict(list)
    for look in looks:
        by_visit[look.visit].append(look)
    for visit, own in sorted(by_visit.items()):
        person = own[0].person
        counted["visits"] += person in known
        counted["longer than 2 s"] += person in known and own[-1].after >= 2
        for look in own:
            listed = [(who, p) for who, p in look.candidates if who in known]
            if sum(p for _, p in listed) < 1 - risk:
                continue
            right = max(listed, key=lambda one: one[1])[0] == person
            counted["told of"] += 1
            counted["wrong"] += not right
            counted["wrong within 2 s"] += not right and look.after <= 2
            counted["within 2 s"] += look.after <= 2
            counted["right within 2 s"] += right and look.after <= 2
            counted["within 2 s of the first crop"] += look.after - until.get(visit, 0.0) <= 2
            counted["right"] += right
            break
        if person in wanted:
            known.add(person)
    return counted


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
    parser.add_argument("--risk", type=float, default=0.1)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--floor", type=float, nargs="+", default=[0.5, 0.9])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    every = [looks_at(*map(Path, words.split("="))) for words in given.scenes]
    together = [look for looks, _ in every for look in looks]
    found: dict[str, Any] = {"reliability": {}}
    for floor in given.floor:
        found["reliability"][floor] = reliability(together, floor)
        for row in found["reliability"][floor]:
            shown = f"{row['looks']:5d} looks, sure {row['sure']:.3f}, right {row['right']:.3f}"
            print(f"said >= {floor:g}, {row['crops']:>3} crops: {shown}")
    total: Counter[str] = Counter()
    for looks, until in every:
        for seed in range(given.draws):
            total += listed_alerts(looks, until, given.risk, seed)
    for name in sorted(total):
        print(f"{name}: {total[name]}")
    found["alerts"] = dict(total)
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
