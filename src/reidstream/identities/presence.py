"""Who is written about in the very moment in which somebody else has them erased."""

from __future__ import annotations

from sqlalchemy import Connection, select

from reidstream.errors import PersonNotFound, TrackletNotFound
from reidstream.gallery.schema import tracklets
from reidstream.gallery.tombstones import erased_people
from reidstream.identities.schema import people

_TRACKLET_DIGITS = 32
"""Hex digits of a tracklet's id; people's are shorter. See ``types.Tracklet``."""


def demand_there(connection: Connection, *ids: str | None) -> None:
    """To be called in the transaction that writes ids of people and tracklets down, before it does; None is left out.

    An erasure takes along what was written before it. What is written after it would be a trace that none takes out.
    Raises TrackletNotFound for a tracklet that is not in the gallery, PersonNotFound for a person who was erased.
    """
    persons = []
    for id in filter(None, ids):
        if len(id) != _TRACKLET_DIGITS:
            persons.append(id)
            continue
        # On a server an erasure waits until what is written stands, and takes it along then.
        query = select(tracklets.c.seq).where(tracklets.c.id == id).with_for_update(read=True, key_share=True)
        if connection.execute(query).first() is None:
            raise TrackletNotFound(f"no tracklet {id} in this gallery; it may have been erased a moment ago")
    if not persons:
        return
    # Whoever is in a recording that was forgotten and read again has the id that they had.
    here = set(connection.execute(select(people.c.id).where(people.c.id.in_(persons))).scalars())
    for person in sorted(erased_people(connection, set(persons) - here)):
        raise PersonNotFound(f"no person {person} in this gallery; they were erased")
