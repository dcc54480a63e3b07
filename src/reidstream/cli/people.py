"""``reidstream people``: who is in a gallery, and putting right what was decided wrongly."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.erasure import print_proof, progress_bar
from reidstream.cli.options import CONFIG, GALLERY, JSON, SETTINGS, page
from reidstream.cli.terminal import TerminalTable

if TYPE_CHECKING:
    from reidstream.client import Client
    from reidstream.gallery import Gallery
    from reidstream.identities.proposal import Proposal
    from reidstream.identities.review import Review

app = typer.Typer(help="Who is in a gallery; putting right what was decided wrongly.", no_args_is_help=True)

PERSON = "A person: number, name or id (or its beginning)."
TRACKLET = "Tracklet id, or a beginning that only one has."
AUTHOR: Any = typer.Option(None, "--author", help="Who decides, for the log; your login name by default.")


class CameraChoice(StrEnum):
    """What is taken to be true of the cameras."""

    AUTO = "auto"
    SEPARATE = "separate"
    INDEPENDENT = "independent"


@app.command("list")
def list_command(
    gallery: str = GALLERY,
    limit: int = typer.Option(100, "--limit", "-n", min=1, help="Print at most this many."),
    as_json: bool = JSON,
) -> None:
    """Everybody in a gallery, by number.

    Example: reidstream people list --gallery shop
    """
    from rich.table import Column

    from reidstream.cli.asked import asking
    from reidstream.gallery.sheet import wall_clock

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
    if document["total"] > len(people):
        out.print(f"{len(people)} of {document['total']} people; --limit shows more")
    if document["advice"]:
        out.print(document["advice"], markup=False)


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
    out.print(f"{_title(found)} (number {found['number']}, id {found['id']})", markup=False)
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
        alike = ", ".join(f"{_title(p)} ({p['similarity']:.2f})" for p in found["nearest"])
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
    from reidstream.gallery import Gallery
    from reidstream.identities.people import find_person
    from reidstream.identities.people_sheet import write_people_sheet

    with Gallery.open(gallery) as opened:
        _demand_people(opened)
        with opened.read() as connection:
            wanted = [find_person(connection, person) for person in persons] if persons else None
        out = out or Path("people.html")
        shown = write_people_sheet(opened, out, wanted, limit)
    if as_json:
        print_json({"file": str(out), "people": shown})
    else:
        console().print(f"wrote {shown} people to {out}", markup=False)


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
            erasure = erase_person(opened, found.id, author or _login(), progress)
    if as_json:
        print_json({**asdict(erasure), "proven": erasure.proven})
    else:
        print_proof(erasure)


@app.command()
def history(
    gallery: str = GALLERY,
    limit: int = typer.Option(50, "--limit", "-n", min=1, help="Print at most this many, the newest."),
    as_json: bool = JSON,
) -> None:
    """What was decided by whom and when, the newest last.

    Example: reidstream people history --gallery shop
    """
    from rich.table import Column

    from reidstream.cli.asked import asking
    from reidstream.gallery.sheet import wall_clock

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


@app.command()
def resolve(
    gallery: str = GALLERY,
    false_merges: float | None = typer.Option(
        None, "--false-merges", help="Accepted risk that a join is wrong, 0 to 0.5; smaller keeps people apart."
    ),
    cameras: CameraChoice | None = typer.Option(
        None, "--cameras", help="separate: nobody is in two cameras at once; independent: nothing is known."
    ),
    topology: Path | None = typer.Option(
        None, "--topology", help="TOML file with camera pairs: overlapping views, travel times."
    ),
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    yes: bool = typer.Option(False, "--yes", "-y", help="Make it so; without, it is only shown (or asked for)."),
    as_json: bool = JSON,
) -> None:
    """Decide anew who is who, all at once, and show what would change before it does. What people decided holds.

    Example: reidstream people resolve --false-merges 0.02 --gallery shop
    Example: reidstream people resolve --topology cameras.toml --yes --gallery shop
    """
    import sys

    from reidstream.config import load_config
    from reidstream.gallery import Gallery
    from reidstream.identities.people import list_people
    from reidstream.identities.proposal import apply, propose

    given = {"false_merges": false_merges, "cameras": cameras and f'"{cameras.value}"'}
    own = [f"identities.{key}={value}" for key, value in given.items() if value is not None]
    tree = load_config(config, [*(settings or []), *own]).identities
    if topology is not None:
        tree = tree.model_copy(update={"topology": str(topology)})
    if yes and _resolved_there(gallery, [*(settings or []), *own], topology, config, as_json):
        return
    asks = not yes and not as_json and sys.stdin.isatty()
    # Looking needs no ownership; whoever is asked must find the gallery as it was shown.
    with Gallery.open(gallery, write=yes or asks) as opened:
        titles = {person.id: person.title for person in list_people(opened)}
        proposal = propose(opened, tree)
        summary = _summary(proposal, len(opened), tree.false_merges)
        if not as_json:
            _print_proposal(proposal, summary, titles)
        if asks:
            yes = typer.confirm("Make it so?")
        if yes:
            apply(opened, proposal)
    if as_json:
        print_json({**summary, "applied": yes})
    else:
        console().print("done" if yes else "nothing was changed; --yes makes it so")


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
                _demand_people(opened)
                review = Review(opened, author or _login())
                number = here(review)
                (done,) = [asdict(operation) for operation in operations_of(opened) if operation.id == number]
    if as_json:
        print_json(done)
    else:
        back = "" if done["undoes"] is not None else f" (`people undo {done['id']}` takes it back)"
        console().print(f"{done['id']}: {done['summary']}{back}", markup=False)


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
            typer.confirm(f"Erase {_title(found)} with {visits} from {gallery} for good?", abort=True)
        done = client.erase(people=[found["id"]])
    if as_json:
        print_json(done)
    else:
        print_served(done)
    return True


def _resolved_there(
    gallery: str, settings: list[str], topology: Path | None, config: Path | None, as_json: bool
) -> bool:
    """Have the server that owns the gallery decide everybody anew; False when no server does."""
    from reidstream.cli.asked import served
    from reidstream.errors import ConfigError

    with served(gallery) as client:
        if client is None:
            return False
        if settings or topology is not None or config is not None:
            raise ConfigError("a server owns this gallery and decides by its own settings; give them to `serve`")
        done = client.resolve()
    if as_json:
        print_json({**done, "applied": True})
    else:
        console().print(
            f"{done['before']} people became {done['people']}; {done['moved']} tracklets changed their person"
        )
    return True


def _summary(proposal: Proposal, tracklets: int, accepted: float) -> dict[str, Any]:
    calibration = proposal.calibration
    return {
        "tracklets": tracklets,
        "people_before": proposal.people_before,
        "people": proposal.people,
        "undecided": proposal.undecided,
        "people_estimated": round(proposal.estimated, 1),
        "moved": list(proposal.moved),
        "joined": [{"person": kept, "merged": list(gone)} for kept, gone in proposal.joined],
        "divided": [{"person": person, "into": count} for person, count in proposal.divided],
        "accepted_false_merges": accepted,
        "threshold": calibration.threshold(proposal.odds),
        "calibration": {
            "same": calibration.same,
            "spread": calibration.spread,
            "strangers": calibration.usual,
            "strangers_spread": calibration.usual_spread,
            "share": calibration.share,
            "company": calibration.company,
            "seen_together": calibration.together,
            "alike": calibration.alike,
        },
        "separate_cameras": proposal.separate_cameras,
    }


def _print_proposal(proposal: Proposal, summary: dict[str, Any], titles: dict[str, str]) -> None:
    out = console()
    before = f" instead of {proposal.people_before}" if proposal.people_before else ""
    out.print(f"{summary['tracklets']} tracklets, {proposal.people} people{before}")
    own = proposal.calibration
    enough = "nothing, looks alone are never as sure as that; only labels and long tracks join"
    if summary["threshold"] is not None:
        enough = f"a cosine of {summary['threshold']:.2f} for tracklets that look like nobody else in particular"
    if proposal.undecided:
        out.print(
            f"undecided: {proposal.undecided} of them are one tracklet that is likelier one of the others than nobody, "
            f"though not surely enough; about {proposal.estimated:.0f} people"
        )
    out.print(f"similar enough: {enough} (accepted risk of a wrong join: {summary['accepted_false_merges']:g})")
    out.print(
        f"expected before looking: {own.share:.2%} of all pairs are one person, "
        f"so {own.company:.1f} tracklets to a tracklet's person"
    )
    if own.together:
        out.print(
            f"{own.together} pairs seen together, so two people each; {own.alike} of them look more like one person"
        )
    cameras = "nobody is in two at once" if proposal.separate_cameras else "somebody may be in two at once"
    out.print(f"cameras: {cameras}")
    for kept, gone in proposal.joined:
        out.print(f"joined: {', '.join(titles[person] for person in gone)} into {titles[kept]}", markup=False)
    for person, count in proposal.divided:
        out.print(f"divided: {titles[person]} among {count} people", markup=False)
    if proposal.people_before:
        out.print(f"{len(proposal.moved)} tracklets change their person")


def _demand_people(gallery: Gallery) -> None:
    from reidstream.cli.asked import advice_on
    from reidstream.errors import IdentityError
    from reidstream.identities.people import list_people

    if not list_people(gallery):
        raise IdentityError(advice_on(str(gallery.place), 0, len(gallery)) or "")


def _title(person: dict[str, Any]) -> str:
    return str(person["name"]) or f"person {person['number']}"


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # No such user in the machine's list, as in many containers.
        return "unknown"
