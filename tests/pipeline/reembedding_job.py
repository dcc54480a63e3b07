"""Moving a gallery to another space as a process that tests can kill: it says a line at each step."""

from __future__ import annotations

import os
import sys
from typing import Any

from reidstream.gallery.database import Database
from reidstream.pipeline.reembedding import reembed
from tests.pipeline.test_reembedding import HueEmbedder


def say() -> None:
    os.write(1, b".\n")


class Telling(HueEmbedder):
    def embed(self, crops: Any) -> Any:
        say()
        return super().embed(crops)


if __name__ == "__main__":
    written = Database.write

    def write(database: Database, *fences: Any) -> Any:
        say()
        return written(database, *fences)

    Database.write = write  # type: ignore[method-assign]
    reembed(sys.argv[1], Telling(), "hues", progress=lambda *_: say())
