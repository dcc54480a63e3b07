"""``reidstream doctor``: what this machine can do, and what error lines mean."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

import typer

from reidstream.cli.options import CONFIG, DETECTOR, JSON, REID, SETTINGS, given
from reidstream.cli.terminal import TerminalTable

app = typer.Typer()


class EngineName(StrEnum):
    """Whose needs decide the verdict."""

    LOCAL = "local"
    DEEPSTREAM = "deepstream"


@app.callback(invoke_without_command=True)
def doctor(
    context: typer.Context,
    engine: EngineName = typer.Option(EngineName.LOCAL, help="The engine that has to work."),
    gallery: Path | None = typer.Option(None, "--gallery", "-g", help="Look at this gallery, too.", show_default=False),
    detector: str | None = DETECTOR,
    reid: str | None = REID,
    config: Path | None = CONFIG,
    override: list[str] | None = SETTINGS,
    as_json: bool = JSON,
) -> None:
    """Examine Python, packages, models, GPU, GStreamer and DeepStream. Exits with 1 if the engine cannot work.

    Example: reidstream doctor --engine deepstream --gallery people
    """
    if context.invoked_subcommand is not None:
        return
    from reidstream.cli.common import console, print_json
    from reidstream.config import load_config
    from reidstream.doctor import Question, Status, examine
    from reidstream.doctor.checks import CHECKS

    models = given(detector__model=detector, embedding__model=reid)
    question = Question(load_config(config, [*(override or []), *models]), engine.value, gallery)
    report = examine(CHECKS, question)
    verdict = (
        f"the {engine.value} engine can run here" if report.healthy else f"the {engine.value} engine cannot run here"
    )
    if as_json:
        lines = [
            {"id": line.check.id, "status": line.status, "found": line.found, "advice": line.advice}
            for line in report.lines
        ]
        print_json({"engine": engine.value, "healthy": report.healthy, "checks": lines})
        raise typer.Exit(0 if report.healthy else 1)
    from rich.text import Text

    styles = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILURE: "bold red", Status.ABSENT: "dim"}
    table = TerminalTable(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in report.lines:
        text = Text(line.found, style="dim" if line.status is Status.ABSENT else "")
        if line.advice:
            text.append(f"\n→ {line.advice}", style="cyan")
        table.add_row(Text(line.status, style=styles[line.status]), line.check.title, text)
    out = console()
    out.print(table)
    out.print(verdict, style="bold green" if report.healthy else "bold red", markup=False)
    raise typer.Exit(0 if report.healthy else 1)


@app.command("log")
def log_command(
    file: Path = typer.Argument(..., help="A log file, or - for standard input.", allow_dash=True),
    as_json: bool = JSON,
) -> None:
    """Explain lines of logs, from Docker over DeepStream, TensorRT and GStreamer to pip and ChromaDB: cause and cure.

    Example: reidstream doctor log run.log
    """
    from reidstream.cli.common import console, print_json
    from reidstream.doctor.log import explained
    from reidstream.errors import ReIDStreamError

    try:
        if str(file) == "-":
            found = explained(line.decode("utf-8", errors="replace") for line in sys.stdin.buffer)
        else:
            with file.open(encoding="utf-8", errors="replace") as lines:
                found = explained(lines)
    except OSError as error:
        raise ReIDStreamError(f"{file} cannot be read: {error.strerror or error}") from None
    if as_json:
        print_json(
            [
                {
                    "id": one.known.id,
                    "line": one.line,
                    "count": one.count,
                    "text": one.text,
                    "element": one.element,
                    "harmless": one.known.harmless,
                    "cause": one.known.cause,
                    "cure": one.known.cure,
                }
                for one in found
            ]
        )
        return
    out = console()
    for one in found:
        times = f" ({one.count} times)" if one.count > 1 else ""
        out.print(f"line {one.line}{times}: {one.text}", markup=False, style="bold")
        harmless = " (harmless)" if one.known.harmless else ""
        out.print(f"  {one.element or one.known.origin}{harmless}: {one.known.cause}", markup=False)
        out.print(f"  → {one.known.cure}", markup=False, style="cyan")
    if not found:
        out.print("no line of this log is known; docs/troubleshooting.md lists those that are")
