"""``reidstream render``: a video with the people that a gallery knows drawn into it."""

from __future__ import annotations

from pathlib import Path

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import GALLERY, JSON
from reidstream.wording import counted


def render(
    videos: list[str] = typer.Argument(..., help="Videos or folders of images that were read into the gallery."),
    out: Path = typer.Argument(..., help="The video to write: .mp4, .mkv, .mov or .avi; of several OUT-name."),
    gallery: str = GALLERY,
    as_json: bool = JSON,
) -> None:
    """Draw videos with the people that a gallery knows: boxes with names and numbers, in one colour per person.

    Nothing is detected anew; tracks without a person keep the track's number.

    Example: reidstream render entrance.mp4 people.mp4 --gallery shop
    """
    from reidstream.gallery import Gallery
    from reidstream.pipeline.drawing import draw_people
    from reidstream.rendering import film_paths
    from reidstream.sources import expand_sources, source_ids

    sources = expand_sources(videos)
    named = list(zip(source_ids(sources), sources, strict=True))
    with Gallery.open(gallery) as opened:
        drawn = draw_people(opened, named, out)
    files = [str(path) for path in film_paths(out, [name for name, _ in named]).values()]
    if as_json:
        print_json({"file": files[0], "files": files, "tracklets": drawn})
    else:
        console().print(f"drew {counted(drawn, 'tracklet')} into {', '.join(files)}", markup=False)
