"""What a worker finds goes straight into PostgreSQL: each batch one transaction, refused once its lease is another's.

What cannot be stored just now, because the server starts again or has no space left, waits here and is tried until it
can: the queue before this is bounded, so that then frames wait, or are dropped and counted, and no track is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from reidstream.alerts import Sighting
from reidstream.alerts.lists import rules_in
from reidstream.cluster import checkpoints, in_view, inbox, leases
from reidstream.cluster.inbox import What
from reidstream.cluster.leases import Lease
from reidstream.errors import GalleryError, GalleryLocked, GalleryMismatch, GalleryUnreachable
from reidstream.gallery import left_out, recordings
from reidstream.gallery.database import Database
from reidstream.gallery.facts import demand_same_space, storing_turn
from reidstream.gallery.recordings import Begin
from reidstream.gallery.storing import check_tracklets, left_over, remove, store
from reidstream.types import EmbeddingSpace, LeftOut, SourceEnded, SourceStarted, Tracklet

_log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_PATIENCE = 60.0
"""Seconds for which a worker that was told to end still tries to store."""

T = TypeVar("T")
Kept = TypeVar("Kept", Tracklet, LeftOut)


class WorkerStore:
    """A TrackletStore, and Checkpoints, for the sources of some leases. Safe to use from several threads.

    taken: called once with a source whose lease another worker has taken; what is still found of it is dropped and
    counted. stored, lost: tracklets that were committed, and finished ones that no longer could be.
    """

    def __init__(
        self,
        database: Database,
        space: EmbeddingSpace,
        held: Iterable[Lease],
        taken: Callable[[str], None] = lambda _source: None,
    ) -> None:
        self._database, self._space, self._taken = database, space, taken
        self._leases = {lease.source: lease for lease in held}
        self._attempts: dict[str, int] = {}
        self._contents: dict[str, str] = {}
        self._lock = threading.Lock()
        self._gone: set[str] = set()
        self._watched: list[str] = []
        self._until: float | None = None
        self._ending = threading.Event()
        self.refused: dict[str, str] = {}
        """Sources that must not be read, and why."""
        self.stored = 0
        self.lost = 0

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    @property
    def place(self) -> object:
        return self._database.place

    def end_soon(self) -> None:
        """From now on the database is waited for no longer than a minute."""
        if not self._ending.is_set():
            self._until = time.monotonic() + _PATIENCE
            self._ending.set()

    def drop(self, source: str) -> None:
        """The lease of a source is another's."""
        with self._lock:
            first = source in self._leases and source not in self._gone
            self._gone.add(source)
        if first:
            self._taken(source)

    def begin_source(
        self, started: SourceStarted, settings: str, *, replace: bool = False, formerly: str = ""
    ) -> Begin:
        """See ``Gallery.begin_source``; what must not be read here is found in ``refused``."""
        lease = self._leases[started.source]

        def begin() -> tuple[Begin, int]:
            with self._database.write(lease.fence) as connection:
                demand_same_space(connection, str(self.place), self._space)
                # Two workers could begin the same recording under two names.
                storing_turn(connection)
                scope = lease.fence.scope
                found, attempt, renamed = recordings.begin(connection, started, settings, formerly, scope)
                inbox.note(connection, What.CHANGED, renamed)
            return found, attempt

        try:
            found, attempt = self._tried(begin)
        except GalleryMismatch as error:
            self.refused[started.source] = str(error)
            return Begin.ELSEWHERE
        except GalleryLocked:
            self.drop(started.source)
            return Begin.ELSEWHERE
        if found.wanted:
            self._attempts[started.content] = attempt
            self._contents[started.source] = started.content
        return found

    def add(self, batch: Sequence[Tracklet]) -> int:
        """See ``Gallery.add``. How many were new; what belongs to a lease that is another's by now is dropped."""
        return sum(self._each(batch, self._add))

    def leave_out(self, batch: Sequence[LeftOut]) -> None:
        """See ``Gallery.leave_out``."""
        self._each(batch, self._leave_out)

    def checkpoint(self, source: str, unfinished: Sequence[Tracklet]) -> None:
        """Keep what the open tracks of a camera have come to."""
        if source in self._gone:
            return

        def keep() -> None:
            with self._database.write(self._leases[source].fence) as connection:
                checkpoints.keep(connection, source, unfinished)

        try:
            self._tried(keep)
        except GalleryLocked:
            self.drop(source)

    def watched(self, sources: Sequence[str]) -> list[str]:
        """Of which of these sources a rule of alerts asks who is in view; what was known before while it is away."""
        try:
            with self._database.read() as connection:
                rules = rules_in(connection, time.time())
            self._watched = [source for source in sources if any(rule.about(source) for rule in rules)]
        except GalleryUnreachable:
            pass
        return self._watched

    def saw(self, sightings: Sequence[Sighting]) -> None:
        """Tell who decides of whoever is in view. Raises GalleryUnreachable; nothing else waits for it."""
        for source in sorted({one.source for one in sightings}):
            if source in self._gone:
                continue
            try:
                with self._database.write(self._leases[source].fence) as connection:
                    in_view.put(connection, [one for one in sightings if one.source == source])
            except GalleryLocked:
                self.drop(source)

    def end_source(self, ended: SourceEnded) -> None:
        """Note how a source ended, and give its lease back, in one transaction: a recording is finished once."""
        content = self._contents.pop(ended.source, None)
        if content is None or ended.source in self._gone:
            return
        lease = self._leases[ended.source]

        def end() -> None:
            with self._database.write(lease.fence) as connection:
                storing_turn(connection)
                recordings.end(connection, content, ended)
                complete = ended.error is None and not ended.stopped
                stale = left_over(connection, content, self._attempts[content]) if complete else []
                remove(connection, stale)
                inbox.note(connection, What.GONE, stale)
                leases.source_ended(connection, lease, ended)

        try:
            self._tried(end)
        except GalleryLocked:
            self.drop(ended.source)

    def _add(self, batch: Sequence[Tracklet], held: Sequence[Lease]) -> int:
        check_tracklets(batch, self._space.size, self._attempts)
        with self._database.write(*(lease.fence for lease in held)) as connection:
            demand_same_space(connection, str(self.place), self._space)
            stored = store(connection, batch, self._attempts)
            inbox.note_stored(connection, stored)
            checkpoints.ended(connection, batch)
        self.stored += len(stored.new)
        return len(stored.new)

    def _leave_out(self, batch: Sequence[LeftOut], held: Sequence[Lease]) -> int:
        with self._database.write(*(lease.fence for lease in held)) as connection:
            left_out.write(connection, batch)
            checkpoints.ended(connection, batch)
        return 0

    def _each(self, batch: Sequence[Kept], put: Callable[[Sequence[Kept], Sequence[Lease]], int]) -> list[int]:
        """Put a batch into the database at once, or source by source where a lease among them is another's."""
        left = self._mine(batch)
        if not left:
            return []
        sources = sorted({one.source for one in left})
        try:
            return [self._tried(lambda: put(left, [self._leases[name] for name in sources]))]
        except GalleryLocked:
            if len(sources) > 1:
                return [n for name in sources for n in self._each([t for t in left if t.source == name], put)]
        self.drop(sources[0])
        self._mine(left)
        return []

    def _mine(self, batch: Sequence[Kept]) -> list[Kept]:
        """What of a batch may be stored here."""
        with self._lock:
            self.lost += sum(isinstance(one, Tracklet) and one.source in self._gone for one in batch)
        return [one for one in batch if one.source not in self._gone]

    def _tried(self, work: Callable[[], T]) -> T:
        wait = _FIRST_WAIT
        while True:
            try:
                return work()
            except GalleryUnreachable as error:
                if self._until is not None and time.monotonic() > self._until:
                    raise GalleryError(f"{error}; it was waited for, and what was not stored is lost") from error
                _log.warning("%s; what was found waits, and is tried again", error)
            if not self._ending.wait(wait):
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                time.sleep(wait)
