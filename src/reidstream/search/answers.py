"""One question to a gallery and its answer: who it is, and the tracklets that look most like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidstream.config.identities import IdentityConfig
from reidstream.config.local import DetectorConfig, EmbeddingConfig
from reidstream.errors import TrackletNotFound
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.facts import check_space
from reidstream.gallery.reranking import Reranking, search_reranked
from reidstream.gallery.rows import EVERYTHING
from reidstream.search.person import Identity, who_is
from reidstream.search.query import Box, Photo, Query, photo_query, tracklet_query, unknown_query, vector_query
from reidstream.types import FloatArray, Match

if TYPE_CHECKING:
    from reidstream.inference.protocols import Detector, Embedder


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gallery says of one query. matches: the tracklets most like it, best first, itself left out."""

    query: Query
    identity: Identity
    matches: tuple[Match, ...]

    def records(self, gallery: Gallery) -> list[dict[str, Any]]:
        """The tracklets found as plain values, with ``similarity`` and ``person`` (None without one)."""
        rows = gallery.rows(ids=[match.tracklet for match in self.matches])
        held = {record["id"]: record for record in rows.records()}
        # A tracklet that was erased a moment ago is no answer any more.
        return [
            {"similarity": m.similarity, **held[m.tracklet], "person": self.identity.person_of(m.tracklet)}
            for m in self.matches
            if m.tracklet in held
        ]

    def as_dict(self, gallery: Gallery) -> dict[str, Any]:
        """The answer as plain values, as ``reidstream search --json`` prints it."""
        about = {"query": self.query.about, "box": self.query.box, "people_in_photo": self.query.people}
        return {**about, **self.identity.as_dict(), "matches": self.records(gallery)}


class QueryModels:
    """The models that photos need, opened when the first photo does; the gallery says which embeddings it holds.

    detector, reid: names, ONNX files, or a Detector and an Embedder of your own, instead of the embedded detector and
    of the gallery's own Re-ID model. Raises GalleryMismatch for an Embedder whose vectors are not the gallery's.
    """

    def __init__(
        self, gallery: Gallery, detector: str | Detector | None = None, reid: str | Embedder | None = None
    ) -> None:
        self._gallery = gallery
        named = detector if isinstance(detector, str) and detector else DetectorConfig().model
        self._detection = DetectorConfig(model=named)
        named = reid if isinstance(reid, str) and reid else gallery.model or EmbeddingConfig().model
        self._embedding = EmbeddingConfig(model=named)
        self._detector: Detector | None = None if isinstance(detector, str) else detector
        self._embedder: Embedder | None = None if isinstance(reid, str) else reid
        if self._embedder is not None:
            check_space(str(gallery.place), gallery.space, self._embedder.space)

    def embedder(self) -> Embedder:
        """Raises ModelError when it is not there, GalleryMismatch when its vectors are not the gallery's."""
        from reidstream.inference import open_embedder
        from reidstream.models import resolve_model

        if self._embedder is None:
            embedder = open_embedder(resolve_model(self._embedding.model, "reid"), self._embedding)
            check_space(str(self._gallery.place), self._gallery.space, embedder.space)
            self._embedder = embedder
        return self._embedder

    def detector(self) -> Detector:
        """Raises ModelError when it is not there."""
        from reidstream.inference import open_detector
        from reidstream.models import resolve_model

        if self._detector is None:
            self._detector = open_detector(resolve_model(self._detection.model, "detector"), self._detection)
        return self._detector


def query_of(gallery: Gallery, text: str, models: QueryModels, *, box: Box | None = None, whole: bool = False) -> Query:
    """The query that a word names: a ``.npy`` file with a vector, a photo, or a tracklet id or its beginning.

    Raises SourceNotFound, SourceBroken or TrackletNotFound.
    """
    path = Path(text)
    if path.suffix.lower() == ".npy":
        return vector_query(path, gallery.space.size)
    if path.is_file():
        return photo_query(path, models.embedder(), models.detector, box=box, whole=whole)
    try:
        return tracklet_query(gallery, text)
    except TrackletNotFound as error:
        raise unknown_query(text, gallery) from error


def ask(
    gallery: Gallery,
    query: Query,
    config: IdentityConfig | None = None,
    *,
    k: int = 10,
    where: Filter = EVERYTHING,
    reranking: Reranking | None = None,
) -> Answer:
    """Who a query shows, and the k tracklets that look most like it among those that the filter leaves."""
    # A tracklet is most like itself; that is not what is asked.
    most = k + (query.tracklet is not None)
    if reranking is None:
        found = gallery.search(query.vector, most, where)[0]
    else:
        found = search_reranked(gallery, query.vector, most, reranking, where)[0]
    matches = tuple([match for match in found if match.tracklet != query.tracklet][:k])
    identity = who_is(gallery, query, config or IdentityConfig(), [match.tracklet for match in matches])
    return Answer(query, identity, matches)


def vectors_of(gallery: Gallery, photos: Sequence[Photo]) -> FloatArray:
    """float32 (n, d): the embedding of the largest person in each photo, by the gallery's own model.

    Raises SourceNotFound or SourceBroken (no picture, nobody in it), ModelError or GalleryMismatch.
    """
    models = QueryModels(gallery)
    return np.stack([photo_query(photo, models.embedder(), models.detector).vector for photo in photos])
