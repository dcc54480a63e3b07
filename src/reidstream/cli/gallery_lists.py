"""`reidstream gallery list` and `zones`: what is stored, what was left out, and who was where."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.filters import FROM, SINCE, SOURCE, TO, UNTIL, filter_of, media_time, wall_time
from reidstream.cli.options import GALLERY, JSON
from reidstream.cli.terminal import TerminalTable
from reidstream.errors import ConfigError
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.gallery import Gallery
    from reidstream.regions import Zones


def whose(record: dict[str, Any]) -> str:
    """Whose a tracklet is, for a table: a name or number; that it is undecided; nothing without a person."""
    if record["person"] is None:
        return ""
    if record["undecided"]:
        return "undecided"
    return str(record["person_name"]) or f"person {record['person_number']}"


def list_command(
    gallery: str = GALLERY,
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    zone: list[str] | None = typer.Option(None, "--zone", help="Only who was in this named zone; repeatable."),
    left_out: bool = typer.Option(False, "--left-out", help="What was seen and not stored, and why, in order of time."),
    limit: int = typer.Option(100, "--limit", "-n", min=1, help="Print at most this many."),
    as_json: bool = JSON,
) -> None:
    """The tracklets of a gallery, in the order in which they were stored.

    Example: reidstream gallery list --gallery shop --source entrance --since 2026-01-31T17:00
    Example: reidstream gallery list --gallery shop --zone till
    Example: reidstream gallery list --gallery shop --left-out
    """
    from rich.table import Column

    from reidstream.cli.asked import Here, asking
    from reidstream.gallery.sheet import clock, wall_clock

    if left_out:
        if zone:
            raise ConfigError(
                "--zone chooses among what is stored, in which stays are noted; leave it out with --left-out"
            )
        _list_left_out(gallery, (source, since, until, start, stop), limit, as_json)
        return
    with asking(gallery) as asked:
        if isinstance(asked, Here):
            where = replace(filter_of(asked.gallery, source, since, until, start, stop), zones=tuple(zone or ()))
            document = asked.tracklets(where, limit)
        else:
            zones_asked = {"zone": zone} if zone else {}
            document = asked.tracklets(limit, **zones_asked, **_filters(source, since, until, start, stop))
    records = document["tracklets"]
    if as_json:
        print_json(document)
        return
    table = TerminalTable(
        Column("id", no_wrap=True),
        "source",
        "track",
        "person",
        "in video",
        "seconds",
        "seen (UTC)",
        "frames",
        "purity",
        "quality",
        box=None,
    )
    for r in records:
        track = f"{r['track_id']}" + (f" {r['part'] + 1}/{r['parts']}" if r["parts"] > 1 else "")
        seconds = f"{r['end_media'] - r['start_media']:.1f}"
        seen = wall_clock(r["start_wall"])
        numbers = (str(r["observations"]), f"{r['purity']:.2f}", f"{r['quality']:.2f}")
        place = (r["id"][:12], r["source"], track, whose(r), clock(r["start_media"]))
        table.add_row(*place, seconds, seen, *numbers)
    out = console()
    out.print(table)
    if document["total"] > len(records):
        out.print(f"{len(records)} of {document['total']} tracklets; --limit shows more")


def zones(
    gallery: str = GALLERY,
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    cameras: Path | None = typer.Option(
        None, "--cameras", help="A camera list whose zones have changed: note the stays of what is stored anew first."
    ),
    as_json: bool = JSON,
) -> None:
    """How many were in the named zones of the cameras, and for how long.

    Zones stand in the camera list: `zones.till = [[0.1, 0.5], [0.4, 0.5], [0.4, 1], [0.1, 1]]`.

    Example: reidstream gallery zones --gallery shop --since 2026-01-31
    Example: reidstream gallery zones --gallery shop --cameras cameras.toml
    """
    from reidstream.gallery import Gallery
    from reidstream.gallery.sheet import wall_clock
    from reidstream.gallery.zones import note_zones, zone_numbers

    with Gallery.open(gallery, write=cameras is not None) as opened:
        if cameras is not None:
            note_zones(opened, _zones_in(cameras, opened))
        numbers = zone_numbers(opened, filter_of(opened, source, since, until, start, stop))
    if as_json:
        print_json({"zones": [asdict(one) for one in numbers]})
        return
    columns = ("source", "zone", "visits", "people", "stays", "median s", "longest s", "in all s", "last (UTC)")
    table = TerminalTable(*columns, box=None)
    for one in numbers:
        counts = (str(one.visits), "" if one.people is None else str(one.people), str(one.stays))
        lengths = (f"{one.median:.1f}", f"{one.longest:.1f}", f"{one.seconds:.0f}")
        table.add_row(one.source, one.zone, *counts, *lengths, wall_clock(one.last_wall))
    out = console()
    if numbers:
        out.print(table)
    else:
        out.print("nobody was in a named zone; zones stand in the camera list (docs/sources.md)", markup=False)


def _zones_in(cameras: Path, gallery: Gallery) -> dict[str, Zones]:
    """The zones of a camera list's sources that the gallery holds."""
    from reidstream.regions import Zones
    from reidstream.sources import expand_sources, source_ids

    configs = expand_sources([str(cameras)])
    known = {recording.source for recording in gallery.sources()}
    found = {
        name: Zones(config.zones) for name, config in zip(source_ids(configs), configs, strict=True) if name in known
    }
    if not found:
        raise ConfigError(f"none of the sources of {cameras} is in gallery {gallery.place}")
    return found


