"""``people export``: what somebody is given who asks for their own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import DETECTOR, GALLERY, JSON
from reidstream.cli.people.group import PERSON, app
from reidstream.wording import counted


@app.command()
def export(
    person: str = typer.Argument(..., help=PERSON),
    out: Path = typer.Argument(..., help="Where to: a new folder, or a .zip file."),
    gallery: str = GALLERY,
    blur: str = typer.Option(
        "everything",
        "--blur",
        help="everything: all around the person is a coarse mosaic; others: only other people are drawn over.",
    ),
    sure: float = typer.Option(0.95, "--sure", min=0, max=1, help="Only visits that are so surely this person's."),
    clips: bool = typer.Option(True, "--clips/--no-clips", help="Films of the visits as well."),
    detector: str | None = DETECTOR,
    as_json: bool = JSON,
) -> None:
    """A person's own visits, pictures and clips, in which nobody else can be recognised, for handing them out.

    Others are known by their tracks, and every frame is searched for more by the detector. Which visits are surely
    theirs, and whether nobody was missed, somebody has to look at before it is handed out.

    Example: reidstream people export Ann ann.zip --gallery shop
    Example: reidstream people export 3 ann --blur others --gallery shop
    """
    from reidstream.cli.asked import is_elsewhere
    from reidstream.disclosure import Shown
    from reidstream.errors import ConfigError

    if blur not in {"everything", "others"}:
        raise ConfigError(f"--blur is everything or others, got {blur!r}")
    shown = Shown.PERSON if blur == "everything" else Shown.SCENE
    if is_elsewhere(gallery):
        if detector is not None or out.suffix.lower() != ".zip":
            raise ConfigError("a server elsewhere writes a .zip file, with its own detector")
        done = _there(gallery, person, out, {"shown": shown.value, "sure": sure, "clips": clips})
    else:
        done = _here(gallery, person, out, detector, not as_json, shown=shown, sure=sure, clips=clips)
    if as_json:
        print_json({"file": str(out), **done})
        return
    words = console()
    words.print(
        f"wrote {counted(done['visits'], 'visit')} to {out}: {done['frames']} with the camera's picture, "
        f"{done['clips']} with a clip",
        markup=False,
    )
    if done["left_out"]:
        words.print(f"{counted(done['left_out'], 'visit')} left out: not surely theirs ({sure:.2f}; --sure)")
    if done["unsure"]:
        words.print(
            f"in {counted(done['unsure'], 'frame')} somebody else was in view whose place is not known; all around the "
            "person is unrecognisable there"
        )
    words.print("a detector can miss somebody: look at every picture before you hand it out")


def _there(gallery: str, person: str, out: Path, what: dict[str, Any]) -> dict[str, Any]:
    from reidstream.client import open_client

    with open_client(gallery) as client:
        found = client.disclose(person, out, **what)
    return {name: value for name, value in found.items() if name not in {"bytes", "format"}}


def _here(gallery: str, person: str, out: Path, detector: str | None, shows: bool, **what: Any) -> dict[str, Any]:
    from reidstream.cli.erasure import progress_bar
    from reidstream.disclosure import disclose
    from reidstream.gallery import Gallery
    from reidstream.search.answers import QueryModels

    with Gallery.open(gallery) as opened:
        models = QueryModels(opened, detector)
        with progress_bar("making pictures", shows) as progress:
            return disclose(opened, person, out, models.detector(), progress=progress, **what).as_dict()
