"""What similarities look like for each embedding model before a gallery has pairs of its own: measured, and judged.

    reidstream synth s11 --cameras 4 --people 20 --minutes 1 --hard --seed 11      # and others
    python -m benchmarks.calibration_defaults --scenes s11 s12 --models embedded,msmt17 [--write]

Tracklets are those of perfect tracks (labelled boxes, real embeddings), compared by their most similar prototypes as
everywhere: *same* are all pairs of one person, *different* pairs that one camera saw together, *within* prototypes of
one tracklet. The defaults are the means over scenes and the spread of both kinds of pairs around their means.

They are judged where they were not measured: on the other scenes, and on the labelled sequences of the shared data.
Each tracklet is held against those that ended before it; the most similar one that time and place do not exclude is the
candidate, and the probability that it is the person is compared with whether it is: *joins* are candidates at the
accepted risk, *said* is the mean risk among them, *wrong* the share that is, *loss* the log loss over all candidates.
--write puts the defaults into the package.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.identities import MODELS, Scene, make_gallery, scene_of_folder, scene_of_sequence
from benchmarks.labelled_scenes import SHARED
from reidstream.config.identities import IdentityConfig
from reidstream.evaluation.gallery_truth import match_tracklets
from reidstream.evaluation.sequences import find_sequences
from reidstream.gallery import Gallery
from reidstream.identities.calibration import (
    DEFAULTS_FILE,
    GENERAL,
    Calibration,
    Defaults,
    probabilities,
)
from reidstream.identities.constraints import Cameras, TimeTable
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.resolving import seen_together
from reidstream.identities.similarity import pair_similarity, within_similarity
from reidstream.types import EmbeddingSpace, FloatArray, IntArray


@dataclass(frozen=True)
class Measured:
    """One scene as one model sees it. persons: int64 (n,), -1 unknown."""

    scene: str
    space: EmbeddingSpace
    evidence: Evidence
    persons: IntArray
    table: TimeTable
    same: FloatArray
    different: FloatArray
    within: FloatArray


def measure(scene: Scene, models: str, galleries: Path) -> Measured:
    """The pairs of a scene."""
    folder = galleries / f"{scene.name}-{models}-perfect"
    if not folder.exists():
        make_gallery(folder, scene, models, "perfect")
    with Gallery.open(folder) as gallery:
        evidence = evidence_of(gallery)
        found = {t.tracklet: t.person for t in match_tracklets(gallery.tracklets(), scene.truth)}
        space = gallery.space
    persons = np.array([-1 if found[i] is None else found[i] for i in evidence.ids], np.int64)
    # Views of synthetic scenes do not overlap and share a clock.
    cameras = Cameras.separate(len(evidence.cameras))
    table = TimeTable(evidence.camera, evidence.start, evidence.end, cameras, IdentityConfig().overlap)
    i, j = np.triu_indices(len(evidence), 1)
    one = (persons[i] == persons[j]) & (persons[i] >= 0)
    a, b = seen_together(evidence, table)
    two = persons[a] != persons[b]
    return Measured(
        scene.name,
        space,
        evidence,
        persons,
        table,
        pair_similarity(evidence, i[one], j[one]),
        pair_similarity(evidence, a[two], b[two]),
        within_similarity(evidence),
    )


def defaults_of(scenes: list[Measured]) -> Defaults:
    """Every scene counts the same, however many pairs it has."""

    def mean(values: list[FloatArray]) -> float:
        return round(float(np.mean([v.mean() for v in values])), 3)

    variances = [np.var(v) for scene in scenes for v in (scene.same, scene.different)]
    return Defaults(
        same=mean([scene.same for scene in scenes]),
        different=mean([scene.different for scene in scenes]),
        spread=round(float(np.sqrt(np.mean(variances))), 3),
        within=mean([scene.within for scene in scenes]),
    )


def judged(measured: Measured, defaults: Defaults, risk: float) -> dict[str, float]:
    """How far probabilities from defaults alone can be believed."""
    calibration = Calibration(defaults.same, defaults.different, defaults.spread)
    evidence = measured.evidence
    order = np.argsort(evidence.end, kind="stable")
    said: list[float] = []
    right: list[bool] = []
    for place in range(1, len(order)):
        row = int(order[place])
        earlier = order[:place][~measured.table.excluded([row], order[:place])[0]]
        if measured.persons[row] < 0 or not len(earlier):
            continue
        alike = pair_similarity(evidence, np.full(len(earlier), row), earlier)
        best = int(alike.argmax())
        said.append(float(probabilities(calibration.log_ratio(alike[best : best + 1]))[0]))
        right.append(bool(measured.persons[earlier[best]] == measured.persons[row]))
    p: npt.NDArray[np.float64] = np.array(said)
    truth = np.array(right)
    joins = p >= 1 - risk
    return {
        "candidates": len(p),
        "joins": int(joins.sum()),
        "said": float((1 - p[joins]).mean()) if joins.any() else float("nan"),
        "wrong": float((~truth[joins]).mean()) if joins.any() else float("nan"),
        "missed": float(truth[~joins].sum() / max(truth.sum(), 1)),
        "loss": float(-np.log(np.where(truth, p, 1 - p)).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, nargs="+", required=True, help="folders that `reidstream synth` made")
    parser.add_argument("--models", default="embedded,msmt17", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--galleries", type=Path, default=None, help="keep galleries here and reuse them")
    parser.add_argument("--risk", type=float, default=IdentityConfig().false_merges)
    parser.add_argument("--write", action="store_true", help="put the defaults into the package")
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    written = json.loads(DEFAULTS_FILE.read_text(encoding="utf-8")) if DEFAULTS_FILE.is_file() else {}
    with tempfile.TemporaryDirectory() as temporary:
        galleries = options.galleries or Path(temporary)
        for models in options.models.split(","):
            scenes = [measure(scene_of_folder(folder), models, galleries) for folder in options.scenes]
            found = find_sequences(SHARED / "data" / "mot")
            tests = [measure(scene_of_sequence(sequence, by_number=False), models, galleries) for sequence in found]
            for scene in [*scenes, *tests]:
                kinds = {"same": scene.same, "different": scene.different, "within": scene.within}
                told = ", ".join(f"{k} {v.mean():.3f} ± {v.std():.3f} ({len(v)})" for k, v in kinds.items() if len(v))
                print(f"{models}, {scene.scene}: {told}", flush=True)
            defaults = defaults_of(scenes)
            print(f"{models}: {defaults}", flush=True)
            for scene in [*scenes, *tests]:
                others = [s for s in scenes if s is not scene] if scene in scenes else scenes
                trials = {"general": GENERAL, **({"own": defaults_of(others)} if others else {})}
                for name, trial in trials.items():
                    row = judged(scene, trial, options.risk)
                    cells = " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
                    print(f"| {models} | {scene.scene} | {name} | {cells} |", flush=True)
            space = scenes[0].space
            written[space.fingerprint] = {"model": space.model, **asdict(defaults)}
    if options.write:
        DEFAULTS_FILE.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
