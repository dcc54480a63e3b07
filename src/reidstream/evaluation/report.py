"""Reports of an evaluation: JSON for programs, and one self-contained HTML page for people."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidstream.files import write_whole
from reidstream.pages import page_of


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One picture of a case. jpeg: its file, or None when none was kept. tone: "good", "bad" or "" (its frame).

    wide: a piece of a scene rather than a crop of a person.
    """

    jpeg: bytes | None
    caption: str
    tone: str = ""
    wide: bool = False

    @property
    def data_uri(self) -> str | None:
        """The picture inside the page."""
        if self.jpeg is None:
            return None
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


@dataclass(frozen=True, slots=True)
class Case:
    """Pictures side by side that show what went wrong."""

    title: str
    pictures: tuple[Exhibit, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """Cases of one kind, the worst first. explanation: what the reader sees, in a sentence."""

    title: str
    explanation: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """columns: headings; rows: as many cells each."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def write_html(
    path: Path,
    title: str,
    subtitle: str,
    tables: Sequence[Table],
    plots: Sequence[str],
    chapters: Sequence[Chapter],
    facts: Mapping[str, Any],
) -> None:
    """Write the page, completely or not at all. plots: SVG. facts: configuration and models, shown as JSON.

    Raises ReIDStreamError when it cannot be written.
    """
    from markupsafe import Markup

    page = page_of(
        "reidstream.evaluation",
        "report.html.j2",
        title=title,
        subtitle=subtitle,
        tables=tables,
        # Drawn by us, with every text in it escaped.
        plots=[Markup(plot) for plot in plots],
        chapters=chapters,
        facts=json.dumps(facts, indent=2, ensure_ascii=False, default=str),
    )
    write_whole(path, page)


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report, completely or not at all. Raises ReIDStreamError when it cannot be written."""
    write_whole(path, json.dumps(report, indent=2, ensure_ascii=False, default=str) + "\n")
