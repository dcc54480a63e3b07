"""``reidstream worker``: a process that reads some of the sources of a gallery on PostgreSQL."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, console_error, set_up_logging
from reidstream.cli.options import CONFIG, DETECTOR, REID, SETTINGS, given
from reidstream.errors import ConfigError
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.cluster.reading import Opener
    from reidstream.config import Config, SourceConfig
    from reidstream.pipeline import EngineName
    from reidstream.types import EmbeddingSpace

DATABASE: Any = typer.Option(..., "--gallery", "-g", help="Database of the gallery: postgresql://user@host/name.")

PATIENCE = 60.0
"""Seconds that a worker waits for a database that is not there when it starts."""

app = typer.Typer(
    help="Read some of the sources of a gallery on PostgreSQL, beside other workers.", invoke_without_command=True
)


class WorkerEngine(StrEnum):
    """What a worker reads with."""

    LOCAL = "local"
    DEEPSTREAM = "deepstream"
    REPLAY = "replay"


@app.callback()
def worker(
    context: typer.Context,
    gallery: str = typer.Option("", "--gallery", "-g", help="Database of the gallery: postgresql://user@host/name."),
    cameras: list[str] | None = typer.Option(
        None, "--cameras", help="Sources to put into the list first: addresses, or a TOML file of cameras; repeatable."
    ),
    most: int = typer.Option(4, "--most", min=1, max=10_000, help="Sources that this worker reads at a time."),
    engine: WorkerEngine = typer.Option(
        WorkerEngine.LOCAL, "--engine", "-e", help="What decodes and runs models; replay: sources are recorded events."
    ),
    speed: float = typer.Option(
        1.0, "--speed", min=0, help="With --engine replay: so many times as fast as it was; 0: as fast as it goes."
    ),
    until_done: bool = typer.Option(
        False, "--until-done", help="End when nothing in the list is left to read, for piles of videos."
    ),
    detector: str | None = DETECTOR,
    reid: str | None = REID,
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what is being done."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Errors only."),
) -> None:
    """Read cameras and videos that a list in the database names, each as long as no other worker does.

    Any number of workers, on any machines, share the list. One that dies is replaced: its cameras are read by others
    within 30 seconds. Ctrl-C, SIGTERM and `worker drain` end it with everything seen stored.

    Example: reidstream worker --gallery postgresql://shop@db/shop --cameras cameras.toml --most 8
    """
    if context.invoked_subcommand is not None:
        return
    if not gallery:
        raise ConfigError("name the gallery's database: --gallery postgresql://user@host/name")
    # Before NumPy is loaded: its workers would spin for the cores that engines need.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    set_up_logging(verbose, quiet)
    from reidstream.cluster import sources as listing
    from reidstream.cluster.opening import opened, patiently
    from reidstream.cluster.worker import EngineHung, Worker
    from reidstream.config import load_config
    from reidstream.sources import expand_sources

    tree = load_config(config, [*(settings or []), *given(detector__model=detector, embedding__model=reid)])
    if tree.clips.keep:
        raise ConfigError("clips (clips.keep) are files in a gallery's folder; workers keep none: leave them off")
    wanted = listing.listed(expand_sources(cameras or []) or [*tree.sources])
    say: Callable[[str], None] = (lambda _text: None) if quiet else lambda text: console().print(text, markup=False)
    with opened(gallery, tree, lambda: space_of(tree, wanted, engine), patience=PATIENCE) as there:
        if wanted:

            def put_in() -> list[str]:
                with there.database.write() as connection:
                    return listing.add(connection, wanted)

            new = patiently(put_in, PATIENCE)
            say(f"{counted(len(wanted), 'source')} in the list, {len(new)} of them new")
        opener = _opener(gallery, tree, engine, speed)
        seconds = tree.workers.lease_seconds
        working = Worker(
            there.database,
            there.space,
            opener,
            most=most,
            lease_seconds=seconds,
            until_done=until_done,
            silent_seconds=tree.workers.silent_seconds,
            say=say,
        )
        try:
            with draining(working.drain):
                report = working.run()
        except EngineHung as error:
            console_error(str(error))
            # The interpreter would wait for threads that never end.
            sys.stdout.flush()
            os._exit(1)
    lost = f", {counted(report.lost, 'finished track')} lost with sources that others had taken" if report.lost else ""
    say(f"stored {counted(report.stored, 'tracklet')} of {counted(report.sources, 'source')}{lost}")


@app.command()
def drain(
    name: str = typer.Argument(..., help="Name of a worker, or what the names of several begin with."),
    gallery: str = DATABASE,
) -> None:
    """Have workers finish and store what they see, give their sources to others, and end.

    Example: reidstream worker drain gpu-3 --gallery postgresql://shop@db/shop
    """
    from reidstream.cluster.opening import opened
    from reidstream.cluster.status import drain as ask
    from reidstream.config import Config

    with opened(gallery, Config(), None) as there:
        for asked in ask(there.database, name):
            console().print(f"{asked} takes nothing more, and ends when what it sees is stored", markup=False)


@contextmanager
def draining(drain: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends it in the orderly way; a second SIGINT ends it at once."""

    def ask(number: int, _frame: object) -> None:
        drain()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_IGN)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _opener(gallery: str, config: Config, engine: WorkerEngine, speed: float) -> Opener:
    def open_them(sources: Sequence[SourceConfig], store: Any, watcher: Any) -> AbstractContextManager[Any]:
        if engine is WorkerEngine.REPLAY:
            from reidstream.cluster.replaying import open_replayed

            return open_replayed(sources, config, store, speed, watcher)
        from reidstream.alerts.frames import FrameShelf
        from reidstream.pipeline import open_run

        name: EngineName = "deepstream" if engine is WorkerEngine.DEEPSTREAM else "local"
        # Whoever observes frames has them in one process; without rules recordings are read by several.
        watched = store.watched([source.name or source.uri for source in sources])
        frames = FrameShelf() if watched and engine is WorkerEngine.LOCAL else None
        return open_run(
            *(sources, config, gallery),
            engine=name,
            store=store,
            checkpoints=store,
            watcher=watcher,
            frames=frames,
            observer=None if frames is None else frames.observe,
        )

    return open_them


def space_of(config: Config, sources: Sequence[SourceConfig], engine: WorkerEngine) -> tuple[EmbeddingSpace, str]:
    """The embedding space for a new gallery, and under which name others find its model."""
    if engine is WorkerEngine.REPLAY:
        from reidstream.cluster.replaying import ReplayedGroup

        return ReplayedGroup(sources, 0).space, ""
    from reidstream.inference.configured import configured_space

    return configured_space(config)
