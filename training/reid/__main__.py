"""From raw data to the embedded Re-ID model: ``python -m training.reid --work build/reid``.

Four stages, each skipped when it is done: ``prepare`` (no GPU: packs Market-1501 and the people on the detector's
pictures, which ``python -m training.detector --only prepare`` has to have packed), ``render`` (all cores: the people of
many synthetic worlds), ``train`` (a GPU; stops after ``--slot`` seconds and goes on where it stopped), ``ship`` (writes
the ONNX files and their checksums). ``--only`` runs some of them, so that only that needs a GPU.

``python -m training.reid --smartspaces FOLDER`` makes weights without any research-only data: from chance, on the
people of NVIDIA PhysicalAI-SmartSpaces (CC-BY-4.0) and of the synthetic world. They are written into the folder of
work, not into the package.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reidstream.models.osnet import OSNet
from training.blend import averages
from training.reid.dataset import WORLDS, WORLDS_ASIDE, Crops, encode, from_pictures, market, worlds
from training.reid.joining import joined, mixture
from training.reid.network import LARGE, SMALL, Deployed
from training.reid.smartspaces import ATTRIBUTION, LICENCE, packed
from training.reid.train import Packs, Recipe, train

# The large network holds on to what the start knows; the small one follows the large one more than the start, and once
# more while it holds on four times as tightly ("firm"). "alone" is the small network without a larger one, for
# comparison. Chosen on the people held out.
RECIPES = {
    "large": Recipe(architecture=LARGE, seconds=440, synthetic_people=80, learn_synthetic=1.5, seed=13),
    "small": Recipe(
        teacher="large",
        seconds=440,
        people=64,
        others=128,
        synthetic_people=96,
        rate=2e-3,
        keep_direction=2.0,
        keep_relations=50.0,
        keep_market=0.0,
        learn_synthetic=1.5,
        learn_direction=16.0,
        learn_relations=300.0,
        seed=31,
    ),
    "alone": Recipe(seed=23),
}
RECIPES["firm"] = replace(RECIPES["small"], seconds=220, keep_direction=8.0, keep_relations=200.0, seed=37)
# From chance there is nothing to hold on to; it takes longer.
FREE = Recipe(seconds=1500, others=8, keep_direction=0.0, keep_relations=0.0, keep_market=0.0, seed=41)
# Which trainings each model of the package is made of, and whether its weights are stored in half precision.
SHIPPED = {"person-reid": (("small", "firm"), False), "person-reid-large": (("large",), True)}
STAGES = ("prepare", "render", "train", "ship")


def prepare(shared: Path, pictures: Path, work: Path) -> None:
    """Pack the real crops: ``work/market.npz`` and ``work/others.npz``."""
    market(shared / "data" / "market1501_train.tar").write(work / "market.npz")
    encode(from_pictures(pictures)).write(work / "others.npz")


def prepare_free(smartspaces: Path, work: Path) -> None:
    """Pack SmartSpaces' people where Market-1501's stand otherwise, and some of them as if nobody knew them."""
    known = packed(smartspaces)
    known.write(work / "market.npz")
    some = known.chosen(np.arange(0, len(known.people), 8))
    replace(some, people=np.full_like(some.people, -1)).write(work / "others.npz")


def run_free(work: Path, slot: float) -> bool:
    """Train from chance for a slot of time; whether the training is done."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    (work / "free").mkdir(exist_ok=True)
    return train(None, None, read_packs(work), FREE, work / "free", slot, device)


def ship_free(work: Path) -> Path:
    """Export what was trained from chance into ``work``, described with what it was trained on and its licence."""
    from reidstream.models.manifest import PACKAGE_MANIFEST, read_manifest
    from reidstream.models.metadata import metadata_of
    from training.export import export_onnx

    said = read_manifest(PACKAGE_MANIFEST)["person-reid"].spec
    spec = said.model_copy(
        update={
            "file": None,
            "sha256": None,
            "source": "training/reid of ReIDStream, from chance",
            "training_data": f"{ATTRIBUTION}; the synthetic world of ReIDStream",
            "terms": f"{LICENCE}: name {ATTRIBUTION} where you pass these weights on.",
            "accuracy": "",
            "notes": said.notes,
        }
    )
    network = OSNet(SMALL)
    network.load_state_dict(averages([work / "free" / "reid.pt"])[0])
    path = work / "free-reid.onnx"
    example = torch.rand(2, 3, 256, 128) * 255
    export_onnx(Deployed(network.eval()), example, path, "embeddings", {0: "batch"}, metadata_of(spec))
    return path


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


def ship(work: Path, chosen: list[str]) -> list[Path]:
    """Export what the trained networks become in the package, and put it there; all parts have to be ``chosen``."""
    # Only here is the whole package needed, so that the GPU's machine gets by without its dependencies.
    from training.shipping import ship as embed

    made = []
    for name, (parts, halved) in SHIPPED.items():
        if not set(parts) <= set(chosen):
            continue
        recipe = RECIPES[parts[0]]
        weights = averages([work / part / "reid.pt" for part in parts])
        network = OSNet(recipe.architecture)
        network.load_state_dict(
            weights[0] if len(parts) == 1 else joined(weights, mixture(read_packs(work), recipe), recipe)
        )
        example = torch.rand(2, 3, 256, 128) * 255
        made.append(embed(Deployed(network.eval()), example, name, "embeddings", {0: "batch"}, halved))
    if not made:
        needs = "; ".join(f"{name} of {' and '.join(parts)}" for name, (parts, _) in SHIPPED.items())
        raise ValueError(f"nothing to ship of {', '.join(chosen)}: {needs}")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.reid", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("REIDSTREAM_SHARED", "../shared")))
    parser.add_argument("--work", type=Path, help="folder of packs and checkpoints; default: build/reid or build/free")
    parser.add_argument(
        "--smartspaces", type=Path, help="folder of PhysicalAI-SmartSpaces: train on it alone, from chance"
    )
    parser.add_argument("--pictures", type=Path, default=Path("build/detector/real.npz"), help="the detector's pack")
    parser.add_argument("--slot", type=float, default=float("inf"), help="seconds of each training in this run")
    parser.add_argument("--recipe", choices=RECIPES, nargs="+", help="train or ship these alone")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    given = parser.parse_args()
    free: Path | None = given.smartspaces
    if given.work is None:
        given.work = Path("build/reid" if free is None else "build/free")
    given.work.mkdir(parents=True, exist_ok=True)
    if "prepare" in given.only and not (given.work / "others.npz").exists():
        prepare(given.shared, given.pictures, given.work) if free is None else prepare_free(free, given.work)
    if "render" in given.only and not (given.work / "synthetic.npz").exists():
        render(given.work)
    chosen: list[str] = given.recipe or list(RECIPES)
    if "train" in given.only:
        trained = (
            run(given.shared, given.work, given.slot, chosen) if free is None else run_free(given.work, given.slot)
        )
        if not trained:
            print("not done: run again to go on")
            return
    if "ship" in given.only:
        print(*(ship(given.work, chosen) if free is None else [ship_free(given.work)]), sep="\n")


if __name__ == "__main__":
    main()
