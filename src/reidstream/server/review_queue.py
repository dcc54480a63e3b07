"""What most needs an eye, in the order of ``identities.questions``: the same in the browser as in the terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable

from reidstream.errors import TrackletNotFound
from reidstream.identities.questions import questions
from reidstream.server.decisions import Decision, people_of, tracklets_of
from reidstream.server.desk import Desk
from reidstream.server.open_questions import Asked, OpenQuestions, Pair, Question

# Finding questions that takes no longer than these seconds is done whenever something has changed; else that often, in
# times of what it took.
_SHORT = 0.3
_SHARE = 10.0
# The first questions of a gallery with more people than this are found beside.
_FEW = 2000


class ReviewQueue:
    """Questions about a gallery, found anew when it has changed. Safe to use from several threads.

    Where that takes long, it is done beside, and not all the time; meanwhile the questions are those of before, without
    those that were answered.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        # The thread that finds questions holds it for putting them in place only.
        self._lock = threading.RLock()
        self._version = -1
        self._open = OpenQuestions(desk.catalogue, [])
        self._answered: set[Pair] = set()
        self._took = 0.0
        self._found_at = 0.0
        self._finding: threading.Thread | None = None

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
        """The first questions for somebody, the weightiest first; see ``OpenQuestions.asked``."""
        with self._lock:
            self._desk.catalogue.refresh()
            if self._version != self._desk.catalogue.version:
                if self._took < _SHORT and (self._version >= 0 or len(self._desk.catalogue) <= _FEW):
                    self._find()
                elif self._finding is None and time.monotonic() - self._found_at > _SHARE * self._took:
                    self._finding = threading.Thread(target=self._find, name="review queue", daemon=True)
                    self._finding.start()
            self._open.follow()
            return self._open.asked(most, cameras, but=but, later=later, hidden=hidden, first=first)

    @property
    def finding(self) -> bool:
        """Whether the first questions are still being looked for."""
        return self._version < 0

    def answered(self, decision: Decision) -> list[Question]:
        """A decision was made: what it answers is not asked again. The questions that it answered."""
        people, tracklets = people_of(decision), tracklets_of(decision)
        pairs = {(one, other) for one in people for other in (*people, *tracklets) if one != other}
        with self._lock:
            self._answered.update(pairs)
            return self._open.answer(pairs)

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

    def _ask(self, before: float, version: int, answered: set[Pair]) -> None:
        desk = self._desk
        found = [
            Question(q.kind.value, q.one.id, q.other.id if q.other else str(q.tracklet), q.probability, q.weight)
            for q in questions(desk.gallery, desk.config.identities, desk.same)
        ]
        fresh = OpenQuestions(desk.catalogue, found)
        with self._lock:
            # What was answered before the looking began is in what was found; an undone answer is a question again.
            self._answered -= answered
            fresh.answer(self._answered)
            self._open, self._version = fresh, version
        self._found_at = time.monotonic()
        self._took = self._found_at - before
