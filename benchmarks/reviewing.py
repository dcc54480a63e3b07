"""What a reviewer's answers are worth: F1 of who is who after so many, in the order of ``people review`` and by chance.

    python -m benchmarks.reviewing [--cache build/market_crops.npz] [--seeds 3] [--json out.json]

Two galleries: made-up people who come back often, and a cut of the shared Market-1501 crops (``benchmarks.regimes``
says how; people who served for no choice). Both are decided all at once; then an oracle answers
questions truthfully. Questions
by chance are drawn from the same pool, the mean of some draws is given. Nothing is decided anew in between.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.labelled_scenes import EMBEDDER
from benchmarks.regimes import cameras, evidence_from, load_crops
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.errors import IdentityError
from reidstream.evaluation.grouping import score_grouping
from reidstream.gallery import Gallery
from reidstream.identities.applying import apply
from reidstream.identities.evidence import Evidence
from reidstream.identities.people import list_people
from reidstream.identities.proposal import propose
from reidstream.identities.questions import Question, questions
from reidstream.identities.review import Review
from reidstream.types import EmbeddingSpace, EndReason, SourceStarted, Tracklet

STEPS = (0, 5, 10, 20, 50)
# Made-up looks lie in so many directions, and scatter by so much from visit to visit.
_SIZE, _DIRECTIONS, _NOISE = 512, 40, (0.5, 1.1)


def made_up(folder: Path, seed: int = 7, people: int = 40, visits: int = 4) -> dict[str, int]:
    """A gallery of made-up people, each seen so many times; whose each tracklet is."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(_SIZE, _DIRECTIONS)))[0].T
    tracklets: list[Tracklet] = []
    truth: dict[str, int] = {}
    for person in range(people):
        direction = rng.normal(size=_DIRECTIONS)
        for _ in range(visits):
            look = direction + rng.normal(size=_DIRECTIONS) * rng.uniform(*_NOISE)
            looks = (look + 0.3 * rng.normal(size=(3, _DIRECTIONS))) @ basis
            looks /= np.linalg.norm(looks, axis=1, keepdims=True)
            start = float(rng.uniform(0, 36_000))
            name = f"{len(tracklets):032x}"
            truth[name] = person
            tracklets.append(_tracklet(name, "camera", start, start + 10.0, looks.astype(np.float32), 5, 1.0, 0.8))
    space = EmbeddingSpace("made-up", "made-up", _SIZE)
    fill(folder, space, sorted(tracklets, key=lambda tracklet: tracklet.start_wall))
    return truth


def market(folder: Path, cache: Path, people: int = 100, rate: float = 0.6) -> dict[str, int]:
    """A cut of Market-1501 before six cameras; whose each tracklet is."""
    crops = load_crops(cache)
    final = np.random.default_rng(11).permutation(np.unique(crops.names[:, 0]))[451:]
    visits = cameras(crops, final, people, rate, 1100)
    evidence, truth = evidence_from(crops, visits, 0.25, np.random.default_rng(1100))
    space = EmbeddingSpace(crops.space, Path(EMBEDDER).name, evidence.vectors.shape[1])
    fill(folder, space, [_seen(evidence, row) for row in range(len(truth))])
    return {f"{row:032x}": int(person) for row, person in enumerate(truth.tolist())}


def _seen(evidence: Evidence, row: int) -> Tracklet:
    looks = evidence.prototypes[evidence.first[row] : evidence.first[row + 1]]
    purity = float(evidence.purity[row])
    seen = float(evidence.strength[row]) / purity
    used = max(1, round(seen / 0.6))
    camera = evidence.cameras[int(evidence.camera[row])]
    times = float(evidence.start[row]), float(evidence.end[row])
    return _tracklet(f"{row:032x}", camera, *times, looks, used, purity, min(seen / used, 1.0))


