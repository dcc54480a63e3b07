"""``people merge``, ``split``, ``move``, ``label``, ``reject``, ``duplicates``, ``undo``: what reviewers decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import GALLERY, JSON
from reidstream.cli.people.group import AUTHOR, PERSON, TRACKLET, app, demand_people, login

if TYPE_CHECKING:
    from reidstream.client import Client
    from reidstream.identities.review import Review


@app.command()
def merge(
    keep: str = typer.Argument(..., help=PERSON + " It stays."),
    other: str = typer.Argument(..., help="A person who is the same."),
    gallery: str = GALLERY,
    author: str | None = AUTHOR,
    as_json: bool = JSON,
) -> None:
    """Two people are one; all tracklets go to the first.

    Example: reidstream people merge 3 7 --gallery shop
    """
    _decide(
        gallery,
        author,
        as_json,
        lambda review: review.merge(keep, other),
        lambda client: client.merge(keep, other),
    )


@app.command()
def split(
    person: str = typer.Argument(..., help=PERSON),
    tracklets: list[str] = typer.Argument(..., help="Tracklets that are somebody else; together one new person."),
    gallery: str = GALLERY,
    author: str | None = AUTHOR,
    as_json: bool = JSON,
) -> None:
    """Some tracklets of a person are somebody else, one new person.

    Example: reidstream people split 3 3fa1 77c0 --gallery shop
    """
    _decide(
        gallery,
        author,
        as_json,
        lambda review: review.split(person, tracklets),
        lambda client: client.split(person, tracklets),
    )


@app.command()
def move(
    tracklet: str = typer.Argument(..., help=TRACKLET),
    person: str = typer.Argument(..., help=PERSON),
    gallery: str = GALLERY,
    author: str | None = AUTHOR,
    as_json: bool = JSON,
) -> None:
    """A tracklet belongs to this person and not to whom it was given.

    Example: reidstream people move 3fa1 Grace --gallery shop
    """
    _decide(
        gallery,
        author,
        as_json,
        lambda review: review.move(tracklet, person),
        lambda client: client.move(tracklet, person),
    )


@app.command()
def label(
    person: str = typer.Argument(..., help=PERSON),
    name: str | None = typer.Option(None, "--name", help="The person's name; an empty text takes it away."),
    notes: str | None = typer.Option(None, "--notes", help="Anything worth knowing; an empty text takes it away."),
    gallery: str = GALLERY,
    author: str | None = AUTHOR,
    as_json: bool = JSON,
) -> None:
    """Give a person a name or notes.

    Example: reidstream people label 3 --name Grace --notes "red coat" --gallery shop
    """
    from reidstream.errors import ConfigError

    if name is None and notes is None:
        raise ConfigError("nothing to write; give --name or --notes")
    _decide(
        gallery,
        author,
        as_json,
        lambda review: review.label(person, name, notes),
        lambda client: client.label(person, name, notes),
    )


@app.command()
def reject(
    tracklet: str = typer.Argument(..., help=TRACKLET),
    person: str = typer.Argument(..., help=PERSON),
    gallery: str = GALLERY,
    author: str | None = AUTHOR,
    as_json: bool = JSON,
) -> None:
    """A tracklet is not this person, whoever it is.

    Example: reidstream people reject 3fa1 3 --gallery shop
    """
    _decide(
        gallery,
        author,
        as_json,
        lambda review: review.reject(tracklet, person),
        lambda client: client.reject(tracklet, person),
    )


@app.command()
def duplicates(
    tracklets: list[str] = typer.Argument(..., help="Tracklets of one camera that show one person at the same time."),
    gallery: str = GALLERY,
    author: str | None = AUTHOR,
    as_json: bool = JSON,
) -> None:
    """Tracklets of one camera and one time are one person after all: two boxes on somebody, or a mirror.

    They go to the person of the first. Without this, whoever is seen together counts as two people.

    Example: reidstream people duplicates 3fa1 77c0 --gallery shop
    """
    _decide(
        gallery,
        author,
        as_json,
        lambda review: review.duplicates(tracklets),
        lambda client: client.duplicates(tracklets),
    )


@app.command()
def undo(
    number: int | None = typer.Argument(None, help="The operation's number in the history; the last one by default."),
    gallery: str = GALLERY,
    author: str | None = AUTHOR,
    as_json: bool = JSON,
) -> None:
    """Take back an operation; one that later operations build on is refused.

    Example: reidstream people undo --gallery shop
    """
    _decide(gallery, author, as_json, lambda review: review.undo(number), lambda client: client.undo(number))


def _decide(
    gallery: str,
    author: str | None,
    as_json: bool,
    here: Callable[[Review], int],
    there: Callable[[Client], dict[str, Any]],
) -> None:
    """Decide in the gallery itself, or through the server that owns it (who then knows who the author is)."""
    from dataclasses import asdict

    from reidstream.cli.asked import served
    from reidstream.errors import ConfigError
    from reidstream.gallery import Gallery
    from reidstream.identities.people import history as operations_of
    from reidstream.identities.review import Review

    with served(gallery) as client:
        if client is not None:
            if author is not None:
                raise ConfigError("a server owns this gallery and knows who decides; leave out --author")
            done = there(client)
        else:
            with Gallery.open(gallery, write=True) as opened:
                demand_people(opened)
                review = Review(opened, author or login())
                number = here(review)
                (done,) = [asdict(operation) for operation in operations_of(opened) if operation.id == number]
    if as_json:
        print_json(done)
    else:
        back = "" if done["undoes"] is not None else f" (`people undo {done['id']}` takes it back)"
        console().print(f"{done['id']}: {done['summary']}{back}", markup=False)
