"""What most needs an eye: pairs of people who may be one, and memberships that are unsure, the likeliest to change
something first."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from reidstream.identities.catalogue import Entry
from reidstream.server.decisions import Decision, people_of, tracklets_of
from reidstream.server.desk import Desk
from reidstream.types import FloatArray, IntArray

# Neighbours of each person that are looked at.
_NEIGHBOURS = 6
# People compared with all others in one go.
_BLOCK = 2000
# So many times the wanted pairs are looked at, so that a few people who resemble many leave others their place.
_MORE = 16
# Pairs that are asked about closely, the most alike first.
_MOST_PAIRS = 400
# A pair that is less likely than this to be one person is no question.
_LEAST = 0.05
# Finding questions that takes no longer than these seconds is done whenever something has changed; else that often, in
# times of what it took.
_SHORT = 0.3
_SHARE = 10.0
# The first questions of a gallery with more people than this are found beside.
_FEW = 2000
# Memberships that are surer than this are none.
_SURE = 0.9


@dataclass(frozen=True, slots=True)
class Question:
    """kind: "same" (are two people one?) or "member" (is a tracklet this person?).

    one: a person. other: another person, or the tracklet. probability: that the answer is yes. weight: how many
    tracklets change their person by the less likely answer, times how likely that is; the queue's order.
    """

    kind: str
    one: str
    other: str
    probability: float
    weight: float

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class ReviewQueue:
    """Questions about a gallery, found anew when it has changed. Safe to use from several threads.

    Where that takes long, it is done beside, and not all the time; meanwhile the questions are those of before, without
    those that were answered.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._version = -1
        self._questions: list[Question] = []
        self._answered: set[tuple[str, str]] = set()
        self._took = 0.0
        self._found_at = 0.0
        self._finding: threading.Thread | None = None

    def questions(self) -> list[Question]:
        """All questions, the weightiest first."""
        with self._lock:
            self._desk.catalogue.refresh()
            if self._version != self._desk.catalogue.version:
                if self._took < _SHORT and (self._version >= 0 or len(self._desk.catalogue) <= _FEW):
                    self._find()
                elif self._finding is None and time.monotonic() - self._found_at > _SHARE * self._took:
                    self._finding = threading.Thread(target=self._find, name="review queue", daemon=True)
                    self._finding.start()
            return [question for question in self._questions if self._holds(question)]

    @property
    def finding(self) -> bool:
        """Whether the first questions are still being looked for."""
        return self._version < 0

    def answered(self, decision: Decision) -> None:
        """A decision was made: what it answers is not asked again."""
        people, tracklets = people_of(decision), tracklets_of(decision)
        pairs = [(one, other) for one in people for other in (*people, *tracklets) if one != other]
        self._answered.update(pairs)

    def _holds(self, question: Question) -> bool:
        catalogue = self._desk.catalogue
        if (question.one, question.other) in self._answered or catalogue.get(question.one) is None:
            return False
        if question.kind == "same":
            return catalogue.get(question.other) is not None
        return catalogue.owner(question.other) == question.one

    def _find(self) -> None:
        before = time.monotonic()
        version, answered = self._desk.catalogue.version, set(self._answered)
        try:
            self._ask(before, version, answered)
        finally:
            self._finding = None

    def _ask(self, before: float, version: int, answered: set[tuple[str, str]]) -> None:
        found = sorted([*self._pairs(), *self._members()], key=lambda q: (-q.weight, q.one, q.other))
        self._questions, self._version = found, version
        # What was answered before the looking began is in what was found; an undone answer is a question again.
        self._answered -= answered
        self._found_at = time.monotonic()
        self._took = self._found_at - before

    def _pairs(self) -> list[Question]:
        ids, means = self._desk.looks.means()
        near = most_alike(means)
        by_person: dict[str, list[str]] = {}
        for a, b in near:
            by_person.setdefault(ids[a], []).append(ids[b])
        found = []
        for person, near_ones in by_person.items():
            one = self._desk.catalogue.get(person)
            others = [entry for other in near_ones if (entry := self._desk.catalogue.get(other)) is not None]
            for other, same in zip(others, self._desk.same_person(one, others) if one else (), strict=False):
                if same >= _LEAST and one is not None:
                    found.append(Question("same", person, other.person.id, same, _weight(same, one, other)))
        return found

    def _members(self) -> list[Question]:
        found = []
        for entry in self._desk.catalogue.entries():
            if len(entry.visits) < 2:
                continue
            for visit in entry.visits:
                if visit.probability < _SURE:
                    doubt = 1.0 - visit.probability
                    found.append(Question("member", entry.person.id, visit.tracklet, visit.probability, doubt))
        return found


def most_alike(means: FloatArray, most: int = _MOST_PAIRS, each: int = _NEIGHBOURS) -> list[tuple[int, int]]:
    """The pairs of rows that are most alike, the most alike first; nobody is in many of them.

    means: float32 (n, d), unit length. most: pairs in all; each: of one row with earlier ones, and with later ones.
    """
    kept = np.zeros((0, 2), np.int64)
    alike = np.zeros(0, np.float32)
    least = np.float32(-1.5)
    for begin in range(0, len(means), _BLOCK):
        # Every pair once: with those of the same block that come later, and with all blocks after it.
        cosines = means[begin : begin + _BLOCK] @ means[begin:].T
        cosines[np.tril_indices(len(cosines))] = -2.0
        # What is below the threshold, which rises from block to block, is never put in order.
        above = cosines[cosines > least]
        enough = np.partition(above, -_MORE * most)[-_MORE * most] if len(above) > _MORE * most else least
        row, other = np.nonzero((cosines >= enough) & (cosines > least))
        kept = np.concatenate([kept, np.stack([row, other], axis=1) + begin])
        alike = np.concatenate([alike, cosines[row, other]])
        order = np.argsort(-alike, kind="stable")
        kept, alike = kept[order], alike[order]
        few = (_rank(kept[:, 0]) < each) & (_rank(kept[:, 1]) < each)
        kept, alike = kept[few][:most], alike[few][:most]
        if len(alike) == most:
            least = alike[-1]
    return [(int(a), int(b)) for a, b in kept.tolist()]


def _rank(values: IntArray) -> IntArray:
    """int64 (m,): how often each value was there before."""
    order = np.argsort(values, kind="stable")
    held = values[order]
    first = np.flatnonzero(np.diff(held, prepend=held[:1] - 1)) if len(held) else np.zeros(0, np.int64)
    counts = np.diff(np.append(first, len(held)))
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(held)) - np.repeat(first, counts)
    return rank


def _weight(same: float, one: Entry, two: Entry) -> float:
    """Two people are kept apart now: what joining them would change, times how likely that is."""
    return same * min(len(one.visits), len(two.visits))


def answerable(question: Question, hidden: Collection[str]) -> bool:
    """Whether nobody whom the question is about is hidden."""
    return question.one not in hidden and question.other not in hidden
