"""Opening a gallery: its folder, its owner, and the facts that it says of itself."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from reidstream.errors import ConfigError, GalleryError, GalleryMismatch, GalleryNotFound
from reidstream.files import Access, access_for, new_file
from reidstream.gallery import recordings
from reidstream.gallery.database import DATABASE_FILE, Database, Place, demand_psycopg, place_of
from reidstream.gallery.facts import Facts, check_space, new_facts, read_facts, write_new_facts
from reidstream.gallery.fencing import OWNER, take_fence
from reidstream.gallery.index.building import INDEX_FOLDER, PGVECTOR
from reidstream.gallery.migrations import GALLERY_MIGRATIONS, migrate, schema_version
from reidstream.gallery.ownership import OWN_FILES, FolderOwnership, Ownership, ServerOwnership
from reidstream.gallery.schema import tracklets
from reidstream.types import EmbeddingSpace

if TYPE_CHECKING:
    from reidstream.config.gallery import GalleryConfig


@dataclass(frozen=True, slots=True)
class Opened:
    """What an open gallery stands on.

    facts: as they were when it was opened. ownership: None for readers. passing: whether it is taken away again, being
    new, should nothing have been read into it when it is let go; made_folder: and its folder with it.
    """

    database: Database
    facts: Facts
    ownership: Ownership | None
    passing: bool
    made_folder: bool

    @classmethod
    def at(
        cls,
        path_or_url: str | Path,
        *,
        write: bool,
        create: bool,
        space: EmbeddingSpace | None,
        model: str,
        config: GalleryConfig | None,
        keep_empty: bool,
    ) -> Opened:
        """See ``Gallery.open``. Whatever it raises, nothing is held any more."""
        if create and (not write or space is None):
            raise ValueError("create=True needs write=True and the embedding space")
        place = place_of(path_or_url)
        passing = create and not keep_empty and is_new(place)
        made_folder = place.folder is not None and not place.folder.exists()
        if place.folder is not None and not (place.folder / DATABASE_FILE).is_file():
            if not create:
                raise GalleryNotFound(f"no gallery at {place} (looked for {place.folder / DATABASE_FILE})")
            make_folder(place.folder, access_for(config.group if config else None))
        elif place.folder is not None and write and config is not None and config.group is not None:
            open_to(place.folder, access_for(config.group))
        with contextlib.ExitStack() as undo:
            ownership = own(place) if write else None
            if ownership is not None:
                undo.callback(ownership.release)
            database = Database(place, write=write)
            undo.callback(database.close)
            if ownership is not None:
                facts = prepared_facts(database, space if create else None, model, config, ownership)
            else:
                facts = existing_facts(database)
            if space is not None:
                check_space(str(place), facts.space, space)
            undo.pop_all()
        return cls(database, facts, ownership, passing, made_folder)

    def vanishes(self) -> bool:
        """Whether it is to be taken away: new, with no tracklet, and no recording but such that could not be read."""
        if not self.passing:
            return False
        try:
            with self.database.read() as connection:
                held = connection.execute(select(func.count()).select_from(tracklets)).scalar_one()
                found = recordings.recordings_of(connection)
        except GalleryError:
            # Where nothing can be asked, nothing is taken away.
            return False
        return held == 0 and all(recording.state is recordings.State.FAILED for recording in found)

    def let_go(self, vanishes: bool) -> None:
        """Close the database and be its owner no longer; take the gallery away if it ``vanishes``."""
        try:
            if vanishes:
                self.database.clear()
            self.database.close()
        finally:
            self.abandon()
        folder = self.database.place.folder
        if vanishes and folder is not None:
            unmake(folder, self.made_folder)

    def abandon(self) -> None:
        """Be its owner no longer."""
        if self.ownership is not None:
            self.ownership.release()


def make_folder(folder: Path, access: Access) -> None:
    """The folder of a new gallery, for those whom ``access`` names. Raises GalleryError when it holds other things."""
    if folder.exists() and not folder.is_dir():
        raise GalleryError(f"{folder} is a file; a gallery is a folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        strangers = [p.name for p in folder.iterdir() if p.name not in OWN_FILES]
    except OSError as error:
        raise GalleryError(f"gallery folder {folder} cannot be made: {error.strerror or error}") from None
    if strangers:
        raise GalleryError(f"{folder} holds other things ({strangers[0]}, ...); a new gallery needs an empty folder")
    open_to(folder, access)
    # SQLite gives the files beside it (log, shared memory) the rights of the database.
    new_file(folder / DATABASE_FILE, access)


def open_to(folder: Path, access: Access) -> None:
    """Give the folder, and all in it, to those who may use it."""
    try:
        for path in (folder, *folder.rglob("*")):
            access.give(path)
    except OSError as error:
        raise GalleryError(
            f"gallery folder {folder} cannot be opened to the group (gallery.group): {error.strerror or error}; only "
            "its owner can do that, for a group that the owner is in"
        ) from None


def is_new(place: Place) -> bool:
    """Whether there is no gallery yet."""
    if place.folder is not None:
        return not (place.folder / DATABASE_FILE).is_file()
    database = Database(place, write=False)
    try:
        with database.read() as connection:
            return schema_version(connection, "gallery") == 0
    finally:
        database.close()


def unmake(folder: Path, made: bool) -> None:
    """Take away a gallery's files, and the folder if it was made for them and holds nothing else."""
    shutil.rmtree(folder / INDEX_FOLDER, ignore_errors=True)
    for path in (*folder.glob(f"{DATABASE_FILE}*"), *(folder / name for name in OWN_FILES)):
        path.unlink(missing_ok=True)
    if made:
        with contextlib.suppress(OSError):
            folder.rmdir()


