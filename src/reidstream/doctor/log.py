"""Reading a log: which of its lines are known, who said them, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from reidstream.doctor.lines import KNOWN_LINES, KnownLine

# Colours, links and cursor movements of terminals stand in the middle of words; no message is longer than this.
_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")
_LONGEST = 2000

_ELEMENT = re.compile(
    r"from element (?P<path>/\S+?):?(?=\s|$)"
    r"|\.(?:c|cpp|cc):\d+:\w+:<(?P<object>[\w.-]+)>"
    r"|\b(?:WARNING|ERROR|INFO|Error|Warning)(?: message)? from (?P<sender>(?:gst|nv|rtsp|uri|v4l2|src|sink)[\w.-]*)"
    r"|^(?:\S+\s+){0,4}?(?P<prefix>(?:gst)?nv[a-z]\w*)(?:\.cpp)?:(?!\d)"
    r"|`(?P<type>GstNv\w+)'"
)
_UNIQUE_ID = re.compile(r"\[?UID ?=? ?(\d{1,9})\]")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A known line.

    line: number of its first appearance, from 1; count: how often it appears; text: as it stood, without colours;
    element: the element of the pipeline that said it, when the line tells.
    """

    known: KnownLine
    line: int
    text: str
    count: int
    element: str | None = None


def explained(lines: Iterable[str]) -> list[Explanation]:
    """The known lines of a log in the order of their first appearance, apart for each element that said them."""
    found: dict[tuple[str, str | None], Explanation] = {}
    for number, raw in enumerate(lines, 1):
        text = plain(raw)
        known = known_line(text)
        if known is None:
            continue
        element = speaker(text)
        earlier = found.get((known.id, element))
        line, said, count = (earlier.line, earlier.text, earlier.count) if earlier else (number, text, 0)
        found[known.id, element] = Explanation(known, line, said, count + 1, element)
    return list(found.values())


def known_line(text: str) -> KnownLine | None:
    """The entry of the table that fits a line first, or None."""
    text = plain(text)
    return next((known for known, pattern in _patterns() if pattern.search(text)), None)


def speaker(text: str) -> str | None:
    """The element that a line names as its sender, with the network's gie-unique-id where it is said.

    >>> speaker("gstnvinfer.cpp:635:gst_nvinfer_logger:<primary_gie> NvDsInferContext[UID 1]: Warning")
    'primary_gie (gie-unique-id 1)'
    """
    match = _ELEMENT.search(text)
    name = next((part for part in match.groups() if part), "") if match is not None else ""
    name = name.rsplit("/", 1)[-1].rpartition(":")[2]
    network = _UNIQUE_ID.search(text)
    if network is not None:
        return f"{name or 'nvinfer'} (gie-unique-id {network[1]})"
    return name or None


def plain(raw: str) -> str:
    """A line as a terminal shows it: without colours and control characters, cut at 2,000 characters."""
    return _CONTROL.sub("", raw[:_LONGEST]).strip()


@cache
def _patterns() -> tuple[tuple[KnownLine, re.Pattern[str]], ...]:
    return tuple((known, re.compile(known.pattern, re.IGNORECASE)) for known in KNOWN_LINES)
