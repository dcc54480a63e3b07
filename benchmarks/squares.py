"""How well people who are lost on a busy square are found again: real paths, looks of other real people.

    python -m benchmarks.squares TRACKS.txt ... [--fps 30] [--part drawn] [--seeds 1,2] [--cache build/market_crops.npz]

TRACKS are tracks of pedestrians before one camera in MOTChallenge's format (frame, track, left, top, width, height,
...), a good tracker's or labels. Ends and beginnings that fit within three seconds are taken for one person's.
Everybody gets the looks of one of Market-1501's people (``benchmarks.regimes``; --part choose or drawn) and is lost
when somebody nearer to the camera hides more than 60 % of them for .3 s, and by chance about every 15 s, for about a
second; a third of the pieces is seen badly. Printed are F1 of resolving with the places where people were lost and
without them, beside the best that one threshold reaches in hindsight, and wrong joins.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.regimes import CHOOSE, Crops, Visit, evidence_from, in_hindsight, judged, load_crops, said_of
from reidstream.config.identities import IdentityConfig
from reidstream.evaluation.reliability import reliability
from reidstream.identities.evidence import Evidence
from reidstream.identities.resolving import resolve

# Who is so much hidden for so many seconds is lost; and by chance, so often, for so long; pieces of fewer frames are
# none.
_HIDDEN, _PATIENCE, _EVERY, _MISSED, _LEAST = 0.6, 0.3, 15.0, 1.2, 12
_POOR, _JITTER = 0.35, 0.02
Floats = npt.NDArray[np.float64]


def read_tracks(path: Path, fps: float) -> Floats:
    """float64 (n, 6): frame, person, box xyxy, in order of person and frame; pieces of one path put together."""
    lines = [line.replace("#", ",").split(",")[:6] for line in path.read_text(encoding="utf-8").splitlines() if line]
    rows = np.array(lines, np.float64)
    rows = rows[np.lexsort((rows[:, 0], rows[:, 1]))]
    rows[:, 4:6] += rows[:, 2:4]
    tracks = {int(track): rows[rows[:, 1] == track] for track in np.unique(rows[:, 1])}
    fits = []
    for one, first in tracks.items():
        for other, second in tracks.items():
            gap = second[0, 0] - first[-1, 0]
            tall = (first[-1, 5] - first[-1, 3], second[0, 5] - second[0, 3])
            if not 0 < gap < 3 * fps or abs(np.log(tall[0] / tall[1])) > 0.25:
                continue
            going = _middle(first[-1]) + gap * (_velocity(first[-20:]) + _velocity(second[:20])) / 2
            beside = float(np.linalg.norm(_middle(second[0]) - going)) / np.mean(tall)
            if beside < 0.35 + 0.1 * gap / fps:
                fits.append((beside + gap / (3 * fps), one, other))
    onward: dict[int, int] = {}
    begun: dict[int, int] = {}
    for _, one, other in sorted(fits):
        if one not in onward and other not in begun:
            onward[one], begun[other] = other, one
    person: dict[int, int] = {}
    for track in sorted(tracks, key=lambda track: tracks[track][0, 0]):
        person[track] = person[begun[track]] if track in begun else track
    rows[:, 1] = [person[int(track)] for track in rows[:, 1]]
    return rows[np.lexsort((rows[:, 0], rows[:, 1]))]


def _middle(row: Floats) -> Floats:
    return (row[2:4] + row[4:6]) / 2


def _velocity(rows: Floats) -> Floats:
    """float64 (2,): pixels a frame."""
    frames = rows[:, 0] - rows[:, 0].mean()
    middles = (rows[:, 2:4] + rows[:, 4:6]) / 2
    found: Floats = frames @ middles / max(float((frames**2).sum()), 1e-9)
    return found


def hidden(rows: Floats) -> Floats:
    """float64 (n,): how much of each box one who stands nearer to the camera covers, 0..1."""
    found = np.zeros(len(rows))
    for frame in np.unique(rows[:, 0]):
        there = np.flatnonzero(rows[:, 0] == frame)
        boxes = rows[there, 2:6]
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        shared = np.clip(np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - low, 0, None).prod(axis=2)
        nearer = boxes[None, :, 3] > boxes[:, None, 3]
        found[there] = (shared * nearer).max(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return found


def pieces(
    rows: Floats, covered: Floats, fps: float, rng: np.random.Generator
) -> dict[int, list[npt.NDArray[np.int64]]]:
    """By person, the rows of each stretch in which they are followed."""
    found: dict[int, list[npt.NDArray[np.int64]]] = {}
    for person in np.unique(rows[:, 1]).astype(int).tolist():
        own = np.flatnonzero(rows[:, 1] == person)
        seconds = rows[own, 0] / fps
        followed = np.ones(len(own), bool)
        edges = np.flatnonzero(np.diff((covered[own] > _HIDDEN).astype(int), prepend=0, append=0))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if seconds[end - 1] - seconds[begin] > _PATIENCE:
                followed[begin : end + int(rng.integers(0, 10))] = False
        at = seconds[0] + float(rng.exponential(_EVERY))
        while at < seconds[-1]:
            missed = 0.1 + float(rng.exponential(_MISSED))
            followed[(seconds >= at) & (seconds < at + missed)] = False
            at += missed + float(rng.exponential(_EVERY))
        seen = own[followed]
        broken = np.flatnonzero(np.diff(rows[seen, 0]) > 3)
        ends = [0, *(broken + 1).tolist(), len(seen)]
        found[person] = [seen[a:b] for a, b in pairwise(ends) if b - a >= _LEAST]
    return found


def square(crops: Crops, people: npt.NDArray[np.int64], rows: Floats, fps: float, seed: int) -> tuple[Evidence, Any]:
    """What a gallery would know of a square, and whose each tracklet is."""
    rng = np.random.default_rng(seed)
    owner = crops.names[[run[0] for run in crops.runs], 0]
    chosen = rng.permutation(people)
    stretches = pieces(rows, hidden(rows), fps, rng)
    seen: list[tuple[Visit, list[Floats]]] = []
    for number, own in enumerate(stretches.values()):
        person = int(chosen[number % len(chosen)])
        runs = [crops.runs[k] for k in rng.permutation(np.flatnonzero(owner == person)).tolist()]
        longest = max(runs, key=len)
        looks = np.array_split(longest, len(own)) if len(longest) >= 2 * len(own) > 0 else []
        for k, stretch in enumerate(own):
            look = looks[k] if looks else runs[int(rng.integers(len(runs)))]
            seconds = rows[stretch, 0] / fps
            noise = rng.normal(size=(len(stretch), 4)) * _JITTER * (rows[stretch, 5] - rows[stretch, 3]).mean()
            path = rows[stretch].copy()
            path[:, 2:6] += noise
            near = round(fps)
            places = [path[0, 2:6], path[-1, 2:6], _velocity(path[:near]) * fps, _velocity(path[-near:]) * fps]
            seen.append((Visit(look, person, 0, float(seconds[0]), float(seconds[-1])), places))
    seen.sort(key=lambda one: one[0].start)
    evidence, truth = evidence_from(crops, [visit for visit, _ in seen], _POOR, rng)
    entry, left, entering, leaving = (np.stack([p[k] for _, p in seen]).astype(np.float32) for k in range(4))
    return replace(evidence, entry=entry, exit=left, entering=entering, leaving=leaving), truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracks", type=Path, nargs="+")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--part", choices=("choose", "drawn"), default="drawn")
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--risk", type=float, default=IdentityConfig().false_merges)
    parser.add_argument("--cache", type=Path, default=Path("build/market_crops.npz"), help="keeps embedded crops")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    config = IdentityConfig(false_merges=options.risk)
    crops = load_crops(options.cache)
    everybody = np.random.default_rng(11).permutation(np.unique(crops.names[:, 0]))
    people = everybody[:CHOOSE] if options.part == "choose" else everybody[CHOOSE:]
    report: list[dict[str, Any]] = []
    said: dict[str, list[tuple[float, bool]]] = {"with places": [], "without": []}
    for path in options.tracks:
        rows = read_tracks(path, options.fps)
        for seed in map(int, options.seeds.split(",")):
            evidence, truth = square(crops, people, rows, options.fps, seed)
            nowhere = replace(evidence, entry=evidence.entry * 0, exit=evidence.exit * 0)
            hindsight, careful = in_hindsight(evidence, truth, options.risk)
            for way, known in (("with places", evidence), ("without", nowhere)):
                found = resolve(known, config)
                said[way] += said_of(found, truth)
                row = {"square": path.stem, "seed": seed, "way": way, "tracklets": len(truth), "hindsight": hindsight}
                report.append({**row, "within risk": careful, **judged(found, truth)})
                print({k: round(v, 3) if isinstance(v, float) else v for k, v in report[-1].items()}, flush=True)
    for way, stated in said.items():
        sure = reliability([p for p, _ in stated], [y for _, y in stated])
        own = [row for row in report if row["way"] == way]
        total = {key: sum(row[key] for row in own) for key in ("joins", "wrong")}
        f1 = float(np.mean([row["f1"] for row in own]))
        report.append({"way": way, "f1": f1, **total, **sure.as_dict()})
        print(f"{way}: F1 {f1:.3f}, {total['wrong']} of {total['joins']} joins wrong, Brier score {sure.brier:.3f}")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
