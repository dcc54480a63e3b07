"""From raw data to the embedded Re-ID model: ``python -m training.reid --work build/reid``.

Four stages, each skipped when it is done: ``prepare`` (no GPU: packs Market-1501 and the people on the detector's
pictures, which ``python -m training.detector --only prepare`` has to have packed), ``render`` (all cores: the people of
many synthetic worlds), ``train`` (a GPU; stops after ``--slot`` seconds and goes on where it stopped), ``ship`` (writes
the ONNX file and its checksum). ``--only`` runs some of them, so that only what needs it has to be where the GPU is.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

import torch

from training.blend import averages, blended
from training.reid.dataset import WORLDS, WORLDS_ASIDE, Crops, encode, from_pictures, market, worlds
from training.reid.network import Deployed, OSNet, load_network
from training.reid.train import Recipe, train

# Three trainings from one start whose mean is shipped: they hold on to what the start knew less or more tightly.
RECIPES = {
    "loose": Recipe(everyone=True, seed=13),
    "middle": Recipe(everyone=True, seed=23, hide=0.3, keep_direction=10.0, keep_relations=200.0, keep_market=40.0),
    "tight": Recipe(
        everyone=True,
        seed=17,
        others=160,
        synthetic_people=40,
        keep_direction=16.0,
        keep_relations=300.0,
        keep_market=60.0,
    ),
}
# How much of the trained weights is shipped, the rest is what they began from (docs/models/person-reid.md).
SHARE = 1.0
STAGES = ("prepare", "render", "train", "ship")


def prepare(shared: Path, pictures: Path, work: Path) -> None:
    """Pack the real crops: ``work/market.npz`` and ``work/others.npz``."""
    market(shared / "data" / "market1501_train.tar").write(work / "market.npz")
    encode(from_pictures(pictures)).write(work / "others.npz")


def render(work: Path) -> None:
    """Render and pack the synthetic crops: ``work/synthetic.npz``, and for choices ``work/synthetic-aside.npz``."""
    worlds(WORLDS_ASIDE).write(work / "synthetic-aside.npz")
    worlds(WORLDS).write(work / "synthetic.npz")


def run(shared: Path, work: Path, slot: float, chosen: list[str], aside: bool) -> bool:
    """Train for a slot of time each; whether all trainings are done. ``aside``: hold the 100 people out."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    packs = [Crops.read(work / f"{name}.npz") for name in ("market", "others", "synthetic", "synthetic-aside")]
    done = True
    for name in chosen:
        out = work / (f"{name}-aside" if aside else name)
        out.mkdir(exist_ok=True)
        recipe = dataclasses.replace(RECIPES[name], everyone=not aside)
        start = shared / "models" / "osnet_x0_25_msmt17.onnx"
        done &= train(start, *packs, recipe, out, slot, device)
    return done


def ship(shared: Path, work: Path) -> Path:
    """Average, export and put into the package."""
    # Only here is the package itself needed, so that the GPU's machine gets by without its dependencies.
    from training.shipping import ship as embed

    start = load_network(shared / "models" / "osnet_x0_25_msmt17.onnx").state_dict()
    network = OSNet()
    network.load_state_dict(blended(start, averages([work / name / "reid.pt" for name in RECIPES]), SHARE))
    return embed(Deployed(network.eval()), torch.rand(2, 3, 256, 128) * 255, "person-reid", "embeddings", {0: "batch"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.reid", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("REIDSTREAM_SHARED", "../shared")))
    parser.add_argument("--work", type=Path, default=Path("build/reid"), help="folder of packs and checkpoints")
    parser.add_argument("--pictures", type=Path, default=Path("build/detector/real.npz"), help="the detector's pack")
    parser.add_argument("--slot", type=float, default=float("inf"), help="seconds of each training in this run")
    parser.add_argument("--recipe", choices=RECIPES, help="train this one alone, to run both side by side")
    parser.add_argument("--aside", action="store_true", help="hold 100 people out and only train: for choices")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if "prepare" in given.only and not (given.work / "others.npz").exists():
        prepare(given.shared, given.pictures, given.work)
    if "render" in given.only and not (given.work / "synthetic.npz").exists():
        render(given.work)
    chosen = [given.recipe] if given.recipe else list(RECIPES)
    if "train" in given.only and not run(given.shared, given.work, given.slot, chosen, given.aside):
        print("not done: run again to go on")
        return
    if "ship" in given.only and not given.aside:
        print(ship(given.shared, given.work))


if __name__ == "__main__":
    main()
