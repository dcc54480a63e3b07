"""A run over videos of walking rectangles, as a function and as a process that tests can kill."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from reidstream.cli.run import interruptible
from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine
from reidstream.gallery import Gallery
from reidstream.pipeline import GalleryRun, RunSummary, settings_fingerprint
from reidstream.sources.frame import Picture
from reidstream.types import Detections
from tests.blobs import BlobDetector, ColourEmbedder
from tests.exact import EXACT


class SlowDetector(BlobDetector):
    """Takes its time, so that a kill meets the run in the middle, and says a line for each batch if ``told``."""

    def __init__(self, seconds: float, told: bool = False) -> None:
        self._seconds = seconds
        self._told = told

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        if self._told:
            os.write(1, f"{len(pictures)}\n".encode())  # In one piece, whatever other threads write.
        time.sleep(self._seconds)
        return super().detect(pictures)


def bring_in(
    videos: Sequence[Path],
    gallery: Path,
    config: Config | None = None,
    seconds: float = 0.0,
    record: Path | None = None,
    told: bool = False,
) -> RunSummary:
    config = config or Config()
    named = [(path.stem, SourceConfig(uri=str(path))) for path in videos]
    engine = LocalEngine(config, named, detector=SlowDetector(seconds, told), embedder=ColourEmbedder())
    with Gallery.open(gallery, write=True, create=True, space=engine.space, config=EXACT) as opened:
        settings = settings_fingerprint(config, "local")
        job = GalleryRun(engine, opened, config, settings=settings, record=record)
        with interruptible(job, silent=not told):
            return job.run()


def told(gallery: Path, seconds: float, videos: Sequence[Path]) -> None:
    """A run that says a line for each batch."""
    bring_in(videos, gallery, seconds=seconds, told=True)


if __name__ == "__main__":
    bring_in([Path(word) for word in sys.argv[3:]], Path(sys.argv[1]), seconds=float(sys.argv[2]), told=True)
