"""What a detector and an embedder are to the rest of the house."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, runtime_checkable

from reidstream.inference.network import Ahead, Answer
from reidstream.sources.frame import Picture, Pixels
from reidstream.types import Detections, EmbeddingSpace, FloatArray


class Detector(Protocol):
    """Finds people. Another model family is one class with these two members."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the network's input."""

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """The people in each picture, boxes in that picture's pixels. Safe to call from several threads."""


class Embedder(Protocol):
    """Turns crops of people into vectors."""

    @property
    def space(self) -> EmbeddingSpace: ...

    def embed(self, crops: Sequence[Pixels]) -> FloatArray:
        """float32 (n, d), unit length, for n BGR uint8 crops of any size; n may be 0."""


@runtime_checkable
class BoxEmbedder(Protocol):
    """An Embedder that cuts its crops out itself, and need not be waited for."""

    def start(self, pictures: Sequence[Picture], boxes: Sequence[tuple[int, int, int, int]]) -> Answer:
        """Begin to embed a box (left, top, right, bottom) inside each of these pictures, of which one may be there
        several times; what is returned waits for the vectors."""


@runtime_checkable
class AheadEmbedder(BoxEmbedder, Protocol):
    """A BoxEmbedder on a device that may have nothing better to do."""

    def start_ahead(
        self, pictures: Sequence[Picture], boxes: Sequence[tuple[int, int, int, int]]
    ) -> tuple[Answer, Ahead] | None:
        """``start`` for crops, at least one, that perhaps nobody will ask for; None where nothing can be done ahead."""


@runtime_checkable
class StartingDetector(Protocol):
    """A Detector that looks at pictures of many callers together, and need not be waited for."""

    def start(self, pictures: Sequence[Picture]) -> Future[list[Detections]]:
        """Begin to look for the people in each picture. Callbacks of the future may not wait for anything."""
