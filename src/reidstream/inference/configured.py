"""What the configured embedding model gives, for whoever makes a gallery for it."""

from __future__ import annotations

from reidstream.config import Config
from reidstream.inference.factory import open_embedder
from reidstream.models import name_for_others, resolve_model
from reidstream.types import EmbeddingSpace


def configured_space(config: Config) -> tuple[EmbeddingSpace, str]:
    """The embedding space of the configured model, and under which name others find it. Raises ModelError."""
    model = config.embedding.model
    space = open_embedder(resolve_model(model, "reid"), config.embedding).space
    return space, name_for_others(model)
