"""Who somebody is, for people who search: a person with a probability, or nobody known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import Person, list_people

if TYPE_CHECKING:
    from reidstream.query import Query

# More are of no use to anybody: the probabilities of what follows are next to nothing.
_CANDIDATES = 5


@dataclass(frozen=True, slots=True)
class Identity:
    """The answer to a query.

    decided: whether anybody has a person in this gallery. person: None for nobody known. nobody: the probability of
    that. candidates: most likely first. owners: the person of each tracklet found that has one.
    """

    decided: bool
    person: Person | None
    nobody: float
    candidates: tuple[tuple[Person, float], ...]
    owners: dict[str, Person]

    @property
    def titles(self) -> dict[str, str]:
        """What the person of each tracklet is called."""
        return {tracklet: person.title for tracklet, person in self.owners.items()}

    @property
    def sentence(self) -> str:
        """The answer for people to read."""
        if not self.decided:
            return "nobody was decided on in this gallery yet (reidstream people resolve)"
        likely = ", ".join(f"{person.title} {probability:.0%}" for person, probability in self.candidates[:3])
        who = self.person.title if self.person is not None else "nobody known"
        return f"who it is: {who} ({likely + ', ' if likely else ''}nobody known {self.nobody:.0%})"

    def person_of(self, tracklet: str) -> dict[str, Any] | None:
        """The person of a tracklet as plain values."""
        return _plain(self.owners[tracklet]) if tracklet in self.owners else None

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain values."""
        return {
            "person": None if self.person is None else _plain(self.person),
            "nobody": self.nobody if self.decided else None,
            "candidates": [{**_plain(person), "probability": p} for person, p in self.candidates],
        }


def who_is(gallery: Gallery, query: Query, config: IdentityConfig, found: Sequence[str] = ()) -> Identity:
    """Who a query shows. found: tracklets whose people are wanted as well.

    A stored tracklet is the person it was given; anybody else is recognised by their looks.
    """
    people = {person.id: person for person in list_people(gallery)}
    owner = {tracklet: person for person in people.values() for tracklet in person.tracklets}
    owners = {tracklet: owner[tracklet] for tracklet in found if tracklet in owner}
    if query.tracklet is not None and query.tracklet in owner:
        person = owner[query.tracklet]
        sure = dict(zip(person.tracklets, person.probability, strict=True))[query.tracklet]
        return Identity(True, person, 1.0 - sure, ((person, sure),), owners)
    if not people:
        return Identity(False, None, 1.0, (), owners)
    answer = OnlineIdentities(gallery, config).answer(query.vector[None])
    # Somebody may have been added since the people were read.
    candidates = tuple((people[i], p) for i, p in answer.candidates[:_CANDIDATES] if i in people)
    return Identity(True, people.get(answer.person or ""), answer.nobody, candidates, owners)


def _plain(person: Person) -> dict[str, Any]:
    return {"id": person.id, "number": person.number, "name": person.name}
