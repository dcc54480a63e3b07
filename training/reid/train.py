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
from reidstream.models.osnet import OSNet
from training.clock import Average, Clock, Curve, cosine, save
from training.reid.dataset import WORLD_PEOPLE, Crops, held_out
from training.reid.network import EMBEDDING, LARGE, SMALL, compiled, load_network, trainable, widened
from training.reid.objective import CosineClassifier, direction, hardest_triplet, relations
from training.reid.retrieval import auc, cross_camera_pairs, query_rows
from training.reid.views import normalise, placed, plain, varied
from training.steps import repeated


@dataclass(frozen=True)
class Recipe:
    """What a training depends on besides its data.

    The ``keep_`` weights hold on to what the start network knows, the ``learn_`` weights say what else counts:
    synthetic people, and what a larger network (``teacher``, the name of its recipe) says of the same crops.
    """

    architecture: str = SMALL
    teacher: str | None = None
    seconds: float = 420
    people: int = 48
    views: int = 4
    others: int = 96
    worlds: int = 4
    synthetic_people: int = 40
    rate: float = 1e-3
    decay: float = 5e-4
    strength: float = 1.0
    erase: float = 0.35
    hide: float = 0.2
    keep_direction: float = 8.0
    keep_relations: float = 150.0
    keep_market: float = 30.0
    learn_synthetic: float = 1.0
    learn_direction: float = 8.0
    learn_relations: float = 200.0
    average: float = 0.999
    seed: int = 7
    checks: int = 6


@dataclass(frozen=True)
class Packs:
    """What is trained on: Market-1501, crops of unknown people, synthetic people, and others of those for choices."""

    market: Crops
    others: Crops
    synthetic: Crops
    synthetic_aside: Crops


