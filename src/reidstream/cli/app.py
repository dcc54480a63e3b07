"""Putting the verbs together, and turning errors into messages and exit codes."""

from __future__ import annotations

import io
import sys

import typer

from reidstream import __version__
from reidstream.cli import (
    alerts,
    cluster,
    decide,
    deepstream,
    demo,
    doctor,
    events,
    gallery,
    index,
    models,
    numbers,
    people,
    privacy,
    render,
    retention,
    run,
    search,
    serve,
    setup,
    sources,
    synth,
    watch,
    worker,
    workers,
)
from reidstream.cli import eval as evaluation
from reidstream.cli.common import console_error
from reidstream.cli.process_title import hide_passwords
from reidstream.errors import ConfigError, ReIDStreamError
from reidstream.foreign_text import storable

app = typer.Typer(
    name="reidstream",
    help="Video goes in, a searchable gallery of people comes out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=True,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"reidstream {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Video goes in, a searchable gallery of people comes out."""


# Each verb module is thin and imports its heavy parts only when it is called.
app.command()(demo.demo)
app.command()(run.run)
app.command()(render.render)
app.command()(search.search)
app.command()(serve.serve)
app.command()(decide.decide)
app.command()(index.index)
app.command()(events.events)
app.command()(numbers.numbers)
app.command()(synth.synth)
app.add_typer(worker.app, name="worker")
app.add_typer(workers.app, name="workers")
app.add_typer(cluster.app, name="cluster")
app.add_typer(gallery.app, name="gallery")
app.add_typer(people.app, name="people")
app.add_typer(watch.app, name="watch")
app.add_typer(alerts.app, name="alerts")
app.add_typer(retention.app, name="retention")
app.add_typer(privacy.app, name="privacy")
app.add_typer(deepstream.app, name="deepstream")
app.add_typer(sources.app, name="sources")
app.add_typer(models.app, name="models")
app.add_typer(doctor.app, name="doctor")
app.add_typer(evaluation.app, name="eval")
app.add_typer(setup.app, name="setup")


def main() -> None:
    """Entry point of the ``reidstream`` command: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    hide_passwords()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # On terminals that cannot show everything, what they cannot is spelled out.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ReIDStreamError as error:
        console_error(str(error))
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except UnicodeEncodeError as error:
        # A name on the command line whose bytes are not UTF-8, where only text can be: files may be called so.
        foreign = [word for word in sys.argv[1:] if storable(word) != word]
        if not foreign:
            raise
        console_error(f"{', '.join(foreign)}: not UTF-8, which a name must be here ({error.reason})")
        sys.exit(2)
    except KeyboardInterrupt:
        console_error("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has gone; that is its right.
        sys.stderr.close()
        sys.exit(0)
