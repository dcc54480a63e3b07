"""People cut out of labelled pictures, to be pasted into others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reidstream.boxes import pairwise_iou
from training.sequences import FloatArray

HEIGHT, WIDTH = 192, 112
# Share of the box that people fill; outside of it the cut has failed.
FILLED = (0.25, 0.72)


def cut_out(picture: NDArray[np.uint8], box: FloatArray) -> tuple[NDArray[np.uint8], FloatArray] | None:
    """One person as (192, 112, 4) BGRA with the box of the opaque part, or None where the outline is not clear.

    The outline is found by GrabCut (Rother et al. 2004), begun from the labelled box.
    """
    left, top, right, bottom = box
    scale = min(0.86 * HEIGHT / (bottom - top), 0.8 * WIDTH / (right - left))
    shift = np.array([WIDTH, HEIGHT]) / 2 - scale * np.array([left + right, top + bottom]) / 2
    move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    view = cv2.warpAffine(picture, move, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    x1, y1, x2, y2 = np.round(np.concatenate([box[:2] * scale + shift, box[2:] * scale + shift])).astype(int)
    mask = np.full((HEIGHT, WIDTH), cv2.GC_BGD, np.uint8)
    mask[y1:y2, x1:x2] = cv2.GC_PR_FGD
    edge = max(2, (x2 - x1) // 10)
    mask[y1:y2, x1 : x1 + edge] = cv2.GC_PR_BGD
    mask[y1:y2, x2 - edge : x2] = cv2.GC_PR_BGD
    cv2.grabCut(view, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    opaque = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    opaque = cv2.morphologyEx(opaque, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opaque)
    if count < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height, area = stats[largest]
    filled = area / max((x2 - x1) * (y2 - y1), 1)
    if not FILLED[0] <= filled <= FILLED[1] or height < 0.9 * (y2 - y1) or width < 0.7 * (x2 - x1):
        return None
    alpha = cv2.GaussianBlur((labels == largest).astype(np.uint8) * 255, (3, 3), 0)
    return np.dstack([view, alpha]), np.array([x, y, x + width, y + height], np.float32)


def cutouts_of(pack: Path, source: str = "pennfudan") -> tuple[NDArray[np.uint8], FloatArray]:
    """All clear cut-outs of one source of packed pictures: (n, 4, 192, 112) BGRA and boxes (n, 4).

    People who overlap others, or are lower than 90 pixels, are passed over.
    """
    stored = np.load(pack)
    ends, blob, boxes, sources = (stored[k] for k in ("ends", "blob", "boxes", "sources"))
    tasks = []
    for number in np.flatnonzero(sources == source):
        picture = cv2.imdecode(blob[ends[number - 1] if number else 0 : ends[number]], cv2.IMREAD_COLOR)
        rows = boxes[boxes[:, 0] == number]
        people = rows[rows[:, 5] == 1, 1:5]
        alone = (pairwise_iou(people, people) > 0.1).sum(1) == 1
        tasks += [(picture, box) for box in people[alone & (people[:, 3] - people[:, 1] >= 90)]]
    with ThreadPoolExecutor() as pool:
        done = [piece for piece in pool.map(lambda task: cut_out(*task), tasks) if piece is not None]
    return np.stack([p.transpose(2, 0, 1) for p, _ in done]), np.stack([b for _, b in done])
