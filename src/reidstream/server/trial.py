"""Trying a source out in a process of its own: its first frame, or what is wrong with it.

Run as a main program: the source's settings as JSON on standard input, the answer as JSON on standard output.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

from reidstream.children import python_child
from reidstream.config import SourceConfig
from reidstream.errors import ReIDStreamError, SourceBroken
from reidstream.sources import open_source, redacted

PATIENCE = 25.0
_WIDTH = 960


def try_source(config: SourceConfig) -> dict[str, Any]:
    """Size, frames a second and the first picture (JPEG, base64) of a source. Raises SourceBroken."""
    child = python_child("reidstream.server.trial", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        out, _ = child.communicate(config.model_dump_json().encode(), timeout=PATIENCE)
        answer: dict[str, Any] = json.loads(out)
    except (subprocess.TimeoutExpired, ValueError):
        child.kill()
        child.wait()
        raise SourceBroken(f"{redacted(config.uri)} gave no picture within {PATIENCE:.0f} s") from None
    if "error" in answer:
        raise SourceBroken(str(answer["error"]))
    return answer


def main() -> None:
    import cv2

    config = SourceConfig.model_validate_json(sys.stdin.read())
    try:
        with open_source(config, "trial") as source:
            started = source.started()
            picture = next(iter(source)).picture.bgr()
    except (ReIDStreamError, StopIteration) as error:
        json.dump({"error": redacted(str(error)) or "it has no frame"}, sys.stdout)
        return
    width, height = started.size
    if width > _WIDTH:
        picture = cv2.resize(picture, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    shown = base64.b64encode(jpeg.tobytes()).decode()
    json.dump(
        {"width": width, "height": height, "fps": started.fps, "live": started.live, "picture": shown}, sys.stdout
    )


if __name__ == "__main__":
    main()
