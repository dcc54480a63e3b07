"""The embedded crops of a track, and which of them are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from reidstream.tracklets.pooling import Pool
from reidstream.tracklets.spread import spread
from reidstream.types import FloatArray


@dataclass(slots=True)
class HeldCrops:
    """Embedded crops of one track: rows of lists that belong together.

    frames, times (media seconds), quality; embeddings: float32 (d,) each; boxes: float32 (4,), xyxy; crops: JPEG files,
    None where there is none.
    """

    frames: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    embeddings: list[FloatArray] = field(default_factory=list)
    boxes: list[FloatArray] = field(default_factory=list)
    crops: list[bytes | None] = field(default_factory=list)

    def keep(self, rows: Iterable[int]) -> None:
        chosen = list(rows)
        for name in ("frames", "times", "quality", "embeddings", "boxes", "crops"):
            values = getattr(self, name)
            setattr(self, name, [values[i] for i in chosen])

    def copy(self) -> HeldCrops:
        names = ("frames", "times", "quality", "embeddings", "boxes", "crops")
        return HeldCrops(*(list(getattr(self, name)) for name in names))


# How strongly the crop to show must look like the rest of its track, against its own quality: a sharp sign in front of
# somebody makes a sharp crop of a sign.
_TYPICAL = 4


def best_crop(samples: HeldCrops, pooled: Pool) -> int:
    """The best sample with a picture that shows what the track looks like, one of those pooled if there is one."""
    typical = np.clip(np.stack(samples.embeddings) @ pooled.embedding, 0.0, 1.0) ** _TYPICAL
    score = np.array(samples.quality) * typical + pooled.used + 10.0 * np.array([c is not None for c in samples.crops])
    return int(score.argmax())


def more_crops(samples: HeldCrops, pooled: Pool, best: int, most: int) -> tuple[bytes, ...]:
    """Pictures beside the best one, of samples that were pooled, spread over the track's time, best first."""
    rows = [n for n, crop in enumerate(samples.crops) if crop is not None and pooled.used[n] and n != best]
    if most <= 0 or not rows:
        return ()
    chosen = spread(np.array(samples.times)[rows], np.array(samples.quality)[rows], most).tolist()
    ordered = sorted((rows[n] for n in chosen), key=lambda n: -samples.quality[n])
    return tuple(crop for n in ordered if (crop := samples.crops[n]) is not None)
