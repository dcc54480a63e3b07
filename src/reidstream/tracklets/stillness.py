"""Is what was seen for long a person who stands, or a thing?

A thing is where it was from the first frame to the last, and its picture stays the same. A person walks in or out
sometimes, and sways, turns and moves the arms even where the box stays: on a shop's camera the pictures of a cashier
who did not leave her box for 20 s correlate by .94, those of a notice board in the rain of an old camera by .99.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.tracklets.observations import TrackPath
from reidstream.types import FloatArray

_AWAY = 0.5
"""Overlap (IoU) with the median box below which somebody is elsewhere. A box whose height jitters to double or half of
it around one centre is still there."""
_AWAY_DETECTIONS = 3
_AWAY_SECONDS = 0.25
"""So many detections in a row, for so long, are a walk: single boxes jump."""

SAME_PICTURE = 0.985
"""Correlation of a thing's pictures, above: those of things come to .99 and more under compression and noise, and to
.98 where they are small or noise is strong. Those of people who stand for ten seconds come to .94 and less, rarely .97,
and of people who sit in a synthetic scene for a minute to .98 in three cases of fourteen."""
_LEAST_PICTURES = 4
_MOST_PICTURES = 24
"""So many are compared, evenly chosen: tracks may keep hundreds, and every pair costs a tenth of a millisecond."""
_HEIGHT = 96
"""Pixels that the median box becomes before pictures are compared: finer noise is not what is asked for."""
_BLUR = 1.5
_MARGIN = 0.15
"""Of each side of a picture, what is not compared but is room for the other's box to be elsewhere."""

_STILL = 0.1
"""Without pictures: how far, in heights, the box of a thing moves at most. Boxes of people who stand and wait move by
.14 to .3 (5 s and more, synthetic scenes), that of a bin moved by .08 in two minutes."""


def is_thing(
    path: TrackPath, times: Sequence[float], boxes: Sequence[FloatArray], crops: Sequence[bytes | None]
) -> bool:
    """Whether a track that was seen for long is that of a thing.

    times: media seconds of its samples. boxes: (4,) x1, y1, x2, y2 of each. crops: JPEG files of what is in these
    boxes, None where there is none.
    """
    if walked(path):
        return False
    likeness = picture_likeness(times, boxes, crops)
    return path.travel() < _STILL if likeness is None else likeness >= SAME_PICTURE


def walked(path: TrackPath) -> bool:
    """Whether the detected box came from elsewhere, or went, for longer than boxes jump: a walk in, out or through.

    Who passes in front of a thing drags its box aside for a while. Somebody who comes back from a walk stands otherwise
    than before, which pictures tell.
    """
    found = path.confidences >= 0
    boxes, media = path.boxes[found].astype(np.float64), path.media[found]
    if len(boxes) < _AWAY_DETECTIONS:
        return False
    away = overlaps(boxes, np.median(boxes, axis=0)) < _AWAY
    steps = np.diff(np.concatenate([[False], away, [False]]).astype(np.int8))
    begins, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    long = (ends - begins + 1 >= _AWAY_DETECTIONS) & (media[ends] - media[begins] >= _AWAY_SECONDS)
    outermost = (begins < _AWAY_DETECTIONS) | (ends >= len(boxes) - _AWAY_DETECTIONS)
    return bool((long & outermost).any())


def overlaps(boxes: npt.NDArray[np.float64], box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of each of the boxes (n, 4) with one box (4,): float64 (n,)."""
    corner = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(corner, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))


def picture_likeness(
    times: Sequence[float], boxes: Sequence[FloatArray], crops: Sequence[bytes | None]
) -> float | None:
    """How alike the pictures of one track are: the median correlation of those that are farthest apart in time.

    Of each two pictures the inner part of one is looked for in the other, so that a box that jitters does no harm.
    None when fewer than four pictures or pairs can be compared. Somebody who passes in front spoils few of the pairs.
    """
    pictures: list[tuple[float, float, npt.NDArray[np.uint8]]] = []
    for time, box, crop in zip(times, boxes, crops, strict=True):
        picture = None if not crop else cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_GRAYSCALE)
        if picture is not None:
            # A picture is as large as what was cut out, if it was not made smaller; the track's box is a smoothed one.
            height, smoothed = float(picture.shape[0]), float(box[3] - box[1])
            pictures.append((time, smoothed if height < 0.8 * smoothed else height, np.asarray(picture, np.uint8)))
    if len(pictures) < _LEAST_PICTURES:
        return None
    few = np.linspace(0, len(pictures) - 1, min(len(pictures), _MOST_PICTURES)).round().astype(int).tolist()
    pictures = [pictures[row] for row in few]
    scale = _HEIGHT / float(np.median([height for _, height, _ in pictures]))
    ready = [(time, _prepared(picture, scale * height / picture.shape[0])) for time, height, picture in pictures]
    pairs = [(abs(b[0] - a[0]), a[1], b[1]) for a, b in combinations(ready, 2)]
    far = float(np.median([apart for apart, _, _ in pairs]))
    values = [value for apart, a, b in pairs if apart >= far and (value := _correlation(a, b)) is not None]
    return float(np.median(values)) if len(values) >= _LEAST_PICTURES else None


def is_picture(crop: bytes | None) -> bool:
    """Whether there is a picture of it that can be compared with others."""
    return bool(crop) and cv2.imdecode(np.frombuffer(crop or b"", np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8) is not None


def _prepared(picture: npt.NDArray[np.uint8], scale: float) -> npt.NDArray[np.uint8]:
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    blurred = cv2.GaussianBlur(cv2.resize(picture, size, interpolation=how), (0, 0), _BLUR)
    return np.asarray(blurred, np.uint8)


def _correlation(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float | None:
    """The best correlation of the inner part of one picture with a part of the other; None when it does not fit in."""
    height, width = one.shape
    top, left = int(height * _MARGIN), int(width * _MARGIN)
    inner = one[top : height - top, left : width - left]
    if min(inner.shape) < 5 or inner.shape[0] > other.shape[0] or inner.shape[1] > other.shape[1]:
        return None
    value = float(cv2.matchTemplate(other, inner, cv2.TM_CCOEFF_NORMED).max())
    # Pictures without any contrast correlate with everything or nothing.
    return value if np.isfinite(value) and float(inner.std()) > 2.0 else None
