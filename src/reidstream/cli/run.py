"""``reidstream run``: videos and cameras into a gallery."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, console_error, print_json, set_up_logging
from reidstream.cli.options import CONFIG, DETECTOR, GALLERY, JSON, REID, SETTINGS, given
from reidstream.cli.terminal import TerminalTable
from reidstream.config.redaction import redacted
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.config import SourceConfig
    from reidstream.pipeline import GalleryRun, RunSummary


class EngineChoice(StrEnum):
    """The engines that read video."""

    LOCAL = "local"
    DEEPSTREAM = "deepstream"


def run(
    sources: list[str] | None = typer.Argument(
        None, help="Videos, folders of videos or images, patterns, rtsp://, webcams, or TOML files that list cameras."
    ),
    gallery: str = GALLERY,
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    detector: str | None = DETECTOR,
    reid: str | None = REID,
    detect_every: int | None = typer.Option(None, "--detect-every", min=1, help="Detect on every n-th frame only."),
    engine: EngineChoice = typer.Option(EngineChoice.LOCAL, "--engine", "-e", help="What decodes and runs models."),
    record: Path | None = typer.Option(None, "--record", help="Also record the events, to replay them without video."),
    replay: Path | None = typer.Option(None, "--replay", help="Take the events from such a recording."),
    detections: Path | None = typer.Option(
        None, "--detections", help="Detections of the one source, in MOTChallenge format, instead of a detector."
    ),
    tracks: Path | None = typer.Option(
        None, "--tracks", help="Tracks of the one source, in MOTChallenge format, instead of detector and tracker."
    ),
    render: Path | None = typer.Option(
        None, "--render", help="Also draw people with their numbers and names to this video file."
    ),
    clips: bool | None = typer.Option(
        None, "--clips/--no-clips", help="Keep a short clip of every visit (clips.keep)."
    ),
    replace: bool = typer.Option(False, "--replace", help="Make anew what was read with other settings before."),
    resolve: bool | None = typer.Option(
        None, "--resolve/--no-resolve", help="End by deciding anew who is who, all at once (identities.resolve)."
    ),
    max_seconds: float | None = typer.Option(None, "--max-seconds", min=0.1, help="Stop after this many seconds."),
    json_output: bool = JSON,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what is being done."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress, errors only."),
) -> None:
    """Turn videos and cameras into a gallery of people.

    Example: reidstream run entrance.mp4 rtsp://camera/stream --gallery shop

    Content that the gallery holds already is skipped. --render draws recordings when everybody is known, at the end of
    the run, and cameras while it goes on, by the number of the track. Ctrl-C finishes cleanly with everything seen so
    far stored; a second Ctrl-C stops at once.
    """
    # Before NumPy is loaded: where models use all cores, its workers would wait for them while people are given.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    set_up_logging(verbose, quiet)
    from reidstream.cli.progress import RunProgress
    from reidstream.cli.served_run import owner_of
    from reidstream.config import load_config
    from reidstream.errors import ConfigError
    from reidstream.pipeline import open_replay, open_run
    from reidstream.sources import expand_sources

    shortcuts = given(
        detector__model=detector,
        embedding__model=reid,
        detector__every=detect_every,
        identities__resolve=resolve,
        clips__keep=clips,
    )
    tree = load_config(config, [*(settings or []), *shortcuts])
    if replay is not None and (sources or render or record or detections or tracks):
        raise ConfigError("--replay takes its events from the recording; give it nothing else to read or draw")
    silent = quiet or json_output
    with ExitStack() as stack:
        owner = stack.enter_context(owner_of(gallery, tree))
        there: dict[str, Any] = {}
        if owner is not None:
            there = {"store": owner.store, "decided": owner.decided, "watcher": owner.watcher}
            if not silent:
                sys.stderr.write("a server owns this gallery: it stores what is found here, and decides who it is\n")
        opened: AbstractContextManager[GalleryRun]
        if replay is not None:
            opened = open_replay(replay, tree, gallery, replace=replace, **there)
        else:
            opened = open_run(
                _with_boxes(expand_sources(sources or []), detections, tracks),
                tree,
                gallery,
                engine=engine.value,
                render=render,
                record=record,
                replace=replace,
                max_seconds=max_seconds,
                shelf=owner.shelf if owner is not None else None,
                **there,
            )
        if not silent and replay is None and engine is EngineChoice.LOCAL and tree.local.device == "cuda":
            sys.stderr.write("warming up the models on the GPU; the first frame comes some seconds from now\n")
        with (
            opened as job,
            interruptible(job, silent),
            RunProgress(job.summary, shown=not silent),
            owner.told_of(job) if owner is not None else nullcontext(),
        ):
            summary = job.run()
        resolved = _resolved(summary) if owner is None else owner.resolved
    if json_output:
        print_json(_plain(summary, gallery, resolved))
    elif not quiet:
        _print_summary(summary, gallery, resolved)
    for source in summary.failed:
        if not json_output:
            console_error(f"{source.source}: {source.error}")
    if summary.failed:
        raise typer.Exit(1)


@contextmanager
def interruptible(job: GalleryRun, silent: bool) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) ends the run cleanly, the second ends the process at once."""

    def handle(number: int, _frame: object) -> None:
        if job.summary.stopped:
            # Everything acknowledged is committed, and the index is derived from it: leaving here loses nothing.
            os._exit(128 + number)
        # Before it is said, so that a second signal is one however soon it comes.
        job.summary.stopped = True
        if not silent:
            sys.stderr.write("\nfinishing; press Ctrl-C again to stop at once\n")
        # Stopping takes locks that the interrupted thread may hold.
        threading.Thread(target=job.stop, name="stop", daemon=True).start()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _with_boxes(sources: list[SourceConfig], detections: Path | None, tracks: Path | None) -> list[SourceConfig]:
    """The sources, the only one of them with the boxes that come with it."""
    from reidstream.errors import ConfigError

    if detections is None and tracks is None:
        return sources
    if detections is not None and tracks is not None:
        raise ConfigError("--detections and --tracks are given together; tracks have boxes of their own")
    if len(sources) != 1:
        option = "--tracks" if detections is None else "--detections"
        raise ConfigError(
            f"{option} belongs to one video or folder, {len(sources)} are given; in a list of cameras each [[sources]] "
            f"names its own {option.removeprefix('--')}"
        )
    named = {"detections": detections, "tracks": tracks}
    return [sources[0].model_copy(update={key: str(path) for key, path in named.items() if path is not None})]


