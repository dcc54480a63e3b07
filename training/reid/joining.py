"""Two trainings as one network, whose BatchNorm statistics lie between their own and those of the mean.

The mean of two networks' weights computes features that vary less than either's, while the mean of their statistics
still expects as much (Jordan et al. 2023, "REPAIR"). Taken anew they tell people apart best who were held out, and
follow somebody from moment to moment worse; half of the way keeps both (docs/models/person-reid.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reidstream.models.osnet import OSNet
from training.blend import State, blended
from training.reid.dataset import held_out
from training.reid.train import Packs, Recipe
from training.reid.views import placed, varied

SHARE = 0.5
"""Of the statistics that are taken anew; the rest is the mean of the trainings' own."""
BATCHES, BATCH, LOADED = 24, 192, 800
"""So many batches of so many pictures, drawn from at most ``LOADED`` of each pack."""


def mixture(packs: Packs, recipe: Recipe, seed: int = 1) -> list[tuple[Tensor, int]]:
    """Pictures of each pack, uint8 (n, 3, h, w), and how many of them a batch has, as in a training by ``recipe``.

    Nobody is among them who is held out.
    """
    random = np.random.default_rng(seed)
    held = (packs.market, packs.others, packs.synthetic)
    rows = (np.flatnonzero(~held_out(held[0].people)), *(np.arange(len(pack.people)) for pack in held[1:]))
    sizes = ((128, 64), (192, 96), (144, 72))
    counts = np.array([recipe.people * recipe.views, recipe.others, recipe.synthetic_people * recipe.views])
    each = np.maximum(1, np.round(BATCH * counts / counts.sum())).astype(int).tolist()
    drawn = (np.sort(random.permutation(of)[:LOADED]) for of in rows)
    loaded = (
        torch.from_numpy(pack.chosen(r).pictures(*size)) for pack, r, size in zip(held, drawn, sizes, strict=True)
    )
    return list(zip(loaded, each, strict=True))


@torch.no_grad()
def restated(network: OSNet, pictures: Sequence[tuple[Tensor, int]], recipe: Recipe, batches: int = BATCHES) -> None:
    """Take the network's BatchNorm statistics anew: their mean over ``batches`` of ``pictures`` (``mixture``)."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean of all batches
    network.train()
    for _ in range(batches):
        clear = torch.cat([placed(some[torch.randint(len(some), (count,))]) for some, count in pictures])
        network(varied(clear, recipe.strength, recipe.erase, recipe.hide))
    network.eval()


def joined(trained: Sequence[State], pictures: Sequence[tuple[Tensor, int]], recipe: Recipe) -> dict[str, Tensor]:
    """The mean of the trained weights, with ``SHARE`` of the statistics that it has on ``pictures``."""
    mean = blended(trained[0], trained, 1.0)
    network = OSNet(recipe.architecture)
    network.load_state_dict(mean)
    torch.manual_seed(recipe.seed)
    restated(network, pictures, recipe)
    return blended(mean, [network.state_dict()], SHARE)
