"""Moving a gallery to another space as a process that tests can kill: it says a line at each step."""

from __future__ import annotations

import os
from typing import Any

from reidstream.gallery.database import Database
from reidstream.pipeline.reembedding import reembed
from tests.blobs import HueEmbedder


def say() -> None:
    os.write(1, b".\n")


class Telling(HueEmbedder):
    def embed(self, crops: Any) -> Any:
        say()
        return super().embed(crops)


def move(gallery: str) -> None:
    """Move it, in a process that does nothing else."""
    written = Database.write

    def write(database: Database, *fences: Any) -> Any:
        say()
        return written(database, *fences)

    Database.write = write  # type: ignore[method-assign]
    reembed(gallery, Telling(), "hues", progress=lambda *_: say())
