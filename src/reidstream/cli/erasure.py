"""What the verbs that erase people share: the proof in words, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reidstream.cli.common import console
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.gallery.erasing import Erasure
    from reidstream.gallery.index.building import Progress


def print_proof(erasure: Erasure) -> None:
    out = console()
    people = f" and {counted(erasure.people, 'person')} with names, notes and history" if erasure.people else ""
    out.print(f"erased {counted(erasure.tracklets, 'tracklet')}{people}")
    if erasure.before is not None and erasure.after is not None:
        files = sorted({trace.file for trace in erasure.before.found})
        found = f"{len(erasure.before.pieces)} were found at {len(erasure.before.found)} places"
        out.print(
            f"proof: of {erasure.pieces + erasure.shared} pieces (ids, names, vectors, prototypes, crops), "
            f"{found} in {len(files)} files before, and {len(erasure.after.pieces)} now, "
            f"in all {erasure.after.files} files ({erasure.after.bytes / 1e6:.1f} MB) of the gallery",
            markup=False,
        )
        if erasure.shared:
            out.print(f"{erasure.shared} pieces were left out: tracklets that remain hold the same bytes")
    if erasure.elsewhere:
        out.print(
            f"a name or note can still be read in {', '.join(erasure.elsewhere)}, where it stands for something else",
            markup=False,
        )
    if erasure.reach:
        out.print(f"not proven: {erasure.reach}", markup=False)


def print_served(done: dict[str, Any]) -> None:
    """The proof of an erasure that a server did."""
    proof = f"not proven: {done['reach'] or 'nothing could be read before'}"
    if done["proven"]:
        proof = f"proof: of {done['pieces']} pieces none is left in all {done['after']['files']} files of the gallery"
    console().print(
        f"erased {counted(done['tracklets'], 'tracklet')} and {counted(done['people'], 'person')}; {proof}",
        markup=False,
    )


@contextmanager
def progress_bar(what: str, shown: bool) -> Iterator[Progress | None]:
    """A progress bar on a terminal; nothing elsewhere."""
    from rich.progress import Progress as Bar

    out = console()
    if not shown or not out.is_terminal:
        yield None
        return
    with Bar(console=out, transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)
