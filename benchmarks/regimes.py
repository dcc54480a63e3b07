"""How well who is who is decided where nobody tuned it: galleries of real people by how many of them come back.

    python -m benchmarks.regimes [--part drawn --seed 3] [--risk 0.1] [--most 450] [--json out.json]
        [--sequences] [--scenes FOLDER ...] [--kept FOLDER] [--galleries a=FOLDER ... [--apart a ...]]

The galleries are cut from the shared Market-1501 crops with OSNet x0.25 (MSMT17), which never saw these people. File
names hold person, camera, sequence and frame: crops of one person that follow each other within ten seconds are a
tracklet. Regimes: ``cameras``, six of them over hours; ``street``, one camera, fifteen people at once, whose tracks
break or are doubled. In each, some share of the people comes back. A quarter (cameras) or a third (street) of the
tracklets has crops that are hidden by a stripe of somebody else, cut or blurred. 451 people served for choices (--part
choose). The other 300 were looked at before, in other cuts (--part final, twice, and fresh, once). --part drawn cuts
galleries of them by chance: a seed that nobody has used is for one look after all choices; 1 to 6, 8, 10, 11
and 49 were looked at.
--part aside: the 150 people whom no weights of this project are trained on, for --model person-reid; with a --seed
galleries of them cut by chance, of which 8, 9 and 49 were looked at.

Printed per gallery: F1 of resolving; the best F1 that complete or average linkage of the same similarities reaches at
one threshold chosen with the truth, and at one with no more wrong joins than the accepted risk; wrong joins;
identities, undecided, and people estimated, against the truth. In the end, how often what was said to be so sure was
right. --sequences: PETS09-S2L1 and TUD-Campus, too; --scenes: folders that `reidstream synth` made; their galleries are
kept in --kept. --galleries: existing galleries, each of a place that has nothing to do with the others (--apart: of
those named, each camera is a place); how many identities hold two places when all are one gallery.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from benchmarks.identities import Scene, make_gallery, scene_of_folder, scene_of_sequence
from benchmarks.labelled_scenes import EMBEDDER, SHARED
from reidstream.config import EmbeddingConfig
from reidstream.config.identities import IdentityConfig
from reidstream.evaluation.gallery_truth import match_tracklets
from reidstream.evaluation.grouping import score_grouping
from reidstream.evaluation.reliability import reliability
from reidstream.evaluation.sequences import find_sequences
from reidstream.expected_looks import newest_expected
from reidstream.gallery import Gallery
from reidstream.identities.evidence import Evidence, evidence_of, trust_of
from reidstream.identities.resolving import Resolution, resolve
from reidstream.identities.similarity import likeness
from reidstream.inference import open_embedder
from reidstream.models import resolve_model
from reidstream.tracklets.pooling import pool
from training.reid.dataset import held_out

_NAME = re.compile(r"(\d{4})_c(\d)s(\d)_(\d+)_(\d+)\.jpg$")
_GAP, _FPS, _SEQUENCE = 250, 25.0, 5_000.0
CHOOSE = 451
RATES = (0.0, 0.2, 0.6, 1.0)
_SIZES = {"cameras": (10, 30, 100, 300), "street": (30, 60, 174)}
_ASIDE = {"cameras": (10, 40, 100), "street": (20, 60, 130)}
_FRESH = {"cameras": (12, 40, 120, 250), "street": (25, 80, 200)}
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Crops:
    """Embedded crops in the order of their names.

    names: int64 (n, 5), person, camera, sequence, frame, number. clear, poor: float32 (n, d), as they are and spoilt.
    left: float32 (n,), quality that is left of the spoilt. runs: rows of each tracklet. space: fingerprint of theirs.
    """

    names: npt.NDArray[np.int64]
    clear: Floats
    poor: Floats
    left: Floats
    runs: list[npt.NDArray[np.int64]]
    space: str = ""


def load_crops(cache: Path, model: str = str(EMBEDDER)) -> Crops:
    """All crops; embedded once into a file that later calls read."""
    if not cache.exists():
        _embed(cache, model)
    held = np.load(cache)
    names = held["names"]
    same = (names[1:, :3] == names[:-1, :3]).all(axis=1) & (np.diff(names[:, 3]) <= _GAP)
    runs = np.split(np.arange(len(names)), np.flatnonzero(~same) + 1)
    return Crops(names, held["clear"], held["poor"], held["left"], runs, str(held["space"]) if "space" in held else "")


def _embed(cache: Path, model: str) -> None:
    embedder = open_embedder(resolve_model(model, "reid"), EmbeddingConfig())
    found: list[tuple[list[int], Any]] = []
    with tarfile.open(SHARED / "data" / "market1501_train.tar") as tar:
        for member in tar:
            if match := _NAME.search(member.name):
                data = tar.extractfile(member)
                assert data is not None
                picture = cv2.imdecode(np.frombuffer(data.read(), np.uint8), cv2.IMREAD_COLOR)
                found.append(([int(part) for part in match.groups()], picture))
    found.sort(key=lambda crop: crop[0])
    rng = np.random.default_rng(5)
    clear, poor, left = [], [], []
    for begin in range(0, len(found), 256):
        block = [picture for _, picture in found[begin : begin + 256]]
        clear.append(embedder.embed(block))
        spoilt = [_spoilt(picture, found[rng.integers(len(found))][1], rng) for picture in block]
        poor.append(embedder.embed([picture for picture, _ in spoilt]))
        left += [share for _, share in spoilt]
    names = np.array([name for name, _ in found], np.int64)
    cache.parent.mkdir(parents=True, exist_ok=True)
    space = np.array(embedder.space.fingerprint)
    vectors = {"clear": np.concatenate(clear), "poor": np.concatenate(poor)}
    np.savez(cache, names=names, **vectors, left=np.float32(left), space=space)


def _spoilt(picture: Any, other: Any, rng: np.random.Generator) -> tuple[Any, float]:
    """A crop with a part hidden by somebody else or cut off, half of them blurred; the quality that is left."""
    height, width = picture.shape[:2]
    hidden, out = float(rng.uniform(0.15, 0.6)), picture.copy()
    rows, columns = int(height * (1 - hidden)), int(width * hidden)
    match int(rng.integers(3)):
        case 0:
            out[rows:] = other[: height - rows]
        case 1 if rng.random() < 0.5:
            out[:, :columns] = other[:, width - columns :]
        case 1:
            out[:, width - columns :] = other[:, :columns]
        case _:
            out = cv2.resize(picture[:rows], (width, height))
    if rng.random() < 0.5:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.5, 2)))
    return out, (1 - hidden) ** 1.5


@dataclass(frozen=True)
class Visit:
    """rows: crops. person: -1 for a doubled box, which is nobody's. start, end: seconds."""

    rows: npt.NDArray[np.int64]
    person: int
    camera: int
    start: float
    end: float


