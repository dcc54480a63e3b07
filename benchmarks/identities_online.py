"""How close deciding while cameras run comes to deciding everything at once afterwards.

    python -m benchmarks.identities_online --seeds 41,42,43 [--people 60] [--minutes 60] [--model msmt17]
        [--folder recordings] [--json out.json]

An hour of the synthetic world: people walk from camera to camera and come back. Its visits are true, but a track ends
where somebody is hidden or turns away from the camera, and begins anew; looks are rendered crops through a real model,
every few seconds. The events are made once per seed (--folder keeps them) and then played through a run in the order in
which they happened, as live cameras give them: with every tracklet decided once, and with what a run does by itself
(decisions are revisited). Then everybody is resolved at once. F1 is pairwise, over all tracklets; seconds are the
processor's. Seeds 41 and 42 served for choices.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.labelled_scenes import EMBEDDER
from reidstream.config import Config
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.engines.local.sampling import CropSampler, FrameCrops
from reidstream.engines.recording import Recorder
from reidstream.engines.replay import ReplayEngine
from reidstream.evaluation.gallery_scores import identities_of
from reidstream.evaluation.grouping import score_grouping
from reidstream.evaluation.perfect_tracks import VISITS, person_of
from reidstream.gallery import Gallery
from reidstream.identities import online
from reidstream.identities.proposal import propose
from reidstream.inference import Embedder, open_embedder
from reidstream.models import resolve_model
from reidstream.pipeline import GalleryRun
from reidstream.sources.frame import ArrayPicture
from reidstream.synthetic.render import Painter
from reidstream.synthetic.world import World
from reidstream.tracking import Tracks
from reidstream.types import Detections, EndReason, Event, Observed, SourceEnded, SourceStarted, TrackEnded

# Seconds between looks at a camera, and what must be visible of somebody to be followed.
_LOOKS, _VISIBLE = 3.0, 0.35
_BEGAN = 1.7e9


def events_of_camera(world: World, camera: int, embedder: Embedder, config: Config) -> Iterator[tuple[float, Event]]:
    """What one camera sees, with the time of each event."""
    name, place = f"camera{camera}", world.places[camera]
    painter = Painter(place, world.bodies(camera), place.seed)
    visits = [(number, visit) for number, visit in enumerate(world.visits) if visit.camera == camera]
    yield 0.0, SourceStarted(name, name, f"{name}-{world.seed}", world.size, 1 / _LOOKS, _BEGAN, live=True)
    sampler = CropSampler(config.embedding, world.size)
    count: dict[int, int] = {}
    following: dict[int, int] = {}
    frames = int(world.minutes * 60 / _LOOKS)
    for frame in range(frames):
        now = frame * _LOOKS
        seen = painter.frame(frame, now, [(n, visit) for n, visit in visits if visit.start <= now <= visit.end])
        rows = np.flatnonzero(seen.visibility >= _VISIBLE)
        present = set(seen.visits[rows].tolist())
        for visit in [v for v in following if v not in present]:
            sampler.forget(following[visit])
            yield now, TrackEnded(name, following.pop(visit), EndReason.LOST)
        for visit, person in zip(seen.visits[rows].tolist(), seen.persons[rows].tolist(), strict=True):
            if visit not in following:
                count[person] = count.get(person, -1) + 1
                following[visit] = person * VISITS + count[person]
        boxes = seen.boxes[rows].astype(np.float32)
        ids = np.array([following[visit] for visit in seen.visits[rows].tolist()], np.uint64)
        tracks = Tracks(ids, boxes, np.ones(len(rows), np.float32), np.arange(len(rows)))
        crops = FrameCrops(ArrayPicture(seen.image), Detections(boxes, tracks.confidences), embedder)
        samples = sampler.sample(crops, tracks, now)
        looks = None if samples is None else samples.finished()
        yield now, Observed(name, frame, now, _BEGAN + now, ids, boxes, tracks.confidences, looks)
    for track in following.values():
        yield frames * _LOOKS, TrackEnded(name, track, EndReason.SOURCE_ENDED)
    yield frames * _LOOKS, SourceEnded(name, frames, _BEGAN + frames * _LOOKS)


def record(path: Path, world: World, embedder: Embedder, config: Config) -> None:
    """The world's events in the order of time."""
    events: list[tuple[float, int, Event]] = []
    for camera in range(len(world.places)):
        for moment, event in events_of_camera(world, camera, embedder, config):
            events.append((moment, len(events), event))
    with Recorder(path, embedder.space) as recorder:
        for _, _, event in sorted(events, key=lambda one: one[:2]):
            recorder.write(event)


def played(recording: Path, folder: Path, config: Config, again: bool) -> float:
    """Run the events into a gallery; seconds of processor. again: whether decisions are revisited."""
    engine = ReplayEngine(recording)
    settings = GalleryConfig(index="exact")
    began = time.process_time()
    with (
        Gallery.open(folder, write=True, create=True, space=engine.space, config=settings) as gallery,
        nullcontext() if again else patch.object(online.OnlineIdentities, "due", False),
    ):
        GalleryRun(engine, gallery, config, settings="made up").run()
    return time.process_time() - began


def scored(gallery: Gallery, identities: dict[str, str]) -> dict[str, float]:
    person = {tracklet.id: person_of(tracklet.track_id) for tracklet in gallery.tracklets()}
    ids = sorted(person)
    scores = score_grouping([identities.get(i, i) for i in ids], [person[i] for i in ids])
    return {
        "tracklets": len(ids),
        "identities": scores.identities,
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
    }


def rows_of(recording: Path, scratch: Path, config: Config) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, again in (("online", False), ("revisited", True)):
        folder = scratch / name
        seconds = played(recording, folder, config, again)
        with Gallery.open(folder) as gallery:
            found[name] = {**scored(gallery, identities_of(gallery)), "seconds": seconds}
    began = time.process_time()
    with Gallery.open(scratch / "online") as gallery:
        proposal = propose(gallery, config.identities)
        groups = {tracklet: str(n) for n, group in enumerate(proposal.groups) for tracklet in group}
        found["resolved"] = {**scored(gallery, groups), "seconds": time.process_time() - began}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="41,42,43")
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--model", choices=("embedded", "msmt17"), default="embedded")
    parser.add_argument("--folder", type=Path, default=None, help="keep recorded events here, and use what is there")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    config = Config(identities=IdentityConfig(resolve=False))
    report: list[dict[str, Any]] = []
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as scratch:
            name = f"{options.model}-{seed}-{options.people}-{options.cameras}-{options.minutes:g}.parquet"
            recording = (options.folder or Path(scratch)) / name
            if not recording.exists():
                model = str(EMBEDDER) if options.model == "msmt17" else config.embedding.model
                embedder = open_embedder(resolve_model(model, "reid"), config.embedding)
                world = World(seed, options.cameras, options.people, options.minutes)
                record(recording, world, embedder, config)
            for way, figures in rows_of(recording, Path(scratch), config).items():
                report.append({"seed": seed, "model": options.model, "way": way, **figures})
                print(
                    " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in report[-1].values()), flush=True
                )
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
