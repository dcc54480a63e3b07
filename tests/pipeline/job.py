"""A run over videos of walking rectangles, as a function and as a process that tests can kill."""

from __future__ import annotations

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
    """Takes its time, so that a kill meets the run in the middle."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        time.sleep(self._seconds)
        return super().detect(pictures)


def bring_in(
    videos: Sequence[Path],
    gallery: Path,
    config: Config | None = None,
    seconds: float = 0.0,
    record: Path | None = None,
) -> RunSummary:
    config = config or Config()
    named = [(path.stem, SourceConfig(uri=str(path))) for path in videos]
    engine = LocalEngine(config, named, detector=SlowDetector(seconds), embedder=ColourEmbedder())
    with Gallery.open(gallery, write=True, create=True, space=engine.space, config=EXACT) as opened:
        settings = settings_fingerprint(config, "local", "blobs")
        job = GalleryRun(engine, opened, config, settings=settings, record=record)
        with interruptible(job, silent=True):
            return job.run()


if __name__ == "__main__":
    bring_in([Path(word) for word in sys.argv[3:]], Path(sys.argv[1]), seconds=float(sys.argv[2]))
