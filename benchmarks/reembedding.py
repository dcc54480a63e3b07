"""What a gallery loses by moving to another model instead of being built with it.

    python -m benchmarks.reembedding

Each labelled scene is read four times into a gallery: with the embedded model; with OSNet x0.25 of MSMT17, then moved
by reading the recordings again; the same, moved by the one stored crop of each tracklet; and by four of them. Printed
are the area under the curve of same against different people over all pairs of tracklets, and the mean average
precision with each tracklet of somebody who was seen again as a query. Needs the shared weights and sequences
(REIDSTREAM_SHARED).
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.labelled_scenes import EMBEDDER, SHARED
from benchmarks.pets_people import SEQUENCE, as_people
from reidstream.config import load_config
from reidstream.evaluation.gallery_truth import PersonBoxes, match_tracklets, truth_of_file, truth_of_scene
from reidstream.evaluation.sequences import find_sequences
from reidstream.gallery import Gallery
from reidstream.inference import open_embedder
from reidstream.models import resolve_model
from reidstream.pipeline import build_gallery
from reidstream.pipeline.reembedding import reembed
from reidstream.synthetic import World, write_scene

NEW = "person-reid"
SAME_TRACKS = (
    "tracker.appearance=false",
    "tracklets.split=false",
    "tracklets.second_look=false",
    'gallery.index="exact"',
)
"""What looks decide beside the vectors is left out, so that all three galleries hold the same tracks."""


def scores(gallery: Path, truth: Mapping[str, PersonBoxes]) -> tuple[int, float, float]:
    """Tracklets that are somebody's, area under the curve, and mean average precision."""
    with Gallery.open(gallery) as opened:
        matched = {m.tracklet: m.person for m in match_tracklets(opened.tracklets(), truth) if m.person is not None}
        ids, vectors = opened.vectors(list(matched))
    person = np.array([matched[id] for id in ids])
    similarity = (vectors @ vectors.T).astype(np.float64)
    same = person[:, None] == person[None, :]
    upper = np.triu_indices(len(ids), 1)
    alike, different = np.sort(similarity[upper][same[upper]]), np.sort(similarity[upper][~same[upper]])
    below = (np.searchsorted(different, alike, "left") + np.searchsorted(different, alike, "right")) / 2
    precisions = []
    for row in range(len(ids)):
        order = np.argsort(-np.where(np.arange(len(ids)) == row, -np.inf, similarity[row]))[:-1]
        hits = same[row, order]
        if hits.any():
            precisions.append(float((np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)).mean()))
    return len(ids), float(below.mean() / len(different)), float(np.mean(precisions))


def main() -> None:
    new = open_embedder(resolve_model(NEW, "reid"), load_config(None, []).embedding)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        scenes: list[tuple[str, list[Path], Mapping[str, PersonBoxes], list[str]]] = []
        for sequence in find_sequences(SHARED / "data" / "mot"):
            boxes = truth_of_file(sequence.truth)
            boxes = as_people(boxes) if sequence.name == SEQUENCE else boxes
            video = root / f"{sequence.name}{sequence.frames.suffix}"
            shutil.copy(sequence.frames, video)
            # Nobody comes back within three seconds: tracks in pieces have to find each other.
            pieces = ["tracklets.max_seconds=0.7"] if sequence.name == "TUD-Campus" else []
            scenes.append((sequence.name, [video], {sequence.name: boxes}, pieces))
        made = root / "synthetic"
        write_scene(made, World(seed=41, cameras=3, people=15, minutes=1))
        scenes.append(("synthetic", sorted(made.glob("*/*.mp4")), truth_of_scene(made), []))
        for name, sources, truth, special in scenes:
            for way in ("built", "recordings", "one crop", "four crops"):
                gallery = root / f"{name}-{way}"
                model = NEW if way == "built" else str(EMBEDDER)
                config = load_config(
                    None,
                    [
                        f"embedding.model={json.dumps(model)}",
                        *SAME_TRACKS,
                        *special,
                        *(["tracklets.crops=4"] if way == "four crops" else []),
                    ],
                )
                build_gallery([str(source) for source in sources], config, gallery=gallery)
                began = time.monotonic()
                if way != "built":
                    reembed(gallery, new, NEW, recordings=way == "recordings")
                seconds = time.monotonic() - began
                n, auc, precision = scores(gallery, truth)
                print(
                    f"{name:14} {way:13} {n:3} tracklets, AUC {auc:.4f}, mAP {precision:.3f}, moved in {seconds:.1f} s"
                )


if __name__ == "__main__":
    main()
