"""What most needs an eye, in the order of ``identities.questions``: the same in the browser as in the terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from reidstream.errors import TrackletNotFound
from reidstream.identities.questions import Kind, questions
from reidstream.server.decisions import Decision, people_of, tracklets_of
from reidstream.server.desk import Desk

# Finding questions that takes no longer than these seconds is done whenever something has changed; else that often, in
# times of what it took.
_SHORT = 0.3
_SHARE = 10.0
# The first questions of a gallery with more people than this are found beside.
_FEW = 2000


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

    def answered(self, decision: Decision) -> list[Question]:
        """A decision was made: what it answers is not asked again. The questions that it answered."""
        people, tracklets = people_of(decision), tracklets_of(decision)
        pairs = {(one, other) for one in people for other in (*people, *tracklets) if one != other}
        answered = [q for q in self._questions if (q.one, q.other) in pairs - self._answered]
        self._answered.update(pairs)
        return answered

    def _holds(self, question: Question) -> bool:
        catalogue = self._desk.catalogue
        if (question.one, question.other) in self._answered or catalogue.get(question.one) is None:
            return False
        if question.pair:
            return catalogue.get(question.other) is not None
        return catalogue.owner(question.other) == question.one

    def _find(self) -> None:
        before = time.monotonic()
        version, answered = self._desk.catalogue.version, set(self._answered)
        try:
            self._ask(before, version, answered)
        except TrackletNotFound:
            # Erased while everybody was looked at; who asks next looks again.
            pass
        finally:
            self._finding = None

    def _ask(self, before: float, version: int, answered: set[tuple[str, str]]) -> None:
        desk = self._desk
        found = [
            Question(q.kind.value, q.one.id, q.other.id if q.other else str(q.tracklet), q.probability, q.weight)
            for q in questions(desk.gallery, desk.config.identities, desk.same)
        ]
        self._questions, self._version = found, version
        # What was answered before the looking began is in what was found; an undone answer is a question again.
        self._answered -= answered
        self._found_at = time.monotonic()
        self._took = self._found_at - before


def answerable(question: Question, hidden: Collection[str]) -> bool:
    """Whether nobody whom the question is about is hidden."""
    return question.one not in hidden and question.other not in hidden
