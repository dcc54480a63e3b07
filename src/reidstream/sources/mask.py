"""Drawing a camera's ignored regions into its picture, and reading them from a picture that somebody painted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from reidstream.config import SourceConfig
from reidstream.config.sources import Polygon
from reidstream.errors import SourceBroken
from reidstream.sources.frame import Pixels
from reidstream.sources.source import open_source

PAINT = (255, 0, 255)
"""Magenta (BGR), which cameras hardly ever see: what is painted in it is a region."""
_ZONE = (0, 220, 255)
_TOLERANCE = 60
_SMALLEST = 0.0005
"""Painted spots smaller than this part of the picture are slips."""
_STRAIGHT = 0.004
"""How far, as a part of the diagonal, an outline may lie beside what was painted, so that it has few corners."""


def first_picture(config: SourceConfig) -> Pixels:
    """A source's first frame, BGR. Raises SourceError when there is none."""
    with open_source(config, config.name or "source") as source:
        source.started()
        frame = next(iter(source), None)
        if frame is None:
            raise SourceBroken(f"{source.started().uri} gives no picture")
        picture: Pixels = frame.picture.bgr().copy()
    return picture


def with_regions(picture: Pixels, regions: Sequence[Polygon], zones: Mapping[str, Polygon] | None = None) -> Pixels:
    """A copy with a grid of tenths, numbered, each region shaded and outlined, and each zone outlined and named."""
    drawn: Pixels = picture.copy()
    height, width = drawn.shape[:2]
    scale = np.array([width, height])
    shade = drawn.copy()
    for region in regions:
        cv2.fillPoly(shade, [np.rint(np.array(region) * scale).astype(np.int32)], PAINT)
    drawn[:] = cv2.addWeighted(shade, 0.4, drawn, 0.6, 0)
    for region in regions:
        outline = np.rint(np.array(region) * scale).astype(np.int32)
        cv2.polylines(drawn, [outline], True, PAINT, max(1, height // 300), cv2.LINE_AA)
    size = max(0.35, height / 1600)
    for name, zone in (zones or {}).items():
        outline = np.rint(np.array(zone) * scale).astype(np.int32)
        cv2.polylines(drawn, [outline], True, _ZONE, max(1, height // 300), cv2.LINE_AA)
        x, y = outline.mean(axis=0).astype(int).tolist()
        cv2.putText(drawn, name, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1.5 * size, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.putText(drawn, name, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1.5 * size, _ZONE, 2, cv2.LINE_AA)
    for tenth in range(1, 10):
        x, y = round(tenth * width / 10), round(tenth * height / 10)
        cv2.line(drawn, (x, 0), (x, height), (255, 255, 255), 1)
        cv2.line(drawn, (0, y), (width, y), (255, 255, 255), 1)
        for place in ((x + 2, round(14 * size / 0.35)), (2, y - 2)):
            cv2.putText(drawn, f".{tenth}", place, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.putText(drawn, f".{tenth}", place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def painted_regions(picture: Pixels) -> list[Polygon]:
    """The outlines of what is painted in magenta, corners in parts of the picture; the largest first.

    Holes are filled. Raises SourceBroken when nothing is painted.
    """
    height, width = picture.shape[:2]
    near = np.abs(picture.astype(np.int16) - np.array(PAINT)).max(axis=2) <= _TOLERANCE
    outlines, _ = cv2.findContours(near.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    regions = []
    for outline in sorted(outlines, key=cv2.contourArea, reverse=True):
        if cv2.contourArea(outline) < _SMALLEST * width * height:
            continue
        corners = cv2.approxPolyDP(outline, _STRAIGHT * float(np.hypot(width, height)), True)[:, 0]
        if len(corners) >= 3:
            # An outline's pixels have their own width: the last one reaches to the border.
            parts = corners / np.array([max(width - 1, 1), max(height - 1, 1)])
            regions.append(tuple((round(float(x), 4), round(float(y), 4)) for x, y in parts))
    if not regions:
        raise SourceBroken("nothing in the picture is painted in magenta (red 255, green 0, blue 255)")
    return regions
