"""From raw data to the embedded Re-ID model: ``python -m training.reid --work build/reid``.

Four stages, each skipped when it is done: ``prepare`` (no GPU: packs Market-1501 and the people on the detector's
pictures, which ``python -m training.detector --only prepare`` has to have packed), ``render`` (all cores: the people of
many synthetic worlds), ``train`` (a GPU; stops after ``--slot`` seconds and goes on where it stopped), ``ship`` (writes
the ONNX file and its checksum). ``--only`` runs some of them, so that only what needs it has to be where the GPU is.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from reidstream.models.osnet import OSNet
from training.blend import averages
from training.reid.dataset import WORLDS, WORLDS_ASIDE, Crops, encode, from_pictures, market, worlds
from training.reid.network import LARGE, SMALL, Deployed
from training.reid.statistics import mixture, restated
from training.reid.train import Packs, Recipe, train

# The large network holds on to what the start knows; the small one follows the large one more than the start. "alone"
# is the small network without a larger one, for comparison. Chosen on the people held out.
RECIPES = {
    "large": Recipe(architecture=LARGE, seed=13),
    "small": Recipe(
        teacher="large",
        people=96,
        others=128,
        synthetic_people=64,
        rate=2e-3,
        keep_direction=2.0,
        keep_relations=50.0,
        keep_market=0.0,
        learn_direction=16.0,
        learn_relations=300.0,
        seed=31,
    ),
    "alone": Recipe(seed=23),
}
STAGES = ("prepare", "render", "train", "ship")


def prepare(shared: Path, pictures: Path, work: Path) -> None:
    """Pack the real crops: ``work/market.npz`` and ``work/others.npz``."""
    market(shared / "data" / "market1501_train.tar").write(work / "market.npz")
    encode(from_pictures(pictures)).write(work / "others.npz")


def render(work: Path) -> None:
    """Render and pack the synthetic crops: ``work/synthetic.npz``, and for choices ``work/synthetic-aside.npz``."""
    worlds(WORLDS_ASIDE).write(work / "synthetic-aside.npz")
    worlds(WORLDS).write(work / "synthetic.npz")


def read_packs(work: Path) -> Packs:
    return Packs(*(Crops.read(work / f"{name}.npz") for name in ("market", "others", "synthetic", "synthetic-aside")))


def run(shared: Path, work: Path, slot: float, chosen: list[str]) -> bool:
    """Train for a slot of time each; whether all trainings are done."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    packs = read_packs(work)
    done = True
    for name in chosen:
        recipe, out = RECIPES[name], work / name
        out.mkdir(exist_ok=True)
        teacher = work / recipe.teacher / "reid.pt" if recipe.teacher else None
        start = shared / "models" / "osnet_x0_25_msmt17.onnx"
        done &= train(start, teacher, packs, recipe, out, slot, device)
    return done


def ship(work: Path) -> Path:
    """Take the statistics anew, export the small network and put it into the package."""
    # Only here is the whole package needed, so that the GPU's machine gets by without its dependencies.
    from training.shipping import ship as embed

    network = OSNet(SMALL)
    network.load_state_dict(averages([work / "small" / "reid.pt"])[0])
    network = restated(network, mixture(read_packs(work)))
    return embed(Deployed(network), torch.rand(2, 3, 256, 128) * 255, "person-reid", "embeddings", {0: "batch"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.reid", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("REIDSTREAM_SHARED", "../shared")))
    parser.add_argument("--work", type=Path, default=Path("build/reid"), help="folder of packs and checkpoints")
    parser.add_argument("--pictures", type=Path, default=Path("build/detector/real.npz"), help="the detector's pack")
    parser.add_argument("--slot", type=float, default=float("inf"), help="seconds of each training in this run")
    parser.add_argument("--recipe", choices=RECIPES, help="train this one alone, to run both side by side")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if "prepare" in given.only and not (given.work / "others.npz").exists():
        prepare(given.shared, given.pictures, given.work)
    if "render" in given.only and not (given.work / "synthetic.npz").exists():
        render(given.work)
    chosen = [given.recipe] if given.recipe else list(RECIPES)
    if "train" in given.only and not run(given.shared, given.work, given.slot, chosen):
        print("not done: run again to go on")
        return
    if "ship" in given.only:
        print(ship(given.work))


if __name__ == "__main__":
    main()
