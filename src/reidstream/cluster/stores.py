"""What the tables of workers say about people in the pictures, what erases it, and what finds it."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, delete, func, or_, select

from reidstream.cluster import in_view as seeing
from reidstream.cluster.schema import checkpoints, in_view, inbox
from reidstream.gallery.personal import Store, Subject
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets


def _erase_inbox(connection: Connection, subject: Subject) -> None:
    for some in in_chunks(subject.tracklets):
        connection.execute(delete(inbox).where(inbox.c.tracklet.in_(some)))


def _trace_inbox(connection: Connection, subject: Subject) -> Iterator[str]:
    for some in in_chunks(subject.tracklets):
        query = select(func.count()).select_from(inbox).where(inbox.c.tracklet.in_(some))
        if count := connection.execute(query).scalar_one():
            yield f"{count} rows of inbox"


def _erase_checkpoints(connection: Connection, subject: Subject) -> None:
    for some in in_chunks((*subject.tracklets, *subject.left_out, *subject.contents)):
        about = or_(checkpoints.c.id.in_(some), checkpoints.c.content.in_(some))
        connection.execute(delete(checkpoints).where(about))


def _trace_checkpoints(connection: Connection, subject: Subject) -> Iterator[str]:
    for some in in_chunks((*subject.tracklets, *subject.left_out, *subject.contents)):
        about = or_(checkpoints.c.id.in_(some), checkpoints.c.content.in_(some))
        if count := connection.execute(select(func.count()).select_from(checkpoints).where(about)).scalar_one():
            yield f"{count} rows of checkpoints"


def _erase_in_view(connection: Connection, subject: Subject) -> None:
    contents = set(subject.contents)
    for some in in_chunks(subject.tracklets):
        query = select(tracklets.c.content).where(tracklets.c.id.in_(some))
        contents |= set(connection.execute(query).scalars())
    seeing.forget(connection, contents)
    for some in in_chunks((*subject.tracklets, *subject.left_out)):
        connection.execute(delete(in_view).where(in_view.c.id.in_(some)))


def _trace_in_view(connection: Connection, subject: Subject) -> Iterator[str]:
    for some in in_chunks((*subject.tracklets, *subject.left_out, *subject.contents)):
        about = or_(in_view.c.id.in_(some), in_view.c.content.in_(some))
        if count := connection.execute(select(func.count()).select_from(in_view).where(about)).scalar_one():
            yield f"{count} rows of in_view"


STORES: tuple[Store, ...] = (
    Store("what waits for the decider", tables=("inbox",), erase=_erase_inbox, trace=_trace_inbox),
    Store(
        "what the open tracks of workers' cameras have come to",
        tables=("checkpoints",),
        erase=_erase_checkpoints,
        trace=_trace_checkpoints,
    ),
    Store(
        "whoever is in view of workers' cameras, until it was looked at",
        tables=("in_view",),
        erase=_erase_in_view,
        trace=_trace_in_view,
    ),
    Store(
        "what workers read, and who they are",
        tables=("worker_sources", "leases", "workers", "checkpoint_times"),
        beyond="nothing in it is about anybody in the pictures",
    ),
)