_WHY = {
    "too_short": "too short",
    "no_crop": "no usable crop",
    "guessed": "mostly guessed",
    "thing": "a thing: stays and looks the same",
    "no_person": "no person in its pictures",
}


def _list_left_out(
    gallery: str,
    wanted: tuple[list[str] | None, str | None, str | None, str | None, str | None],
    limit: int,
    as_json: bool,
) -> None:
    """What was not stored, and why."""
    from reidstream.cli.asked import Here, asking
    from reidstream.gallery.sheet import clock, wall_clock

    with asking(gallery) as asked:
        if isinstance(asked, Here):
            document = asked.left_out(filter_of(asked.gallery, *wanted), limit)
        else:
            document = asked.left_out(limit, **_filters(*wanted))
    if as_json:
        print_json(document)
        return
    columns = ("source", "track", "why", "in video", "seconds", "seen (UTC)", "frames", "score", "box")
    table = TerminalTable(*columns, box=None)
    for one in document["left_out"]:
        table.add_row(
            one["source"],
            f"{one['track_id']}" + (f" part {one['part'] + 1}" if one["part"] else ""),
            _WHY.get(one["why"], one["why"]),
            clock(one["start_media"]),
            f"{one['end_media'] - one['start_media']:.1f}",
            wall_clock(one["start_wall"]),
            str(one["observations"]),
            f"{one['confidence']:.2f}",
            ",".join(f"{side:.0f}" for side in one["box"]),
        )
    out = console()
    out.print(table)
    said = ", ".join(f"{count} {_WHY.get(why, why)}" for why, count in document["counts"].items())
    out.print(f"{counted(document['total'], 'track')} not stored" + (f": {said}" if said else ""))
    if document["total"] > len(document["left_out"]):
        out.print(f"{len(document['left_out'])} are shown; --limit shows more")


def _filters(
    source: list[str] | None, since: str | None, until: str | None, start: str | None, stop: str | None
) -> dict[str, Any]:
    """The options that say which tracklets are meant, as a server takes them."""
    times = {"since": since, "until": until}
    media = {"media_since": start, "media_until": stop}
    found: dict[str, Any] = {key: wall_time(text) for key, text in times.items() if text is not None}
    found |= {key: media_time(text) for key, text in media.items() if text is not None}
    return {**found, **({"camera": source} if source else {})}
