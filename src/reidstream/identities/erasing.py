"""Erasing a person as a whole: visits, vectors and pictures, name and notes, and what was written about them."""

from __future__ import annotations

from sqlalchemy import Connection, select

from reidstream.errors import IdentityError
from reidstream.gallery import Gallery
from reidstream.gallery.erasing import Erasure
from reidstream.gallery.index.building import Progress
from reidstream.identities.people import Person, find_person, has_people, members_of, prepare
from reidstream.identities.schema import people


def person_to_erase(gallery: Gallery, word: str) -> Person:
    """The person meant by a number, a name or the beginning of an id, also one that has no visits left.

    Raises IdentityError when there is none, or more than one.
    """
    if not has_people(gallery):
        raise IdentityError(f"nobody was decided on yet in gallery {gallery.place}; `gallery erase` erases visits")
    with gallery.read() as connection:
        try:
            found = find_person(connection, word)
        except IdentityError:
            alone = _without_visits(connection, word)
            if alone is None:
                raise
            found = alone
        row = connection.execute(select(people).where(people.c.id == found)).one()
        held = tuple(members_of(connection, found))
    return Person(row.id, row.number, row.name, row.notes, row.created_wall, held, (1.0,) * len(held))


def erase_person(gallery: Gallery, word: str, author: str, progress: Progress | None = None) -> Erasure:
    """Erase somebody from everything that the gallery keeps, and prove it; see ``person_to_erase``.

    An event ``PersonErased`` tells those who follow the gallery to forget the person, too. Whoever is seen after that
    is somebody new. Raises IdentityError before anything is changed, GalleryError when traces remain.
    """
    prepare(gallery)
    person = person_to_erase(gallery, word)
    return gallery.erase(person.tracklets, people=[person.id], author=author, progress=progress)


def _without_visits(connection: Connection, word: str) -> str | None:
    """Somebody whose visits were erased, or went to others; only an exact word will do."""
    c = people.c
    text = word.strip()
    exact = (c.id == text) | (c.name == text)
    if text.isdigit():
        exact |= c.number == int(text)
    found = connection.execute(select(c.id).where(exact)).scalars().all()
    return str(found[0]) if len(found) == 1 else None
