"""Questions that were found, and which of them are still questions: for everybody, and for whoever asks.

A gallery of a hundred thousand tracklets has as many questions. Nothing looks at all of them for one request: what a
change, an answer or a hidden person concerns is found by person and by pair.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.identities.catalogue import Catalogue
from reidstream.identities.questions import Kind

Mask = npt.NDArray[np.bool_]
Pair = tuple[str, str]

# Views of callers who may see some cameras only that are kept.
_VIEWS = 8


@dataclass(frozen=True, slots=True)
class Question:
    """A question of ``identities.questions`` by ids.

    kind: "undecided" (is this somebody known?), "alike" (are two people one?) or "member" (is a tracklet this
    person?). one: a person. other: another person, or the tracklet. probability: that the answer is yes. weight: what
    an answer is expected to change, in pairs of tracklets; the queue's order.
    """

    kind: str
    one: str
    other: str
    probability: float
    weight: float

    @property
    def pair(self) -> bool:
        """Whether it is about two people."""
        return self.kind != Kind.MEMBER

    @property
    def people(self) -> tuple[str, ...]:
        """Whom it is about."""
        return (self.one, self.other) if self.pair else (self.one,)

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of somebody: the first questions, how many there are in all, and how many of them were put off."""

    questions: list[Question]
    left: int
    later: int


class OpenQuestions:
    """n questions, the weightiest first, and whether each still is one. Whoever uses it from several threads locks.

    catalogue: who is who; ``follow`` takes over what has changed there.
    """

    def __init__(self, catalogue: Catalogue, questions: Sequence[Question], answered: Collection[Pair] = ()) -> None:
        self._catalogue = catalogue
        self._questions = questions
        self._answered = set(answered)
        self._row = {(question.one, question.other): row for row, question in enumerate(questions)}
        self._rows_of: dict[str, list[int]] = {}
        for row, question in enumerate(questions):
            for person in question.people:
                self._rows_of.setdefault(person, []).append(row)
        self._version = -1
        self._open: Mask = np.zeros(len(questions), bool)
        self._seen: dict[frozenset[str], Mask] = {}
        self.follow()

    def __len__(self) -> int:
        """How many are still questions."""
        return int(self._open.sum())

    def follow(self) -> None:
        """Take over what has changed in the catalogue."""
        version, changed = self._catalogue.changed_since(self._version)
        if version == self._version:
            return
        # What happens while rows are looked at is looked at the next time.
        self._version = version
        rows: Iterable[int] = range(len(self._questions))
        if changed is not None:
            rows = {row for person in changed for row in self._rows_of.get(person, ())}
        for row in rows:
            self._open[row] = self._holds(self._questions[row])
            for cameras, seen in self._seen.items():
                seen[row] = self._sees(cameras, self._questions[row])

    def answer(self, pairs: Collection[Pair]) -> list[Question]:
        """These were decided and are no questions any more; those that were, the weightiest first."""
        rows = sorted(self._row[pair] for pair in set(pairs) - self._answered if pair in self._row)
        self._answered.update(pairs)
        self._open[rows] = False
        return [self._questions[row] for row in rows]

    def asked(
        self,
        most: int,
        cameras: Collection[str] | None = None,
        *,
        but: Iterable[Pair] = (),
        later: Iterable[Pair] = (),
        hidden: Iterable[str] = (),
        first: Pair | None = None,
    ) -> Asked:
        """The first questions for somebody.

        cameras: those that they may see; only what they may decide is asked. None: all. but: what they skipped.
        later: what they put off comes after all others. hidden: people about whom nothing is asked. first: the
        question that comes before all others.
        """
        mask = self._open.copy() if cameras is None else self._open & self._view(frozenset(cameras))
        for person in hidden:
            mask[self._rows_of.get(person, [])] = False
        for pair in but:
            if (row := self._row.get(pair)) is not None:
                mask[row] = False
        left = int(mask.sum())
        put_off = sorted({row for pair in later if (row := self._row.get(pair)) is not None and mask[row]})
        begin = self._row.get(first) if first is not None else None
        begin = begin if begin is not None and mask[begin] else None
        mask[put_off] = False
        rows = [*np.flatnonzero(mask)[:most].tolist(), *put_off]
        if begin is not None:
            rows = [begin, *(row for row in rows if row != begin)]
        return Asked([self._questions[row] for row in rows[:most]], left, len(put_off))

    def _view(self, cameras: frozenset[str]) -> Mask:
        """bool (n,): what somebody may decide who may see these cameras."""
        if cameras not in self._seen:
            if len(self._seen) >= _VIEWS:
                self._seen.clear()
            found = (self._sees(cameras, question) for question in self._questions)
            self._seen[cameras] = np.fromiter(found, bool, len(self._questions))
        return self._seen[cameras]

    def _sees(self, cameras: frozenset[str], question: Question) -> bool:
        entries = [self._catalogue.get(person) for person in question.people]
        return all(entry is not None and cameras.issuperset(entry.cameras) for entry in entries)

    def _holds(self, question: Question) -> bool:
        if (question.one, question.other) in self._answered:
            return False
        if any(self._catalogue.get(person) is None for person in question.people):
            return False
        return question.pair or self._catalogue.owner(question.other) == question.one
