"""The decision about one tracklet: somebody, undecided, or nobody known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

Who = TypeVar("Who", str, int)


class Outcome(Enum):
    """What was decided. Only ``DECIDED`` is a fact; ``UNDECIDED`` is a suggestion."""

    DECIDED = "decided"
    UNDECIDED = "undecided"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Verdict(Generic[Who]):
    """The decision about one tracklet.

    outcome: ``DECIDED``, it is ``person``; ``UNDECIDED``, it is likelier somebody known than nobody, most likely
    ``person``, but less surely than the accepted risk allows; ``NOBODY``, it is nobody known. person: an id (str) from
    deciding one after the other, the number of a group (int) from resolving; None for ``NOBODY``. probability: that it
    is ``person``; for ``NOBODY`` that it is none of the known.
    """

    outcome: Outcome
    person: Who | None
    probability: float

    def __post_init__(self) -> None:
        if (self.person is None) != (self.outcome is Outcome.NOBODY):
            raise ValueError(f"person must be given unless the outcome is nobody, found {self.person!r}")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must be between 0 and 1, found {self.probability!r}")

    @property
    def candidate(self) -> Who | None:
        """Who it may be, where that is a suggestion only; None where it is decided."""
        return self.person if self.outcome is Outcome.UNDECIDED else None