def own(place: Place) -> Ownership:
    """Become the one process that may write. Raises GalleryLocked when another is."""
    if place.folder is not None:
        return FolderOwnership(place.folder)
    assert place.url is not None
    demand_psycopg()
    return ServerOwnership(place.url, str(place))


def prepared_facts(
    database: Database, space: EmbeddingSpace | None, model: str, config: GalleryConfig | None, ownership: Ownership
) -> Facts:
    """The facts of a gallery whose tables are up to date; made anew if ``space`` is given and there are none.

    From its commit on the former owner is refused, if it is still there.
    """
    with database.write() as connection:
        facts = _facts_prepared(database, connection, space, model, config)
        fence = take_fence(connection, OWNER, ownership.holder)
        recordings.break_off(connection)
    database.fenced(fence, ownership.confirm)
    return facts


def _facts_prepared(
    database: Database, connection: Connection, space: EmbeddingSpace | None, model: str, config: GalleryConfig | None
) -> Facts:
    if schema_version(connection, "gallery") == 0:
        if space is None:
            raise GalleryNotFound(f"{database.place} holds no gallery")
        migrate(connection, "gallery", GALLERY_MIGRATIONS)
        if config is None:
            # Imported here: whoever opens a gallery that is there starts sooner without pydantic.
            from reidstream.config.gallery import GalleryConfig

            config = GalleryConfig()
        index = config.index
        if index == "chroma" and database.place.folder is None:
            # Without a folder there is no place for the index's files.
            index = "exact"
        if index == PGVECTOR:
            demand_pgvector(connection, database.place)
        facts = new_facts(space, model, index)
        write_new_facts(connection, facts)
        return facts
    migrate(connection, "gallery", GALLERY_MIGRATIONS)
    return read_facts(connection)


def existing_facts(database: Database) -> Facts:
    """What a gallery says of itself to a reader. Raises GalleryNotFound, and GalleryMismatch for another version."""
    with database.read() as connection:
        version = schema_version(connection, "gallery")
        if version == 0:
            raise GalleryNotFound(f"{database.place} holds no gallery")
        if version != len(GALLERY_MIGRATIONS):
            raise GalleryMismatch(
                f"gallery {database.place} has tables of version {version}, this program reads version "
                f"{len(GALLERY_MIGRATIONS)}; "
                + (
                    "open it for writing once to bring it up to date (reidstream gallery rebuild)"
                    if version < len(GALLERY_MIGRATIONS)
                    else "install a newer reidstream"
                )
            )
        return read_facts(connection)


def demand_pgvector(connection: Connection, place: Place) -> None:
    """Have pgvector in a gallery's database. Raises ConfigError for a folder, GalleryError when it cannot be had."""
    if place.url is None:
        raise ConfigError(
            f'gallery.index = "{PGVECTOR}" is for galleries on PostgreSQL, and {place} is a folder: leave it at chroma'
        )
    from reidstream.gallery.index.pgvector import demand_extension

    demand_extension(connection, str(place))
