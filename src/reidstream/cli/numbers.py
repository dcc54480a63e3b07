"""``reidstream numbers``: how many people were where and when, for how long, and where they went next."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.filters import SOURCE
from reidstream.cli.options import GALLERY, JSON
from reidstream.cli.terminal import TerminalTable
from reidstream.wording import counted


class Per(StrEnum):
    """Over what is counted; the same as ``numbers.Bucket``, which is not imported for the help."""

    HOUR = "hour"
    DAY = "day"
    ALL = "all"


def numbers(
    gallery: str = GALLERY,
    by: Per = typer.Option(Per.HOUR, "--by", help="Per hour, per day, or over the whole time."),
    journeys: bool = typer.Option(False, "--journeys", help="How people went from camera to camera instead."),
    source: list[str] | None = SOURCE,
    since: str | None = typer.Option(
        None, "--since", help="Only after this day or time: 2026-01-31, 2026-01-31T17:00."
    ),
    until: str | None = typer.Option(None, "--until", help="Only before this day or time."),
    time_zone: str = typer.Option("UTC", "--time-zone", help="Whose hours and days, as Europe/Berlin."),
    stay: float = typer.Option(60.0, "--stay", min=0, help="Seconds within which somebody seen again has stayed."),
    within: float = typer.Option(3600.0, "--within", min=0, help="Seconds within which somebody is on the way."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Write the rows to this file: .csv, .parquet or .json."),
    as_json: bool = JSON,
) -> None:
    """How many people were at each camera and in each named zone, new and returning, and for how long.

    Numbers are what is expected, with a 90 % interval: undecided visits and unsure memberships count as what they are.

    Example: reidstream numbers --gallery shop --by day --time-zone Europe/Berlin
    Example: reidstream numbers --gallery shop --journeys
    Example: reidstream numbers --gallery shop --out numbers.parquet
    """
    from reidstream.cli.asked import asking
    from reidstream.numbers.writing import write_numbers

    wanted: dict[str, Any] = {"since": since, "until": until, "time_zone": time_zone, "stay": stay}
    with asking(gallery) as asked:
        if journeys:
            document = asked.journeys(cameras=source or [], within=within, **wanted)
        else:
            document = asked.numbers(cameras=source or [], by=by.value, **wanted)
    if out is not None:
        written = write_numbers(document, out)
        if not as_json:
            console().print(f"wrote {counted(written, 'row')} to {out}", markup=False)
    if as_json:
        print_json(document)
    elif out is None:
        _print_journeys(document) if journeys else _print_people(document)


def _print_people(document: dict[str, Any]) -> None:
    out = console()
    columns = ("camera", "zone", f"begins ({document['time_zone']})", "people", "new", "returning", "visits")
    table = TerminalTable(*columns, "undecided", "stays", "median s", "longest s", box=None)
    for row in document["rows"]:
        counts = (_between(row, name) for name in ("people", "new", "returning"))
        visits = (str(row["visits"]), str(row["undecided"] or ""), str(row["stays"]))
        lengths = (_seconds(row["median"]), _seconds(row["longest"]))
        when = (row["local"] or "whole time")[:16].replace("T", " ")
        table.add_row(row["camera"] or "all cameras", row["zone"], when, *counts, *visits, *lengths)
    if document["rows"]:
        out.print(table)
        out.print("people, new and returning are expected numbers; in brackets where they lie with 90 %", markup=False)
    else:
        out.print("nobody was seen in this time", markup=False)
    _print_waiting(document)


def _print_journeys(document: dict[str, Any]) -> None:
    out = console()
    table = TerminalTable("from", "to", "people", "as decided", "median s on the way", box=None)
    for flow in document["flows"]:
        ends = (flow["origin"] or "(came in)", flow["target"] or "(went out)")
        table.add_row(*ends, _between(flow, "people"), str(flow["decided"]), _seconds(flow["seconds"]))
    if document["flows"]:
        out.print(table)
    else:
        out.print("nobody was seen in this time", markup=False)
    if document["undecided"]:
        said = f"{counted(document['undecided'], 'undecided visit')} in no journey: nobody knows yet whose they are"
        out.print(said, markup=False)
    _print_waiting(document)


def _print_waiting(document: dict[str, Any]) -> None:
    if document["without_person"]:
        waiting = counted(document["without_person"], "visit")
        advice = "`reidstream people resolve --yes` or a server does that"
        console().print(f"{waiting} not counted, which nobody has decided about yet: {advice}", markup=False)


def _between(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    number = f"{row[name]:.1f}".removesuffix(".0")
    return number if low == high else f"{number} ({low}-{high})"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
