"""``reidstream privacy``: what is processed, for those who must account for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import CONFIG, GALLERY, JSON, SETTINGS
from reidstream.errors import ConfigError

app = typer.Typer(help="What is processed, for those who must account for it.", no_args_is_help=True)


@app.command()
def report(
    out: Path | None = typer.Argument(None, help="Where to: .html, .md or .json; on the screen without."),
    gallery: str = GALLERY,
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    days: float = typer.Option(90.0, "--days", min=0.1, max=1000, help="How far back who looked is counted."),
    as_json: bool = JSON,
) -> None:
    """Cameras, purposes, models with hashes and terms, what is stored and how long, who is told and who looked.

    Everything is read out of the gallery and its settings, without passwords and secrets. A server that owns the
    gallery knows its settings; else --config says which they are.

    Example: reidstream privacy report privacy.html --gallery shop --config shop.toml
    """
    from reidstream.errors import GalleryError
    from reidstream.files import write_whole
    from reidstream.foreign_text import json_text
    from reidstream.server.privacy.words import html_of, markdown_of

    kind = ".md" if out is None else out.suffix.lower()
    if kind not in {".html", ".md", ".json"}:
        raise ConfigError(f"the record's ending must be .html, .md or .json, got {str(out)!r}")
    found = _found(gallery, config, settings, days)
    text = html_of(found) if kind == ".html" else markdown_of(found)
    if out is not None:
        write_whole(out, json_text(found, indent=2) + "\n" if kind == ".json" else text, GalleryError)
    if as_json:
        print_json(found)
    elif out is None:
        console().print(text, markup=False)
    else:
        console().print(f"wrote {out}", markup=False)


def _found(gallery: str, config: Path | None, settings: list[str] | None, days: float) -> dict[str, Any]:
    from reidstream.cli.asked import served
    from reidstream.config import load_config
    from reidstream.gallery import Gallery
    from reidstream.server.privacy.report import privacy_report

    with served(gallery) as client:
        if client is not None:
            if config or settings:
                raise ConfigError("a server owns this gallery, and its own settings hold; leave them out")
            return client.get("/privacy/report", days=days)
    known = load_config(config, settings or []) if config or settings else None
    with Gallery.open(gallery) as opened:
        return privacy_report(opened, known, time.time(), days)
