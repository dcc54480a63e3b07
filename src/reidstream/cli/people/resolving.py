"""``people resolve``: deciding everybody anew."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import CONFIG, GALLERY, JSON, SETTINGS
from reidstream.cli.people.group import AUTHOR, app, login
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.identities.proposal import Proposal


class CameraChoice(StrEnum):
    """What is taken to be true of the cameras."""

    AUTO = "auto"
    SEPARATE = "separate"
    INDEPENDENT = "independent"


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
    author: str | None = AUTHOR,
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
    from reidstream.identities.applying import apply
    from reidstream.identities.people import list_people
    from reidstream.identities.proposal import propose

    given = {"false_merges": false_merges, "cameras": cameras and f'"{cameras.value}"'}
    own = [f"identities.{key}={value}" for key, value in given.items() if value is not None]
    tree = load_config(config, [*(settings or []), *own]).identities
    if topology is not None:
        tree = tree.model_copy(update={"topology": str(topology)})
    if yes and _resolved_there(gallery, [*(settings or []), *own], topology, config, as_json):
        return
    asks = not yes and not as_json and sys.stdin.isatty()
    number = None
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
            number = apply(opened, proposal, author or login())
    if as_json:
        print_json({**summary, "applied": yes, "operation": number})
    elif number is not None:
        console().print(f"done (`people undo {number}` takes it back, `people history {number}` says what moved)")
    else:
        console().print("done" if yes else "nothing was changed; --yes makes it so")


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
            f"{counted(done['before'], 'person')} became {done['people']}; "
            f"{counted(done['moved'], 'tracklet')} changed to another person"
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
            "company": calibration.group_size,
            "seen_together": calibration.together,
            "alike": calibration.alike,
        },
        "separate_cameras": proposal.separate_cameras,
    }


def _print_proposal(proposal: Proposal, summary: dict[str, Any], titles: dict[str, str]) -> None:
    out = console()
    before = f" instead of {proposal.people_before}" if proposal.people_before else ""
    doubt = f", {counted(proposal.undecided, 'tracklet')} undecided"
    out.print(f"{counted(summary['tracklets'], 'tracklet')}, {counted(proposal.people, 'person')}{before}{doubt}")
    own = proposal.calibration
    enough = "nothing, looks alone are never as sure as that; only labels and long tracks join"
    if summary["threshold"] is not None:
        enough = f"a cosine of {summary['threshold']:.2f} for tracklets that look like nobody else in particular"
    if proposal.undecided:
        out.print("undecided: likelier one of these people than nobody, though not surely enough")
    out.print(f"people in all: about {proposal.estimated:.0f}, with those who came back and could not be recognised")
    out.print(f"similar enough: {enough} (accepted risk of a wrong join: {summary['accepted_false_merges']:g})")
    out.print(
        f"expected before looking: {own.share:.2%} of all pairs are one person, "
        f"so {own.group_size:.1f} tracklets to a tracklet's person"
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
