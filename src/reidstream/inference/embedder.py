"""Crops of people to vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from reidstream.errors import ModelMismatch
from reidstream.gpu.cuts import Box
from reidstream.inference.network import Ahead, Answer, Network
from reidstream.inference.placing import Image, cropped, stretched
from reidstream.inference.shared_batch import SharedBatch, answer_of
from reidstream.models.spec import ResolvedModel
from reidstream.sources.frame import Picture, Pixels
from reidstream.types import EmbeddingSpace, FloatArray


class OnnxEmbedder:
    """A Re-ID network: a crop stretched to the input's size (bilinear), one vector out, unit length.

    size: width and height of the network's input.
    """

    def __init__(self, network: Network, model: ResolvedModel, size: tuple[int, int]) -> None:
        self._network = network
        self._size = size
        self._normalised = model.spec.normalised
        self._space = EmbeddingSpace(fingerprint(model), model.spec.name, self._dimensions(model))

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    def embed(self, crops: Sequence[Pixels]) -> FloatArray:
        """float32 (n, d), unit length, for n BGR uint8 crops of any size; n may be 0. Safe from several threads.

        Raises ValueError for an empty crop, ModelMismatch when the model returns a vector that is not finite or zero.
        """
        return self._started([stretched(crop, self._size) for crop in crops])()

    def start(self, pictures: Sequence[Picture], boxes: Sequence[Box]) -> Answer:
        """What ``embed`` gives for crops: a box (left, top, right, bottom) inside each of these pictures; n may be 0.

        Where the network runs on another device, only calling the answer waits for it, and a picture that lies there
        stays there.
        """
        return self._started(cropped(pictures, boxes, self._size, self._network.takes_cuts))

    def start_ahead(self, pictures: Sequence[Picture], boxes: Sequence[Box]) -> tuple[Answer, Ahead] | None:
        """``start`` for crops, at least one, that perhaps nobody will ask for; None where nothing can be done ahead."""
        if not isinstance(self._network, SharedBatch):
            return None
        cuts = self._network.takes_cuts
        order = self._network.ahead(len(boxes), lambda: cropped(pictures, boxes, self._size, cuts))
        answer = answer_of(order.done)
        return Answer(lambda: self._vectors(answer()), answer.ready, answer.then), order

    def _started(self, images: list[Image]) -> Answer:
        if not images:
            return Answer(lambda: np.empty((0, self._space.size), np.float32))
        answer = self._network.start(images)
        return Answer(lambda: self._vectors(answer()), answer.ready, answer.then)

    def _vectors(self, answers: FloatArray) -> FloatArray:
        vectors: FloatArray = answers.reshape(len(answers), -1)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 1e-6).all()):
            raise ModelMismatch(f"{self._network.path} returned a vector that is zero or not finite")
        if not self._normalised:
            vectors = vectors / lengths
        return vectors

    def _dimensions(self, model: ResolvedModel) -> int:
        """The vector's length, from one run: what a graph declares may be open or wrong."""
        probe = np.full((self._size[1], self._size[0], 3), 127, np.uint8)
        output = self._network.run([probe])
        size = int(np.prod(output.shape[1:]))
        stated = model.spec.embedding_size
        if size < 2 or (stated is not None and stated != size):
            raise ModelMismatch(
                f"{model.path}: expected vectors of {stated or 'at least 2'} numbers, the graph gives {output.shape}"
            )
        if model.spec.normalised and abs(float(np.linalg.norm(output[0])) - 1) > 0.01:
            raise ModelMismatch(
                f"{model.path} is described as returning unit-length vectors, but one has length "
                f"{float(np.linalg.norm(output[0])):.3f}; set normalised = false in the manifest"
            )
        return size


def fingerprint(model: ResolvedModel) -> str:
    """32 hex digits that name the embedding space: the model file and what is done to a crop before it."""
    text = f"{model.sha256}\n{model.spec.preprocessing.model_dump_json()}\n{model.spec.input_size or ''}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
