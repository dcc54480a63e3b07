"""Options that mean the same in every verb that has them, so that they are called and explained the same."""

from __future__ import annotations

from typing import Any

import typer

GALLERY: Any = typer.Option(
    "gallery", "--gallery", "-g", help="Folder (or database URL, or a server's address) of the gallery."
)
GALLERIES: Any = typer.Option(
    ["gallery"],
    "--gallery",
    "-g",
    help="Folder (or database URL, or a server's address) of the gallery; repeatable, for galleries of one model.",
)
JSON: Any = typer.Option(False, "--json", help="Print one JSON document.")
CONFIG: Any = typer.Option(None, "--config", "-c", help="TOML file with settings.")
SETTINGS: Any = typer.Option(None, "--set", "-s", help="A setting, as section.key=value; repeatable.")
DETECTOR: Any = typer.Option(None, "--detector", help="Detection model: a name or an ONNX file.")
REID: Any = typer.Option(None, "--reid", help="Re-ID model: a name or an ONNX file.")
REPORT: Any = typer.Option(None, "--out", "-o", help="Also write the JSON report to this file.")


def page(text: str, *former: str) -> Any:
    """The option that names the HTML page to write. former: names that it had and still answers to."""
    return typer.Option(None, "--page", *former, help=text)
