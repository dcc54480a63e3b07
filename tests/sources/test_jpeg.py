"""Pictures as JPEG files of a size that may be sent."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from reidstream.sources.frame import ArrayPicture
from reidstream.sources.jpeg import jpeg_of


@pytest.mark.parametrize(
    ("own", "width", "expected"),
    [
        ((640, 480), 320, (320, 240)),
        ((640, 480), 640, (640, 480)),
        # Never larger than it is, and of even sides.
        ((640, 480), 1920, (640, 480)),
        ((640, 480), 321, (320, 240)),
        ((400, 4), 40, (40, 2)),
        ((4, 400), 2, (2, 200)),
    ],
)
def test_a_picture_becomes_as_wide_as_asked_for_and_no_wider_than_it_is(
    own: tuple[int, int], width: int, expected: tuple[int, int]
) -> None:
    picture = ArrayPicture(np.full((own[1], own[0], 3), 90, np.uint8))
    decoded = cv2.imdecode(np.frombuffer(jpeg_of(picture, width), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert (decoded.shape[1], decoded.shape[0]) == expected
    assert np.abs(decoded.astype(int) - 90).max() <= 2
