"""What each part of deciding who is who is worth, on the two labelled sequences of the shared data.

    python -m benchmarks.identities [--sequences TUD-Campus] [--models embedded] [--json out.json]

Each gallery is made once by the local engine (embedded models; or YOLOX-nano with OSNet x0.25 trained on MSMT17) and
once by perfect tracks (labelled boxes, real embeddings). Its tracklets are then grouped in steps: tracks alone; looked
up in the gallery as they end, by the cosine of their means; with constraints (who is seen together is two people); by
prototypes and purity; and all of it at once, calibrated, as `people resolve` does. Steps before the last use the
general calibration; `online` is what a run does.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.labelled_scenes import DETECTOR, EMBEDDER, SHARED
from reidstream.config import Config, SourceConfig
from reidstream.config.identities import IdentityConfig
from reidstream.engines.local import LocalEngine
from reidstream.evaluation.gallery_scores import GalleryScores, identities_of, score_gallery
from reidstream.evaluation.gallery_truth import PersonBoxes, match_tracklets, people_in, truth_of_file
from reidstream.evaluation.perfect_tracks import LabelledBoxes, PerfectTracks
from reidstream.evaluation.sequences import LabelledSequence, find_sequences
from reidstream.gallery import Gallery
from reidstream.identities.calibration import GENERAL, Calibration, least_log_ratio
from reidstream.identities.constraints import Cameras, TimeTable
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.resolving import resolve
from reidstream.inference import open_detector, open_embedder
from reidstream.models import resolve_model
from reidstream.pipeline import GalleryRun

MODELS = {"embedded": (None, None), "published": (str(DETECTOR), str(EMBEDDER))}
ENGINES = ("detected", "perfect")


def make_gallery(folder: Path, sequence: LabelledSequence, truth: PersonBoxes, models: str, engine: str) -> None:
    """Run one sequence into a gallery."""
    config = Config()
    detector, reid = MODELS[models]
    source = SourceConfig(uri=str(sequence.frames))
    model = resolve_model(reid or config.embedding.model, "reid")
    embedder = open_embedder(model, config.embedding)
    made: LocalEngine | PerfectTracks
    if engine == "perfect":
        boxes = LabelledBoxes(
            truth.frames, truth.persons, truth.boxes.astype(np.float32), np.ones(len(truth.frames), np.float32)
        )
        made = PerfectTracks(config, [(sequence.name, source, boxes)], embedder)
    else:
        found = open_detector(resolve_model(detector or config.detector.model, "detector"), config.detector)
        made = LocalEngine(config, [(sequence.name, source)], detector=found, embedder=embedder)
    with Gallery.open(folder, write=True, create=True, space=embedder.space) as gallery:
        summary = GalleryRun(made, gallery, config, settings=f"{models} {engine}").run()
    if summary.failed:
        raise SystemExit(f"{sequence.name}: {summary.failed[0].error}")


def looked_up(evidence: Evidence, constrained: bool, prototypes: bool) -> list[int]:
    """One tracklet after the other, to the likeliest person known so far or to a new one: the plain form of it.

    constrained: who is seen together is two people. prototypes: the best pair of prototypes, weighed by purity,
    rather than the cosine of the means.
    """
    calibration = Calibration(GENERAL.same, GENERAL.different, GENERAL.spread)
    least = least_log_ratio(IdentityConfig().false_merges)
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
                weight = np.minimum(evidence.trust[held], evidence.trust[row])
            else:
                cosine = evidence.vectors[held] @ evidence.vectors[row]
                weight = np.ones(len(held), np.float32)
            ratio = float((calibration.log_ratio(cosine) * weight).mean())
            if ratio > best:
                best, likeliest = ratio, person
        if best < least:
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
        trust=np.ones(n, np.float32),
    )
    groups: dict[str, Callable[[], list[int]]] = {
        "tracks alone": lambda: list(range(n)),
        "+ gallery lookup": lambda: looked_up(evidence, constrained=False, prototypes=False),
        "+ constraints": lambda: looked_up(evidence, constrained=True, prototypes=False),
        "+ prototypes and purity": lambda: looked_up(evidence, constrained=True, prototypes=True),
        "all at once, calibrated, means": lambda: resolve(means, IdentityConfig()).group.tolist(),
        "all at once, calibrated": lambda: resolve(evidence, IdentityConfig()).group.tolist(),
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
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    wanted = [name for name in options.sequences.split(",") if name]
    report: list[dict[str, Any]] = []
    for sequence in find_sequences(SHARED / "data" / "mot"):
        if wanted and sequence.name not in wanted:
            continue
        truth = truth_of_file(sequence.truth)
        for models in options.models.split(","):
            for engine in options.engines.split(","):
                with tempfile.TemporaryDirectory() as folder:
                    make_gallery(Path(folder) / "gallery", sequence, truth, models, engine)
                    with Gallery.open(Path(folder) / "gallery") as gallery:
                        matched = match_tracklets(gallery.tracklets(), {sequence.name: truth})
                        # Everybody labelled counts as a person, however short.
                        people = people_in({sequence.name: truth}, {})
                        for step, identities in steps(gallery).items():
                            figures = row_of(score_gallery(matched, identities, people))
                            report.append(
                                {
                                    "sequence": sequence.name,
                                    "models": models,
                                    "engine": engine,
                                    "step": step,
                                    **figures,
                                }
                            )
                            print(_line(report[-1]), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _line(row: dict[str, Any]) -> str:
    return "| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()) + " |"


if __name__ == "__main__":
    main()
