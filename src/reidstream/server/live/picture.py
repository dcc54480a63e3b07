"""What a camera's process sends of what it sees just now."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class View(StrEnum):
    """How large a camera is looked at."""

    TILE = "tile"
    """One of many: a still every few seconds, more while somebody is there."""
    LARGE = "large"
    """One alone, at a rate at which movement is seen."""
    MOVING = "moving"
    """One alone, as its camera sends it: fragments of its film, and beside them pictures that are boxes only."""


Wanted = Mapping[str, frozenset[View]]
"""Which cameras somebody looks at, and how."""


@dataclass(frozen=True, slots=True)
class LivePicture:
    """One picture. wall: when it was taken, Unix seconds. frame: its number in the source.

    size: width and height of the camera's own frames. jpeg: empty where boxes only are wanted. tracks: (track id,
    (x1, y1, x2, y2), whether the detector found them in this frame) of everybody in it, the boxes in parts of the
    picture, 0..1. lost: pictures that were left out before this one because the machine was busy.
    """

    source: str
    view: View
    wall: float
    frame: int
    size: tuple[int, int]
    tracks: tuple[tuple[int, tuple[float, float, float, float], bool], ...]
    jpeg: bytes
    lost: int = 0

    def message(self, names: Mapping[int, Mapping[str, Any]], lost: int = 0) -> bytes:
        """As it goes to a browser: a header, and the JPEG; see ``framed``.

        names: what is known of tracks, by id. lost: pictures that this browser was too slow for.
        """
        header = {
            "camera": self.source,
            "view": self.view.value,
            "wall": self.wall,
            "frame": self.frame,
            "size": self.size,
            # As text: a browser's numbers hold 53 bits, these have 64.
            "tracks": [
                {"id": str(number), "box": box, "found": found, **names.get(number, {})}
                for number, box, found in self.tracks
            ],
            "lost": self.lost + lost,
        }
        return framed(header, self.jpeg)


def framed(header: Mapping[str, Any], body: bytes) -> bytes:
    """A message to a browser: the length of the header as big-endian uint32, the header in JSON, the rest."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack(">I", len(text)) + text + body
