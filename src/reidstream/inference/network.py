"""A network that takes pictures of its size and gives numbers for each: what detectors and embedders are built on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from reidstream.inference.input import Packer
from reidstream.inference.placing import Image
from reidstream.inference.session import Session
from reidstream.sources.frame import Pixels
from reidstream.types import FloatArray


@dataclass(frozen=True, slots=True)
class Answer:
    """What has been asked for; called, it waits and returns float32 (n, ...), or raises.

    ready: whether nobody would have to wait. then: has something called as soon as that is so, perhaps in the thread
    that others wait for.
    """

    wait: Callable[[], FloatArray]
    ready: Callable[[], bool] = lambda: True
    then: Callable[[Callable[[], None]], None] = lambda call: call()

    def __call__(self) -> FloatArray:
        return self.wait()


class Ahead(Protocol):
    """What was asked for before anybody knows whether it will be needed; see ``shared_batch.Order``."""

    def hurry(self) -> None:
        """Somebody waits for it now."""

    def drop(self) -> None:
        """Nobody will ask for it any more."""


class Network(Protocol):
    """Safe to use from several threads."""

    @property
    def path(self) -> Path:
        """The model's file, for messages."""

    @property
    def takes_cuts(self) -> bool:
        """Whether images may be Cuts of pictures on the GPU."""

    def run(self, images: Sequence[Image]) -> FloatArray:
        """float32 (n, ...) for n images, n at least 1: uint8 (height, width, 3), BGR, of the network's size."""

    def start(self, images: Sequence[Image]) -> Answer:
        """Like ``run``, but without waiting where that can be."""


class PackedSession:
    """A network on the processor: images are packed into one array, at most ``most`` at a time.

    A graph with a fixed batch is filled up with copies and the surplus thrown away.
    """

    def __init__(self, session: Session, packer: Packer, most: int) -> None:
        self._session = session
        self._packer = packer
        self._step = session.batch or most

    @property
    def path(self) -> Path:
        return self._session.path

    @property
    def takes_cuts(self) -> bool:
        return False

    def start(self, images: Sequence[Image]) -> Answer:
        found = self.run(images)
        return Answer(lambda: found)

    def run(self, images: Sequence[Image]) -> FloatArray:
        pixels = cast("Sequence[Pixels]", images)
        parts = []
        for start in range(0, len(pixels), self._step):
            part = pixels[start : start + self._step]
            parts.append(self._session.run(self._packer(part, self._session.batch or len(part)))[: len(part)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
