"""What each part of deciding who is who is worth, on the labelled sequences of the shared data or made-up scenes.

    python -m benchmarks.identities [--sequences TUD-Campus] [--models embedded] [--json out.json]
    python -m benchmarks.identities --scenes scene --models embedded,msmt17 --engines perfect
    python -m benchmarks.identities --models embedded,new.onnx --engines detected --cuts build/cuts

Each gallery is made once by the local engine (embedded models; published: YOLOX-nano with OSNet x0.25 trained on
MSMT17; msmt17: that OSNet with the embedded detector) and once by perfect tracks (labelled boxes, real embeddings). Its
tracklets are then grouped in steps: tracks alone; looked up in the gallery as they end, by the cosine of their means;
with constraints (who is seen together is two people); by prototypes and trust; all at once, calibrated, by looks alone;
with tracks that go on where others ended; and put right by travel times, as `people resolve` and the end of a run do.
Steps before those all at once use the general calibration; `online` is what a run does before its end. The truth of
PETS09-S2L1 is the table of benchmarks/pets_people.py unless --by-number is given. One run of a sequence is luck: models
and constants are compared by the mean over the ten of `--cuts` (benchmarks/cuts.py), which is printed last.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks import pets_people
from benchmarks.cuts import cuts
from benchmarks.labelled_scenes import DETECTOR, EMBEDDER, SHARED
from reidstream.config import Config, SourceConfig
from reidstream.config.identities import IdentityConfig
from reidstream.engines.local import LocalEngine
from reidstream.evaluation.gallery_scores import GalleryScores, identities_of, score_gallery
from reidstream.evaluation.gallery_truth import (
    PersonBoxes,
    match_tracklets,
    people_in,
    truth_of_file,
    truth_of_scene,
)
from reidstream.evaluation.perfect_tracks import LabelledBoxes, PerfectTracks
from reidstream.evaluation.sequences import LabelledSequence, find_sequences
from reidstream.gallery import Gallery
from reidstream.identities import resolving
from reidstream.identities.calibration import Calibration, clarity_of
from reidstream.identities.constraints import Cameras, TimeTable
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.resolving import resolve
from reidstream.inference import open_detector, open_embedder
from reidstream.models import resolve_model
from reidstream.pipeline import GalleryRun
from reidstream.synthetic import load_scene
from reidstream.types import FloatArray

MODELS = {
    "embedded": (None, None),
    "large": (None, "person-reid-large"),
    "published": (str(DETECTOR), str(EMBEDDER)),
    "msmt17": (None, str(EMBEDDER)),
}
ENGINES = ("detected", "perfect")


@dataclass(frozen=True)
class Scene:
    """Labelled cameras that belong together. sources, truth, visible: by camera; visible float32, one per box."""

    name: str
    sources: dict[str, SourceConfig]
    truth: dict[str, PersonBoxes]
    visible: dict[str, FloatArray]


def scene_of_sequence(sequence: LabelledSequence, by_number: bool) -> Scene:
    """A MOTChallenge sequence; every box counts as visible. by_number: who returns is somebody else in PETS, too."""
    truth = truth_of_file(sequence.truth)
    if sequence.name == pets_people.SEQUENCE and not by_number:
        truth = pets_people.as_people(truth)
    return Scene(
        sequence.name,
        {sequence.name: SourceConfig(uri=str(sequence.frames))},
        {sequence.name: truth},
        {sequence.name: np.ones(len(truth.frames), np.float32)},
    )


def scene_of_folder(folder: Path) -> Scene:
    """What `reidstream synth` made."""
    scene, truth = load_scene(folder), truth_of_scene(folder)
    person_of = scene.person_of()
    visible = {}
    for camera in scene.cameras:
        persons = np.array([person_of[camera.name, int(track)] for track in camera.track_ids])
        # As the truth is ordered.
        visible[camera.name] = camera.visibility[np.lexsort((persons, camera.frames))]
    sources = {camera.name: SourceConfig(uri=str(camera.video)) for camera in scene.cameras}
    return Scene(folder.name, sources, truth, visible)


def cuts_of(scene: Scene, sequence: LabelledSequence, folder: Path) -> Iterator[Scene]:
    """The cuts of a sequence."""
    for name, source, truth in cuts(sequence, scene.truth[scene.name], folder):
        visible = {scene.name: np.ones(len(truth.frames), np.float32)}
        yield Scene(f"{scene.name} {name}", {scene.name: source}, {scene.name: truth}, visible)


def make_gallery(folder: Path, scene: Scene, models: str, engine: str, min_visible: float = 0.25) -> None:
    """Run one scene into a gallery. min_visible: how much of somebody perfect tracks must see."""
    config = Config(identities=IdentityConfig(resolve=False))
    detector, reid = MODELS.get(models, (None, models))
    embedder = open_embedder(resolve_model(reid or config.embedding.model, "reid"), config.embedding)
    made: LocalEngine | PerfectTracks
    if engine == "perfect":
        labelled = []
        for name, source in scene.sources.items():
            boxes = scene.truth[name]
            people = boxes.persons >= 0
            table = boxes.frames, boxes.persons, boxes.boxes.astype(np.float32), scene.visible[name]
            labelled.append((name, source, LabelledBoxes(*(column[people] for column in table))))
        made = PerfectTracks(config, labelled, embedder, min_visible)
    else:
        found = open_detector(resolve_model(detector or config.detector.model, "detector"), config.detector)
        made = LocalEngine(config, list(scene.sources.items()), detector=found, embedder=embedder)
    with Gallery.open(folder, write=True, create=True, space=embedder.space) as gallery:
        summary = GalleryRun(made, gallery, config, settings=f"{models} {engine}").run()
    if summary.failed:
        raise SystemExit(f"{scene.name}: {summary.failed[0].error}")


def looked_up(evidence: Evidence, constrained: bool, prototypes: bool) -> list[int]:
    """One tracklet after the other, to the likeliest person known so far or to a new one: the plain form of it.

    constrained: who is seen together is two people. prototypes: the best pair of prototypes, weighed by purity,
    rather than the cosine of the means.
    """
    # As many others of everybody as are expected before looking.
    calibration = Calibration(tracklets=len(evidence))
    clarity = clarity_of(evidence.strength)
    table = TimeTable(
        evidence.camera,
        evidence.start,
        evidence.end,
        Cameras.independent(len(evidence.cameras)),
        IdentityConfig().overlap,
    )
    people: list[list[int]] = []
    answer = []
    for row in range(len(evidence)):
        best, likeliest = -np.inf, -1
        for person, held in enumerate(people):
            if constrained and table.excluded([row], held).any():
                continue
            if prototypes:
                own = evidence.prototypes[evidence.first[row] : evidence.first[row + 1]]
                parts = [evidence.prototypes[evidence.first[k] : evidence.first[k + 1]] for k in held]
                cosine = np.array([float((part @ own.T).max()) for part in parts])
                weight = clarity[held]
            else:
                cosine = evidence.vectors[held] @ evidence.vectors[row]
                weight = np.ones(len(held), np.float32)
            z = (cosine - calibration.usual) / calibration.usual_spread
            growth = np.full(len(held), 1 / calibration.usual_spread)
            read = calibration.log_ratio(cosine, z, growth, clarity[held] * clarity[row])
            ratio = float((read * weight).sum() / weight.sum()) + calibration.prior
            if ratio > best:
                best, likeliest = ratio, person
        if best < 0:
            likeliest = len(people)
            people.append([])
        people[likeliest].append(row)
        answer.append(likeliest)
    return answer


def steps(gallery: Gallery) -> dict[str, dict[str, str]]:
    """The identities that each step decides on: tracklet id -> identity."""
    evidence = evidence_of(gallery)
    n = len(evidence)
    means = replace(
        evidence,
        prototypes=evidence.vectors,
        first=np.arange(n + 1),
        weights=np.ones(n, np.float32),
    )
    nowhere = replace(evidence, entry=np.zeros_like(evidence.entry), exit=np.zeros_like(evidence.exit))

    def at_once(known: Evidence, refined: bool = True) -> list[int]:
        with patch.object(resolving, "_REFINED", resolving._REFINED if refined else 0):
            return resolve(known, IdentityConfig()).group.tolist()

    groups: dict[str, Callable[[], list[int]]] = {
        "tracks alone": lambda: list(range(n)),
        "+ gallery lookup": lambda: looked_up(evidence, constrained=False, prototypes=False),
        "+ constraints": lambda: looked_up(evidence, constrained=True, prototypes=False),
        "+ prototypes and trust": lambda: looked_up(evidence, constrained=True, prototypes=True),
        "all at once, by looks": lambda: at_once(nowhere, refined=False),
        "+ tracks that go on": lambda: at_once(evidence, refined=False),
        "+ travel times: as resolve decides": lambda: at_once(evidence),
        "the same, means for prototypes": lambda: at_once(means),
    }
    found = {
        name: {tracklet: str(group) for tracklet, group in zip(evidence.ids, decide(), strict=True)}
        for name, decide in groups.items()
    }
    return {**found, "online, as a run decides": identities_of(gallery)}


def row_of(scores: GalleryScores) -> dict[str, float]:
    pairs = scores.everywhere
    return {
        "people": scores.people,
        "tracklets": scores.tracklets,
        "purity": scores.purity,
        "identities": scores.identities,
        "precision": pairs.precision,
        "recall": pairs.recall,
        "f1": pairs.f1,
        "bcubed_f1": pairs.bcubed_f1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", default="", help="names with commas between; default: all")
    parser.add_argument("--scenes", type=Path, nargs="*", help="folders that `reidstream synth` made, instead")
    parser.add_argument("--by-number", action="store_true", help="PETS: every number of the labels is a person")
    parser.add_argument("--models", default="embedded,published", help=f"of {', '.join(MODELS)}, and Re-ID model files")
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--min-visible", type=float, default=0.25, help="of people in perfect tracks, 0 to 1")
    parser.add_argument(
        "--galleries", type=Path, default=None, help="keep galleries here, and use those that are there"
    )
    parser.add_argument("--cuts", type=Path, default=None, help="cut each sequence into ten; pictures are kept here")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    wanted = [name for name in options.sequences.split(",") if name]
    if options.scenes:
        scenes = [scene_of_folder(folder) for folder in options.scenes]
    else:
        found = find_sequences(SHARED / "data" / "mot")
        chosen = [sequence for sequence in found if not wanted or sequence.name in wanted]
        scenes = [scene_of_sequence(sequence, options.by_number) for sequence in chosen]
        if options.cuts is not None:
            scenes = [
                cut
                for sequence, scene in zip(chosen, scenes, strict=True)
                for cut in cuts_of(scene, sequence, options.cuts)
            ]
    report: list[dict[str, Any]] = []
    for scene in scenes:
        for models in options.models.split(","):
            for engine in options.engines.split(","):
                with tempfile.TemporaryDirectory() as temporary:
                    folder = (options.galleries or Path(temporary)) / f"{scene.name}-{Path(models).stem}-{engine}"
                    if not folder.exists():
                        make_gallery(folder, scene, models, engine, options.min_visible)
                    with Gallery.open(folder) as gallery:
                        fps = {recording.source: recording.fps for recording in gallery.sources()}
                        matched = match_tracklets(gallery.tracklets(), scene.truth)
                        # In sequences everybody labelled counts as a person, however short.
                        people = people_in(scene.truth, fps if options.scenes else {})
                        for step, identities in steps(gallery).items():
                            figures = row_of(score_gallery(matched, identities, people))
                            report.append(
                                {"sequence": scene.name, "models": models, "engine": engine, "step": step, **figures}
                            )
                            print(_line(report[-1]), flush=True)
    if options.cuts is not None:
        for line in means_of(report):
            print(line)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def means_of(report: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for every model, engine and step: the means over all cuts of a sequence."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in report:
        sequence = str(row["sequence"]).split()[0]
        groups.setdefault((sequence, row["models"], row["engine"], row["step"]), []).append(row)
    for (sequence, models, engine, step), rows in groups.items():
        counted = [name for name, value in rows[0].items() if isinstance(value, int | float)]
        means = {name: float(np.mean([row[name] for row in rows])) for name in counted}
        names = {"sequence": f"{sequence}, mean of {len(rows)}", "models": models, "engine": engine, "step": step}
        yield _line({**names, **means})


def _line(row: Mapping[str, Any]) -> str:
    return "| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()) + " |"


if __name__ == "__main__":
    main()
