"""Who looked at, searched for, or tried what."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import delete, insert, select

from reidstream.gallery import Gallery
from reidstream.identities.presence import demand_there
from reidstream.server.access.roles import Caller
from reidstream.server.access.schema import looks

KEPT_SECONDS = 90 * 86400.0
"""Older entries are taken out."""


class AccessLog:
    """The entries are written at once: whoever looks cannot prevent being noted."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def note(
        self, caller: Caller, action: str, *, person: str | None = None, tracklet: str | None = None, detail: str = ""
    ) -> None:
        """detail: numbers and states only, never a name, because it does not go when a person is erased.

        Raises TrackletNotFound or PersonNotFound for who was erased since the caller asked.
        """
        values = {"who": caller.name, "address": caller.address, "action": action, "person": person}
        with self._gallery.write() as connection:
            demand_there(connection, tracklet, person)
            connection.execute(insert(looks).values(wall=time.time(), tracklet=tracklet, detail=detail, **values))

    def page(self, before: int | None, limit: int) -> list[dict[str, Any]]:
        """The newest entries first, those before a number."""
        query = select(looks).order_by(looks.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(looks.c.id < before)
        with self._gallery.read() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def trim(self) -> None:
        with self._gallery.write() as connection:
            connection.execute(delete(looks).where(looks.c.wall < time.time() - KEPT_SECONDS))
