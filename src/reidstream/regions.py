"""Parts of a camera's picture that do not count: posters, mirrors, screens, a street behind a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray

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
        x = (boxes[:, 0].astype(np.float64) + boxes[:, 2]) / (2.0 * size[0])
        # The lower edge of a box that is cut off by the picture lies on its border, which belongs to the picture.
        y = np.minimum(boxes[:, 3].astype(np.float64) / size[1], np.nextafter(1.0, 0.0))
        inside = np.zeros(len(boxes), bool)
        for polygon in self._polygons:
            inside |= _inside(x, y, polygon)
        return inside


def _inside(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], polygon: npt.NDArray[np.float64]) -> Mask:
    """Even-odd rule (Shimrat 1962): a ray to the right crosses the polygon's edges an odd number of times."""
    from_x, from_y = polygon[:, 0], polygon[:, 1]
    to_x, to_y = np.roll(from_x, -1), np.roll(from_y, -1)
    crosses = (from_y[None] > y[:, None]) != (to_y[None] > y[:, None])
    # On which side of the edge the point lies; divisions would overflow for edges that are next to level.
    side = (y[:, None] - from_y) * (to_x - from_x) - (x[:, None] - from_x) * (to_y - from_y)
    odd: Mask = (crosses & (side * np.sign(to_y - from_y) > 0)).sum(axis=1) % 2 == 1
    return odd
