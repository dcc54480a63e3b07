"""``reidstream workers``: the list of what workers read, and how they are doing."""

from __future__ import annotations

from typing import Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import JSON
from reidstream.cli.terminal import TerminalTable
from reidstream.cli.worker import DATABASE
from reidstream.wording import counted

app = typer.Typer(help="What workers read, and how they and the decider are doing.", no_args_is_help=True)

NAME: Any = typer.Argument(..., help="Name of a source in the list.")


@app.command()
def add(
    sources: list[str] = typer.Argument(..., help="Videos, folders, rtsp:// addresses, or TOML lists of cameras."),
    gallery: str = DATABASE,
) -> None:
    """Put sources into the list, or change how they are read. Passwords are named, not written: {env:CAMERA_PASSWORD}.

    Example: reidstream workers add cameras.toml --gallery postgresql://shop@db/shop
    """
    from reidstream.cluster import sources as listing
    from reidstream.cluster.opening import opened
    from reidstream.config import Config
    from reidstream.sources import expand_sources

    wanted = listing.listed(expand_sources(sources))
    with opened(gallery, Config(), None) as there, there.database.write() as connection:
        new = listing.add(connection, wanted)
    console().print(f"{counted(len(wanted), 'source')} in the list, {len(new)} of them new", markup=False)


@app.command()
def pause(name: str = NAME, gallery: str = DATABASE) -> None:
    """Let a source rest: who reads it finishes and stores what is seen.

    Example: reidstream workers pause door --gallery postgresql://shop@db/shop
    """
    _want(gallery, name, False)


@app.command()
def resume(name: str = NAME, gallery: str = DATABASE) -> None:
    """Have a source read again.

    Example: reidstream workers resume door --gallery postgresql://shop@db/shop
    """
    _want(gallery, name, True)


@app.command()
def remove(name: str = NAME, gallery: str = DATABASE) -> None:
    """Take a source that nobody reads out of the list; what is stored of it stays.

    Example: reidstream workers remove door --gallery postgresql://shop@db/shop
    """
    from reidstream.cluster import sources as listing
    from reidstream.cluster.opening import opened
    from reidstream.config import Config

    with opened(gallery, Config(), None) as there, there.database.write() as connection:
        listing.remove(connection, name)


@app.command()
def status(
    gallery: str = DATABASE,
    json_output: bool = JSON,
    most_lag: float | None = typer.Option(
        None, "--most-lag", min=0, help="Also fail when the decider is more seconds behind than this."
    ),
) -> None:
    """Workers, sources and the decider. Ends with 1 when something is wrong, for monitoring.

    Example: reidstream workers status --gallery postgresql://shop@db/shop --most-lag 60
    """
    from reidstream.cluster.opening import opened
    from reidstream.cluster.status import status as asked
    from reidstream.config import Config

    with opened(gallery, Config(), None) as there:
        document = asked(there.database)
    lag = document["inbox"]["lag_seconds"]
    if most_lag is not None and lag > most_lag:
        document["troubles"].append(f"the decider is {lag:.0f} s behind")
    if json_output:
        print_json(document)
    else:
        print_status(document)
    if document["troubles"]:
        raise typer.Exit(1)


def print_status(document: dict[str, Any]) -> None:
    """For people to read."""
    table = TerminalTable("source", "state", "worker", "renewed", "taken over", "tracks rescued")
    for source in document["sources"]:
        counts = (str(source["takeovers"]), str(source["rescued"]))
        ago = f"{source['silent_seconds']:.0f} s ago" if source["worker"] else ""
        table.add_row(source["name"], source["state"], source["worker"] or "", ago, *counts)
    console().print(table)
    table = TerminalTable("process", "role", "sources", "heard", "stored", "clock ahead")
    for one in (*document["workers"], *document["deciders"]):
        held = f"{one['sources']} of {one['most']}" if one["role"] == "worker" else ""
        heard = f"{one['silent_seconds']:.0f} s ago"
        table.add_row(one["name"], one["role"], held, heard, str(one["stored"]), f"{one['clock_ahead_seconds']:.1f} s")
    console().print(table)
    waiting, lag = document["inbox"]["waiting"], document["inbox"]["lag_seconds"]
    console().print(f"{counted(waiting, 'tracklet')} without a person yet, the oldest for {lag:.1f} s", markup=False)
    for trouble in document["troubles"]:
        console().print(f"wrong: {trouble}", markup=False)


def _want(gallery: str, name: str, wanted: bool) -> None:
    from reidstream.cluster import sources as listing
    from reidstream.cluster.opening import opened
    from reidstream.config import Config

    with opened(gallery, Config(), None) as there, there.database.write() as connection:
        listing.want(connection, name, wanted)
