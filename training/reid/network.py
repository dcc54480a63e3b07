"""OSNet for training: the package's own module, quick to train on a GPU, and wider copies of it."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn
from torch.nn import functional

from reidstream.models.osnet import OSNet

EMBEDDING = 512
SMALL, LARGE = "osnet_x0_25", "osnet_x1_0"
# Mean and deviation that every published OSNet was trained with, on the 0-255 scale, RGB.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


class Depthwise(nn.Conv2d):
    """A 3x3 convolution of every channel by itself, written as nine shifted products when the network is compiled.

    cuDNN's kernels for few channels and large batches take most of a training step; the compiler makes one kernel of
    the nine products, and of their gradients.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(x)
        height, width = x.shape[2:]
        padded = functional.pad(x, (1, 1, 1, 1))
        total = torch.zeros((), device=x.device)
        for i in range(3):
            for j in range(3):
                total = total + padded[:, :, i : i + height, j : j + width] * self.weight[:, 0, i, j].view(-1, 1, 1)
        return total.to(x.dtype)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution, a matrix product when the network is compiled (its pictures lie with channels last)."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(x)
        return functional.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0], self.bias).permute(0, 3, 1, 2)


def trainable(network: OSNet) -> OSNet:
    """The network itself, its 1x1 and depthwise convolutions exchanged for those above; names and weights stay."""
    for module in network.modules():
        if type(module) is not nn.Conv2d:
            continue
        if module.kernel_size == (3, 3) and module.groups == module.in_channels:
            module.__class__ = Depthwise
        elif module.kernel_size == (1, 1):
            module.__class__ = Pointwise
    return network


def compiled(network: OSNet) -> OSNet:
    """The network itself, its small modules compiled: each kind and shape once, which takes half a minute.

    The network as a whole would take minutes. The copies that other code makes of it are not compiled.
    """
    torch._dynamo.config.recompile_limit = 128
    torch._dynamo.config.accumulated_recompile_limit = 1024
    for module in network.modules():
        if any(isinstance(child, nn.Conv2d) for child in module.children()):
            module.compile(dynamic=False)
    return network


def read_weights(path: Path) -> dict[str, Tensor]:
    """Parameters by name, from a checkpoint or from an ONNX file whose BatchNorm is not folded."""
    if path.suffix == ".onnx":
        tensors = onnx.load(path).graph.initializer
        return {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in tensors}
    stored = torch.load(path, map_location="cpu", weights_only=True)
    found: dict[str, Tensor] = stored.get("average", stored.get("state_dict", stored))
    return found


def load_network(path: Path, architecture: str = SMALL) -> OSNet:
    """OSNet with the weights of a file; a file that lacks a parameter is a ValueError that names it."""
    network = OSNet(architecture)
    stored = read_weights(path)
    wanted = network.state_dict()
    missing = [k for k in wanted if k not in stored and not k.endswith("num_batches_tracked")]
    if missing:
        raise ValueError(f"{path}: not weights of {architecture}: {missing[0]} and {len(missing) - 1} more are missing")
    network.load_state_dict({k: stored.get(k, v) for k, v in wanted.items()})
    return trainable(network)


def widened(small: OSNet, architecture: str = LARGE, noise: float = 0.5, seed: int = 0) -> OSNet:
    """A wider OSNet that computes what ``small`` does: every channel several times (Chen et al. 2016, "Net2Net").

    Copies are told apart by noise on the weights behind them, ``noise`` of a layer's deviation, that adds up to nothing
    over the copies of one channel. Embeddings keep their size.
    """
    generator = torch.Generator().manual_seed(seed)
    wide = OSNet(architecture, small.embedding_size)
    narrow = small.state_dict()
    state = {}
    for name, target in wide.state_dict().items():
        source = narrow[name]
        if source.ndim == 0:
            state[name] = source.clone()
            continue
        rows = target.shape[0] // source.shape[0]
        grown = source.repeat_interleave(rows, 0)
        # Inputs of a depthwise kernel and of the stem are not more than before.
        columns = target.shape[1] // source.shape[1] if source.ndim > 1 else 1
        if columns > 1:
            grown = grown.repeat_interleave(columns, 1) / columns
            drawn = torch.randn(grown.shape, generator=generator) * grown.std() * noise
            apart = drawn.unflatten(1, (-1, columns))
            grown = grown + (apart - apart.mean(2, keepdim=True)).flatten(1, 2)
        state[name] = grown.reshape(target.shape)
    wide.load_state_dict(state)
    return trainable(wide)


class Deployed(nn.Module):
    """What is exported: RGB 0-255 in, unit-length embeddings out."""

    def __init__(self, network: OSNet) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        features = self.network((x - self.mean) / self.std)
        return features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)
