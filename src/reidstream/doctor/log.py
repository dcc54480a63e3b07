"""Reading a log: which of its lines are known, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from reidstream.doctor.deepstream_log_lines import DEEPSTREAM_LINES
from reidstream.doctor.log_lines import KnownLine
from reidstream.doctor.python_log_lines import PYTHON_LINES

KNOWN_LINES: tuple[KnownLine, ...] = PYTHON_LINES + DEEPSTREAM_LINES
"""The whole table. docs/troubleshooting.md is made from it."""

# Colours of terminals stand in the middle of words; no message is longer than this.
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Explanation:
    """A known line. line: number of its first appearance, from 1; count: how often it appears; text: as it stood."""

    known: KnownLine
    line: int
    text: str
    count: int


def explained(lines: Iterable[str]) -> list[Explanation]:
    """The known lines of a log in the order of their first appearance."""
    found: dict[str, Explanation] = {}
    for number, raw in enumerate(lines, 1):
        text = _COLOUR.sub("", raw[:_LONGEST]).strip()
        known = known_line(text)
        if known is None:
            continue
        earlier = found.get(known.id)
        if earlier is None:
            found[known.id] = Explanation(known, number, text, 1)
        else:
            found[known.id] = Explanation(known, earlier.line, earlier.text, earlier.count + 1)
    return list(found.values())


def known_line(text: str) -> KnownLine | None:
    """The entry of the table that fits a line first, or None."""
    return next((known for known, pattern in _patterns() if pattern.search(text)), None)


@cache
def _patterns() -> tuple[tuple[KnownLine, re.Pattern[str]], ...]:
    return tuple((known, re.compile(known.pattern, re.IGNORECASE)) for known in KNOWN_LINES)
