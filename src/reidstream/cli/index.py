"""``reidstream index``: a process that answers everybody's searches of a gallery on PostgreSQL from memory."""

from __future__ import annotations

from collections.abc import Callable

import typer

from reidstream.cli.common import console, set_up_logging
from reidstream.cli.worker import DATABASE, draining


def index(
    gallery: str = DATABASE,
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen at; 0.0.0.0 for all of this machine."),
    port: int = typer.Option(0, "--port", min=0, max=65535, help="Port to listen at; 0: any that is free."),
    address: str = typer.Option(
        "", "--address", help="Host and port by which others reach it, when they are not those that it listens at."
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what is being done."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Errors only."),
) -> None:
    """Hold the vectors of a gallery in memory, and answer whoever searches it.

    Everybody who opens the gallery finds it in the database and asks it; without one they ask the database, or compare
    for themselves. Start it on one machine or on several: it needs 2.5 KB of memory a tracklet. Questions are not
    encrypted: let only machines reach it that you trust.

    Example: reidstream index --gallery postgresql://shop@db/shop --host 0.0.0.0 --port 8790
    """
    set_up_logging(verbose, quiet)
    from reidstream.cluster.index_process import IndexService

    say: Callable[[str], None] = (lambda _text: None) if quiet else lambda text: console().print(text, markup=False)
    service = IndexService(gallery, host, port, address, say)
    with draining(service.stop):
        service.run()
