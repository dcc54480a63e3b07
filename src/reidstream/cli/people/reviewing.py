"""``people review``: what is doubtful, asked in the terminal with one key for each answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reidstream.cli.common import console
from reidstream.cli.options import CONFIG, GALLERY, SETTINGS, page
from reidstream.cli.people.group import AUTHOR, app, demand_people, login

if TYPE_CHECKING:
    from reidstream.gallery import Gallery
    from reidstream.identities.questions import Question

SAME, DIFFERENT, SKIP, QUIT = "s", "d", "k", "q"

MOST_PICTURES = 4
"""Pictures of each side of a question."""


@app.command()
def review(
    gallery: str = GALLERY,
    out: Path | None = page("The page with the pictures of all that is asked; review.html by default.", "--out", "-o"),
    limit: int = typer.Option(50, "--limit", "-n", min=1, help="Ask at most this many questions."),
    author: str | None = AUTHOR,
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
) -> None:
    """Ask what is doubtful: what is undecided, look-alikes, tracklets that may be somebody else's.

    What an answer changes most comes first. Pictures are on a page beside. One key for each answer: s same person,
    d different people, k skip, q quit.

    Example: reidstream people review --gallery shop
    """
    import sys

    from reidstream.cli.asked import served
    from reidstream.config import load_config
    from reidstream.errors import ConfigError
    from reidstream.gallery import Gallery
    from reidstream.identities.questions import questions

    with served(gallery) as client:
        if client is not None:
            raise ConfigError("a server owns this gallery and asks the same on its page Review")
    if not sys.stdin.isatty():
        raise ConfigError(
            "people review asks in a terminal, and this is none; `people list --undecided --json` lists what is "
            "undecided, and `people merge`, `split` and `reject` answer"
        )
    tree = load_config(config, settings or []).identities
    out = out or Path("review.html")
    with Gallery.open(gallery, write=True) as opened:
        demand_people(opened)
        asked = questions(opened, tree)[:limit]
        if not asked:
            console().print("nothing is doubtful enough to be asked")
            return
        write_questions(opened, out, asked)
        console().print(f"{len(asked)} questions; their pictures are in {out}", markup=False)
        console().print("s same person, d different people, k skip, q quit")
        answered = ask(opened, asked, author or login())
    console().print(f"{answered} answered; `people undo` takes back the last one, `people resolve` makes use of them")


def ask(gallery: Gallery, asked: list[Question], author: str) -> int:
    """Ask one after the other until somebody quits; how many were answered."""
    import click

    from reidstream.errors import IdentityError
    from reidstream.identities.people import list_people
    from reidstream.identities.review import Review

    answered = 0
    deciding = Review(gallery, author)
    for number, question in enumerate(asked, 1):
        owner = {tracklet: person.id for person in list_people(gallery) for tracklet in person.tracklets}
        if not question.holds(owner):
            continue
        console().print(f"{number}: {question.words} ({question.probability:.0%} likely)", markup=False, end=" ")
        key = ""
        while key not in {SAME, DIFFERENT, SKIP, QUIT}:
            # A terminal in raw mode gives Ctrl-C and the end of input as characters.
            key = click.getchar().lower()
            key = QUIT if key in {"", "\x03", "\x04"} else key
        console().print({SAME: "same", DIFFERENT: "different", SKIP: "skipped", QUIT: "quit"}[key])
        if key == QUIT:
            break
        if key == SKIP:
            continue
        try:
            question.answer(deciding, key == SAME)
            answered += 1
        except IdentityError as error:
            console().print(str(error), markup=False)
    return answered


def write_questions(gallery: Gallery, path: Path, asked: list[Question]) -> None:
    """Write a page with the crops of both sides of every question, numbered as they are asked."""
    from reidstream.gallery.sheet import Group, files_of, tracklet_card, write_sheet

    files = files_of(gallery)
    groups = []
    for number, question in enumerate(asked, 1):
        cards = []
        for side in question.sides:
            shown = [gallery.tracklet(tracklet) for tracklet in side]
            shown.sort(key=lambda tracklet: (-tracklet.quality, tracklet.id))
            cards += [tracklet_card(tracklet, file=files.get(tracklet.content)) for tracklet in shown[:MOST_PICTURES]]
        first = min(len(question.sides[0]), MOST_PICTURES)
        text = f"{question.probability:.0%} likely; the first {first} against the rest"
        groups.append(Group(f"{number}: {question.words}", tuple(cards), text))
    write_sheet(path, f"Questions about {gallery.place}", f"{len(asked)} questions, the weightiest first", groups)
