"""What the Re-ID network is trained towards."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CosineClassifier(nn.Module):
    """Softmax over cosines with an additive margin (Wang et al. 2018, "CosFace"): logits are scale * (cos - margin)."""

    def __init__(self, centroids: Tensor, scale: float = 20.0, margin: float = 0.15) -> None:
        super().__init__()
        self.weight = nn.Parameter(functional.normalize(centroids))
        self.scale, self.margin = scale, margin

    def forward(self, embeddings: Tensor, people: Tensor) -> Tensor:
        cosines = embeddings @ functional.normalize(self.weight).T
        own = people[:, None] == torch.arange(len(self.weight), device=people.device)
        cosines = cosines - self.margin * own
        return functional.cross_entropy(self.scale * cosines, people, label_smoothing=0.05)


def hardest_triplet(embeddings: Tensor, people: Tensor, margin: float = 0.3) -> Tensor:
    """Triplet loss on unit vectors with each anchor's hardest positive and negative (Hermans et al. 2017)."""
    distances = (2 - 2 * embeddings @ embeddings.T).clamp(min=1e-6).sqrt()
    same = people[:, None] == people[None]
    positive = torch.where(same, distances, -1.0).amax(1)
    negative = torch.where(same, torch.inf, distances).amin(1)
    return functional.relu(positive - negative + margin).mean()


def relations(embeddings: Tensor, taught: Tensor) -> Tensor:
    """How far the cosines between a batch's crops are from the teacher's (Park et al. 2019)."""
    n = len(embeddings)
    apart = (embeddings @ embeddings.T - taught @ taught.T).square()
    return (apart.sum() - apart.diagonal().sum()) / (n * (n - 1))


def direction(embeddings: Tensor, taught: Tensor) -> Tensor:
    """Mean cosine distance from the teacher's embedding of the same picture."""
    return 1 - (embeddings * taught).sum(1).mean()
