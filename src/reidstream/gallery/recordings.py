"""What has been read into a gallery already: one recording per content that a source delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection, delete, func, insert, select, update

from reidstream.errors import GalleryMismatch
from reidstream.gallery import left_out
from reidstream.gallery.interchange import State as State
from reidstream.gallery.schema import recordings, tracklets
from reidstream.types import EndReason, SourceEnded, SourceStarted

UNFINISHED = (EndReason.SHUTDOWN.value, EndReason.SOURCE_ENDED.value)
"""How tracks end that another run of the same content may see for longer."""


class Begin(StrEnum):
    """What a gallery says when a source starts."""

    NEW = "new"
    """It was never read; ingest it."""
    RESUMED = "resumed"
    """A run was killed, stopped or failed in the middle of it; ingest it from its start, nothing is stored twice."""
    COMPLETE = "complete"
    """All of it is in the gallery; skip it."""
    ELSEWHERE = "elsewhere"
    """The same content is in the gallery, or is just being read, under another source's name; skip it."""

    @property
    def wanted(self) -> bool:
        """Whether the source's tracklets are to be added."""
        return self in (Begin.NEW, Begin.RESUMED)


@dataclass(frozen=True, slots=True)
class Recording:
    """One content of one source, as the gallery knows it. Times are Unix seconds; see SourceStarted, SourceEnded.

    attempt: how many runs have begun to read it. tracklets: how many are stored of it.
    """

    content: str
    source: str
    uri: str
    settings: str
    state: State
    attempt: int
    size: tuple[int, int]
    fps: float
    live: bool
    started_wall: float
    ended_wall: float | None
    frames: int | None
    dropped: int
    error: str | None
    tracklets: int
    beginning: str = ""
    length: int = 0


def begin(
    connection: Connection, started: SourceStarted, settings: str, formerly: str = "", reader: str | None = None
) -> tuple[Begin, int, list[str]]:
    """Note that a source has started; what to do with it, which attempt this is, and whose source has another name now.

    formerly: how an earlier version wrote the same settings. reader: under which fence (``fencing``) a process that is
    not the gallery's owner reads it; None for the owner.

    Raises GalleryMismatch when the content was read with other settings before.
    """
    known = connection.execute(select(recordings).where(recordings.c.content == started.content)).one_or_none()
    values = {
        "source": started.source,
        "uri": started.uri,
        "settings": settings,
        "state": State.RUNNING.value,
        "width": started.size[0],
        "height": started.size[1],
        "fps": started.fps,
        "live": started.live,
        "started_wall": started.wall_time,
        "ended_wall": None,
        "frames": None,
        "dropped": 0,
        "error": None,
        "beginning": started.beginning or None,
        "length": started.length or None,
        "reader": reader,
    }
    # The same recording read again when it has grown: there is more in it than the gallery has.
    more = known is not None and started.length > (known.length or 0) > 0
    if known is None:
        connection.execute(insert(recordings).values(content=started.content, attempt=1, **values))
        return Begin.NEW, 1, []
    renamed: list[str] = []
    if known.source != started.source:
        if not more:
            return Begin.ELSEWHERE, known.attempt, []
        # Recorders give a file its last name when it is complete.
        own = tracklets.c.content == started.content
        renamed = list(connection.execute(select(tracklets.c.id).where(own)).scalars())
        connection.execute(update(tracklets).where(own).values(source=started.source))
    if known.settings not in (settings, formerly or settings):
        raise GalleryMismatch(
            f"{started.uri} is in the gallery as {known.source!r}, read with other settings; "
            "use the former settings, another gallery, or replace what is stored of it (--replace)"
        )
    if known.state == State.COMPLETE and not more:
        return Begin.COMPLETE, known.attempt, []
    attempt = known.attempt + 1
    left_out.forget(connection, started.content)
    connection.execute(
        update(recordings).where(recordings.c.content == started.content).values(attempt=attempt, **values)
    )
    return Begin.RESUMED, attempt, renamed


def end(connection: Connection, content: str, ended: SourceEnded) -> None:
    """Note how a source's recording ended."""
    state = State.FAILED if ended.error else State.STOPPED if ended.stopped else State.COMPLETE
    connection.execute(
        update(recordings)
        .where(recordings.c.content == content)
        .values(
            state=state.value,
            ended_wall=ended.wall_time,
            frames=ended.frames,
            dropped=ended.dropped,
            error=ended.error,
        )
    )


BROKEN_OFF = "the run that read it ended without a word: it was killed, or could not write"
"""Error of a recording that no run is reading any more although none has said that it ended."""


def break_off(connection: Connection, contents: Sequence[str] | None = None) -> None:
    """Note of recordings that nobody reads any more what their runs did not.

    contents: of these; else of all that are the owner's, which whoever has just become it knows.
    """
    running = recordings.c.state == State.RUNNING.value
    running &= recordings.c.content.in_(contents) if contents is not None else recordings.c.reader.is_(None)
    connection.execute(update(recordings).where(running).values(state=State.STOPPED.value, error=BROKEN_OFF))


def read_elsewhere(connection: Connection) -> set[str]:
    """Contents that processes other than the gallery's owner read, or were the last to read."""
    return set(connection.execute(select(recordings.c.content).where(recordings.c.reader.is_not(None))).scalars())


def broken_off(recording: Recording) -> Recording:
    """The same recording as a reader shows it while nobody writes."""
    if recording.state is not State.RUNNING:
        return recording
    return replace(recording, state=State.STOPPED, error=BROKEN_OFF)


def recordings_of(connection: Connection) -> list[Recording]:
    """Everything that was ever begun, in order of time."""
    counts = select(tracklets.c.content, func.count().label("n")).group_by(tracklets.c.content).subquery()
    query = (
        select(recordings, func.coalesce(counts.c.n, 0).label("n"))
        .outerjoin(counts, counts.c.content == recordings.c.content)
        .order_by(recordings.c.started_wall, recordings.c.content)
    )
    return [
        Recording(
            content=row.content,
            source=row.source,
            uri=row.uri,
            settings=row.settings,
            state=State(row.state),
            attempt=row.attempt,
            size=(row.width, row.height),
            fps=row.fps,
            live=row.live,
            started_wall=row.started_wall,
            ended_wall=row.ended_wall,
            frames=row.frames,
            dropped=row.dropped,
            error=row.error,
            tracklets=row.n,
            beginning=row.beginning or "",
            length=row.length or 0,
        )
        for row in connection.execute(query)
    ]


def forget(connection: Connection, content: str) -> None:
    """Forget that a content was ever begun; its tracklets must be gone already."""
    left_out.forget(connection, content)
    connection.execute(delete(recordings).where(recordings.c.content == content))
