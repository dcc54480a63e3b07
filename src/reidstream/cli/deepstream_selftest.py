"""``reidstream deepstream selftest``: whether the engine does here what it is meant to, in one table."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reidstream.cli.options import CONFIG, JSON, SETTINGS
from reidstream.cli.terminal import TerminalTable

if TYPE_CHECKING:
    from reidstream.config import Config
    from reidstream.engines.deepstream.selftest.verdicts import Verdict

_SHORT = 60
"""Frames of the clip that the swapped cameras show."""


def selftest_command(
    clip: Path | None = typer.Option(
        None, "--clip", help="Video in which the detector finds people; NVIDIA's street scene when left out."
    ),
    frames: int = typer.Option(600, min=60, help="Read so many frames of it."),
    swaps: int = typer.Option(50, min=1, max=10_000, help="So many cameras take another's place."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Folder for the report; a temporary one when left out."),
    limit: float = typer.Option(900, min=10, help="Seconds after which a run counts as hanging."),
    config: Path | None = CONFIG,
    override: list[str] | None = SETTINGS,
    as_json: bool = JSON,
) -> None:
    """Build the engines, run the pipeline, swap cameras, compare with the local engine. Exits with 1 if a line failed.

    For whoever has the container and a GPU: it takes some minutes, and says which files to send us.

    Example: reidstream deepstream selftest --out selftest/
    """
    from reidstream import __version__
    from reidstream.cli.common import console, print_json
    from reidstream.config import load_config
    from reidstream.engines.deepstream.selftest import clip as clips

    overrides = override or []
    settings = load_config(config, overrides)
    folder = (out or Path(tempfile.mkdtemp(prefix="reidstream-selftest-"))).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    verdicts: list[Verdict] = _machine(settings)
    # Two sizes of one clip: what is compared is long, what is swapped fifty times is short.
    long, short = folder / "clip.mp4", folder / "short.mp4"
    source = (clip or clips.SAMPLE).expanduser()
    length = clips.first_frames(source, long, frames)
    brief = clips.first_frames(source, short, _SHORT)
    verdicts += _engines(settings)
    verdicts += _clip_run(folder, long, length, config, overrides, settings, limit)
    verdicts += _swap_run(folder, short, brief, swaps, config, overrides, limit)
    failed = [verdict for verdict in verdicts if verdict.passed is False]
    report = {
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "seconds": round(time.monotonic() - began, 1),
        "passed": not failed,
        "lines": [asdict(verdict) for verdict in verdicts],
    }
    (folder / "selftest.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    if as_json:
        print_json(report | {"folder": str(folder)})
        raise typer.Exit(1 if failed else 0)
    _print(verdicts)
    say = console()
    say.print(f"{len(failed)} of {len(verdicts)} lines failed" if failed else "all lines passed", markup=False)
    say.print(
        f"to send us: selftest.json, clip.json, swaps.json and the two .log files in {folder}; they hold no pictures",
        markup=False,
    )
    raise typer.Exit(1 if failed else 0)


def _machine(settings: Config) -> list[Verdict]:
    from reidstream.doctor import Question, Status, examine
    from reidstream.doctor.checks import CHECKS
    from reidstream.engines.deepstream.selftest.verdicts import Verdict

    report = examine([check for check in CHECKS if "deepstream" in check.needed_by], Question(settings, "deepstream"))
    bad = [line for line in report.lines if line.status in (Status.FAILURE, Status.WARNING)]
    named = ("driver", "deepstream", "tensorrt", "metadata")
    found = "; ".join(line.found for line in report.lines if line.check.id in named)
    wrong = "; ".join(f"{line.check.title}: {line.found}" for line in bad if line.check.id not in named)
    return [
        Verdict("machine", report.healthy, found + (f"; {wrong}" if wrong else ""), "what `reidstream doctor` says")
    ]


def _engines(settings: Config) -> list[Verdict]:
    """Both engines for the run over the clip, and the detector's for the swaps, whose batch is another."""
    from reidstream.cli.engine_plan import is_built, plans_from_config
    from reidstream.engines.deepstream.selftest.plan import for_swaps
    from reidstream.engines.deepstream.selftest.verdicts import Verdict
    from reidstream.errors import ReIDStreamError
    from reidstream.models.engine_build import build_engine

    said = []
    try:
        for plan in {p.engine: p for s in (settings, for_swaps(settings)) for p in plans_from_config(s)}.values():
            there = is_built(plan)
            seconds = 0.0 if there else build_engine(plan, lambda line: None)
            said.append(f"{plan.engine.name} {'is there' if there else f'in {seconds:.0f} s'}")
    except ReIDStreamError as error:
        return [Verdict("engines", False, str(error), "both are built")]
    return [Verdict("engines", True, "; ".join(said), "both are built")]


def _clip_run(
    folder: Path, clip: Path, length: int, config: Path | None, overrides: list[str], settings: Config, limit: float
) -> list[Verdict]:
    from reidstream.engines.deepstream.selftest.comparing import likeness
    from reidstream.engines.deepstream.selftest.plan import RunPlan, run
    from reidstream.engines.deepstream.selftest.verdicts import crashed, of_clip, of_likeness

    plan = RunPlan("clip", str(clip), str(folder), str(config.absolute()) if config else None, tuple(overrides))
    facts, how = run(plan, limit)
    if facts is None:
        return [crashed("clip", how)]
    return of_clip(facts, length, settings) + of_likeness(likeness(plan.samples, clip, settings, facts["mux"]))


def _swap_run(
    folder: Path, clip: Path, length: int, swaps: int, config: Path | None, overrides: list[str], limit: float
) -> list[Verdict]:
    from reidstream.engines.deepstream.selftest.plan import RunPlan, run
    from reidstream.engines.deepstream.selftest.verdicts import crashed, of_swaps

    plan = RunPlan("swaps", str(clip), str(folder), str(config.absolute()) if config else None, tuple(overrides), swaps)
    facts, how = run(plan, limit)
    return [crashed("swaps", how)] if facts is None else of_swaps(facts, length, swaps)


def _print(verdicts: list[Verdict]) -> None:
    from rich.text import Text

    from reidstream.cli.common import console

    words = {True: ("pass", "green"), False: ("FAIL", "bold red"), None: ("info", "dim")}
    table = TerminalTable(box=None, pad_edge=False)
    for title in ("", "what", "found", "wanted"):
        table.add_column(title, overflow="fold")
    for verdict in verdicts:
        word, style = words[verdict.passed]
        table.add_row(Text(word, style=style), verdict.title, Text(verdict.found), Text(verdict.wanted, style="dim"))
    console().print(table)
