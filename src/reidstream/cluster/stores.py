"""What the tables of workers say about people in the pictures, what erases it, and what finds it."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, delete, func, or_, select

from reidstream.cluster.schema import checkpoints, inbox
from reidstream.gallery.personal import Store, Subject
from reidstream.gallery.rows import in_chunks


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


STORES: tuple[Store, ...] = (
    Store("what waits for the decider", tables=("inbox",), erase=_erase_inbox, trace=_trace_inbox),
    Store(
        "what the open tracks of workers' cameras have come to",
        tables=("checkpoints",),
        erase=_erase_checkpoints,
        trace=_trace_checkpoints,
    ),
    Store(
        "what workers read, and who they are",
        tables=("worker_sources", "leases", "workers", "checkpoint_times"),
        beyond="nothing in it is about anybody in the pictures",
    ),
)
