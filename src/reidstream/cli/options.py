"""Options that mean the same in every verb that has them, so that they are called and explained the same."""

from __future__ import annotations

import json
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


def given(**values: Any) -> list[str]:
    """What was given as options of its own, as ``--set`` reads it: ``detector__model="a.onnx"``; None was not given.

    Text is quoted, so that a path is never taken for anything else.
    """
    return [
        f"{key.replace('__', '.')}={json.dumps(value) if isinstance(value, str | bool) else value}"
        for key, value in values.items()
        if value is not None
    ]


def page(text: str, *former: str) -> Any:
    """The option that names the HTML page to write. former: names that it had and still answers to."""
    return typer.Option(None, "--page", *former, help=text)
