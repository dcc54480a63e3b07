"""How long deciding who is who takes in a large gallery: tracklet by tracklet, and all at once.

    python -m benchmarks.identities_at_scale --tracklets 100000 --people 20000 [--json out.json]

Makes a gallery of made-up people whose vectors lie like those of real ones (see benchmarks/gallery.py), half of whose
tracklets per camera overlap another in time. Everybody but the last tracklets is given to the right person; then, each
in a process of its own, the last ones are assigned online, and everything is resolved anew. Seconds are wall time,
with the processor's time beside them because that hardly depends on what else the machine does; memory is the
process's peak.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.gallery import Floats, people, seen
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.evaluation.grouping import score_grouping
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import assign, create_person, list_people, prepare
from reidstream.identities.proposal import propose
from reidstream.types import EmbeddingSpace, EndReason, SourceStarted, Tracklet

SPACE = EmbeddingSpace("made-up", "made-up", 512)
SOURCES = 8
PROTOTYPES = 3
BATCH = 512
SECONDS_BETWEEN, SECONDS_SEEN = 2.0, 24.0


def make_gallery(folder: Path, tracklets: int, persons: int, held_back: int, seed: int) -> np.ndarray[Any, Any]:
    """A gallery in which all but the last tracklets have their person; returns the person of each, int64 (n,)."""
    rng = np.random.default_rng(seed)
    means, deviation = people(persons, rng)
    who = visitors(tracklets, persons, rng)
    with Gallery.open(folder, write=True, create=True, space=SPACE, config=GalleryConfig(index="exact")) as gallery:
        for source in range(SOURCES):
            name = f"camera{source}"
            gallery.begin_source(SourceStarted(name, name, name, (1920, 1080), 25.0, 0.0), "made-up")
        prepare(gallery)
        known: dict[int, str] = {}
        for start in range(0, tracklets, BATCH):
            numbers = range(start, min(start + BATCH, tracklets))
            looks = np.stack([seen(means[who[list(numbers)]], deviation, rng) for _ in range(PROTOTYPES)], axis=1)
            batch = [made_tracklet(n, look) for n, look in zip(numbers, looks, strict=True)]
            gallery.add(batch)
            with gallery.write() as connection:
                rows = []
                for number, tracklet in zip(numbers, batch, strict=True):
                    if number >= tracklets - held_back:
                        break
                    person = int(who[number])
                    if person not in known:
                        known[person] = create_person(connection, tracklet.id)
                    rows.append((tracklet.id, known[person], 1.0))
                if rows:
                    assign(connection, rows)
    return who


def visitors(tracklets: int, persons: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The person of each tracklet, int64 (n,): nobody is in two places at once.

    Somebody who returns does so within hours: neighbours in the order of people are neighbours in time.
    """
    drift = np.arange(tracklets) * persons / tracklets + rng.normal(scale=max(persons / 50, 1), size=tracklets)
    # Whoever would come before the first or after the last is somebody from near there, not all of them these two.
    turned = np.abs(np.round(drift).astype(np.int64))
    who = np.clip(np.minimum(turned, 2 * (persons - 1) - turned), 0, persons - 1)
    beside = min(int(SECONDS_SEEN / SECONDS_BETWEEN), persons - 1)
    for number in range(tracklets):
        there = set(who[max(number - beside, 0) : number].tolist())
        while int(who[number]) in there:
            who[number] = (who[number] + 1) % persons
    return who


def made_tracklet(number: int, prototypes: Floats) -> Tracklet:
    """A tracklet with these prototypes, one every two seconds, over the cameras in turn."""
    mean = prototypes.mean(axis=0)
    start = SECONDS_BETWEEN * number
    source = f"camera{number % SOURCES}"
    return Tracklet(
        id=hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest(),
        source=source, content=source, track_id=number, part=0, parts=1,
        start_frame=int(25 * start), end_frame=int(25 * (start + SECONDS_SEEN)),
        start_media=start, end_media=start + SECONDS_SEEN, start_wall=start, end_wall=start + SECONDS_SEEN,
        reason=EndReason.LEFT, observations=200, confidence=0.7,
        embedding=(mean / np.linalg.norm(mean)).astype(np.float32),
        prototypes=np.ascontiguousarray(prototypes, np.float32),
        prototype_weights=np.full(len(prototypes), 1 / len(prototypes), np.float32),
        embeddings_used=8, embeddings_seen=8, purity=1.0, quality=0.5,
        frames=np.arange(4), boxes=np.zeros((4, 4), np.float32),
    )  # fmt: skip


def online(folder: Path) -> dict[str, float]:
    """Opening the gallery, then a person for each tracklet that has none."""
    with Gallery.open(folder, write=True) as gallery:
        begun, work = time.perf_counter(), time.process_time()
        identities = OnlineIdentities(gallery, IdentityConfig())
        opening, opening_work = time.perf_counter() - begun, time.process_time() - work
        begun, work = time.perf_counter(), time.process_time()
        given = identities.catch_up()
        wall, work = time.perf_counter() - begun, time.process_time() - work
    return {
        "open_seconds": opening,
        "open_processor_seconds": opening_work,
        "assigned": given,
        "milliseconds_per_tracklet": 1e3 * wall / max(given, 1),
        "processor_milliseconds_per_tracklet": 1e3 * work / max(given, 1),
        "peak_gib": peak(),
    }


def resolve_all(folder: Path, who: np.ndarray[Any, Any]) -> dict[str, float]:
    """Deciding everything anew; nothing is written."""
    with Gallery.open(folder) as gallery:
        begun, work = time.perf_counter(), time.process_time()
        proposal = propose(gallery, IdentityConfig())
        wall, work = time.perf_counter() - begun, time.process_time() - work
        memory = peak()
        order = {tracklet: row for row, tracklet in enumerate(gallery.rows().id.tolist())}
        before = len(list_people(gallery))
    found = np.zeros(len(order), np.int64)
    for number, group in enumerate(proposal.groups):
        found[[order[tracklet] for tracklet in group]] = number
    scores = score_grouping(found, who)
    return {
        "seconds": wall,
        "processor_seconds": work,
        "peak_gib": memory,
        "people_before": before,
        "people_found": proposal.people,
        "precision": scores.precision,
        "recall": scores.recall,
    }


def peak() -> float:
    """The most memory this process has held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def apart(function: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """The result of a function that runs in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracklets", type=int, default=100_000)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--assigned-online", type=int, default=500, help="tracklets that are assigned online")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="where the gallery is made; default: temporary")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    # As those who give people have it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="identities", dir=options.folder))
    try:
        begun = time.perf_counter()
        who = make_gallery(folder / "gallery", options.tracklets, options.people, options.assigned_online, options.seed)
        report: dict[str, Any] = {
            "tracklets": options.tracklets,
            "people": len(np.unique(who)),
            "making_seconds": time.perf_counter() - begun,
        }
        report["online"] = apart(online, folder / "gallery")
        print(json.dumps(report["online"], indent=2), flush=True)
        report["resolve"] = apart(resolve_all, folder / "gallery", who)
    finally:
        shutil.rmtree(folder)
    text = json.dumps(report, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
