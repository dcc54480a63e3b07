"""``reidstream sources``: what is known of cameras before they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import JSON
from reidstream.errors import ConfigError, ReIDStreamError

if TYPE_CHECKING:
    from reidstream.config import SourceConfig
    from reidstream.config.sources import Polygon

app = typer.Typer(no_args_is_help=True, help="Cameras: regions of their pictures that do not count.")


@app.callback()
def _root() -> None:
    """Cameras: regions of their pictures that do not count."""


@app.command()
def mask(
    source: str = typer.Argument(..., help="A video, camera or folder, or a TOML file that lists one or more."),
    name: str | None = typer.Option(None, "--name", help="Which source of a list."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Write its picture here, with a grid and its regions."),
    polygon: list[str] = typer.Option(
        [], "--polygon", help="A region to try, as x,y x,y x,y in parts of the picture; repeatable."
    ),
    painted: Path | None = typer.Option(
        None, "--painted", help="A picture of the source in which regions are painted in magenta (255, 0, 255)."
    ),
    zone: str | None = typer.Option(None, "--zone", help="The one region is a named zone and nothing to ignore."),
    as_json: bool = JSON,
) -> None:
    """Show a source's picture with its regions and zones, and print regions as a line for the camera list.

    Save the picture, paint over what must not count (a poster, a mirror, a street behind glass), and read it back.

    Example: reidstream sources mask cameras.toml --name entrance --out entrance.png
    Example: reidstream sources mask cameras.toml --name entrance --painted entrance.png
    Example: reidstream sources mask cameras.toml --name entrance --painted till.png --zone till
    Example: reidstream sources mask entrance.mp4 --polygon "0.1,0.2 0.3,0.2 0.3,0.8 0.1,0.8" --out tried.png
    """
    from reidstream.config.tree import checked_config
    from reidstream.files import whole_file
    from reidstream.search.query import read_photo
    from reidstream.sources.mask import first_picture, painted_regions, with_regions

    config = _chosen(source, name)
    if out is None and painted is None and not polygon:
        raise ConfigError("nothing to do: name a picture to write (--out), a --polygon, or a --painted picture")
    regions: list[Polygon] = [_polygon(text) for text in polygon]
    if painted is not None:
        regions += painted_regions(read_photo(painted))
    if zone is not None and len(regions) != 1:
        raise ConfigError(f"--zone names one region; {len(regions)} are given")
    lists = [list(map(list, region)) for region in regions]
    said: dict[str, Any] = {"ignore": lists} if zone is None else {"zones": {zone: lists[0]}}
    # The same rules as in a camera list.
    checked_config({"sources": [{"uri": config.uri, **said}]}, "the regions")
    if out is not None:
        import cv2

        picture = with_regions(first_picture(config), [*config.ignore, *regions], config.zones)
        try:
            with whole_file(out, ReIDStreamError) as partial:
                if not cv2.imwrite(str(partial), picture):
                    raise OSError(f"a picture cannot be written as {out.suffix or 'a file without an ending'}")
        except cv2.error:
            raise ConfigError(f"--out must end in .png or .jpg, got {out.name!r}") from None
    written = ["[" + ", ".join(f"[{x:g}, {y:g}]" for x, y in region) + "]" for region in regions]
    line = f'zones."{zone}" = {written[0]}' if zone is not None else f"ignore = [{', '.join(written)}]"
    if as_json:
        print_json({"source": config.name, **said, **({"picture": str(out)} if out else {})})
        return
    if regions:
        console().print(line, markup=False)
    if out is not None:
        console().print(f"wrote {out}", markup=False)


def _chosen(word: str, name: str | None) -> SourceConfig:
    from reidstream.sources import expand_sources, source_ids

    configs = expand_sources([word])
    named = dict(zip(source_ids(configs), configs, strict=True))
    if name is None:
        if len(named) > 1:
            raise ConfigError(f"{word} lists several sources; say which with --name: {', '.join(named)}")
        return configs[0]
    if name not in named:
        raise ConfigError(f"no source {name!r} in {word}; there are: {', '.join(named)}")
    return named[name]


def _polygon(text: str) -> Polygon:
    try:
        corners = tuple((float(x), float(y)) for x, y in (corner.split(",") for corner in text.split()))
    except ValueError:
        corners = ()
    if len(corners) < 3:
        raise ConfigError(f'--polygon is three corners or more, as "0.1,0.2 0.3,0.2 0.3,0.8"; got {text!r}')
    return corners
