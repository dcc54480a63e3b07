"""The training loop of the Re-ID network."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reidstream.evaluation.retrieval import LabelledImages, score_retrieval
from training.clock import Average, Clock, Curve, cosine, save
from training.reid.dataset import WORLD_PEOPLE, Crops, held_out
from training.reid.network import OSNet, load_network
from training.reid.objective import CosineClassifier, direction, hardest_triplet, relations
from training.reid.retrieval import auc, cross_camera_pairs, query_rows
from training.reid.views import normalise, placed, plain, varied


@dataclass(frozen=True)
class Recipe:
    """What a training depends on besides its data. The ``keep_`` weights hold on to what the start network knows."""

    seconds: float = 420
    people: int = 32
    views: int = 4
    others: int = 128
    worlds: int = 4
    synthetic_people: int = 48
    rate: float = 1e-3
    decay: float = 5e-4
    strength: float = 1.0
    erase: float = 0.35
    hide: float = 0.2
    keep_direction: float = 8.0
    keep_relations: float = 150.0
    keep_market: float = 30.0
    learn_synthetic: float = 1.0
    average: float = 0.999
    seed: int = 7
    everyone: bool = False
    checks: int = 6


class Identities:
    """Crops of known people on a device, drawn as so many views of so many people.

    group: how many consecutive numbers of people belong together, or 0; those are drawn together.
    """

    def __init__(
        self, crops: Crops, rows: np.ndarray, size: tuple[int, int], device: torch.device, group: int = 0
    ) -> None:
        self.pictures = torch.from_numpy(
            Crops([crops.jpegs[i] for i in np.flatnonzero(rows)], crops.people, crops.cameras).pictures(*size)
        ).to(device)
        numbers, self.people = np.unique(crops.people[rows], return_inverse=True)
        groups = np.unique(numbers // group if group else numbers, return_inverse=True)[1]
        self.group = torch.from_numpy(groups).to(device)
        self.groups = int(groups.max()) + 1
        self.count = int(self.people.max()) + 1
        order = np.argsort(self.people, kind="stable")
        self.order = torch.from_numpy(order).to(device)
        counts = np.bincount(self.people)
        self.counts = torch.from_numpy(counts).to(device)
        self.starts = torch.from_numpy(np.r_[0, np.cumsum(counts)[:-1]]).to(device)

    def draw(self, people: int, views: int, groups: int | None = None) -> tuple[Tensor, Tensor]:
        """Pictures and who they show, ``views`` of each person; of so many random ``groups`` if there are enough."""
        device = self.order.device
        chance = torch.rand(self.count, device=device)
        if groups is not None:
            chance += torch.isin(self.group, torch.randperm(self.groups, device=device)[:groups])
        who = chance.topk(people).indices.repeat_interleave(views)
        place = (torch.rand(len(who), device=device) * self.counts[who]).long()
        return self.pictures[self.order[self.starts[who] + place]], who


@torch.no_grad()
def embed(network: OSNet, pictures: Tensor, batch: int = 256) -> Tensor:
    """Unit embeddings (n, 512) of uint8 crops, float32, statistics as stored."""
    was = network.training
    network.eval()
    parts = [functional.normalize(network(plain(part)).float()) for part in pictures.split(batch)]
    network.train(was)
    return torch.cat(parts)


def train(
    start: Path,
    market: Crops,
    others: Crops,
    synthetic: Crops,
    synthetic_aside: Crops,
    recipe: Recipe,
    out: Path,
    slot: float,
    device: torch.device,
) -> bool:
    """Train from the weights ``start``, or go on from ``out/reid.pt``; whether the training is done.

    ``others`` are crops of unknown people from other cameras: on them the network stays close to what it was. The
    teacher runs with the same BatchNorm mode on the same batch, so that both see the same normalisation. On synthetic
    people it has no say: those who dress alike look alike to it.
    """
    torch.manual_seed(recipe.seed)
    aside = held_out(market.people)
    known = Identities(market, np.ones_like(aside) if recipe.everyone else ~aside, (128, 64), device)
    checked = torch.from_numpy(market.pictures(128, 64)[aside]).to(device)
    checked_people, checked_cameras = market.people[aside], market.cameras[aside]
    is_query = query_rows(checked_people, checked_cameras)
    foreign = torch.from_numpy(others.pictures(192, 96)).to(device)
    made = Identities(synthetic, np.ones(len(synthetic.people), bool), (144, 72), device, WORLD_PEOPLE)
    actors = torch.from_numpy(synthetic_aside.pictures(144, 72)).to(device)

    torch.backends.cudnn.benchmark = True
    network = load_network(start).to(device, memory_format=torch.channels_last)
    teacher = copy.deepcopy(network).requires_grad_(False).train()

    def centroids(group: Identities) -> Tensor:
        means = torch.zeros(group.count, 512, device=device)
        return means.index_add_(0, torch.from_numpy(group.people).to(device), embed(network, group.pictures))

    heads = torch.nn.ModuleList([CosineClassifier(centroids(g)) for g in (known, made)]).to(device)
    parameters = [*network.parameters(), *heads.parameters()]
    grouped = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(grouped, lr=recipe.rate)
    average = Average(network, recipe.average)
    checkpoint, step, used = out / "reid.pt", 0, 0.0
    if checkpoint.exists():
        stored = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(stored["network"])
        heads.load_state_dict(stored["heads"])
        optimiser.load_state_dict(stored["optimiser"])
        step, used = stored["step"], stored["used"]
        average.resume(stored["average"], step)
    clock, curve = Clock(recipe.seconds, slot, used), Curve(out / "reid.csv")
    since, seen, sums = clock.used, 0, {}

    def averaged() -> OSNet:
        result = OSNet().to(device)
        result.load_state_dict(average.state)
        return result.eval()

    def report() -> None:
        nonlocal since, seen, sums
        spent, steps = clock.used - since, max(1, seen // batch)
        row = {k: round(float(v) / steps, 4) for k, v in sums.items()}
        found = embed(averaged(), checked).cpu().numpy()
        queries, gallery = (
            LabelledImages(checked_people[rows], checked_cameras[rows], found[rows]) for rows in (is_query, ~is_query)
        )
        scored = score_retrieval(queries, gallery)
        score = {"rank1": round(100 * scored.rank(1), 2), "mAP": round(100 * scored.mean_ap, 2)}
        acted = embed(averaged(), actors).cpu().numpy()
        score["auc_made"] = round(auc(*cross_camera_pairs(acted, synthetic_aside, WORLD_PEOPLE)), 4)
        curve.add({"step": step, "seconds": round(clock.used, 1), "per_second": round(seen / spent), **score, **row})
        everything = {"network": network.state_dict(), "heads": heads.state_dict(), "optimiser": optimiser.state_dict()}
        save(
            checkpoint,
            {**everything, "average": average.state, "step": step, "used": clock.used, "progress": clock.progress},
        )
        since, seen, sums = clock.used, 0, {}

    batch = recipe.people * recipe.views + recipe.synthetic_people * recipe.views + recipe.others
    network.train()
    while not clock.over:
        factor = cosine(clock.progress)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * factor
        with torch.no_grad():
            mine, who = known.draw(recipe.people, recipe.views)
            strange = foreign[torch.randint(len(foreign), (recipe.others,), device=device)]
            clear = [placed(mine), placed(strange)]
            drawn, actor = made.draw(recipe.synthetic_people, recipe.views, recipe.worlds)
            clear = torch.cat([*clear, placed(drawn)])
            views = varied(clear, recipe.strength, recipe.erase, recipe.hide).contiguous(
                memory_format=torch.channels_last
            )
            clear = normalise(255 * clear).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            features = network(views)
            with torch.no_grad():
                taught = teacher(clear)
        features, taught = functional.normalize(features.float()), functional.normalize(taught.float())
        own = slice(0, len(mine))
        other = slice(len(mine), len(mine) + len(strange))
        acted = slice(other.stop, None)
        losses = {
            "class": heads[0](features[own], who),
            "triplet": hardest_triplet(features[own], who),
            "direction": direction(features[other], taught[other]),
            "relations": relations(features[other], taught[other]),
            "market": relations(features[own], taught[own]),
            "synthetic": heads[1](features[acted], actor) + hardest_triplet(features[acted], actor),
        }
        weights = {
            "class": 1.0,
            "triplet": 1.0,
            "direction": recipe.keep_direction,
            "relations": recipe.keep_relations,
            "market": recipe.keep_market,
            "synthetic": recipe.learn_synthetic,
        }
        total = sum(weights[name] * loss for name, loss in losses.items())
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        average.update(network)
        step, seen = step + 1, seen + batch
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + loss.detach()
        if clock.used - since > recipe.seconds / recipe.checks:
            report()
    report()
    return clock.progress >= 1
