"""OSNet as a PyTorch module whose parameters carry torchreid's names, so that its checkpoints load as they are.

Omni-scale network: every block sends its input through four streams of one to four light 3x3 convolutions, so that
it sees four receptive fields at once, and one small gate, shared by the streams, weighs each stream per channel.
Zhou, Yang, Cavallaro, Xiang: "Omni-Scale Feature Learning for Person Re-Identification" (ICCV 2019) and "Learning
Generalisable Omni-Scale Representations for Person Re-Identification" (TPAMI 2021). Sizes, names and the places of
the instance normalisation follow torchreid (KaiyangZhou/deep-person-reid).

This module needs PyTorch; nothing that runs in production imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

Normalisation = Literal["batch", "ibn", "ain"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """channels: of the stem and the three stages. normalisation: "batch", "ibn" or "ain", see OSNet."""

    channels: tuple[int, int, int, int]
    normalisation: Normalisation = "batch"


ARCHITECTURES: Mapping[str, Architecture] = {
    "osnet_x1_0": Architecture((64, 256, 384, 512)),
    "osnet_x0_75": Architecture((48, 192, 288, 384)),
    "osnet_x0_5": Architecture((32, 128, 192, 256)),
    "osnet_x0_25": Architecture((16, 64, 96, 128)),
    "osnet_ibn_x1_0": Architecture((64, 256, 384, 512), "ibn"),
    "osnet_ain_x1_0": Architecture((64, 256, 384, 512), "ain"),
    "osnet_ain_x0_75": Architecture((48, 192, 288, 384), "ain"),
    "osnet_ain_x0_5": Architecture((32, 128, 192, 256), "ain"),
    "osnet_ain_x0_25": Architecture((16, 64, 96, 128), "ain"),
}
# Which of the two blocks of stages 2, 3 and 4 normalise each instance; found by architecture search (TPAMI 2021, 4.2).
_AIN_BLOCKS = ((True, True), (False, True), (True, False))
_STREAMS = 4
_BOTTLENECK = 4
_GATE_REDUCTION = 16


class OSNet(nn.Module):
    """The feature extractor without its classifier: float (n, 3, h, w) to float (n, embedding_size).

    "batch" normalises by batch statistics everywhere. "ibn" normalises instances in the stem and behind the sums of
    both blocks of stage 2. "ain" does so in the stem and, inside the residual branch, in the blocks that its
    architecture search chose; its streams are named differently.

    The input is normalised (ImageNet mean and std for torchreid's weights), 256x128 by custom. Embeddings are not
    of unit length.
    """

    def __init__(self, architecture: str, embedding_size: int = 512) -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}")
        kind = ARCHITECTURES[architecture]
        stem, two, three, four = kind.channels
        self.architecture = architecture
        self.embedding_size = embedding_size
        per_instance = kind.normalisation != "batch"
        self.conv1 = _Conv(3, stem, 7, stride=2, norm=nn.InstanceNorm2d(stem, affine=True) if per_instance else None)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        if kind.normalisation == "ain":
            self.conv2 = nn.Sequential(*_ain_blocks(stem, two, _AIN_BLOCKS[0]))
            self.pool2 = _halving(two)
            self.conv3 = nn.Sequential(*_ain_blocks(two, three, _AIN_BLOCKS[1]))
            self.pool3 = _halving(three)
            self.conv4 = nn.Sequential(*_ain_blocks(three, four, _AIN_BLOCKS[2]))
        else:
            ibn = kind.normalisation == "ibn"
            self.conv2 = nn.Sequential(_Block(stem, two, ibn), _Block(two, two, ibn), _halving(two))
            self.pool2 = nn.Identity()
            self.conv3 = nn.Sequential(_Block(two, three), _Block(three, three), _halving(three))
            self.pool3 = nn.Identity()
            self.conv4 = nn.Sequential(_Block(three, four), _Block(four, four))
        self.conv5 = _Conv(four, four)
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Linear(four, embedding_size), nn.BatchNorm1d(embedding_size), nn.ReLU())
        self.apply(_start)

    def forward(self, images: Any) -> Any:
        x = self.maxpool(self.conv1(images))
        x = self.pool2(self.conv2(x))
        x = self.pool3(self.conv3(x))
        x = self.conv5(self.conv4(x))
        return self.fc(self.global_avgpool(x).flatten(1))


class _Conv(nn.Module):
    """Convolution, normalisation and, unless ``linear``, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 1,
        stride: int = 1,
        norm: nn.Module | None = None,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs) if norm is None else norm
        self.relu = nn.Identity() if linear else nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.relu(self.bn(self.conv(x)))


