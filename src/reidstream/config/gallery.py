"""How a gallery is kept."""

from __future__ import annotations

from pydantic import Field, field_validator

from reidstream.config.base import Section


class GalleryConfig(Section):
    """How a gallery is kept. The index applies when a gallery is made; an existing one keeps what it has."""

    index: str = Field(
        default="chroma",
        description="Vector index of a new gallery: chroma (files beside the facts), exact (no files, NumPy), "
        "the http:// address of a `chroma run` server, or, for galleries on PostgreSQL, pgvector (in the same "
        "database).",
    )

    group: str | None = Field(
        default=None,
        description="Group of users who may read and write the gallery, its exports and positions; none: its owner "
        "alone. An existing gallery is opened to the group when it is opened for writing with this setting.",
    )

    @field_validator("index")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in {"chroma", "exact", "pgvector"} and not value.startswith(("http://", "https://")):
            raise ValueError("must be chroma, exact, pgvector or the http:// address of a chroma server")
        return value
