"""Fencing tokens: a writer that lost its right without noticing cannot write any more.

A lock alone does not do. It hangs on a connection or a file, which can go while its owner goes on: PostgreSQL drops an
advisory lock when the server starts anew, and a lock file can be deleted. So whoever takes over a scope gets the next
number of it, and every transaction first looks whether its own number is still the last one (M. Kleppmann, "How to do
distributed locking", 2016). The row is locked for as long as the transaction lasts: whoever takes over waits for
transactions that have looked already, and those that look later are refused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from reidstream.errors import GalleryLocked
from reidstream.gallery.schema import fences

OWNER = "owner"
"""The scope of whoever has opened a gallery for writing."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to write in a scope, as long as nobody has taken a later token. token: counts from 1 in each scope."""

    scope: str
    token: int


def take_fence(connection: Connection, scope: str, holder: str) -> Fence:
    """Take over a scope in the caller's transaction; former holders are refused from its commit on.

    scope: ``owner``, or a name for a part of the work that one process at a time does. holder: for people to read.
    """
    values = {"holder": holder, "since_wall": time.time()}
    c = fences.c
    raised = connection.execute(update(fences).where(c.scope == scope).values(token=c.token + 1, **values))
    if not raised.rowcount:
        connection.execute(insert(fences).values(scope=scope, token=1, **values))
    token = connection.execute(select(c.token).where(c.scope == scope)).scalar_one()
    return Fence(scope, int(token))


def check_fence(connection: Connection, fence: Fence, place: str) -> None:
    """Raise GalleryLocked unless nobody has taken the scope since; holds until the caller's transaction ends."""
    query = select(fences.c.token, fences.c.holder).where(fences.c.scope == fence.scope).with_for_update(read=True)
    row = connection.execute(query).one_or_none()
    if row is None or row.token != fence.token:
        taker = f"was taken over by {row.holder}" if row is not None else "no longer knows who writes"
        raise GalleryLocked(
            f"gallery {place} {taker}: this process may not write any more ({fence.scope}, token {fence.token}); "
            "what it stored before is safe: open the gallery anew"
        )
