"""Parts of a camera's picture: such that do not count (posters, mirrors, a street behind a window), and named zones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray, Stay, Tracklet

Mask = npt.NDArray[np.bool_]


class IgnoredRegions:
    """Polygons in normalised coordinates; who stands in one is not seen.

    polygons: corners (x, y) each in 0..1, x to the right and y down, three at least. What stands in a region is told by
    the middle of the box's lower edge: a poster's box ends in the poster, somebody in front of it stands below.
    """

    def __init__(self, polygons: Sequence[Sequence[tuple[float, float]]]) -> None:
        self._polygons = [np.array(polygon, np.float64).reshape(-1, 2) for polygon in polygons]

    def __bool__(self) -> bool:
        return bool(self._polygons)

    def hold(self, boxes: FloatArray, size: tuple[int, int]) -> Mask:
        """bool (n,): which boxes float32 (n, 4), xyxy in pixels of a picture of this width and height, stand in one."""
        x, y = feet(boxes, size)
        inside = np.zeros(len(boxes), bool)
        for polygon in self._polygons:
            inside |= _inside(x, y, polygon)
        return inside


class Zones:
    """Named polygons in normalised coordinates; who stands in one is told by the middle of the box's lower edge."""

    def __init__(self, polygons: Mapping[str, Sequence[tuple[float, float]]]) -> None:
        self._polygons = {name: np.array(p, np.float64).reshape(-1, 2) for name, p in polygons.items()}

    def __bool__(self) -> bool:
        return bool(self._polygons)

    def holding(self, boxes: FloatArray, size: tuple[int, int]) -> dict[str, Mask]:
        """Zone → bool (n,): which boxes float32 (n, 4), xyxy in pixels of such a picture, stand in it."""
        x, y = feet(boxes, size)
        return {name: _inside(x, y, polygon) for name, polygon in self._polygons.items()}

    def stays(self, tracklet: Tracklet, size: tuple[int, int]) -> tuple[Stay, ...]:
        """When a tracklet was in which zone, in order of time. size: width and height of the source's frames.

        Who is out for less than a second has not left, for boxes tremble; who is in for less than half a second only
        passed a corner.
        """
        if not len(tracklet.frames):
            return ()
        x, y = feet(tracklet.boxes, size)
        span = (tracklet.start_frame, max(tracklet.end_frame, tracklet.start_frame + 1))
        media = np.interp(tracklet.frames, span, (tracklet.start_media, tracklet.end_media))
        wall = np.interp(tracklet.frames, span, (tracklet.start_wall, tracklet.end_wall))
        found = []
        for name, polygon in self._polygons.items():
            rows = np.flatnonzero(_inside(x, y, polygon))
            if not len(rows):
                continue
            # Between two looks inside somebody was outside when a look between them says so, and for long enough.
            away = (np.diff(rows) > 1) & (np.diff(media[rows]) >= _OUT)
            firsts, lasts = rows[np.r_[True, away]], rows[np.r_[away, True]]
            for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
                if media[last] - media[first] >= _IN:
                    times = (media[first], media[last], wall[first], wall[last])
                    found.append(Stay(name, *(float(time) for time in times)))
        return tuple(sorted(found, key=lambda stay: (stay.start_media, stay.zone)))


_IN, _OUT = 0.5, 1.0
"""Seconds: the shortest stay, and the shortest absence between two stays."""


def feet(boxes: FloatArray, size: tuple[int, int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """x and y, float64 (n,) each and parts of the picture, of the middle of each box's lower edge."""
    x = (boxes[:, 0].astype(np.float64) + boxes[:, 2]) / (2.0 * size[0])
    # The lower edge of a box that is cut off by the picture lies on its border, which belongs to the picture.
    return x, np.minimum(boxes[:, 3].astype(np.float64) / size[1], np.nextafter(1.0, 0.0))


def _inside(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], polygon: npt.NDArray[np.float64]) -> Mask:
    """Even-odd rule (Shimrat 1962): a ray to the right crosses the polygon's edges an odd number of times."""
    from_x, from_y = polygon[:, 0], polygon[:, 1]
    to_x, to_y = np.roll(from_x, -1), np.roll(from_y, -1)
    crosses = (from_y[None] > y[:, None]) != (to_y[None] > y[:, None])
    # On which side of the edge the point lies; divisions would overflow for edges that are next to level.
    side = (y[:, None] - from_y) * (to_x - from_x) - (x[:, None] - from_x) * (to_y - from_y)
    odd: Mask = (crosses & (side * np.sign(to_y - from_y) > 0)).sum(axis=1) % 2 == 1
    return odd
