"""Numbers stand with the right form of their noun."""

from __future__ import annotations

import pytest

from reidstream.wording import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "tracklet", "0 tracklets"),
        (1, "tracklet", "1 tracklet"),
        (2, "new tracklet", "2 new tracklets"),
        (1, "person", "1 person"),
        (3, "person", "3 people"),
        (2, "known person", "2 known people"),
    ],
)
def test_a_noun_follows_its_number(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
