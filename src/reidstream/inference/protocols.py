"""What a detector and an embedder are to the rest of the house."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

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

    def start(self, picture: Picture, boxes: Sequence[tuple[int, int, int, int]]) -> Callable[[], FloatArray]:
        """Begin to embed boxes (left, top, right, bottom) inside a picture; what is returned waits for the vectors."""
