"""Where clips lie, and what is known of them: a file each in the gallery's folder, and a row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, delete, false, func, insert, or_, select, update

from reidstream.clips.schema import CLIP_MIGRATIONS, clips
from reidstream.errors import ConfigError
from reidstream.files import access_of
from reidstream.gallery import Gallery
from reidstream.gallery.columns import has_column
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets

FOLDER = "clips"
PARTIAL = ".partial"
"""What the name of a file ends with, before its suffix, while it is written."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip of a visit. tracklet: whose. content: of which recording. file: its name in the folder of clips.

    start_media, end_media: what it shows, seconds of media time. made_wall: when it was made, Unix seconds.
    """

    tracklet: str
    content: str
    file: str
    start_media: float
    end_media: float
    made_wall: float


class Shelf(Protocol):
    """Where clips are put: see ClipShelf. One may stand in another process than the gallery's."""

    @property
    def folder(self) -> Path: ...

    def begin(self, clip: Clip) -> bool: ...

    def holds(self, tracklet: str) -> bool: ...

    def finish(self, clip: Clip, written: Path) -> bool: ...

    def drop(self, tracklets: Sequence[str]) -> None: ...

    def drop_showing(self, content: str, start_media: float, end_media: float) -> None: ...

    def sweep(self, older_than: float | None = None, most_bytes: float | None = None) -> int: ...


class ClipShelf:
    """The clips of a gallery that is open for writing. Raises ConfigError for a gallery that is not in a folder."""

    def __init__(self, gallery: Gallery) -> None:
        folder = gallery.place.folder
        if folder is None:
            raise ConfigError(
                "clips (clips.keep) are files in a gallery's folder; a gallery on a server keeps none: leave the "
                "setting off, or use a folder"
            )
        self._gallery = gallery
        self._folder = folder / FOLDER
        gallery.migrate(FOLDER, CLIP_MIGRATIONS)
        self._access = access_of(folder)
        self.folder.mkdir(exist_ok=True)
        self._access.give(self.folder)
        self.sweep()

    @property
    def folder(self) -> Path:
        return self._folder

    def begin(self, clip: Clip) -> bool:
        """Take note of a clip that is going to be written; whether it is wanted: the tracklet is there, and has none.

        Noted first, so that there is no file of which no erasure knows.
        """
        with self._gallery.write() as connection:
            if not _stored(connection, clip.tracklet) or _row(connection, clip.tracklet) is not None:
                return False
            connection.execute(insert(clips).values(size=0, **_values(clip)))
            return True

    def holds(self, tracklet: str) -> bool:
        """Whether the gallery has a tracklet."""
        with self._gallery.read() as connection:
            return _stored(connection, tracklet)

    def finish(self, clip: Clip, written: Path) -> bool:
        """Put a file that was written into its place, unless the clip, or the visit, was erased meanwhile."""
        try:
            size = written.stat().st_size
        except FileNotFoundError:
            # An erasure takes away what is being written.
            return False
        with self._gallery.write() as connection:
            if not _stored(connection, clip.tracklet) or _row(connection, clip.tracklet) is None:
                written.unlink(missing_ok=True)
                return False
            self._access.give(written)
            written.replace(self.folder / clip.file)
            # What it shows begins with a key frame, which is known only now.
            connection.execute(
                update(clips).where(clips.c.tracklet == clip.tracklet).values(size=size, **_values(clip))
            )
            return True

    def drop(self, tracklets: Sequence[str]) -> None:
        """Forget clips, and delete their files."""
        with self._gallery.write() as connection:
            for some in in_chunks(tracklets):
                remove_clips(connection, self.folder, clips.c.tracklet.in_(some))

    def drop_showing(self, content: str, start_media: float, end_media: float) -> None:
        """Forget the clips that show any of these seconds of a recording, and delete their files."""
        with self._gallery.write() as connection:
            remove_clips(connection, self.folder, _showing(content, start_media, end_media))

    def sweep(self, older_than: float | None = None, most_bytes: float | None = None) -> int:
        """Delete clips without a tracklet, those made before ``older_than`` (Unix seconds), and the oldest beyond
        ``most_bytes`` together; also what a run that was killed left unfinished. How many clips went."""
        for left in self.folder.glob(f".*{PARTIAL}*"):
            if not _runs(left):
                left.unlink(missing_ok=True)
        with self._gallery.write() as connection:
            gone = ~select(tracklets.c.id).where(tracklets.c.id == clips.c.tracklet).exists()
            count = remove_clips(connection, self.folder, gone)
            if older_than is not None:
                count += remove_clips(connection, self.folder, clips.c.made_wall < older_than)
            if most_bytes is not None:
                count += self._shrink(connection, most_bytes)
        return count

    def _shrink(self, connection: Connection, most_bytes: float) -> int:
        over = float(connection.execute(select(func.coalesce(func.sum(clips.c.size), 0))).scalar_one()) - most_bytes
        oldest: list[str] = []
        for row in connection.execute(select(clips.c.tracklet, clips.c.size).order_by(clips.c.made_wall)):
            if over <= 0:
                break
            oldest.append(row.tracklet)
            over -= row.size
        return sum(remove_clips(connection, self.folder, clips.c.tracklet.in_(some)) for some in in_chunks(oldest))


