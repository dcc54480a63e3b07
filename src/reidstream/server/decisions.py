"""Decisions as they are sent: each with what its author saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.identities.review import Review

_Id = Annotated[str, Field(min_length=1, max_length=64)]
MOST_TRACKLETS = 20_000


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", str_max_length=4096)


class _Seen(_Sent):
    seen: dict[_Id, _Id] = Field(
        min_length=1,
        max_length=MOST_TRACKLETS,
        description="The tracklets that the author saw, each with the id of the person it belonged to.",
    )


class Merge(_Seen):
    """All of the others are the first person."""

    kind: Literal["merge"]
    people: list[_Id] = Field(min_length=2, max_length=1000, description="Person ids; the first one stays.")


class Apart(_Seen):
    """Two people are two, however alike they look."""

    kind: Literal["apart"]
    people: list[_Id] = Field(min_length=2, max_length=2, description="Two person ids.")


class Split(_Seen):
    """Some tracklets of a person are somebody else, one new person."""

    kind: Literal["split"]
    person: _Id
    tracklets: list[_Id] = Field(min_length=1, max_length=MOST_TRACKLETS)


class Confirm(_Seen):
    """These tracklets are this person."""

    kind: Literal["confirm"]
    person: _Id
    tracklets: list[_Id] = Field(min_length=1, max_length=MOST_TRACKLETS)


class Move(_Seen):
    """A tracklet belongs to this person."""

    kind: Literal["move"]
    tracklet: _Id
    person: _Id


class Reject(_Seen):
    """A tracklet is not this person, whoever it is."""

    kind: Literal["reject"]
    tracklet: _Id
    person: _Id


class Duplicates(_Seen):
    """Tracklets of one camera and one time are one person."""

    kind: Literal["duplicates"]
    tracklets: list[_Id] = Field(min_length=2, max_length=1000)


class Label(_Sent):
    """A person's name or notes."""

    kind: Literal["label"]
    person: _Id
    name: str | None = Field(default=None, max_length=200)
    notes: str | None = Field(default=None, max_length=4000)
    seen_name: str | None = Field(default=None, max_length=200, description="The name that the author saw, if any.")


class Undo(_Sent):
    """Take back an operation, the last one if none is named."""

    kind: Literal["undo"]
    operation: int | None = Field(default=None, ge=1, le=2**53)


Decision = Annotated[
    Merge | Apart | Split | Confirm | Move | Reject | Duplicates | Label | Undo, Field(discriminator="kind")
]


def people_of(decision: Decision) -> list[str]:
    """The people that a decision speaks of by id."""
    if isinstance(decision, Merge | Apart):
        return list(decision.people)
    return [decision.person] if isinstance(decision, Split | Confirm | Move | Reject | Label) else []


def tracklets_of(decision: Decision) -> list[str]:
    """The tracklets that a decision speaks of."""
    if isinstance(decision, Split | Confirm | Duplicates):
        return list(decision.tracklets)
    return [decision.tracklet] if isinstance(decision, Move | Reject) else []


def seen_of(decision: Decision) -> Mapping[str, str]:
    """What the author saw. Raises ConfigError when it does not cover what the decision speaks of."""
    if isinstance(decision, Label | Undo):
        return {}
    seen = decision.seen
    if missing := [t for t in tracklets_of(decision) if t not in seen]:
        raise ConfigError(f"seen must name the person of every tracklet that is decided on; {missing[0]} is missing")
    speaks_of = people_of(decision)
    if isinstance(decision, Reject | Move):
        # Whoever takes somebody for another must have seen the other.
        speaks_of = [decision.person]
    if missing := [person for person in speaks_of if person not in seen.values()]:
        raise ConfigError(f"seen must name a tracklet of every person that is decided on; {missing[0]} has none")
    return seen


def execute(gallery: Gallery, author: str, decision: Decision) -> int:
    """Make a decision true; the number of its log entry.

    Raises IdentityChanged when what was seen is no longer so, IdentityError, TrackletNotFound, ConfigError.
    """
    review = Review(gallery, author, seen_of(decision))
    match decision:
        case Merge():
            return review.merge(*decision.people)
        case Apart():
            return review.apart(*decision.people, seen=list(decision.seen))
        case Split():
            return review.split(decision.person, decision.tracklets)
        case Confirm():
            return review.confirm(decision.person, decision.tracklets)
        case Move():
            return review.move(decision.tracklet, decision.person)
        case Reject():
            return review.reject(decision.tracklet, decision.person)
        case Duplicates():
            return review.duplicates(decision.tracklets)
        case Label():
            return review.label(decision.person, decision.name, decision.notes, seen_name=decision.seen_name)
        case Undo():
            return review.undo(decision.operation)
