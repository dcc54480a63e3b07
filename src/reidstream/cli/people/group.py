"""The group of commands ``people``, and what they have in common."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from reidstream.gallery import Gallery

app = typer.Typer(help="Who is in a gallery; putting right what was decided wrongly.", no_args_is_help=True)

PERSON = "A person: number, name or id (or its beginning)."
TRACKLET = "Tracklet id, or a beginning that only one has."
AUTHOR: Any = typer.Option(None, "--author", help="Who decides, for the log; your login name by default.")


def demand_people(gallery: Gallery) -> None:
    from reidstream.cli.asked import advice_on
    from reidstream.errors import IdentityError
    from reidstream.identities.people import list_people

    if not list_people(gallery):
        raise IdentityError(advice_on(str(gallery.place), 0, len(gallery)) or "")


def title(person: dict[str, Any]) -> str:
    return str(person["name"]) or f"{'undecided' if person.get('undecided') else 'person'} {person['number']}"


def login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # No such user in the machine's list, as in many containers.
        return "unknown"