def _tracklet(
    name: str, camera: str, start: float, end: float, looks: Any, used: int, purity: float, quality: float
) -> Tracklet:
    mean = looks.mean(axis=0)
    return Tracklet(
        id=name,
        source=camera,
        content=f"content of {camera}",
        track_id=int(name, 16),
        part=0,
        parts=1,
        start_frame=round(start * 10),
        end_frame=round(end * 10),
        start_media=start,
        end_media=end,
        start_wall=start,
        end_wall=end,
        reason=EndReason.LEFT,
        observations=10,
        confidence=0.9,
        embedding=(mean / np.linalg.norm(mean)).astype(np.float32),
        prototypes=looks,
        prototype_weights=np.full(len(looks), 1 / len(looks), np.float32),
        embeddings_used=used,
        embeddings_seen=used,
        purity=purity,
        quality=quality,
        frames=np.array([round(start * 10), round(end * 10)]),
        boxes=np.zeros((2, 4), np.float32),
    )


def fill(folder: Path, space: EmbeddingSpace, tracklets: list[Tracklet]) -> None:
    """Store tracklets in a new gallery and decide who is who."""
    config = GalleryConfig(index="exact")
    with Gallery.open(folder, write=True, create=True, space=space, config=config) as gallery:
        for camera in dict.fromkeys(tracklet.source for tracklet in tracklets):
            started = SourceStarted(camera, f"{camera}.mp4", f"content of {camera}", (640, 480), 10, 0.0)
            gallery.begin_source(started, "settings")
        gallery.add(tracklets)
        apply(gallery, propose(gallery, IdentityConfig()))


def answered(folder: Path, truth: dict[str, int], seed: int | None) -> list[float]:
    """F1 after ``STEPS`` answers. seed: of the order by chance; None for the weightiest first."""
    rng = np.random.default_rng(seed)
    scores: list[float] = []
    with Gallery.open(folder, write=True) as gallery:
        review = Review(gallery, "oracle")
        waiting: list[Question] = []
        fresh = True
        given = 0
        while True:
            owner = {t: person.id for person in list_people(gallery) for t in person.tracklets}
            if given in STEPS[len(scores) :]:
                scores.append(score_grouping([owner[t] for t in truth], list(truth.values())).f1)
            if given == STEPS[-1]:
                return scores
            waiting = [question for question in waiting if question.holds(owner)]
            if not waiting:
                waiting = questions(gallery, IdentityConfig())
                if not waiting or not fresh:
                    # Nothing is left to ask.
                    return scores + [scores[-1]] * (len(STEPS) - len(scores))
                fresh = False
                continue
            question = waiting.pop(0 if seed is None else int(rng.integers(len(waiting))))
            sides = [Counter(truth[t] for t in side).most_common(1)[0][0] for side in question.sides]
            try:
                question.answer(review, sides[0] == sides[1])
            except IdentityError:
                continue
            given += 1
            fresh = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("build/market_crops.npz"), help="keeps embedded crops")
    parser.add_argument("--seeds", type=int, default=3, help="draws by chance")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    report = []
    with tempfile.TemporaryDirectory() as place:
        for name in ("made up", "market"):
            folder = Path(place) / name.replace(" ", "-")
            truth = made_up(folder) if name == "made up" else market(folder, options.cache)
            rows: dict[str, list[list[float]]] = {"weightiest": [], "by chance": []}
            for seed in (None, *range(options.seeds)):
                copy = Path(place) / "copy"
                shutil.copytree(folder, copy)
                rows["weightiest" if seed is None else "by chance"].append(answered(copy, truth, seed))
                shutil.rmtree(copy)
            for order, found in rows.items():
                f1 = np.mean(found, axis=0).tolist()
                report.append({"gallery": name, "tracklets": len(truth), "order": order, "f1": f1})
                print(
                    f"{name} ({len(truth)} tracklets), {order}: ",
                    *(f"{s} {v:.3f}" for s, v in zip(STEPS, f1, strict=True)),
                )
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
