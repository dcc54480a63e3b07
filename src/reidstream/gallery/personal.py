"""Where data about people is kept, what erases it, and what finds it: so that no store of it can be forgotten.

A component that keeps tables or files beside a gallery's own lists them in the tuple STORES of its module ``stores``.
An erasure asks every component whose tables are in the gallery, whichever process made them, and refuses to begin when
one of them, or a single table, is declared nowhere. A test finds all tables and files of the program and fails for one
without a store.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from sqlalchemy import Connection, select

from reidstream.errors import GalleryError
from reidstream.gallery.database import table_names
from reidstream.gallery.schema import meta


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is to be erased.

    tracklets: ids. contents: recordings that go with them. left_out: ids of tracks that were not stored. people: ids of
    people who go as a whole. texts: names and notes of theirs, former ones included, and other forms in which these are
    written. author: who wants it.
    """

    tracklets: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    author: str = ""

    def with_people(self, people: Iterable[str], texts: Iterable[str]) -> Subject:
        """The same and more."""
        return replace(
            self,
            people=tuple(dict.fromkeys((*self.people, *people))),
            texts=tuple(dict.fromkeys((*self.texts, *texts))),
        )


@dataclass(frozen=True, slots=True)
class Store:
    """One place where something about people may be kept.

    name: what it is, for people. tables: its SQL tables. files: its files as patterns (``fnmatch``) of paths inside
    the gallery's folder, or beside it with ``../`` and {name} for the folder's own name.

    Either it can be erased from, by these three, or ``beyond`` says why not: because it holds nothing about anybody, or
    because it is a copy in the hands of others, which the documentation says.

    widen: what else goes when these go; called before anything is changed.
    erase: takes them out, in the transaction of the erasure; stores of other components first, the gallery's own last.
    erase_files: takes them out of files; called with the gallery's folder before that transaction is committed, and
    again when an erasure that was interrupted is repeated.
    trace: where they can still be found, in words for people; nothing once they are erased.
    """

    name: str
    tables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    widen: Callable[[Connection, Subject], Subject] | None = None
    erase: Callable[[Connection, Subject], None] | None = None
    erase_files: Callable[[Path, Subject], None] | None = None
    trace: Callable[[Connection, Subject], Iterable[str]] | None = None
    beyond: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        erasable = (self.erase is not None or self.erase_files is not None) and self.trace is not None
        if erasable == bool(self.beyond):
            raise ValueError(
                f"store {self.name!r} must say what erases it and what traces it, or why neither can be (beyond)"
            )

    def holds_file(self, path: str, folder: str = "") -> bool:
        """Whether a file is one of its own. path: see ``files``. folder: the name of the gallery's folder."""
        return any(fnmatch(path, pattern.replace("{name}", folder)) for pattern in self.files)


def stores_of(connection: Connection) -> list[Store]:
    """The stores of every component that has tables in this gallery, the gallery's own last.

    Raises GalleryError when a component or a table is declared nowhere: then nothing may be erased, for it could hold
    what must not stay.
    """
    keys = connection.execute(select(meta.c.key).where(meta.c.key.startswith("schema:"))).scalars()
    components = sorted(key.removeprefix("schema:") for key in keys)
    found: list[Store] = []
    for component in sorted(components, key=lambda name: name == "gallery"):
        found += component_stores(component)
    declared = {table for store in found for table in store.tables}
    unknown = sorted(set(table_names(connection)) - declared)
    if unknown:
        raise GalleryError(
            f"nobody says what erases people from the table {unknown[0]!r} in this gallery, so that nothing was "
            "erased; the component that keeps it must list it among its stores of personal data, or delete the table"
        )
    return found


def component_stores(component: str) -> Sequence[Store]:
    """What ``reidstream.<component>.stores`` declares. Raises GalleryError when there is no such declaration."""
    try:
        # Not an ordinary import: the gallery must not know who keeps tables beside its own, yet reach all of them.
        stores: tuple[Store, ...] = importlib.import_module(f"reidstream.{component}.stores").STORES
    except (ModuleNotFoundError, AttributeError):
        raise GalleryError(
            f"this program does not know how to erase people from the tables of {component!r} in this gallery, so that "
            "nothing was erased; install the version of reidstream that wrote them"
        ) from None
    return stores


def traces_in_tables(connection: Connection, stores: Sequence[Store], subject: Subject) -> list[str]:
    """Where the subject can be found, over all stores."""
    return [text for store in stores if store.trace is not None for text in store.trace(connection, subject)]