def clip_of(gallery: Gallery, tracklet: str) -> Path | None:
    """The file of a visit's clip; None when none was kept, or it has been deleted."""
    return clips_of(gallery, [tracklet]).get(tracklet)


@dataclass(frozen=True, slots=True)
class KeptClip:
    """A clip that is there. start_media: when it begins, end_media: when its last picture is, seconds of media time."""

    path: Path
    start_media: float
    end_media: float


def clips_of(gallery: Gallery, wanted: Iterable[str]) -> dict[str, Path]:
    """The files of those of these visits that have a clip."""
    return {tracklet: kept.path for tracklet, kept in kept_clips(gallery, wanted).items()}


def kept_clips(gallery: Gallery, wanted: Iterable[str]) -> dict[str, KeptClip]:
    """The clips of those of these visits that have one, with what they show."""
    folder = gallery.place.folder
    found: dict[str, KeptClip] = {}
    if folder is None:
        return found
    c = clips.c
    with gallery.read() as connection:
        if not has_column(connection, "clips", "tracklet"):
            return found
        for some in in_chunks(list(wanted)):
            query = select(c.tracklet, c.file, c.start_media, c.end_media).where(c.tracklet.in_(some), c.size > 0)
            for row in connection.execute(query):
                found[row.tracklet] = KeptClip(folder / FOLDER / row.file, row.start_media, row.end_media)
    return {tracklet: kept for tracklet, kept in found.items() if kept.path.is_file()}


def remove_clips(connection: Connection, folder: Path | None, which: ColumnElement[bool]) -> int:
    """Delete rows, and their files first: a row without a file harms nobody. How many."""
    rows = connection.execute(select(clips.c.tracklet, clips.c.file).where(which)).all()
    for row in rows:
        if folder is not None:
            with suppress(FileNotFoundError):
                (folder / row.file).unlink()
    for some in in_chunks([row.tracklet for row in rows]):
        connection.execute(delete(clips).where(clips.c.tracklet.in_(some)))
    return len(rows)


def showing(connection: Connection, ids: Sequence[str]) -> ColumnElement[bool]:
    """The clips of these tracklets, and those of others that show them: they were in the picture at the same time."""
    parts: list[ColumnElement[bool]] = [false()]
    for some in in_chunks(ids):
        parts.append(clips.c.tracklet.in_(some))
        rows = select(tracklets.c.content, tracklets.c.start_media, tracklets.c.end_media)
        found = connection.execute(rows.where(tracklets.c.id.in_(some)))
        parts.extend(_showing(row.content, row.start_media, row.end_media) for row in found)
    return or_(*parts)


def _showing(content: str, start_media: float, end_media: float) -> ColumnElement[bool]:
    return (clips.c.content == content) & (clips.c.start_media <= end_media) & (clips.c.end_media >= start_media)


def _runs(partial: Path) -> bool:
    """Whether the process that writes a file is still there, and another one; its number stands in the name.

    Our own writes nothing while it sweeps; in a container a run that was killed had the same number.
    """
    number = partial.name.partition(PARTIAL)[0].rpartition(".")[2]
    if number == str(os.getpid()):
        return False
    try:
        os.kill(int(number), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _stored(connection: Connection, tracklet: str) -> bool:
    return connection.execute(select(tracklets.c.id).where(tracklets.c.id == tracklet)).first() is not None


def _row(connection: Connection, tracklet: str) -> Any:
    return connection.execute(select(clips.c.tracklet).where(clips.c.tracklet == tracklet)).first()


def _values(clip: Clip) -> dict[str, Any]:
    return {name: getattr(clip, name) for name in Clip.__dataclass_fields__}
