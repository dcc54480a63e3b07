"""From raw data to the embedded detector: ``python -m training.detector --work build/detector``.

Four stages, each skipped when it is done: ``prepare`` (no GPU: labels and packs the pictures), ``train`` and ``mend``
(a GPU; they stop after ``--slot`` seconds and go on where they stopped), ``ship`` (writes the file and its checksum).
``--only`` runs one of them, so that only those in the middle have to be where the GPU is. ``mend`` teaches a detector
what is nobody; ``--start`` names the file of one that is trained already.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from training.blend import averages, blended
from training.detector.cutouts import cutouts_of
from training.detector.dataset import VIDEOS, Pictures, diverse, pack, pennfudan, rendered, unlabelled
from training.detector.labels import Teacher
from training.detector.mending import Recipe as Mending
from training.detector.mending import empty_only, mend
from training.detector.network import Deployed, PersonDetector, load_ours, load_published
from training.detector.scenes import Album, Cutouts
from training.detector.train import Recipe, train
from training.export import export_onnx

# Of a picture's chance to be drawn, the share of its source; the sources named are the starts of their names.
SHARES = {
    "pennfudan": 4.0,
    "retail02": 2.5,
    "one-by": 1.0,
    "synthetic": 0.8,
    "classroom": 0.5,
    "store": 1.0,
    "worker": 0.7,
    "person-b": 0.5,
    "people": 0.3,
    "face": 0.5,
    "diverse": 6.0,
}
# The same while a finished detector is mended: pictures on which it is to keep its answers.
KEPT = {**SHARES, "synthetic": 1.6, "diverse": 1.5}
SYNTHETIC_SEEDS = range(101, 104)
# How much of the trained weights is shipped, the rest is what they began from: best on the pictures of other cameras
# that training never sees (docs/models/person-detector.md).
SHARE = 0.8
AXES = {0: "batch", 2: "height", 3: "width"}


def prepare(shared: Path, more: Path | None, pictures: Path | None, work: Path, every: list[int]) -> None:
    """Label, shrink and pack all pictures: ``work/real.npz`` and ``work/synthetic.npz``."""
    asked = work / "teacher.onnx"
    published = load_published(shared / "models" / "yolox_nano_416x416.onnx")
    export_onnx(Deployed(published.eval()), torch.rand(1, 3, 416, 416) * 255, asked, "output", AXES, {})
    teacher, real, made = Teacher(asked), Pictures(), Pictures()
    for name, step in zip(VIDEOS, every, strict=True):
        pack(unlabelled(shared / "data" / "videos" / name, step, teacher), real, quality=72)
    for path in sorted(more.iterdir()) if more is not None else []:
        pack(unlabelled(path, 4, teacher), real, quality=72)
    if pictures is not None:
        pack(diverse(pictures, teacher), real, quality=72)
    pack(pennfudan(shared / "data" / "detection" / "pennfudan", teacher), real, quality=72)
    pack(rendered(SYNTHETIC_SEEDS, every=150), made, quality=80)
    real.write(work / "real.npz")
    made.write(work / "synthetic.npz")


def run(shared: Path, work: Path, slot: float) -> bool:
    """Train for a slot of time; whether the training is done."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    album = Album([work / "real.npz", work / "synthetic.npz"], device, SHARES)
    cutouts = Cutouts(*cutouts_of(work / "real.npz"), device)
    start = shared / "models" / "yolox_nano_416x416.onnx"
    return train(start, album, cutouts, Recipe(), work, slot, device)


def run_mending(shared: Path, work: Path, start: Path | None, slot: float) -> bool:
    """Mend the file ``start``, or what was trained, for a slot of time; whether that is done."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    published = shared / "models" / "yolox_nano_416x416.onnx"
    packs = [work / "real.npz", work / "synthetic.npz"]
    album = Album(packs, device, KEPT)
    nobody = empty_only(Album(packs[:1], device, dict.fromkeys(SHARES, 0.0) | {"diverse": 1.0}))
    cutouts = Cutouts(*cutouts_of(packs[0]), device)
    network = PersonDetector() if start is None else load_ours(start)
    if start is None:
        first = load_published(published).state_dict()
        network.load_state_dict(blended(first, averages([work / "detector.pt"]), SHARE))
    return mend(network, published, album, nobody, cutouts, Mending(), work, slot, device)


def ship(work: Path) -> Path:
    """Export and put into the package."""
    # Only here is the package itself needed, so that the GPU's machine gets by without its dependencies.
    from training.shipping import ship as embed

    network = PersonDetector()
    network.load_state_dict(averages([work / "mended.pt"])[0])
    return embed(Deployed(network.eval()), torch.rand(1, 3, 416, 416) * 255, "person-detector", "output", AXES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.detector", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("REIDSTREAM_SHARED", "../shared")))
    parser.add_argument("--work", type=Path, default=Path("build/detector"), help="folder of packs and checkpoints")
    parser.add_argument("--more-videos", type=Path, help="folder of more videos to label and train on")
    parser.add_argument("--pictures", type=Path, help="folder of single pictures, most of nobody, to train on")
    parser.add_argument(
        "--every", type=int, nargs=len(VIDEOS), default=list(VIDEOS.values()), help="label every n-th frame of a video"
    )
    parser.add_argument("--slot", type=float, default=float("inf"), help="seconds of training in this run")
    parser.add_argument("--only", choices=("prepare", "train", "mend", "ship"))
    parser.add_argument("--start", type=Path, help="mend this detector of ours (ONNX) instead of the one trained here")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    stages = (given.only,) if given.only else ("prepare", "train", "mend", "ship")
    if "prepare" in stages and not (given.work / "synthetic.npz").exists():
        prepare(given.shared, given.more_videos, given.pictures, given.work, given.every)
    if "train" in stages and given.start is None and not run(given.shared, given.work, given.slot):
        print("not done: run again to go on")
        return
    if "mend" in stages and not run_mending(given.shared, given.work, given.start, given.slot):
        print("not done: run again to go on")
        return
    if "ship" in stages:
        print(ship(given.work))


if __name__ == "__main__":
    main()
