"""Trying a source out in a process of its own: its first frame, or what is wrong with it.

Run as a main program: the source's settings as JSON on standard input, the answer as JSON on standard output.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from reidstream.config import SourceConfig
from reidstream.errors import ReIDStreamError
from reidstream.server.picture_child import answer_of, jpeg_text
from reidstream.sources import open_source, redacted


def try_source(config: SourceConfig) -> dict[str, Any]:
    """Size, frames a second and the first picture (JPEG, base64) of a source. Raises SourceBroken."""
    late = f"{redacted(config.uri)} gave no picture"
    return answer_of("reidstream.server.trial", config.model_dump_json(), late)


def main() -> None:
    config = SourceConfig.model_validate_json(sys.stdin.read())
    try:
        with open_source(config, "trial") as source:
            started = source.started()
            picture = next(iter(source)).picture.bgr()
    except (ReIDStreamError, StopIteration) as error:
        json.dump({"error": redacted(str(error)) or "it has no frame"}, sys.stdout)
        return
    width, height = started.size
    shown = jpeg_text(picture, 80)
    json.dump(
        {"width": width, "height": height, "fps": started.fps, "live": started.live, "picture": shown}, sys.stdout
    )


if __name__ == "__main__":
    main()
