"""``people list``, ``show`` and ``sheet``: who is in a gallery."""

from __future__ import annotations

from pathlib import Path

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import GALLERY, JSON, page
from reidstream.cli.people.group import PERSON, app, demand_people, title
from reidstream.cli.terminal import TerminalTable
from reidstream.wording import counted


@app.command("list")
def list_command(
    gallery: str = GALLERY,
    limit: int = typer.Option(100, "--limit", "-n", min=1, help="Print at most this many."),
    undecided: bool = typer.Option(
        False, "--undecided", help="What is undecided instead: who it may be; newest first."
    ),
    as_json: bool = JSON,
) -> None:
    """Everybody in a gallery, by number.

    Example: reidstream people list --gallery shop
    Example: reidstream people list --undecided --gallery shop
    """
    from rich.table import Column

    from reidstream.cli.asked import asking
    from reidstream.gallery.sheet import wall_clock

    if undecided:
        _list_undecided(gallery, limit, as_json)
        return
    with asking(gallery) as asked:
        document = asked.people(limit)
    if as_json:
        print_json(document)
        return
    out = console()
    people = document["people"]
    if people:
        table = TerminalTable(
            Column("number", justify="right"),
            "name",
            Column("tracklets", justify="right"),
            "cameras",
            "first seen (UTC)",
            "last seen (UTC)",
            "least sure",
            "notes",
            Column("id", no_wrap=True),
            box=None,
        )
        for p in people:
            seen = wall_clock(p["first_seen"]), wall_clock(p["last_seen"])
            sure = f"{min(p['probability']):.2f}"
            who = (str(p["number"]), p["name"], str(len(p["tracklets"])))
            table.add_row(*who, ", ".join(p["cameras"]), *seen, sure, p["notes"], p["id"])
        out.print(table)
    if document["total"] or document["undecided"]:
        more = f"{counted(document['undecided'], 'tracklet')} undecided"
        out.print(
            f"{counted(document['total'], 'person')}, {more}"
            + ("; --undecided lists them" if document["undecided"] else "")
        )
    if document["total"] > len(people):
        out.print(f"{len(people)} of {document['total']} people; --limit shows more")
    if document["advice"]:
        out.print(document["advice"], markup=False)


def _list_undecided(gallery: str, limit: int, as_json: bool) -> None:
    from rich.table import Column

    from reidstream.cli.asked import Here, asking
    from reidstream.errors import ConfigError
    from reidstream.gallery.sheet import wall_clock

    with asking(gallery) as asked:
        if not isinstance(asked, Here):
            raise ConfigError(
                "a server elsewhere shows what is undecided on its page Review; --undecided is for folders"
            )
        document = asked.undecided(limit)
    if as_json:
        print_json(document)
        return
    out = console()
    table = TerminalTable(Column("tracklet", no_wrap=True), "source", "seen (UTC)", "may be", "probability", box=None)
    for one in document["undecided"]:
        who = "somebody undecided, too" if one["may_be"] is None else title(one["may_be"])
        seen = wall_clock(one["start"])
        table.add_row(one["tracklet"][:12], one["source"], seen, who, f"{one['probability']:.2f}")
    if document["undecided"]:
        out.print(table)
    out.print(f"{counted(document['total'], 'tracklet')} undecided; `people review` asks about them")


@app.command()
def show(person: str = typer.Argument(..., help=PERSON), gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """One person: every tracklet, how sure each is, and who looks most like them.

    Example: reidstream people show 3 --gallery shop
    """
    from rich.table import Column

    from reidstream.cli.asked import asking
    from reidstream.gallery.sheet import clock, wall_clock

    with asking(gallery) as asked:
        found = asked.person(person)
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(f"{title(found)} (number {found['number']}, id {found['id']})", markup=False)
    if found["undecided"]:
        like, chance = found["may_be"]
        out.print(
            f"nobody yet: may be the person of tracklet {like[:12]} ({chance:.2f}), not surely enough", markup=False
        )
    if found["notes"]:
        out.print(found["notes"], markup=False)
    table = TerminalTable(
        Column("tracklet", no_wrap=True), "source", "in video", "seconds", "seen (UTC)", "sure", "purity", box=None
    )
    for r in found["tracklets"]:
        seconds = f"{r['end_media'] - r['start_media']:.1f}"
        numbers = f"{r['probability']:.2f}", f"{r['purity']:.2f}"
        place = r["id"][:12], r["source"], clock(r["start_media"])
        table.add_row(*place, seconds, wall_clock(r["start_wall"]), *numbers)
    out.print(table)
    if found["nearest"]:
        alike = ", ".join(f"{title(p)} ({p['similarity']:.2f})" for p in found["nearest"])
        out.print(f"looks most like: {alike}", markup=False)


@app.command()
def sheet(
    persons: list[str] | None = typer.Argument(None, help="Only these people: numbers, names or ids."),
    out: Path | None = page("The page to write; people.html by default.", "--out", "-o"),
    gallery: str = GALLERY,
    limit: int = typer.Option(500, "--limit", "-n", min=1, help="Show at most this many people."),
    as_json: bool = JSON,
) -> None:
    """Draw everybody on one HTML page: crops over time and cameras, how sure each is, who looks alike.

    Example: reidstream people sheet --page people.html --gallery shop
    """
    from functools import partial

    from reidstream.clips import clip_of
    from reidstream.gallery import Gallery
    from reidstream.identities.people import find_person
    from reidstream.identities.people_sheet import write_people_sheet

    with Gallery.open(gallery) as opened:
        demand_people(opened)
        with opened.read() as connection:
            wanted = [find_person(connection, person) for person in persons] if persons else None
        out = out or Path("people.html")
        shown = write_people_sheet(opened, out, wanted, limit, partial(clip_of, opened))
    if as_json:
        print_json({"file": str(out), "people": shown})
    else:
        console().print(f"wrote {counted(shown, 'person')} to {out}", markup=False)
