"""Which stored tracklets have no person yet, without looking through all of them each time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from reidstream.gallery import Gallery
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets
from reidstream.identities.schema import members


class Waiting:
    """Tracklets without a person, in the order of storing.

    It remembers up to where all have one. Whoever takes a person away from a tracklet (an undoing, say) says so by
    ``include``. Tracklets appear in the order of their numbers, however many processes store (``facts.storing_turn``).
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._settled = -1

    def first(self, most: int) -> list[str]:
        """Ids of the first of them."""
        c = tracklets.c
        decided = select(members.c.tracklet).where(members.c.tracklet == c.id).exists()
        waiting = select(c.id, c.seq).where(c.seq > self._settled, ~decided)
        with self._gallery.read() as connection:
            # Before them: what others store in between is not among these, and has a later number.
            last = connection.execute(select(func.max(c.seq))).scalar()
            rows = connection.execute(waiting.order_by(c.seq).limit(most)).all()
            self._settled = rows[0].seq - 1 if rows else -1 if last is None else int(last)
        return [row.id for row in rows]

    def include(self, ids: Sequence[str]) -> None:
        """Some tracklets may have lost their person."""
        for some in in_chunks(ids):
            with self._gallery.read() as connection:
                first = connection.execute(select(func.min(tracklets.c.seq)).where(tracklets.c.id.in_(some))).scalar()
            if first is not None:
                self._settled = min(self._settled, int(first) - 1)
