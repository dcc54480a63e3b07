"""Pictures that a child cuts out of recordings and cameras: it may die or hang, the server may not."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

from reidstream.children import python_child
from reidstream.errors import SourceBroken
from reidstream.sources.frame import Pixels

PATIENCE = 25.0
"""Seconds in which a child must have answered."""
_WIDTH = 960


def answer_of(module: str, order: str, late: str) -> dict[str, Any]:
    """What a main program of ours says to an order, JSON on both sides.

    late: what went wrong, in words, when it dies or is not there in time. Raises SourceBroken with that, or with the
    child's own ``error``.
    """
    child = python_child(module, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        out, _ = child.communicate(order.encode(), timeout=PATIENCE)
        answer: dict[str, Any] = json.loads(out)
    except (subprocess.TimeoutExpired, ValueError):
        child.kill()
        child.wait()
        raise SourceBroken(f"{late} within {PATIENCE:.0f} s") from None
    if "error" in answer:
        raise SourceBroken(str(answer["error"]))
    return answer


def jpeg_text(picture: Pixels, quality: int) -> str:
    """A BGR picture as JPEG in base64, no wider than a page shows it."""
    import cv2

    height, width = picture.shape[:2]
    if width > _WIDTH:
        size = _WIDTH, max(1, round(height * _WIDTH / width))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(picture.dtype, copy=False)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return base64.b64encode(jpeg.tobytes()).decode()
