"""``reidstream gallery reembed``: a gallery moves to another embedding model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reidstream.cli.common import console, console_error, print_json
from reidstream.cli.options import CONFIG, GALLERY, JSON, SETTINGS
from reidstream.errors import ConfigError
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.pipeline.reembedding import Progress

_NAMED = 5
"""Tracklets that are named where they have no picture; --json names all."""


def reembed(
    model: str | None = typer.Argument(
        None, help="Model name from the manifest, or the path of an ONNX file; not needed to --abandon a move."
    ),
    gallery: str = GALLERY,
    crops: bool = typer.Option(
        False, "--crops", help="Use the stored crop of each tracklet, and do not read recordings again: quicker, worse."
    ),
    drop: bool = typer.Option(
        False, "--drop", help="Tracklets with neither a recording nor a crop go; without it the gallery stays as it is."
    ),
    abandon: bool = typer.Option(False, "--abandon", help="Forget what an unfinished move has made, and stay."),
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    as_json: bool = JSON,
) -> None:
    """Give every tracklet a vector of another embedding model; people, names and decisions stay.

    Recordings are read again where the files are still there, for several crops of each tracklet; for the others the
    stored crop is used. Until the last vector is made the gallery is what it was, and a job that was stopped goes on.

    Example: reidstream gallery reembed models/osnet.onnx --gallery shop
    """
    if abandon and model is not None:
        raise ConfigError(f"--abandon stays with the model that the gallery has; {model} is not used: leave it out")
    if not abandon and model is None:
        raise ConfigError("name the model to move to: a name from `reidstream models list`, or an ONNX file")
    from reidstream.cli.asked import served
    from reidstream.config import load_config
    from reidstream.gallery import Gallery
    from reidstream.gallery.next_space import abandon_move
    from reidstream.inference import open_embedder
    from reidstream.models import name_for_others, resolve_model
    from reidstream.pipeline.reembedding import reembed as work
    from reidstream.runtime import see_only

    with served(gallery) as client:
        if client is not None:
            raise ConfigError(
                "a server owns this gallery and compares whom cameras see with the present model: stop it, move the "
                "gallery, and start it again with embedding.model set to the new one"
            )
    if abandon:
        with Gallery.open(gallery, write=True) as opened, opened.write() as connection:
            abandon_move(connection)
        if not as_json:
            console().print(f"gallery {gallery} stays with {opened.space.model}", markup=False)
        return
    assert model is not None
    tree = load_config(config, settings or [])
    see_only(tree.local.device, tree.local.gpus)
    embedder = open_embedder(
        resolve_model(model, "reid"), tree.embedding, tree.local.device, threads=0, half=tree.local.half
    )
    with _told(shown=not as_json) as progress:
        done = work(
            gallery,
            embedder,
            name_for_others(model),
            tree.embedding,
            prototypes=tree.tracklets.prototypes,
            recordings=not crops,
            drop=drop,
            progress=progress,
        )
    if as_json:
        print_json(asdict(done))
    else:
        out = console()
        before = f", {done.before} by a job before" if done.before else ""
        made = f"{done.from_recordings} from recordings, {done.from_crops} from stored crops{before}"
        out.print(f"vectors of {done.space.model}: {made}", markup=False)
        if done.moved:
            out.print(f"gallery {gallery} holds embeddings of {done.space.model} now", markup=False)
            out.print("people are who they were; `reidstream people resolve` decides anew with these vectors")
            if done.left:
                out.print(f"{counted(len(done.left), 'tracklet')} without a recording or a crop went")
    if not done.moved:
        some = ", ".join(done.left[:_NAMED]) + (", ..." if len(done.left) > _NAMED else "")
        console_error(
            f"{counted(len(done.left), 'tracklet')} with neither a recording nor a crop: {some}; the gallery still "
            f"holds embeddings of {done.former.model}. Put the recordings back where they were and say it again, let "
            "these tracklets go (--drop), or stay (--abandon)"
        )
        raise typer.Exit(1)


@contextmanager
def _told(shown: bool) -> Iterator[Progress]:
    """How far it is: a bar on a terminal, a line for each tenth elsewhere."""
    if not shown:
        yield lambda _what, _done, _total: None
        return
    if console().is_terminal:
        from rich.progress import Progress as Bar

        with Bar(console=console(), transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
        return
    tenths: dict[str, int] = {}

    def line(what: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenths.get(what) != tenth:
            tenths[what] = tenth
            sys.stderr.write(f"{what}: {done} of {counted(total, 'tracklet')}\n")

    yield line
