"""YOLOX-nano for people alone, in PyTorch, started from the published network's folded weights.

Architecture: Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (depth 0.33, width 0.25, depthwise), with three changes
that keep the function: the focus slicing is one 6x6 convolution of stride 2, the three pyramid poolings are one 5x5
pooling applied three times, and of 80 class outputs one is left. BatchNorm stays folded: fine-tuning needs none.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
WIDTHS = (16, 32, 64, 128, 256)
HEAD = 64


class Conv(nn.Module):
    """Convolution with bias and SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.conv(x))


class Separable(nn.Sequential):
    """Depthwise 3x3, then 1x1."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(Conv(inputs, inputs, 3, stride, groups=inputs), Conv(inputs, outputs, 1))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.narrow = Conv(channels, channels, 1)
        self.spatial = Separable(channels, channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(self.narrow(x))
        return x + y if self.shortcut else y


class CrossStage(nn.Module):
    """Half of the channels pass through bottlenecks, half go past them."""

    def __init__(self, inputs: int, outputs: int, depth: int, shortcut: bool = True) -> None:
        super().__init__()
        middle = outputs // 2
        self.through = Conv(inputs, middle, 1)
        self.past = Conv(inputs, middle, 1)
        self.blocks = nn.Sequential(*(Bottleneck(middle, shortcut) for _ in range(depth)))
        self.merge = Conv(2 * middle, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(torch.cat([self.blocks(self.through(x)), self.past(x)], 1))


class PyramidPooling(nn.Module):
    """Max pooling over 5, 9 and 13 cells; the larger ones are the smallest repeated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = Conv(channels, channels // 2, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.merge = Conv(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        five = self.pool(x)
        nine = self.pool(five)
        return self.merge(torch.cat([x, five, nine, self.pool(nine)], 1))


class Head(nn.Module):
    """One level's decoupled head: ``(n, 6, h, w)`` of box offsets (4), objectness and class logits."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.stem = Conv(inputs, HEAD, 1)
        self.person_tower = nn.Sequential(Separable(HEAD, HEAD), Separable(HEAD, HEAD))
        self.person = nn.Conv2d(HEAD, 1, 1)
        self.box_tower = nn.Sequential(Separable(HEAD, HEAD), Separable(HEAD, HEAD))
        self.box = nn.Conv2d(HEAD, 4, 1)
        self.objectness = nn.Conv2d(HEAD, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        box = self.box_tower(x)
        return torch.cat([self.box(box), self.objectness(box), self.person(self.person_tower(x))], 1)


class PersonDetector(nn.Module):
    """(n, 3, h, w) BGR 0-255, h and w multiples of 32, to logits ``(n, anchors, 6)``.

    The anchors are the cells of three grids of stride 8, 16 and 32, row by row. The six are centre x and y as offsets
    from the cell in strides, log width and log height in strides, objectness logit, person logit.
    """

    def __init__(self) -> None:
        super().__init__()
        one, two, three, four, five = WIDTHS
        self.stem = Conv(3, one, 6, 2)
        self.dark2 = nn.Sequential(Separable(one, two, 2), CrossStage(two, two, 1))
        self.dark3 = nn.Sequential(Separable(two, three, 2), CrossStage(three, three, 3))
        self.dark4 = nn.Sequential(Separable(three, four, 2), CrossStage(four, four, 3))
        self.dark5 = nn.Sequential(Separable(four, five, 2), PyramidPooling(five), CrossStage(five, five, 1, False))
        self.lateral5 = Conv(five, four, 1)
        self.down4 = CrossStage(2 * four, four, 1, False)
        self.lateral4 = Conv(four, three, 1)
        self.down3 = CrossStage(2 * three, three, 1, False)
        self.shrink3 = Separable(three, three, 2)
        self.up4 = CrossStage(2 * three, four, 1, False)
        self.shrink4 = Separable(four, four, 2)
        self.up5 = CrossStage(2 * four, five, 1, False)
        self.heads = nn.ModuleList([Head(three), Head(four), Head(five)])

    def forward(self, x: Tensor) -> Tensor:
        c3 = self.dark3(self.dark2(self.stem(x)))
        c4 = self.dark4(c3)
        l5 = self.lateral5(self.dark5(c4))
        l4 = self.lateral4(self.down4(torch.cat([functional.interpolate(l5, scale_factor=2.0), c4], 1)))
        p3 = self.down3(torch.cat([functional.interpolate(l4, scale_factor=2.0), c3], 1))
        p4 = self.up4(torch.cat([self.shrink3(p3), l4], 1))
        p5 = self.up5(torch.cat([self.shrink4(p4), l5], 1))
        levels = [head(p) for head, p in zip(self.heads, (p3, p4, p5), strict=True)]
        return torch.cat([level.flatten(2) for level in levels], 2).transpose(1, 2)


class Deployed(nn.Module):
    """What is exported: scores as probabilities, offsets left undecoded, the layout of YOLOX's own export."""

    def __init__(self, network: PersonDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        raw = self.network(x)
        return torch.cat([raw[..., :4], torch.sigmoid(raw[..., 4:])], 2)


def grid(height: int, width: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Corner of each anchor's cell in strides, (anchors, 2), and its stride, (anchors, 1)."""
    corners, strides = [], []
    for stride in STRIDES:
        ys, xs = torch.meshgrid(
            torch.arange(height // stride, device=device), torch.arange(width // stride, device=device), indexing="ij"
        )
        corners.append(torch.stack([xs, ys], 2).reshape(-1, 2).float())
        strides.append(torch.full((xs.numel(), 1), float(stride), device=device))
    return torch.cat(corners), torch.cat(strides)


def decode(raw: Tensor, corners: Tensor, strides: Tensor) -> Tensor:
    """Boxes of raw outputs, xyxy pixels of the network's input, (n, anchors, 4)."""
    centre = (raw[..., :2] + corners) * strides
    half = torch.exp(raw[..., 2:4].clamp(max=8.0)) * strides / 2
    return torch.cat([centre - half, centre + half], -1)


def load_published(path: Path) -> PersonDetector:
    """A network that computes what a published YOLOX-nano ONNX file computes for the class person."""
    graph = onnx.load(path).graph
    stored = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in graph.initializer}
    pairs = [(stored[n.input[1]], stored[n.input[2]]) for n in graph.node if n.op_type == "Conv"]
    network = PersonDetector()
    convs = _in_graph_order(network)
    if len(convs) != len(pairs):
        raise ValueError(f"{path}: not YOLOX-nano: {len(pairs)} convolutions instead of {len(convs)}")
    with torch.no_grad():
        for number, (conv, (weight, bias)) in enumerate(zip(convs, pairs, strict=True)):
            if number == 0:
                weight = _unfocused(weight)
            if len(weight) == 80:
                weight, bias = weight[:1], bias[:1]
            if conv.weight.shape != weight.shape:
                raise ValueError(f"{path}: not YOLOX-nano: convolution {number} has shape {tuple(weight.shape)}")
            conv.weight.copy_(weight)
            conv.bias.copy_(bias)
    return network


def load_ours(path: Path) -> PersonDetector:
    """The network of a file that this training has exported. Raises ValueError for any other."""
    stored = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in onnx.load(path).graph.initializer}
    prefix = "network."
    network = PersonDetector()
    try:
        network.load_state_dict({k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise ValueError(f"{path}: not a person detector of this training: {error}") from None
    return network


def _in_graph_order(network: PersonDetector) -> list[nn.Conv2d]:
    """The convolutions in the order in which a traced graph lists them, which is the order of their definition."""
    return [m for m in network.modules() if isinstance(m, nn.Conv2d)]


def _unfocused(weight: Tensor) -> Tensor:
    """The 6x6 stride-2 kernel that does what slicing into four phases and a 3x3 kernel do.

    The phases come as (even row, even column), (odd, even), (even, odd), (odd, odd), three channels each.
    """
    whole = weight.new_zeros(len(weight), 3, 6, 6)
    for phase, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        whole[:, :, row::2, column::2] = weight[:, 3 * phase : 3 * phase + 3]
    return whole
