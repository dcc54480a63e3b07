"""A gallery of as many people as are wanted, made in seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import insert

from reidstream.gallery import Gallery
from reidstream.identities.outbox import append_events
from reidstream.identities.people import prepare
from reidstream.identities.schema import members, people
from reidstream.types import SourceStarted
from tests.identities.conftest import SPACE
from tests.server.conftest import with_pictures

_STORED_TOGETHER = 2000
_TWICE = 50
"""Every so many was seen a second time, after everybody else."""


@dataclass(frozen=True)
class Crowd:
    """The tracklets of everybody by person; ids in the order in which people were seen first."""

    tracklets: dict[str, list[str]]


def fill(gallery: Gallery, many: int) -> Crowd:
    """Put people into a gallery: each is seen for a second after the one before."""
    prepare(gallery)
    gallery.begin_source(SourceStarted("long", "long.mp4", "content of long", (640, 480), 10, 0.0), "settings")
    (made,) = with_pictures([(7, "long", 0, 1)])
    persons = [f"{n:012x}" for n in range(many)]
    owners = [*persons, *persons[::_TWICE]]
    ids = [f"{n + 1:032x}" for n in range(len(owners))]
    looks = np.random.default_rng(many).normal(size=(len(ids), SPACE.size)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    for begin in range(0, len(ids), _STORED_TOGETHER):
        gallery.add(
            [
                replace(
                    made,
                    id=ids[n],
                    track_id=n,
                    start_wall=1000.0 + n,
                    end_wall=1001.0 + n,
                    embedding=looks[n],
                    prototypes=looks[n : n + 1],
                    prototype_weights=np.ones(1, np.float32),
                )
                for n in range(begin, min(begin + _STORED_TOGETHER, len(ids)))
            ]
        )
    with gallery.write() as connection:
        # Behind the numbers of whoever is given theirs by the server.
        rows = [{"id": one, "number": 1000 + n, "name": "", "created_wall": 0.0} for n, one in enumerate(persons)]
        connection.execute(insert(people), rows)
        held = zip(ids, owners, strict=True)
        connection.execute(insert(members), [{"tracklet": t, "person": p, "probability": 0.95} for t, p in held])
        append_events(connection, [("IdentitiesResolved", {"people": many})])
    tracklets: dict[str, list[str]] = {person: [] for person in persons}
    for tracklet, person in zip(ids, owners, strict=True):
        tracklets[person].append(tracklet)
    return Crowd(tracklets)