def nobodys(crops: Crops) -> npt.NDArray[np.int64]:
    """The people whom no weights of this project are trained on; see ``training.reid.dataset.held_out``."""
    everybody = np.unique(crops.names[:, 0])
    return everybody[held_out(everybody)]


def cameras(crops: Crops, people: npt.NDArray[np.int64], count: int, rate: float, seed: int) -> list[Visit]:
    """``count`` people before six cameras, one tracklet each; ``rate`` of them with up to five."""
    rng = np.random.default_rng(seed)
    heads = crops.names[[run[0] for run in crops.runs]]
    tails = crops.names[[run[-1] for run in crops.runs]]
    visits = []
    for person in rng.permutation(people)[:count].tolist():
        own = rng.permutation(np.flatnonzero(heads[:, 0] == person))
        for k in own[: rng.integers(2, 6) if rng.random() < rate else 1].tolist():
            begin = heads[k, 2] * _SEQUENCE
            start, end = begin + heads[k, 3] / _FPS, begin + tails[k, 3] / _FPS + 0.5
            visits.append(Visit(crops.runs[k], person, int(heads[k, 1]), start, end))
    return visits


def street(crops: Crops, people: npt.NDArray[np.int64], count: int, rate: float, seed: int) -> list[Visit]:
    """``count`` people before one camera, fifteen at once; ``rate`` of them are lost and found again."""
    rng = np.random.default_rng(seed)
    owner = crops.names[[run[0] for run in crops.runs], 0]
    span = count * 1.4 * 12.0 / 15
    visits = []
    for person in rng.permutation(people)[:count].tolist():
        runs = [crops.runs[k] for k in rng.permutation(np.flatnonzero(owner == person)).tolist()]
        pieces = runs[:1]
        if rng.random() < rate:
            most, longest = int(rng.integers(2, 4)), max(runs, key=len)
            broken = rng.random() < 0.6 and len(longest) >= 4
            pieces = np.array_split(longest, min(most, len(longest) // 2)) if broken else runs[:most]
        at = float(rng.uniform(0, span))
        for piece in pieces:
            seconds = float(rng.uniform(4, 20))
            visits.append(Visit(piece, person, 0, at, at + seconds))
            if rng.random() < 0.04 and len(piece) >= 3:
                visits.append(Visit(piece[1::2], -1, 0, at + 1, at + seconds - 1))
            at += seconds + float(rng.exponential(8)) + 0.5
    return visits


def evidence_from(
    crops: Crops, visits: list[Visit], poor: float, rng: np.random.Generator
) -> tuple[Evidence, npt.NDArray[np.int64]]:
    """What a gallery would know of these visits, and whose each is. poor: the share that is seen badly."""
    visits = sorted(visits, key=lambda visit: visit.start)
    pools = []
    for visit in visits:
        rows, bad = visit.rows, rng.random() < poor
        fair = crops.left[rows] * rng.uniform(0.33, 0.55, len(rows)) if bad else rng.uniform(0.45, 0.7, len(rows))
        pools.append(pool((crops.poor if bad else crops.clear)[rows].astype(np.float32), fair.astype(np.float32)))
    n = len(visits)
    names, camera = np.unique([visit.camera for visit in visits], return_inverse=True)
    purity = np.array([max(p.purity, 0.1) for p in pools], np.float32)
    seen = np.array([p.used.sum() * p.quality for p in pools])
    places = np.zeros((n, 4), np.float32)
    times = np.array([[visit.start, visit.end] for visit in visits])
    evidence = Evidence(
        [f"{k:06d}" for k in range(n)],
        [f"camera {name}" for name in names],
        camera.astype(np.int64),
        np.arange(n),
        np.zeros(n, np.int64),
        times[:, 0],
        times[:, 1],
        np.stack([p.embedding for p in pools]),
        np.concatenate([p.prototypes for p in pools]),
        np.cumsum([0, *(len(p.prototypes) for p in pools)]).astype(np.int64),
        np.concatenate([p.weights for p in pools]),
        purity,
        trust_of(purity, seen),
        (purity * seen).astype(np.float32),
        places,
        places,
        places[:, :2],
        places[:, :2],
        newest_expected(crops.space),
    )
    return evidence, np.array([visit.person for visit in visits])


def in_hindsight(evidence: Evidence, truth: npt.NDArray[np.int64], risk: float) -> tuple[float, float]:
    """The best F1 of complete or average linkage at one threshold, chosen with the truth.

    The second is the best of the thresholds at which no more than ``risk`` of all joins are wrong.
    """
    n = len(evidence)
    i, j = np.triu_indices(n, 1)
    best, careful, known = 0.0, 0.0, truth >= 0
    for similarity in (likeness(evidence, i, j), np.einsum("nd,nd->n", evidence.vectors[i], evidence.vectors[j])):
        far = np.zeros((n, n))
        far[i, j] = far[j, i] = np.maximum(1.0 - similarity, 0.0)
        for method in ("complete", "average"):
            tree = linkage(squareform(far, checks=False), method)
            heights = np.unique(np.round(tree[:, 2], 3))
            for height in heights[:: max(1, len(heights) // 150)]:
                group = fcluster(tree, height, "distance")
                f1 = score_grouping(group[known], truth[known]).f1
                joins, wrong = joined(group[known], truth[known])
                best, careful = max(best, f1), max(careful, f1 if wrong <= risk * joins else 0.0)
    return best, careful


def joined(group: npt.NDArray[np.int64], person: npt.NDArray[np.int64]) -> tuple[int, int]:
    """How many joins a grouping took, and how many of them put two people together."""
    groups = len(np.unique(group))
    return len(group) - groups, len(np.unique(np.stack([group, person], axis=1), axis=0)) - groups


def judged(found: Resolution, truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """How a resolution agrees with whose each tracklet is; nobody's tracklets do not count."""
    known = truth >= 0
    group, person = found.group[known], truth[known]
    scores = score_grouping(group, person)
    joins, wrong = joined(group, person)
    return {
        "people": len(np.unique(person)),
        "identities": found.people,
        "undecided": int((found.likeliest >= 0).sum()),
        "estimated": found.estimated,
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "joins": joins,
        "wrong": wrong,
        "share": found.calibration.share,
    }


def said_of(found: Resolution, truth: npt.NDArray[np.int64]) -> Iterable[tuple[float, bool]]:
    """What was said of each tracklet, and whether it is so: with its own, or, alone, none of the others."""
    for row in np.flatnonzero(truth >= 0).tolist():
        same = (truth == truth[row]) & (np.arange(len(truth)) != row)
        beside = (found.group == found.group[row]) & (np.arange(len(truth)) != row)
        right = bool((same & beside).any()) if beside.any() else not same.any()
        yield float(found.probability[row]), right


def labelled(scene: Scene, engine: str, kept: Path) -> tuple[Evidence, npt.NDArray[np.int64]]:
    """The evidence of a labelled scene, through the embedded models, and whose each tracklet is; -1 for nobody's."""
    folder = kept / f"{scene.name}-embedded-{engine}"
    if not folder.exists():
        make_gallery(folder, scene, "embedded", engine)
    with Gallery.open(folder) as gallery:
        evidence = evidence_of(gallery)
        matched = {t.tracklet: t for t in match_tracklets(gallery.tracklets(), scene.truth)}
    shown = [matched[i].person if i in matched and not matched[i].excused else None for i in evidence.ids]
    return evidence, np.array([-1 if person is None else person for person in shown], np.int64)


def together(folders: dict[str, Path]) -> Evidence:
    """The evidence of several galleries as if they were one; cameras are named after their gallery."""
    held = []
    for name, folder in folders.items():
        with Gallery.open(folder) as gallery:
            one = evidence_of(gallery)
        held.append(replace(one, cameras=[f"{name}/{camera}" for camera in one.cameras]))
    cameras, tracks, prototypes, rows = (np.cumsum([0, *sizes]) for sizes in (
        [len(e.cameras) for e in held], [int(e.track.max()) + 1 for e in held], [len(e.prototypes) for e in held],
        [len(e) for e in held],
    ))  # fmt: skip
    moved = [
        replace(
            e,
            camera=e.camera + cameras[k],
            track=e.track + tracks[k],
            first=e.first + prototypes[k],
            doubled=e.doubled + rows[k],
        )
        for k, e in enumerate(held)
    ]
    arrays = [f.name for f in fields(Evidence) if f.name not in ("ids", "cameras", "first", "expected")]
    return Evidence(
        ids=[f"{k}/{i}" for k, e in enumerate(moved) for i in e.ids],
        cameras=[camera for e in moved for camera in e.cameras],
        first=np.concatenate([*(e.first[:-1] for e in moved), moved[-1].first[-1:]]),
        expected=moved[0].expected,
        **{name: np.concatenate([getattr(e, name) for e in moved]) for name in arrays},
    )


def places_of(evidence: Evidence, group: npt.NDArray[np.int64], apart: Iterable[str]) -> dict[int, set[str]]:
    """The places that each group of tracklets was seen in. apart: galleries whose cameras are places of their own."""
    own = set(apart)
    named = [name.partition("/")[0] for name in evidence.cameras]
    place = [camera if name in own else name for name, camera in zip(named, evidence.cameras, strict=True)]
    found: dict[int, set[str]] = {}
    for number, camera in zip(group.tolist(), evidence.camera.tolist(), strict=True):
        found.setdefault(number, set()).add(place[camera])
    return found


_EDGES = {"cameras": (10, 25, 60, 130, 260), "street": (20, 50, 110, 220)}
_EDGES_ASIDE = {"cameras": (10, 25, 60, 110), "street": (20, 50, 90, 150)}


def drawn_sizes(seed: int, edges: dict[str, tuple[int, ...]] = _EDGES) -> dict[str, tuple[int, ...]]:
    """How many people the galleries of a draw have, small and large ones: one between each two of the edges."""
    rng = np.random.default_rng(seed)
    return {
        regime: tuple(int(rng.integers(low, high)) for low, high in pairwise(bounds))
        for regime, bounds in edges.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("choose", "final", "fresh", "drawn", "aside", "none"), default="choose")
    parser.add_argument("--seed", type=int, default=0, help="of --part drawn and aside")
    parser.add_argument("--risk", type=float, default=IdentityConfig().false_merges)
    parser.add_argument("--most", type=int, default=450, help="leave out galleries of more tracklets")
    parser.add_argument("--cache", type=Path, default=Path("build/market_crops.npz"), help="keeps embedded crops")
    parser.add_argument("--model", default=str(EMBEDDER), help="what embeds them, with a --cache of its own")
    parser.add_argument("--sequences", action="store_true", help="PETS09-S2L1 and TUD-Campus, too")
    parser.add_argument("--scenes", type=Path, nargs="*", default=[], help="folders that `reidstream synth` made")
    parser.add_argument("--kept", type=Path, default=Path("build/galleries"), help="keeps their galleries")
    parser.add_argument("--galleries", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--apart", nargs="*", default=[], metavar="NAME", help="whose cameras are places of their own")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    config = IdentityConfig(false_merges=options.risk)
    report: list[dict[str, Any]] = []
    if options.galleries:
        places = {name: Path(folder) for name, _, folder in (word.partition("=") for word in options.galleries)}
        mixed = together(places)
        found = resolve(mixed, config)
        two = [g for g, held in places_of(mixed, found.group, options.apart).items() if len(held) > 1]
        names = [sorted({mixed.cameras[c] for c in mixed.camera[found.group == g]}) for g in two]
        report.append({"gallery": "places", "identities": found.people, "mixed": len(two), "which": names})
        print(report[-1])
    said: dict[str, list[tuple[float, bool]]] = {}

    def tell(regime: str, name: str, evidence: Evidence, truth: npt.NDArray[np.int64]) -> None:
        found = resolve(evidence, config)
        said.setdefault(regime, []).extend(said_of(found, truth))
        best, careful = in_hindsight(evidence, truth, options.risk)
        held = {"hindsight": best, "within risk": careful}
        report.append({"gallery": name, "tracklets": len(truth), **held, **judged(found, truth)})
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in report[-1].items()}, flush=True)

    scenes = [scene_of_folder(folder) for folder in options.scenes]
    if options.sequences:
        scenes += [scene_of_sequence(sequence, False) for sequence in find_sequences(SHARED / "data" / "mot")]
    for scene in scenes:
        for engine in ("detected", "perfect"):
            tell("scenes", f"{scene.name} {engine}", *labelled(scene, engine, options.kept))
    if options.part != "none":
        crops = load_crops(options.cache, options.model)
        everybody = np.random.default_rng(11).permutation(np.unique(crops.names[:, 0]))
        people = everybody[:CHOOSE] if options.part == "choose" else everybody[CHOOSE:]
        if options.part == "aside":
            people = nobodys(crops)
        aside = drawn_sizes(options.seed, _EDGES_ASIDE) if options.seed else _ASIDE
        sizes = {"fresh": _FRESH, "drawn": drawn_sizes(options.seed), "aside": aside}.get(options.part, _SIZES)
        for regime, poor in ((cameras, 0.25), (street, 0.35)):
            for size in sizes[regime.__name__]:
                for rate in RATES:
                    begun = {"choose": 0, "final": 1000, "fresh": 7000, "drawn": 10_000 * (options.seed + 2)}
                    begun["aside"] = 900_000 + 10_000 * options.seed if options.seed else 500_000
                    seed = size + begun[options.part]
                    visits = regime(crops, people, size, rate, seed)
                    if len(visits) > options.most:
                        continue
                    made = evidence_from(crops, visits, poor, np.random.default_rng(seed))
                    tell(regime.__name__, f"{regime.__name__} {size} {rate:.0%}", *made)
    for name, stated in said.items():
        sure = reliability([p for p, _ in stated], [y for _, y in stated])
        report.append({"regime": name, **sure.as_dict()})
        print(f"{name}: Brier score {sure.brier:.3f}, calibration error {sure.error:.3f}, of {sure.count}")
        for held in sure.bins:
            print(f"  said {held.said:.2f}: right {held.right:.2f} ({held.least:.2f} to {held.most:.2f}), {held.count}")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
