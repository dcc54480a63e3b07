"""What most needs an eye: what is undecided, people who may be one, tracklets that may be somebody else's.

Each question has a weight, what its answer is expected to change: the number of pairs of tracklets that another answer
than the present state would join or part, times how likely that answer is. Pairs are what a gallery's
F1 is counted in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.most_alike import most_alike
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import Person
from reidstream.identities.profiles import Profile, profiles_of
from reidstream.identities.review import Review

# Neighbours of each person that are looked at, and pairs that are compared closely, the most alike first.
_NEIGHBOURS = 6
_MOST_PAIRS = 400
# What is less likely than this to be answered otherwise than it is now is no question.
_LEAST = 0.05


class Kind(StrEnum):
    """What is asked."""

    UNDECIDED = "undecided"
    """Is an undecided tracklet this person?"""
    ALIKE = "alike"
    """Are two people one?"""
    MEMBER = "member"
    """Is a tracklet the person that it was given to?"""


@dataclass(frozen=True, slots=True)
class Question:
    """one: a person. other: another person, or for ``MEMBER`` none. tracklet: the one in doubt, None for ``ALIKE``.

    probability: that it is the same person. weight: what an answer is expected to change, in pairs of tracklets.
    """

    kind: Kind
    one: Person
    other: Person | None
    tracklet: str | None
    probability: float
    weight: float

    @property
    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The tracklets that are compared: one side's and the other's."""
        if self.other is not None:
            return self.one.tracklets, self.other.tracklets
        assert self.tracklet is not None
        return tuple(t for t in self.one.tracklets if t != self.tracklet), (self.tracklet,)

    @property
    def words(self) -> str:
        """The question for people to read."""
        if self.other is not None:
            return f"are {self.one.title} and {self.other.title} the same person?"
        return f"is tracklet {str(self.tracklet)[:12]} {self.one.title}?"

    def holds(self, owner: Mapping[str, str]) -> bool:
        """Whether it still can be asked. owner: the person of each tracklet by now."""
        sides = [{owner.get(tracklet) for tracklet in side} for side in self.sides]
        theirs = self.other.id if self.other is not None else self.one.id
        return sides == [{self.one.id}, {theirs}]

    def answer(self, review: Review, same: bool) -> int:
        """Decide it; the number of the log's entry. Raises IdentityError for what contradicts an earlier decision."""
        if self.other is not None:
            keep, gone = sorted((self.one, self.other), key=_kept)
            return review.merge(keep.id, gone.id) if same else review.apart(keep.id, gone.id)
        assert self.tracklet is not None
        if not same:
            return review.reject(self.tracklet, self.one.id)
        sure = dict(zip(self.one.tracklets, self.one.probability, strict=True))
        surest = max(self.sides[0], key=lambda tracklet: (sure[tracklet], tracklet))
        return review.confirm(self.one.id, [surest, self.tracklet])


Same = Callable[[str, list[str]], list[float]]
"""How probable it is that a person and each of some others are one; see ``OnlineIdentities.same``."""


def questions(gallery: Gallery, config: IdentityConfig, same: Same | None = None) -> list[Question]:
    """All that is doubtful, what an answer changes most first.

    same: who remembers everybody already; without it, they are read for this.
    """
    profiles = profiles_of(gallery)
    if not profiles:
        return []
    found = [*_undecided(profiles), *_members(gallery, profiles)]
    asked = {frozenset((q.one.id, q.other.id)) for q in found if q.other is not None}
    found += [q for q in _alike(gallery, config, profiles, same) if q.other and {q.one.id, q.other.id} not in asked]
    return sorted(found, key=lambda q: (-q.weight, q.one.number, q.tracklet or "", q.other.number if q.other else 0))


def _undecided(profiles: list[Profile]) -> list[Question]:
    owner = {tracklet: profile.person for profile in profiles for tracklet in profile.person.tracklets}
    found = []
    for person in (profile.person for profile in profiles):
        candidate = owner.get(person.candidate or "")
        if person.undecided and candidate is not None and person.chance is not None and candidate.id != person.id:
            weight = person.chance * len(candidate.tracklets)
            found.append(Question(Kind.UNDECIDED, candidate, person, person.tracklets[0], person.chance, weight))
    return found


def _alike(gallery: Gallery, config: IdentityConfig, profiles: list[Profile], same: Same | None) -> list[Question]:
    """People whose means are near each other, as far as they are likely one."""
    means = np.stack([profile.vector for profile in profiles])
    others: dict[int, list[int]] = {}
    for a, b in most_alike(means, _MOST_PAIRS, _NEIGHBOURS):
        others.setdefault(a, []).append(b)
    same = same or OnlineIdentities(gallery, config).same
    found = []
    for a, close in others.items():
        one = profiles[a].person
        for b, chance in zip(close, same(one.id, [profiles[b].person.id for b in close]), strict=True):
            other = profiles[b].person
            if chance >= _LEAST:
                weight = chance * len(one.tracklets) * len(other.tracklets)
                found.append(Question(Kind.ALIKE, one, other, None, chance, weight))
    return found


def _members(gallery: Gallery, profiles: list[Profile]) -> list[Question]:
    """Tracklets that are not surely their person's, or hold somebody else as well, so much less pure than others."""
    rows = gallery.rows()
    purity = dict(zip(rows.id.tolist(), rows.purity.tolist(), strict=True))
    usual = max(float(np.median(rows.purity)), 1e-6)
    found = []
    for person in (profile.person for profile in profiles):
        beside = len(person.tracklets) - 1
        for tracklet, sure in zip(person.tracklets, person.probability, strict=True):
            own = sure * min(1.0, purity.get(tracklet, usual) / usual)
            # What reviewers said is sure.
            if beside and sure < 1.0 and 1.0 - own >= _LEAST:
                found.append(Question(Kind.MEMBER, person, None, tracklet, own, (1.0 - own) * beside))
    return found


def _kept(person: Person) -> tuple[bool, int, int]:
    """Who stays when two are one, first: somebody with a name, with more tracklets, known for longer."""
    return (not person.name, -len(person.tracklets), person.number)
