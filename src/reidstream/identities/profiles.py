"""What is known of each person at a glance: when, where, how they look, and who looks like them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reidstream.gallery import Gallery
from reidstream.identities.people import Person, list_people
from reidstream.types import FloatArray


@dataclass(frozen=True, slots=True)
class Profile:
    """A person and what their tracklets say together.

    cameras: sources that saw them, by name. first_seen, last_seen: Unix seconds. seconds: time in view, all tracklets
    together. vector: float32 (d,), unit length, the mean of the tracklets' embeddings.
    """

    person: Person
    cameras: tuple[str, ...]
    first_seen: float
    last_seen: float
    seconds: float
    vector: FloatArray = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the vector."""
        return {
            "id": self.person.id,
            "number": self.person.number,
            "name": self.person.name,
            "notes": self.person.notes,
            "tracklets": list(self.person.tracklets),
            "probability": list(self.person.probability),
            "cameras": list(self.cameras),
            "first_seen": self.first_seen,
            "last_seen": self.last_seen,
            "seconds": self.seconds,
        }


def profiles_of(gallery: Gallery) -> list[Profile]:
    """Everybody in a gallery, by number; empty when nobody was decided on yet."""
    people = list_people(gallery)
    if not people:
        return []
    rows = gallery.rows()
    place = {tracklet: row for row, tracklet in enumerate(rows.id.tolist())}
    _, vectors = gallery.vectors(rows.id.tolist())
    profiles = []
    for person in people:
        own = np.array([place[t] for t in person.tracklets if t in place], np.int64)
        if not len(own):
            # Erased since the people were read.
            continue
        total = vectors[own].sum(axis=0)
        profiles.append(
            Profile(
                person,
                tuple(sorted(set(rows.source[own].tolist()))),
                float(rows.start_wall[own].min()),
                float(rows.end_wall[own].max()),
                float((rows.end_wall[own] - rows.start_wall[own]).sum()),
                (total / max(float(np.linalg.norm(total)), 1e-6)).astype(np.float32),
            )
        )
    return profiles


def nearest_people(
    profiles: list[Profile], wanted: Iterable[str], most: int = 5
) -> dict[str, list[tuple[Person, float]]]:
    """For each wanted person id the other people who look most like them, with the cosine of their mean embeddings.

    What is undecided is no person.
    """
    rows = {profile.person.id: row for row, profile in enumerate(profiles)}
    means = np.stack([profile.vector for profile in profiles])
    found = {}
    for person in wanted:
        similarity = means @ means[rows[person]]
        order = [k for k in np.argsort(-similarity, kind="stable").tolist() if k != rows[person]]
        order = [k for k in order if not profiles[k].person.undecided][:most]
        found[person] = [(profiles[k].person, float(similarity[k])) for k in order]
    return found
