"""``reidstream retention``: erase what was kept long enough, and say beforehand what that is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import CONFIG, GALLERY, JSON, SETTINGS
from reidstream.cli.terminal import TerminalTable
from reidstream.errors import ConfigError
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.client import Client
    from reidstream.config.retention import RetentionConfig

app = typer.Typer(help="Erase what was kept long enough, with proof.", no_args_is_help=True)


@app.command()
def plan(
    gallery: str = GALLERY, config: Path | None = CONFIG, settings: list[str] | None = SETTINGS, as_json: bool = JSON
) -> None:
    """What would be erased now, by camera, and nothing else. A server that owns the gallery says what its rules mean.

    Example: reidstream retention plan --gallery shop --set retention.days=30
    Example: reidstream retention plan --gallery shop --set retention.days=30 --set retention.cameras.till=7
    """
    from reidstream.cli.asked import served
    from reidstream.gallery import Gallery
    from reidstream.retention import due_now

    with served(gallery) as client:
        if client is not None and not (config or settings):
            document: dict[str, Any] = client.get("/retention")["due"]
        else:
            with Gallery.open(gallery) as opened:
                document = due_now(opened, _rules(config, settings), time.time()).as_dict()
    if as_json:
        print_json(document)
    else:
        print_due(document)


@app.command()
def run(
    gallery: str = GALLERY,
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask first."),
    as_json: bool = JSON,
) -> None:
    """Erase for good what is due: visits, pictures, clips and vectors, and people with their last visit.

    A byte search proves it. A server does it by itself, every night, by the rules in its configuration.

    Example: reidstream retention run --gallery shop --set retention.days=30 --yes
    """
    from reidstream.cli.asked import served
    from reidstream.cli.people.group import login
    from reidstream.gallery import Gallery
    from reidstream.retention import due_now, retain

    if as_json and not yes:
        raise ConfigError("--json cannot ask; add --yes")
    with served(gallery) as client:
        if client is not None:
            done = _run_there(client, bool(config or settings), yes)
        else:
            rules = _rules(config, settings)
            with Gallery.open(gallery, write=True) as opened:
                if not yes:
                    _ask(due_now(opened, rules, time.time()).as_dict())
                done = retain(opened, rules, login())
    if as_json:
        print_json(done)
        return
    out = console()
    what = f"{counted(done['visits'], 'visit')} and {counted(done['people'], 'person')}"
    if not done["visits"] and not done["left_out"]:
        out.print("nothing is due; nothing was erased")
        return
    proof = "" if done["proven"] is None else "; proof: no piece of them is left in the gallery's files"
    if done["proven"] is False:
        proof = f"; not proven: {done['reach'] or 'nothing could be read before'}"
    out.print(f"erased {what}{proof}", markup=False)


@app.command("log")
def log_command(
    gallery: str = GALLERY,
    limit: int = typer.Option(30, "--limit", "-n", min=1, help="Print at most this many."),
    as_json: bool = JSON,
) -> None:
    """When how much was erased because it was due, by which rules; the newest first.

    Example: reidstream retention log --gallery shop
    """
    from reidstream.gallery import Gallery
    from reidstream.gallery.sheet import wall_clock
    from reidstream.retention import runs_of

    with Gallery.open(gallery) as opened:
        runs = runs_of(opened, limit)
    if as_json:
        print_json({"runs": [one.as_dict() for one in runs]})
        return
    table = TerminalTable("begun (UTC)", "state", "by", "visits", "people", "proven", "rules", box=None)
    for one in runs:
        proven = "" if one.proven is None else "yes" if one.proven else "no"
        numbers = (str(one.tracklets), str(one.people), proven)
        table.add_row(wall_clock(one.begun_wall), one.state, one.who, *numbers, rules_said(one.rules))
    console().print(table if runs else "nothing was erased by rules yet")


def print_due(due: dict[str, Any]) -> None:
    """What is due, as a table."""
    from reidstream.gallery.sheet import wall_clock

    out = console()
    table = TerminalTable("camera", "keeps", "due visits", "of named people", "not stored", "from", "to", box=None)
    for one in due["cameras"]:
        times = ("" if moment is None else wall_clock(moment)[:16] for moment in (one["first"], one["last"]))
        keeps = "for ever" if one["days"] in (None, "never", float("inf")) else f"{one['days']:g} days"
        table.add_row(one["camera"], keeps, str(one["visits"]), str(one["named"]), str(one["left_out"]), *times)
    out.print(table)
    people = f"{counted(due['people'], 'person')} (with a name: {due['named']})"
    out.print(f"due: {counted(due['visits'], 'visit')}, and with their last visit {people}; {due['kept']} stay")


def rules_said(rules: dict[str, Any]) -> str:
    """Rules in a few words."""
    parts = [] if rules["days"] is None else [f"all {rules['days']} d"]
    parts += [f"{camera} {days} d" for camera, days in rules["cameras"].items()]
    parts += [] if rules["named_days"] is None else [f"named {rules['named_days']} d"]
    return ", ".join(parts)


def _rules(config: Path | None, settings: list[str] | None) -> RetentionConfig:
    from reidstream.config import load_config

    rules = load_config(config, settings or []).retention
    if not rules.is_set:
        raise ConfigError(
            "there are no rules: set retention.days, retention.cameras.NAME or retention.named_days, with --config or "
            "--set retention.days=30"
        )
    return rules


def _run_there(client: Client, has_rules: bool, yes: bool) -> dict[str, Any]:
    if has_rules:
        raise ConfigError("a server owns this gallery and erases by the rules in its own configuration; leave them out")
    if not yes:
        _ask(client.get("/retention")["due"])
    return client.result(client.post("/retention"))


def _ask(due: dict[str, Any]) -> None:
    print_due(due)
    typer.confirm("Erase this for good?", abort=True)