class _Light(nn.Module):
    """A 3x3 convolution split into a pointwise and a depthwise one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False, groups=channels)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.relu(self.bn(self.conv2(self.conv1(x))))


class _Gate(nn.Module):
    """Weighs the channels of a stream by what the stream as a whole contains."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, channels // _GATE_REDUCTION, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(channels // _GATE_REDUCTION, channels, 1)
        self.gate_activation = nn.Sigmoid()

    def forward(self, x: Any) -> Any:
        return x * self.gate_activation(self.fc2(self.relu(self.fc1(self.global_avgpool(x)))))


class _Block(nn.Module):
    """The block of "batch" and "ibn": streams conv2a to conv2d; IN, if any, behind the sum."""

    def __init__(self, inputs: int, outputs: int, instance_norm: bool = False) -> None:
        super().__init__()
        inner = outputs // _BOTTLENECK
        self.conv1 = _Conv(inputs, inner)
        self.conv2a = _Light(inner)
        self.conv2b = nn.Sequential(*(_Light(inner) for _ in range(2)))
        self.conv2c = nn.Sequential(*(_Light(inner) for _ in range(3)))
        self.conv2d = nn.Sequential(*(_Light(inner) for _ in range(4)))
        self.gate = _Gate(inner)
        self.conv3 = _Conv(inner, outputs, linear=True)
        self.downsample = _shortcut(inputs, outputs)
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance_norm else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        y = self.conv1(x)
        mixed = self.gate(self.conv2a(y)) + self.gate(self.conv2b(y))
        mixed = mixed + self.gate(self.conv2c(y)) + self.gate(self.conv2d(y))
        return self.relu(self.IN(self.conv3(mixed) + self.downsample(x)))


class _AinStream(nn.Module):
    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_Light(channels) for _ in range(depth)))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class _AinBlock(nn.Module):
    """The block of "ain": with instance normalisation, it takes the place of the batch normalisation of conv3."""

    def __init__(self, inputs: int, outputs: int, instance_norm: bool) -> None:
        super().__init__()
        inner = outputs // _BOTTLENECK
        self.conv1 = _Conv(inputs, inner)
        self.conv2 = nn.ModuleList(_AinStream(inner, depth) for depth in range(1, _STREAMS + 1))
        self.gate = _Gate(inner)
        self.conv3 = _Conv(inner, outputs, norm=nn.Identity() if instance_norm else None, linear=True)
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance_norm else nn.Identity()
        self.downsample = _shortcut(inputs, outputs)
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        y = self.conv1(x)
        first, *others = self.conv2
        mixed = self.gate(first(y))
        for stream in others:
            mixed = mixed + self.gate(stream(y))
        return self.relu(self.IN(self.conv3(mixed)) + self.downsample(x))


def _ain_blocks(inputs: int, outputs: int, instance_norm: tuple[bool, bool]) -> tuple[nn.Module, nn.Module]:
    return _AinBlock(inputs, outputs, instance_norm[0]), _AinBlock(outputs, outputs, instance_norm[1])


def _shortcut(inputs: int, outputs: int) -> nn.Module:
    return _Conv(inputs, outputs, linear=True) if inputs != outputs else nn.Identity()


def _halving(channels: int) -> nn.Module:
    return nn.Sequential(_Conv(channels, channels), nn.AvgPool2d(2, stride=2))


def _start(module: nn.Module) -> None:
    """Initial weights for training from scratch; normalisation layers already start at one and zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
