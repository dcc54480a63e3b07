"""``reidstream render``: a video with the people that a gallery knows drawn into it."""

from __future__ import annotations

from pathlib import Path

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import GALLERY, JSON
from reidstream.wording import counted


def render(
    video: str = typer.Argument(..., help="A video that was read into the gallery."),
    out: Path = typer.Argument(..., help="The video to write: .mp4, .mkv, .mov or .avi."),
    gallery: str = GALLERY,
    as_json: bool = JSON,
) -> None:
    """Draw a video with the people that a gallery knows: boxes with names and numbers, in one colour per person.

    Nothing is detected anew; tracks without a person keep the track's number.

    Example: reidstream render entrance.mp4 people.mp4 --gallery shop
    """
    from reidstream.gallery import Gallery
    from reidstream.pipeline.drawing import draw_people

    with Gallery.open(gallery) as opened:
        drawn = draw_people(opened, video, out)
    if as_json:
        print_json({"file": str(out), "tracklets": drawn})
    else:
        console().print(f"drew {counted(drawn, 'tracklet')} into {out}", markup=False)
