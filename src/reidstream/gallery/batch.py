"""Recordings and tracklets that go into a gallery in one transaction: all of them, or none."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from reidstream.gallery import recordings
from reidstream.gallery.facts import storing_turn
from reidstream.gallery.recordings import Begin
from reidstream.gallery.storing import check_tracklets, left_over, remove, store
from reidstream.types import SourceEnded, SourceStarted, Tracklet


class Batch:
    """What ``Gallery.batch`` gives out: the same steps as the gallery's own, in the caller's transaction.

    connection: of that transaction. revision: the last one that was given away. kept_out: tracklets left out because
    they had been erased before. removed: ids of tracklets that a complete recording has made obsolete. changed: ids of
    those that are not what they were.
    """

    def __init__(self, connection: Connection, size: int) -> None:
        self.connection = connection
        self.revision = storing_turn(connection)
        self.kept_out = 0
        self.removed: list[str] = []
        self.changed: list[str] = []
        self._size = size
        self._attempts: dict[str, int] = {}

    def begin_source(self, started: SourceStarted, settings: str) -> Begin:
        """See ``Gallery.begin_source``."""
        begin, attempt, renamed = recordings.begin(self.connection, started, settings)
        self.changed += renamed
        if begin is not Begin.ELSEWHERE:
            self._attempts[started.content] = attempt
        return begin

    def add(self, tracklets: Sequence[Tracklet]) -> int:
        """Store tracklets whose source has begun; how many were not there before."""
        check_tracklets(tracklets, self._size, self._attempts)
        stored = store(self.connection, tracklets, self._attempts)
        self.revision = stored.revision
        self.kept_out += stored.kept_out
        self.changed += stored.changed
        return len(stored.new)

    def end_source(self, ended: SourceEnded, content: str) -> None:
        """Note how the recording of this content ended."""
        recordings.end(self.connection, content, ended)
        if ended.error is None and not ended.stopped:
            stale = left_over(self.connection, content, self._attempts[content])
            remove(self.connection, stale)
            self.removed += stale
