"""What clips show of people, what erases it, and what finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, func, select

from reidstream.clips.schema import clips
from reidstream.clips.shelf import FOLDER, PARTIAL, remove_clips, showing
from reidstream.gallery.personal import Store, Subject
from reidstream.gallery.rows import in_chunks

_AT_ONCE = 100


def _folder(connection: Connection) -> Path | None:
    """The folder of clips of a gallery in a folder, which lies beside its database."""
    file = connection.engine.url.database
    return Path(file).parent / FOLDER if connection.dialect.name == "sqlite" and file else None


def _erase(connection: Connection, subject: Subject) -> None:
    """Delete also what was kept of somebody else while the erased were in the picture, too."""
    folder, ids = _folder(connection), list(subject.tracklets)
    # In pieces, because each visit is a condition of its own.
    for begin in range(0, len(ids), _AT_ONCE):
        remove_clips(connection, folder, showing(connection, ids[begin : begin + _AT_ONCE]))
    if subject.contents:
        remove_clips(connection, folder, clips.c.content.in_(subject.contents))


def _erase_files(folder: Path, subject: Subject) -> None:
    """Delete what is being written just now; whoever writes it finds that it is not wanted any more."""
    for path in (folder / FOLDER).glob(f".*{PARTIAL}*"):
        path.unlink(missing_ok=True)


def _trace(connection: Connection, subject: Subject) -> Iterator[str]:
    folder = _folder(connection)
    for some in in_chunks(subject.tracklets):
        count = connection.execute(
            select(func.count()).select_from(clips).where(clips.c.tracklet.in_(some))
        ).scalar_one()
        if count:
            yield f"{count} rows of clips"
        files = [path for one in some for path in (folder.glob(f"{one}.*") if folder is not None else ())]
        if files:
            yield f"{len(files)} clips"


STORES: tuple[Store, ...] = (
    Store(
        "clips of visits",
        tables=("clips",),
        files=(f"{FOLDER}/*",),
        erase=_erase,
        erase_files=_erase_files,
        trace=_trace,
    ),
)
