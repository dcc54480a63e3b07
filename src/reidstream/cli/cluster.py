"""``reidstream cluster``: workers on the machines of a Ray cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, console_error, print_json, set_up_logging
from reidstream.cli.options import CONFIG, JSON, SETTINGS
from reidstream.cli.terminal import TerminalTable
from reidstream.cli.worker import DATABASE, PATIENCE, WorkerEngine, draining, space_of
from reidstream.cli.workers import print_status
from reidstream.errors import ConfigError
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.cluster.opening import Opened
    from reidstream.cluster.placement import RayCluster, Share, Work
    from reidstream.config import Config

ADDRESS: Any = typer.Option(
    None, "--address", help="Ray cluster, as host:6379; else the one of RAY_ADDRESS or of this machine."
)

app = typer.Typer(
    help="Have workers placed on the machines of a Ray cluster, and placed again when they are gone.",
    no_args_is_help=True,
)


@app.command()
def run(
    sources: list[str] = typer.Argument(..., help="A TOML list of cameras, which is followed; or videos and folders."),
    gallery: str = DATABASE,
    address: str | None = ADDRESS,
    cpus: float = typer.Option(1.0, "--cpus", min=0.01, help="Processors that Ray sets aside for each worker."),
    gpus: float = typer.Option(0.0, "--gpus", min=0, help="GPUs for each; 0.25: four workers share one."),
    most: int = typer.Option(4, "--most", min=1, max=10_000, help="Cameras that each worker reads at a time."),
    workers: int | None = typer.Option(
        None, "--workers", min=1, max=10_000, help="Workers; else as many as the list needs (videos: as there is room)."
    ),
    decide: bool = typer.Option(True, "--decide/--no-decide", help="Also place one who decides who is who."),
    engine: WorkerEngine = typer.Option(
        WorkerEngine.LOCAL, "--engine", "-e", help="What decodes and runs models; replay: sources are recorded events."
    ),
    speed: float = typer.Option(1.0, "--speed", min=0, help="With --engine replay: see `reidstream worker`."),
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what is being done, by workers too."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Errors only."),
) -> None:
    """Read cameras for ever, or a pile of videos to its end, with workers wherever the cluster has room for them.

    Cameras: changes of the list are followed, workers that are gone are placed again; Ctrl-C and SIGTERM drain them.
    Videos: ends when all are read and it is decided who is who.

    Example: reidstream cluster run cameras.toml --address ray-head:6379 --gallery postgresql://db/shop --gpus 0.25
    Example: reidstream cluster run 'videos/*.mp4' --gallery postgresql://db/shop --cpus 2
    """
    # Before NumPy is loaded: its workers would spin for the cores that others need.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    set_up_logging(verbose, quiet)
    from reidstream.cluster import sources as listing
    from reidstream.cluster.opening import opened
    from reidstream.cluster.placement import Share, Work, connected
    from reidstream.config import load_config
    from reidstream.sources import expand_sources
    from reidstream.sources.address import Kind, kind_of

    say: Callable[[str], None] = (lambda _text: None) if quiet else lambda text: console().print(text, markup=False)
    tree = load_config(config, settings or [])
    if tree.clips.keep:
        raise ConfigError("clips (clips.keep) are files in a gallery's folder; workers keep none: leave them off")
    wanted = listing.listed(expand_sources(sources))
    recorded = [kind_of(one.uri) in (Kind.FILE, Kind.FOLDER) for one in wanted]
    pile = all(recorded) and not any(word.lower().endswith(".toml") for word in sources)
    files, common = _common(gallery, config, settings)
    reading = (*common, "--engine", engine.value, *(["--speed", str(speed)] if engine is WorkerEngine.REPLAY else []))
    share = Share(cpus, gpus)
    with (
        opened(gallery, tree, lambda: space_of(tree, wanted, engine), patience=PATIENCE) as there,
        connected(_key(there), address, start=True, verbose=verbose) as cluster,
    ):
        if pile:
            work = Work(("worker", *reading, "--until-done", "--most", "1"), files)
            with there.database.write() as connection:
                listing.add(connection, wanted)
            _read_pile(gallery, there, cluster, work, share, workers, tree, say)
            return
        from reidstream.cluster.crew import Crew, FollowedList

        followed = FollowedList(sources, there.database, say)
        followed.follow(wanted)
        crew = Crew(
            cluster,
            there.database,
            Work(("worker", *reading, "--most", str(most)), files),
            share,
            most=most,
            workers=workers,
            decide=Work(("decide", *common), files) if decide else None,
            say=say,
        )
        with draining(crew.stop):
            crew.run(followed.follow)


@app.command()
def status(
    gallery: str = DATABASE,
    address: str | None = ADDRESS,
    json_output: bool = JSON,
) -> None:
    """Machines, the workers placed on them, and what `workers status` says. Ends with 1 when something is wrong.

    Example: reidstream cluster status --address ray-head:6379 --gallery postgresql://db/shop
    """
    from reidstream.cluster.opening import opened
    from reidstream.cluster.placement import connected
    from reidstream.cluster.status import status as asked
    from reidstream.config import Config

    with opened(gallery, Config(), None) as there:
        document = asked(there.database)
        with connected(_key(there), address, start=False) as cluster:
            document |= {"machines": cluster.nodes(), "placed": cluster.status()}
    for one in document["placed"]:
        if one["host"] is None:
            document["troubles"].append(f"{one['name']} waits for room, or to be placed again")
        elif one["process"] is None:
            document["troubles"].append(f"{one['name']} on {one['host']} ended with {one['last_status']}, starts again")
    if json_output:
        print_json(document)
    else:
        table = TerminalTable("placed", "on", "process", "started")
        for one in document["placed"]:
            table.add_row(one["name"], one["host"] or "nowhere yet", str(one["process"] or ""), str(one["starts"]))
        console().print(table)
        alive = [machine for machine in document["machines"] if machine["alive"]]
        total = f"{sum(m['cpus'] for m in alive):g} processors, {sum(m['gpus'] for m in alive):g} GPUs"
        console().print(f"{counted(len(alive), 'machine')} with {total}", markup=False)
        print_status(document)
    if document["troubles"]:
        raise typer.Exit(1)


@app.command()
def stop(gallery: str = DATABASE, address: str | None = ADDRESS) -> None:
    """Drain the workers that a run which is gone has left on a cluster: what they see is stored, and they end.

    Example: reidstream cluster stop --address ray-head:6379 --gallery postgresql://db/shop
    """
    from reidstream.cluster.crew import drain
    from reidstream.cluster.opening import opened
    from reidstream.cluster.placement import connected
    from reidstream.config import Config

    def say(text: str) -> None:
        console().print(text, markup=False)

    with opened(gallery, Config(), None) as there, connected(_key(there), address, start=False) as cluster:
        drain(cluster, say)


def _common(gallery: str, config: Path | None, settings: Sequence[str] | None) -> tuple[dict[str, bytes], list[str]]:
    """Files to be sent along, and the words that every command is given."""
    files: dict[str, bytes] = {}
    words = ["--gallery", gallery]
    if config is not None:
        files["settings.toml"] = config.read_bytes()
        words += ["--config", "{folder}/settings.toml"]
    for setting in settings or []:
        words += ["--set", setting]
    return files, words


def _key(there: Opened) -> str:
    """What tells this gallery's workers apart from those of others on the same cluster."""
    from reidstream.gallery.facts import read_facts

    with there.database.read() as connection:
        return read_facts(connection).uuid[:12]


def _read_pile(
    gallery: str,
    there: Opened,
    cluster: RayCluster,
    work: Work,
    share: Share,
    workers: int | None,
    tree: Config,
    say: Callable[[str], None],
) -> None:
    from reidstream.cli.asked import served
    from reidstream.cluster.pile import decided, read_pile

    def resolve() -> None:
        with served(gallery) as client:
            if client is not None:
                client.resolve()

    # It is ended like by Ctrl-C: workers are told to store what they have, and those of others go on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = read_pile(cluster, there, work, share, workers, say)
    decided(gallery, there, tree, resolve)
    say(f"{counted(report.done, 'video')} done")
    for source, why in report.failed.items():
        console_error(f"{source} was given up: {why}")
    for said in report.workers:
        console_error(said)
    if report.failed or report.workers:
        raise typer.Exit(1)
