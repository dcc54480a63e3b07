"""Who somebody is, for people who search: a person with a probability, somebody unclear, or nobody known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import Person, list_people
from reidstream.types import FloatArray

if TYPE_CHECKING:
    from reidstream.search.query import Query

# More are of no use to anybody: the probabilities of what follows are next to nothing.
_CANDIDATES = 5


class Conclusion(StrEnum):
    """What the probabilities come to."""

    PERSON = "person"
    """One person is so likely that the accepted risk of a wrong name is kept."""
    NOBODY = "nobody"
    """That it is nobody known is likelier than any person."""
    UNCLEAR = "unclear"
    """Some person is likelier than nobody, but not likely enough to be named."""
    GIVEN = "given"
    """A stored tracklet was asked for: it is the person that it was given."""
    UNDECIDED = "undecided"
    """The gallery has no people yet."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The answer to a query.

    person: who is named, None unless the verdict is PERSON or GIVEN. nobody: the probability that it is nobody
    known, None where it was not asked (GIVEN, UNDECIDED). candidates: most likely first. owners: the person of each
    tracklet found that has one.
    """

    verdict: Conclusion
    person: Person | None
    nobody: float | None
    candidates: tuple[tuple[Person, float], ...]
    owners: dict[str, Person]

    @property
    def titles(self) -> dict[str, str]:
        """What the person of each tracklet is called."""
        return {tracklet: person.title for tracklet, person in self.owners.items()}

    @property
    def sentence(self) -> str:
        """The answer for people to read."""
        if self.verdict is Conclusion.UNDECIDED:
            return "nobody was decided on in this gallery yet (reidstream people resolve)"
        if self.verdict is Conclusion.GIVEN:
            (person, sure) = self.candidates[0]
            if person.undecided:
                return f"who it is: undecided, kept as {person.title}"
            return f"who it is: {person.title}, as decided for this tracklet ({sure:.0%} sure)"
        likely = ", ".join(f"{person.title} {probability:.0%}" for person, probability in self.candidates[:3])
        who = "nobody known"
        if self.verdict is Conclusion.UNCLEAR:
            who = "unclear, no name is sure enough"
        elif self.person is not None:
            who = self.person.title
        return f"who it is: {who} ({likely + ', ' if likely else ''}nobody known {self.nobody:.0%})"

    def person_of(self, tracklet: str) -> dict[str, Any] | None:
        """The person of a tracklet as plain values."""
        return _plain(self.owners[tracklet]) if tracklet in self.owners else None

    def probability_of(self, tracklet: str) -> float | None:
        """How probable it is that the query shows the person of this tracklet; None where nothing was decided."""
        owner = self.owners.get(tracklet)
        if owner is None or self.verdict is Conclusion.UNDECIDED:
            return None
        return next((p for person, p in self.candidates if person.id == owner.id), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain values."""
        return {
            "verdict": self.verdict.value,
            "person": None if self.person is None else _plain(self.person),
            "nobody": self.nobody,
            "candidates": [{**_plain(person), "probability": p} for person, p in self.candidates[:_CANDIDATES]],
        }


class Recogniser:
    """The people of a gallery as they are when it is made, ready for any number of questions."""

    def __init__(self, gallery: Gallery, config: IdentityConfig) -> None:
        self._people = {person.id: person for person in list_people(gallery)}
        self._owner = {tracklet: person for person in self._people.values() for tracklet in person.tracklets}
        # Loading everybody takes time that a stored tracklet's question does not need.
        self._online: OnlineIdentities | None = None
        self._gallery, self._config = gallery, config

    def given(self, tracklet: str, found: Sequence[str] = ()) -> Identity | None:
        """The person that a stored tracklet was given; None when it has none."""
        person = self._owner.get(tracklet)
        if person is None:
            return None
        sure = dict(zip(person.tracklets, person.probability, strict=True))[tracklet]
        return Identity(Conclusion.GIVEN, person, None, ((person, sure),), self._owners(found))

    def recognise(self, vector: FloatArray, found: Sequence[str] = ()) -> Identity:
        """Who a vector float32 (d,), unit length, shows. found: tracklets whose people are wanted as well."""
        owners = self._owners(found)
        if not self._people:
            return Identity(Conclusion.UNDECIDED, None, None, (), owners)
        if self._online is None:
            self._online = OnlineIdentities(self._gallery, self._config)
        answer = self._online.answer(vector[None])
        # Somebody may have been added since the people were read.
        candidates = tuple((self._people[i], p) for i, p in answer.candidates if i in self._people)
        verdict = conclusion_of([p for _, p in candidates], answer.nobody, self._config.false_merges)
        if verdict is Conclusion.PERSON and candidates[0][0].undecided:
            # It looks like somebody of whom it is not known who they are.
            verdict = Conclusion.UNCLEAR
        person = candidates[0][0] if verdict is Conclusion.PERSON else None
        return Identity(verdict, person, answer.nobody, candidates, owners)

    def _owners(self, found: Sequence[str]) -> dict[str, Person]:
        return {tracklet: self._owner[tracklet] for tracklet in found if tracklet in self._owner}


def conclusion_of(candidates: Sequence[float], nobody: float, false_merges: float) -> Conclusion:
    """What probabilities come to: a name is given only when it is wrong with no more than the accepted risk.

    candidates: the probability of each person, most likely first. nobody: of nobody known.
    """
    best = candidates[0] if candidates else 0.0
    if best >= 1.0 - false_merges:
        return Conclusion.PERSON
    return Conclusion.NOBODY if nobody >= best else Conclusion.UNCLEAR


def who_is(gallery: Gallery, query: Query, config: IdentityConfig, found: Sequence[str] = ()) -> Identity:
    """Who a query shows. found: tracklets whose people are wanted as well.

    A stored tracklet is the person it was given; anybody else is recognised by their looks.
    """
    recogniser = Recogniser(gallery, config)
    given = recogniser.given(query.tracklet, found) if query.tracklet is not None else None
    return given or recogniser.recognise(query.vector, found)


def _plain(person: Person) -> dict[str, Any]:
    known = {"id": person.id, "number": person.number, "name": person.name}
    return {**known, "undecided": True} if person.undecided else known