def _plain(summary: RunSummary, gallery: str, resolved: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "gallery": redacted(gallery),
        "sources": [asdict(source) for source in summary.sources.values()],
        "frames": summary.frames,
        "seconds": summary.seconds,
        "tracklets": summary.tracklets,
        "stored": summary.stored,
        "kept_out": summary.kept_out,
        "clips": summary.clips,
        "people": summary.people,
        "undecided": summary.undecided,
        "resolved": resolved,
        "tracks": asdict(summary.counts),
        "stage_seconds": summary.stage_seconds,
        "warnings": summary.warnings,
        "stopped": summary.stopped,
    }


def _resolved(summary: RunSummary) -> dict[str, int] | None:
    """What deciding everybody anew at the end came to."""
    proposal = summary.resolved
    if proposal is None:
        return None
    counts = {"before": proposal.people_before, "people": proposal.people, "moved": len(proposal.moved)}
    return {**counts, "undecided": proposal.undecided}


def _print_summary(summary: RunSummary, gallery: str, resolved: dict[str, int] | None = None) -> None:
    from reidstream.gallery.sheet import wall_clock

    out = console()
    columns = ("source", "state", "frames", "dropped", "tracklets", "recorded (UTC)", "by", "")
    table = TerminalTable(*columns, box=None, pad_edge=False)
    for source in summary.sources.values():
        numbers = (str(source.frames), str(source.dropped), str(source.tracklets))
        begun = wall_clock(source.begun) if source.begun is not None and not source.live else ""
        note = "has grown; what is new was added" if source.grown and not source.note else source.note or ""
        table.add_row(source.source, source.state, *numbers, begun, source.dated, note)
    out.print(table)
    rate = summary.processed / summary.seconds if summary.seconds else 0.0
    counts = summary.counts
    out.print(f"{counted(summary.processed, 'frame')} in {summary.seconds:.1f} s ({rate:.0f} frames/s)")
    out.print(
        f"{counted(summary.stored, 'new tracklet')} in {redacted(gallery)}, "
        f"{counted(summary.people, 'person')} in all, {counted(summary.undecided, 'tracklet')} undecided"
        f" ({summary.tracklets} finished, {counts.split} tracks split, {counts.too_short} too short,"
        f" {counts.without_embedding} without a usable crop, {counts.guessed} mostly guessed,"
        f" {counts.still} things that never moved, {counts.no_person} that show no person)"
    )
    if counts.too_short or counts.without_embedding or counts.guessed or counts.still or counts.no_person:
        out.print(
            f"what was not stored: `reidstream gallery list --left-out --gallery {redacted(gallery)}`", markup=False
        )
    if summary.clips:
        out.print(f"kept {counted(summary.clips, 'clip')} of visits")
    if summary.kept_out:
        out.print(f"left out {counted(summary.kept_out, 'tracklet')}, erased from this gallery before")
    if resolved is not None:
        out.print(
            f"decided all at once at the end: {counted(resolved['before'], 'person')} became {resolved['people']}"
            f" ({counted(resolved['moved'], 'tracklet')} moved)"
        )
    elif summary.stored and summary.people > 1:
        resolve = f"reidstream people resolve --gallery {redacted(gallery)}"
        out.print(f"a run knows only who came before; `{resolve}` decides who is who all at once")
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary.stage_seconds.items())
    out.print(f"busy: {stages}")
    for text, count in summary.warnings.items():
        out.print(f"warning: {text}" + (f" ({count} times)" if count > 1 else ""), style="yellow")
