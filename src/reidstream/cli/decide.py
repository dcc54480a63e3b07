"""``reidstream decide``: the one process that gives people to what workers store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import typer

from reidstream.cli.common import console, set_up_logging
from reidstream.cli.options import CONFIG, SETTINGS
from reidstream.cli.worker import DATABASE, draining


def decide(
    gallery: str = DATABASE,
    metrics_port: int | None = typer.Option(
        None, "--metrics-port", min=1, max=65535, help="Also answer Prometheus at this port."
    ),
    metrics_host: str = typer.Option("127.0.0.1", "--metrics-host", help="Address for that."),
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what is being done."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Errors only."),
) -> None:
    """Decide who is who in what workers store, and carry out commands on the gallery: merge, undo, erase and so on.

    One process decides at a time; start a second one, on another machine, and it stands by until the first is gone or
    has stood still for 15 seconds. `reidstream serve` on the same database decides, too.

    Example: reidstream decide --gallery postgresql://shop@db/shop
    """
    # Before NumPy is loaded: its workers would spin for the cores that others need.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    set_up_logging(verbose, quiet)
    from reidstream.cluster.decider import Decider
    from reidstream.cluster.numbers import Numbers
    from reidstream.config import load_config

    say: Callable[[str], None] = (lambda _text: None) if quiet else lambda text: console().print(text, markup=False)
    numbers = Numbers()
    decider = Decider(gallery, load_config(config, settings or []), say, numbers.watch)
    if metrics_port is not None:
        numbers.answer(metrics_host, metrics_port)
    with draining(decider.stop):
        decider.run()
