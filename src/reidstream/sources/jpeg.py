"""Pictures as JPEG files, small enough to be sent and kept."""

from __future__ import annotations

import cv2

from reidstream.sources.frame import Picture

_QUALITY = 70


def jpeg_of(picture: Picture, width: int) -> bytes:
    """A picture as JPEG, no wider than this many pixels."""
    own_width, own_height = picture.size
    scale = min(1.0, width / own_width)
    # Halved colour planes want even sides.
    pixels = picture.scaled(max(2, round(own_width * scale / 2) * 2), max(2, round(own_height * scale / 2) * 2))
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()
