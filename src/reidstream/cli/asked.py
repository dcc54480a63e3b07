"""A gallery as commands meet it: on this machine, owned by a server on this machine, or behind a server elsewhere.

Reading goes on beside whoever owns a folder. What changes something goes through the server when there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidstream.client import Client
    from reidstream.gallery import Filter, Gallery

Document = dict[str, Any]


class Here:
    """A gallery that this process has opened."""

    def __init__(self, gallery: Gallery) -> None:
        from reidstream.identities.catalogue import Catalogue

        self.gallery = gallery
        self._catalogue = Catalogue(gallery)

    def facts(self) -> Document:
        from reidstream.documents import facts_document

        return facts_document(self.gallery)

    def people(self, limit: int = 100) -> Document:
        from reidstream.documents import people_document

        undecided = len(self._catalogue.undecided())
        everybody = (entry for entry in self._catalogue.entries() if not entry.undecided)
        entries = sorted(everybody, key=lambda entry: entry.person.number)
        stored = len(self.gallery)
        without = stored - self._catalogue.visits
        advice = advice_on(str(self.gallery.place), len(self._catalogue), stored)
        return people_document(entries[:limit], len(entries), stored, without, advice, undecided=undecided)

    def undecided(self, limit: int = 100) -> Document:
        from reidstream.documents import undecided_document

        found = self._catalogue.undecided()
        return undecided_document(found[:limit], self._catalogue, len(found))

    def person(self, word: str) -> Document:
        from reidstream.documents import person_document
        from reidstream.errors import IdentityError
        from reidstream.identities.profiles import nearest_people, profiles_of

        if not len(self._catalogue):
            raise IdentityError(advice_on(str(self.gallery.place), 0, len(self.gallery)) or "")
        entry = self._catalogue.find(word)
        found = nearest_people(profiles_of(self.gallery), [entry.person.id])[entry.person.id]
        near = ((self._catalogue.get(person.id), alike) for person, alike in found)
        return person_document(self.gallery, entry, [(other, alike) for other, alike in near if other is not None])

    def operations(self, limit: int = 50) -> Document:
        from reidstream.documents import operations_document
        from reidstream.identities.people import history

        operations = history(self.gallery)
        return operations_document(operations[-limit:], len(operations))

    def operation(self, number: int) -> Document:
        from reidstream.documents import operation_document
        from reidstream.identities.operations import moves_of
        from reidstream.identities.people import history, list_people

        moves = moves_of(self.gallery, number)
        (operation,) = history(self.gallery, number)
        return operation_document(operation, moves, list_people(self.gallery))

    def tracklet(self, id: str) -> Document:
        from reidstream.documents import tracklet_document

        return tracklet_document(self.gallery, self.gallery.find(id))

    def tracklets(self, where: Filter, limit: int) -> Document:
        from reidstream.documents import tracklets_document

        rows = self.gallery.rows(where)
        return tracklets_document(list(rows.records())[:limit], len(rows))

    def left_out(self, where: Filter, limit: int) -> Document:
        from reidstream.documents import left_out_document

        return left_out_document(self.gallery.left_out(where, limit), self.gallery.left_out_counts(where))

    def numbers(self, **asked: Any) -> Document:
        from reidstream.numbers.asking import numbers_document

        return numbers_document(self.gallery, **asked)

    def journeys(self, **asked: Any) -> Document:
        from reidstream.numbers.asking import journeys_document

        return journeys_document(self.gallery, **asked)


def is_elsewhere(gallery: str) -> bool:
    """Whether the words for a gallery are a server's address."""
    return gallery.startswith(("http://", "https://"))


@contextmanager
def asking(gallery: str) -> Iterator[Here | Client]:
    """For reading: the gallery itself, or the server whose address was given."""
    if is_elsewhere(gallery):
        from reidstream.client import open_client

        with open_client(gallery) as client:
            yield client
        return
    from reidstream.gallery import Gallery

    with Gallery.open(gallery) as opened:
        yield Here(opened)


@contextmanager
def served(gallery: str) -> Iterator[Client | None]:
    """For changing: the server that owns the gallery; None when none does, so that it can be opened for writing."""
    with ExitStack() as stack:
        if is_elsewhere(gallery):
            from reidstream.client import open_client

            yield stack.enter_context(open_client(gallery))
            return
        if "://" in gallery:
            yield _by_database(gallery, stack)
            return
        from reidstream.server.place import is_served, short_path

        if not is_served(Path(gallery)):
            yield None
            return
        # Imported here: where nobody serves, HTTP is not needed.
        from reidstream.client import Client

        path = stack.enter_context(short_path(Path(gallery)))
        yield stack.enter_context(Client("http://localhost", socket=path, timeout=600.0))


def _by_database(gallery: str, stack: ExitStack) -> Client | None:
    """The server that owns a gallery in PostgreSQL, asked by a table of it; None when none does."""
    from reidstream.server.command_table import TableTransport, answers_commands

    if not answers_commands(gallery):
        return None
    from reidstream.cli.people.group import login
    from reidstream.client import Client

    transport = TableTransport(gallery, login())
    return stack.enter_context(Client("http://localhost", transport=transport, timeout=600.0))


def advice_on(place: str, people: int, stored: int) -> str | None:
    """What to do about a gallery without people; None when there are some."""
    if people or not stored:
        return None if people else f"gallery {place} holds no tracklets yet"
    advice = f"`reidstream people resolve --yes --gallery {place}` does it"
    return f"{stored} tracklets, but nobody was decided on yet: {advice}"