class Identities:
    """Crops of known people on a device, drawn as so many views of so many people.

    group: how many consecutive numbers of people belong together, or 0; those are drawn together.
    """

    def __init__(
        self, crops: Crops, rows: np.ndarray, size: tuple[int, int], device: torch.device, group: int = 0
    ) -> None:
        self.pictures = torch.from_numpy(crops.chosen(np.flatnonzero(rows)).pictures(*size)).to(device)
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
            chosen = torch.rand(self.groups, device=device).topk(min(groups, self.groups)).indices
            chance += torch.isin(self.group, chosen)
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
    start: Path | None,
    teacher: Path | None,
    packs: Packs,
    recipe: Recipe,
    out: Path,
    slot: float,
    device: torch.device,
) -> bool:
    """Train from the weights ``start`` (of the small network; None: from chance), or go on from ``out/reid.pt``.

    Returns whether it is done.

    On crops of unknown people the network stays close to what it was. The start network runs with the same BatchNorm
    mode on the same batch, so that both see the same normalisation; on synthetic people it has no say: those who dress
    alike look alike to it. ``teacher`` are weights of the large network, asked as it is deployed.
    """
    torch.manual_seed(recipe.seed)
    aside = held_out(packs.market.people)
    known = Identities(packs.market, ~aside, (128, 64), device)
    checked = torch.from_numpy(packs.market.pictures(128, 64)[aside]).to(device)
    checked_people, checked_cameras = packs.market.people[aside], packs.market.cameras[aside]
    is_query = query_rows(checked_people, checked_cameras)
    foreign = torch.from_numpy(packs.others.pictures(192, 96)).to(device)
    made = Identities(packs.synthetic, np.ones(len(packs.synthetic.people), bool), (144, 72), device, WORLD_PEOPLE)
    actors = torch.from_numpy(packs.synthetic_aside.pictures(144, 72)).to(device)

    torch.backends.cudnn.benchmark = True
    first = trainable(OSNet(SMALL)) if start is None else load_network(start)
    network = first if recipe.architecture == SMALL else widened(first, recipe.architecture)
    network = network.to(device, memory_format=torch.channels_last)
    before = copy.deepcopy(first).to(device, memory_format=torch.channels_last).requires_grad_(False).train()
    larger = None if teacher is None else load_network(teacher, LARGE)

    def centroids(group: Identities) -> Tensor:
        means = torch.zeros(group.count, EMBEDDING, device=device)
        return means.index_add_(0, torch.from_numpy(group.people).to(device), embed(network, group.pictures))

    heads = torch.nn.ModuleList([CosineClassifier(centroids(g)) for g in (known, made)]).to(device)
    parameters = [*network.parameters(), *heads.parameters()]
    grouped = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    # Nothing is learnt at a rate of nought: the steps before a capture leave the weights as they are.
    rate = torch.zeros((), device=device)
    on_gpu = device.type == "cuda"
    optimiser = torch.optim.AdamW(grouped, lr=rate, fused=on_gpu, capturable=on_gpu)
    average = Average(network, recipe.average)
    checkpoint, step, used = out / "reid.pt", 0, 0.0
    if checkpoint.exists():
        stored = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(stored["network"])
        heads.load_state_dict(stored["heads"])
        optimiser.load_state_dict(stored["optimiser"])
        for group in optimiser.param_groups:
            group["lr"] = rate
        step, used = stored["step"], stored["used"]
        average.resume(stored["average"], step)

    if larger is not None:
        larger = larger.to(device, memory_format=torch.channels_last).requires_grad_(False).eval()
    if device.type == "cuda":
        for each in (network, before, larger):
            if each is not None:
                compiled(each)

    def losses() -> dict[str, Tensor]:
        with torch.no_grad():
            mine, who = known.draw(recipe.people, recipe.views)
            strange = foreign[torch.randint(len(foreign), (recipe.others,), device=device)]
            drawn, actor = made.draw(recipe.synthetic_people, recipe.views, recipe.worlds)
            clear = torch.cat([placed(mine), placed(strange), placed(drawn)])
            views = varied(clear, recipe.strength, recipe.erase, recipe.hide).contiguous(
                memory_format=torch.channels_last
            )
            clear = normalise(255 * clear).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            features = network(views)
            with torch.no_grad():
                kept = before(clear[: len(mine) + len(strange)])
                taught = None if larger is None else larger(clear)
        features, kept = functional.normalize(features.float()), functional.normalize(kept.float())
        own = slice(0, len(mine))
        other = slice(len(mine), len(mine) + len(strange))
        acted = slice(other.stop, None)
        found = {
            "class": heads[0](features[own], who),
            "triplet": hardest_triplet(features[own], who),
            "direction": recipe.keep_direction * direction(features[other], kept[other]),
            "relations": recipe.keep_relations * relations(features[other], kept[other]),
            "market": recipe.keep_market * relations(features[own], kept[own]),
            "synthetic": recipe.learn_synthetic
            * (heads[1](features[acted], actor) + hardest_triplet(features[acted], actor)),
        }
        if taught is not None:
            taught = functional.normalize(taught.float())
            found["taught"] = recipe.learn_direction * direction(features, taught)
            found["taught_relations"] = recipe.learn_relations * relations(features, taught)
        return found

    names: list[str] = []
    sums = torch.zeros(16, device=device)

    def one() -> None:
        each = losses()
        names[:] = each
        optimiser.zero_grad(set_to_none=True)
        sum(each.values()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        sums[: len(each)] += torch.stack([loss.detach() for loss in each.values()])

    # Compiling and capturing come before the clock runs, and leave no trace in the network's statistics.
    network.train()
    untouched = {k: v.clone() for k, v in network.state_dict().items()}
    replayed = repeated(one, device)
    network.load_state_dict(untouched)
    sums.zero_()

    clock, curve = Clock(recipe.seconds, slot, used), Curve(out / "reid.csv")
    since, seen = clock.used, 0

    def averaged() -> OSNet:
        result: OSNet = OSNet(recipe.architecture).to(device)
        result.load_state_dict(average.state)
        result.eval()
        return result

    def report() -> None:
        nonlocal since, seen
        spent, steps = clock.used - since, max(1, seen // batch)
        row = {k: round(v / steps, 4) for k, v in zip(names, sums.tolist(), strict=False)}
        found = embed(averaged(), checked).cpu().numpy()
        queries, gallery = (
            LabelledImages(checked_people[rows], checked_cameras[rows], found[rows]) for rows in (is_query, ~is_query)
        )
        scored = score_retrieval(queries, gallery)
        score = {"rank1": round(100 * scored.rank(1), 2), "mAP": round(100 * scored.mean_ap, 2)}
        acted = embed(averaged(), actors).cpu().numpy()
        score["auc_made"] = round(auc(*cross_camera_pairs(acted, packs.synthetic_aside, WORLD_PEOPLE)), 4)
        curve.add({"step": step, "seconds": round(clock.used, 1), "per_second": round(seen / spent), **score, **row})
        everything = {"network": network.state_dict(), "heads": heads.state_dict(), "optimiser": optimiser.state_dict()}
        save(
            checkpoint,
            {**everything, "average": average.state, "step": step, "used": clock.used, "progress": clock.progress},
        )
        sums.zero_()
        since, seen = clock.used, 0

    batch = recipe.people * recipe.views + recipe.synthetic_people * recipe.views + recipe.others
    while not clock.over:
        rate.fill_(recipe.rate * cosine(clock.progress))
        replayed()
        average.update()
        step, seen = step + 1, seen + batch
        # Replaying only asks for work: without waiting now and then the clock would run ahead of it.
        if on_gpu and step % 16 == 0:
            torch.cuda.synchronize(device)
        if clock.used - since > recipe.seconds / recipe.checks:
            report()
    if seen:
        report()
    return clock.progress >= 1
