"""Pictures to network input: which size the graph wants, and pixels in its colours, scale and layout."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from reidstream.errors import ModelMismatch
from reidstream.inference.session import Session
from reidstream.models.spec import ModelSpec, Preprocessing
from reidstream.sources.frame import Pixels
from reidstream.types import FloatArray


def input_size(session: Session, spec: ModelSpec) -> tuple[int, int]:
    """Width and height of the network's input: from the graph, or from the description where the graph is open.

    Raises ModelMismatch when they contradict each other, neither says it, or the input does not have 3 channels.
    """
    demand_fitting_type(session, spec.preprocessing)
    nchw = spec.preprocessing.layout == "NCHW"
    _, *axes = session.input.shape
    channels, height, width = axes if nchw else (axes[2], axes[0], axes[1])
    if channels not in {None, 3}:
        other = "NHWC" if nchw else "NCHW"
        raise ModelMismatch(
            f"{session.path}: input {list(session.input.shape)} has {channels} channels when read as "
            f"{spec.preprocessing.layout}, expected 3; if it is {other}, say so in the manifest"
        )
    stated = spec.input_size or (None, None)
    for name, graph, manifest in (("height", height, stated[0]), ("width", width, stated[1])):
        if graph is not None and manifest is not None and graph != manifest:
            raise ModelMismatch(f"{session.path}: the manifest says input {name} {manifest}, the graph {graph}")
    height, width = height or stated[0], width or stated[1]
    if height is None or width is None:
        raise ModelMismatch(
            f"{session.path}: the graph leaves the input's height or width open; state input_size in the manifest"
        )
    return width, height


def demand_fitting_type(session: Session, preprocessing: Preprocessing) -> None:
    """Raise ModelMismatch when a graph takes bytes and its description says that they are to be scaled before."""
    scaled = any(preprocessing.mean) or any(value != 1 for value in preprocessing.std)
    if scaled and session.input.dtype == "tensor(uint8)":
        raise ModelMismatch(
            f"{session.path} takes bytes (uint8), but mean {list(preprocessing.mean)} and std "
            f"{list(preprocessing.std)} are to be applied before: scaled bytes would be 0 or 1. Leave mean and std out "
            "of its description if the graph scales by itself, or run `reidstream models prepare` on a graph that "
            "takes float"
        )


class Packer:
    """Makes the input of a network from BGR images that already have its size."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._rgb = preprocessing.color == "RGB"
        self._nchw = preprocessing.layout == "NCHW"
        mean = np.array(preprocessing.mean, np.float32)
        std = np.array(preprocessing.std, np.float32)
        self._scaled = bool(mean.any() or (std != 1).any())
        shape = (3, 1, 1) if self._nchw else (3,)
        self._mean, self._std = mean.reshape(shape), std.reshape(shape)

    def __call__(self, images: Sequence[Pixels], batch: int) -> FloatArray:
        """float32 (batch, 3, h, w), or (batch, h, w, 3) for NHWC; rows beyond ``images`` repeat the last one."""
        height, width, _ = images[0].shape
        packed = np.empty((batch, 3, height, width) if self._nchw else (batch, height, width, 3), np.float32)
        for row, image in zip(packed, images, strict=False):
            if self._nchw:
                # Planes first: converting bytes that lie side by side takes a fifth of the time.
                planes = cv2.split(image)
                for channel in range(3):
                    row[channel] = planes[2 - channel if self._rgb else channel]
            else:
                row[:] = image[:, :, ::-1] if self._rgb else image
        filled = packed[: len(images)]
        if self._scaled:
            filled -= self._mean
            filled /= self._std
        packed[len(images) :] = filled[-1]
        return packed
