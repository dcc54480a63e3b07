"""``people erase`` and ``history``: somebody out of everything, and what was decided."""

from __future__ import annotations

from typing import Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.erasure import print_proof, progress_bar
from reidstream.cli.options import GALLERY, JSON
from reidstream.cli.people.group import AUTHOR, PERSON, app, login, title
from reidstream.cli.terminal import TerminalTable


@app.command()
def erase(
    person: str = typer.Argument(..., help=PERSON),
    gallery: str = GALLERY,
    author: str | None = AUTHOR,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask first."),
    as_json: bool = JSON,
) -> None:
    """Erase a person as a whole, for good: visits, pictures, vectors, name, notes, and what the history says of them.

    A byte search proves it. Followers of the gallery get the event PersonErased. This cannot be undone.

    Example: reidstream people erase Grace --gallery shop
    """
    from dataclasses import asdict

    from reidstream.errors import ConfigError
    from reidstream.gallery import Gallery
    from reidstream.identities.erasing import erase_person, person_to_erase

    if as_json and not yes:
        raise ConfigError("--json cannot ask; add --yes")
    if _erased_there(gallery, person, yes, as_json):
        return
    with Gallery.open(gallery, write=True) as opened:
        found = person_to_erase(opened, person)
        if not yes:
            visits = f"{len(found.tracklets)} of {len(opened)} tracklets"
            typer.confirm(f"Erase {found.title} with {visits} from {opened.place} for good?", abort=True)
        with progress_bar("indexing what remains", not as_json) as progress:
            erasure = erase_person(opened, found.id, author or login(), progress)
    if as_json:
        print_json({**asdict(erasure), "proven": erasure.proven})
    else:
        print_proof(erasure)


@app.command()
def history(
    number: int | None = typer.Argument(None, help="Only this operation, with every tracklet that it moved."),
    gallery: str = GALLERY,
    limit: int = typer.Option(50, "--limit", "-n", min=1, help="Print at most this many, the newest."),
    as_json: bool = JSON,
) -> None:
    """What was decided by whom and when, the newest last.

    Example: reidstream people history --gallery shop
    Example: reidstream people history 12 --gallery shop
    """
    from rich.table import Column

    from reidstream.cli.asked import asking
    from reidstream.gallery.sheet import wall_clock

    if number is not None:
        _show_operation(gallery, number, as_json)
        return
    with asking(gallery) as asked:
        document = asked.operations(limit)
    if as_json:
        print_json(document)
        return
    out = console()
    if not document["operations"]:
        out.print("nobody has decided anything yet")
        return
    table = TerminalTable(Column("number", justify="right"), "when (UTC)", "author", "what", "", box=None)
    for o in document["operations"]:
        state = f"undone by {o['undone_by']}" if o["undone_by"] is not None else ""
        table.add_row(str(o["id"]), wall_clock(o["wall"]), o["author"], o["summary"], state)
    out.print(table)
    if document["total"] > limit:
        out.print(f"the newest {limit} of {document['total']} operations; --limit shows more")


def _show_operation(gallery: str, number: int, as_json: bool) -> None:
    from rich.table import Column

    from reidstream.cli.asked import Here, asking
    from reidstream.errors import ConfigError

    with asking(gallery) as asked:
        if not isinstance(asked, Here):
            raise ConfigError("a server elsewhere lists operations only; ask on the machine that has the folder")
        document = asked.operation(number)
    if as_json:
        print_json(document)
        return
    out = console()
    out.print(f"{document['id']}: {document['summary']} ({document['author']})", markup=False)
    table = TerminalTable(Column("tracklet", no_wrap=True), "from", "to", box=None)
    for move in document["moved"]:
        table.add_row(move["tracklet"][:12], _who(move["from"]), _who(move["to"]))
    if document["moved"]:
        out.print(table)


def _who(person: dict[str, Any] | None) -> str:
    if person is None:
        return "nobody"
    return title(person) if person["number"] is not None else f"somebody who has no tracklets any more ({person['id']})"


def _erased_there(gallery: str, person: str, yes: bool, as_json: bool) -> bool:
    """Have the server that owns the gallery erase a person; False when no server does."""
    from reidstream.cli.asked import served
    from reidstream.cli.erasure import print_served

    with served(gallery) as client:
        if client is None:
            return False
        found = client.person(person)
        if not yes:
            visits = f"{len(found['tracklets'])} tracklets"
            typer.confirm(f"Erase {title(found)} with {visits} from {gallery} for good?", abort=True)
        done = client.erase(people=[found["id"]])
    if as_json:
        print_json(done)
    else:
        print_served(done)
    return True
