"""BatchNorm's statistics of a trained network, taken anew from crops like those that it will see.

A training's batches are mostly Market-1501 and synthetic people, and the statistics that it leaves behind are theirs.
Which crops they are taken from trades one place for another (docs/models/person-reid.md has the figures).
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reidstream.models.osnet import OSNet
from training.reid.dataset import held_out
from training.reid.train import Packs
from training.reid.views import placed, varied

# Crops of Market-1501, of other cameras and of synthetic people in each of so many batches.
MARKET, OTHERS, SYNTHETIC, BATCHES = 48, 96, 48, 8
# So many crops of each of the first two are drawn from.
POOL = 1024


def mixture(packs: Packs, seed: int = 0) -> list[Tensor]:
    """Batches (192, 3, 256, 128) as the network takes them, varied as in training, nobody of whom is held out."""
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    known = np.flatnonzero(~held_out(packs.market.people))
    pools = [
        packs.market.chosen(draw.permutation(known)[:POOL]).pictures(128, 64),
        packs.others.pictures(192, 96),
        packs.synthetic.chosen(draw.permutation(len(packs.synthetic.people))[:POOL]).pictures(144, 72),
    ]

    def some(pictures: NDArray[np.uint8], count: int) -> Tensor:
        return placed(torch.from_numpy(pictures[draw.integers(len(pictures), size=count)]))

    shares = (MARKET, OTHERS, SYNTHETIC)
    batches = (torch.cat([some(p, n) for p, n in zip(pools, shares, strict=True)]) for _ in range(BATCHES))
    return [varied(batch, hide=0.2) for batch in batches]


@torch.no_grad()
def restated(network: OSNet, batches: list[Tensor]) -> OSNet:
    """A copy of the network whose statistics are the plain mean over the batches; ready to be exported."""
    result = copy.deepcopy(network).train()
    for module in result.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    for batch in batches:
        result(batch)
    return result.eval()
