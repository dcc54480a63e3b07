"""What is expected of an embedding space before any gallery of it was seen.

How alike strangers usually are, and how alike one person's looks, differs from model to model; a small gallery hardly
says it, so that what was measured with the model helps. A gallery keeps the name of what it was made with, and no
entry that was ever shipped is changed or taken away: whatever version replays it, its people come out the same.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reidstream.errors import GalleryMismatch

_FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class ExpectedLooks:
    """Cosines of tracklets in one embedding space.

    name: of this measurement. strangers, strangers_spread: mean and standard deviation of the nearest quarter of a
    tracklet's strangers. same, same_spread: of one person's two tracklets, at medium clarity (``calibration``).
    measured: whether one person's looks were measured with this model, so that a gallery's own hardly move them.
    """

    name: str = "any/1"
    strangers: float = 0.60
    strangers_spread: float = 0.045
    same: float = 0.78
    same_spread: float = 0.13
    measured: bool = False


ANY = ExpectedLooks()
"""Of a space that nobody measured, and of galleries from before measurements had names."""


@cache
def _entries() -> tuple[tuple[str, ExpectedLooks], ...]:
    """Fingerprints of spaces, each with what is expected there; later ones took the place of earlier ones."""
    listed = tomllib.loads(_FILE.read_text(encoding="utf-8"))["expected"]
    return tuple((entry.pop("space"), ExpectedLooks(**entry)) for entry in listed)


def newest_expected(fingerprint: str) -> ExpectedLooks:
    """What a new gallery of this embedding space begins with."""
    found = ANY
    for space, expected in _entries():
        if space == fingerprint:
            found = expected
    return found


def expected_named(name: str) -> ExpectedLooks:
    """What a gallery was made with. Raises GalleryMismatch for a name that this version does not know."""
    known = {expected.name: expected for _, expected in _entries()} | {ANY.name: ANY}
    if name not in known:
        raise GalleryMismatch(
            f"the gallery's people were decided with the calibration {name!r}, which this version does not have; it "
            f"knows {', '.join(sorted(known))}: install the version of reidstream that made the gallery, or a newer one"
        )
    return known[name]
