"""Numbers with their nouns, as people say them."""

from __future__ import annotations

_MANY = {"person": "people"}


def counted(number: int, noun: str) -> str:
    """``1 tracklet``, ``2 tracklets``, ``3 people``: noun is what one of them is called, its last word is counted."""
    if number == 1:
        return f"1 {noun}"
    before, _, last = noun.rpartition(" ")
    many = _MANY.get(last, f"{last}s")
    return f"{number} {before} {many}" if before else f"{number} {many}"
