"""OSNet in PyTorch, with the parameter names of the published weights.

Architecture: Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019. Width multiplier 0.25
gives channels 16, 64, 96, 128 and 0.2 M parameters. Input is (n, 3, 256, 128), RGB, ImageNet mean and deviation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn
from torch.nn import functional

EMBEDDING = 512
CHANNELS = (16, 64, 96, 128)
# Mean and deviation that every published OSNet was trained with, on the 0-255 scale, RGB.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


class ConvNormRelu(nn.Module):
    """Convolution, BatchNorm and, unless ``linear``, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, linear: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return x if self.linear else torch.relu(x)


def _weight_gradient(upper: Tensor, x: Tensor) -> Tensor:
    """(c, 1, 3, 3): gradient of a depthwise 3x3 kernel, from the gradient of its output and its input (n, c, h, w)."""
    height, width = x.shape[2:]
    padded = functional.pad(x, (1, 1, 1, 1)).float()
    upper = upper.float()
    taps = [(upper * padded[:, :, i : i + height, j : j + width]).sum((0, 2, 3)) for i in range(3) for j in range(3)]
    return torch.stack(taps, 1).view(-1, 1, 3, 3)


# One pass over both tensors instead of nine. cuDNN's own kernel for few channels and large batches takes most of a
# training step (measured on an H100).
_fused_weight_gradient = torch.compile(_weight_gradient, dynamic=False)


class _DepthwiseStep(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(x, weight)
        return functional.conv2d(x, weight, padding=1, groups=len(weight))

    @staticmethod
    def backward(context: Any, upper: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = context.saved_tensors
        options = ([1, 1], [1, 1], [1, 1], False, [0, 0], len(weight), [True, False, False])
        below = torch.ops.aten.convolution_backward(upper, x, weight, None, *options)[0]
        gradient = _fused_weight_gradient if x.is_cuda else _weight_gradient
        return below, gradient(upper, x).to(weight.dtype)


class Depthwise(nn.Conv2d):
    """A 3x3 convolution of every channel by itself, whose training is fast on a GPU."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(x)
        return _DepthwiseStep.apply(x, self.weight.to(x.dtype))


class LiteConv(nn.Module):
    """1x1 then depthwise 3x3: the paper's lite 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = Depthwise(channels)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv2(self.conv1(x))))


class Gate(nn.Module):
    """The unified aggregation gate: one small network weighs the channels of every scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, max(channels // 16, 1), 1)
        self.fc2 = nn.Conv2d(max(channels // 16, 1), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))


class OmniScaleBlock(nn.Module):
    """A residual block of four streams whose receptive fields grow from 3 to 9."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 4
        self.conv1 = ConvNormRelu(inputs, middle, 1)
        self.conv2a = LiteConv(middle)
        self.conv2b = nn.Sequential(*(LiteConv(middle) for _ in range(2)))
        self.conv2c = nn.Sequential(*(LiteConv(middle) for _ in range(3)))
        self.conv2d = nn.Sequential(*(LiteConv(middle) for _ in range(4)))
        self.gate = Gate(middle)
        self.conv3 = ConvNormRelu(middle, outputs, 1, linear=True)
        self.downsample = ConvNormRelu(inputs, outputs, 1, linear=True) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(x)
        streams = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        merged = sum(self.gate(stream(narrow)) for stream in streams)
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.conv3(merged) + shortcut)


class OSNet(nn.Module):
    """(n, 3, h, w) normalised pictures to (n, 512) features after the last ReLU; not yet of unit length."""

    def __init__(self, channels: tuple[int, int, int, int] = CHANNELS) -> None:
        super().__init__()
        stem, two, three, four = channels
        self.conv1 = ConvNormRelu(3, stem, 7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = self._stage(stem, two)
        self.conv3 = self._stage(two, three)
        self.conv4 = nn.Sequential(OmniScaleBlock(three, four), OmniScaleBlock(four, four))
        self.conv5 = ConvNormRelu(four, four, 1)
        self.fc = nn.Sequential(nn.Linear(four, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU())

    @staticmethod
    def _stage(inputs: int, outputs: int) -> nn.Sequential:
        shrink = nn.Sequential(ConvNormRelu(outputs, outputs, 1), nn.AvgPool2d(2))
        return nn.Sequential(OmniScaleBlock(inputs, outputs), OmniScaleBlock(outputs, outputs), shrink)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.conv4(self.conv3(self.conv2(x))))
        return self.fc(x.mean((2, 3)))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Parameters by name, from a checkpoint or from an ONNX file whose BatchNorm is not folded."""
    if path.suffix == ".onnx":
        tensors = onnx.load(path).graph.initializer
        return {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in tensors}
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return stored.get("state_dict", stored)


def load_network(path: Path) -> OSNet:
    """OSNet x0.25 with the weights of a file; a file that lacks a parameter is a ValueError that names it."""
    network = OSNet()
    stored = read_weights(path)
    wanted = network.state_dict()
    missing = [k for k in wanted if k not in stored and not k.endswith("num_batches_tracked")]
    if missing:
        raise ValueError(f"{path}: not weights of OSNet x0.25: {missing[0]} and {len(missing) - 1} more are missing")
    network.load_state_dict({k: stored.get(k, v) for k, v in wanted.items()})
    return network


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
