"""A pile of videos, read by as many workers as a cluster has room for, until everything is done and decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select

from reidstream.cluster import inbox
from reidstream.cluster.opening import Opened
from reidstream.cluster.placement import RayCluster, Share, Work
from reidstream.cluster.schema import leases, worker_sources
from reidstream.config import Config
from reidstream.errors import ConfigError, GalleryLocked
from reidstream.gallery import Gallery
from reidstream.gallery.ownership import writer_on
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.settling import settle
from reidstream.wording import counted

_LOOKS = 0.5


@dataclass(frozen=True, slots=True)
class PileReport:
    """What became of a pile. done: videos. failed: those that were given up, and why. workers: what those said that
    failed."""

    done: int
    failed: dict[str, str]
    workers: tuple[str, ...]


def read_pile(
    cluster: RayCluster, there: Opened, work: Work, share: Share, most: int | None, say: Callable[[str], None]
) -> PileReport:
    """Have everything in the list read. most: workers at a time; None: as many as there is room for.

    Raises ConfigError when the list holds cameras, EngineError when workers die again and again.
    """
    waiting = _waiting(there)
    count = min(waiting, most or max(1, cluster.room(share)))
    say(f"{counted(waiting, 'video')} to read, {counted(count, 'worker')} at a time")
    said = cluster.read_pile(work, share, count) if count else []
    with there.database.read() as connection:
        states = connection.execute(select(leases.c.source, leases.c.state, leases.c.error)).all()
    failed = {row.source: row.error or "it could not be read" for row in states if row.state == "failed"}
    return PileReport(sum(row.state == "done" for row in states), failed, tuple(said))


def _waiting(there: Opened) -> int:
    c = worker_sources.c
    query = select(c.name, c.live, leases.c.state).join(leases, leases.c.source == c.name).where(c.wanted)
    with there.database.read() as connection:
        rows = connection.execute(query).all()
    if live := sorted(row.name for row in rows if row.live):
        raise ConfigError(
            f"the list holds cameras ({', '.join(live[:3])}), which have no end: videos beside them are read by their "
            "workers once they are in the list (reidstream workers add)"
        )
    return sum(row.state in ("waiting", "running") for row in rows)


def decided(address: str, there: Opened, config: Config, resolve: Callable[[], object]) -> None:
    """Everything that was stored has a person, and everybody is decided anew as at the end of a run.

    Whoever owns the gallery does it, if anybody does; ``resolve`` asks them to decide anew.
    """
    while True:
        with there.database.read() as connection:
            owner, left = writer_on(connection), inbox.backlog(connection).rows
        if owner is None:
            try:
                with Gallery.open(address, write=True) as gallery:
                    OnlineIdentities(gallery, config.identities).catch_up()
                    if config.identities.resolve:
                        settle(gallery, config.identities)
                    with gallery.write() as connection:
                        inbox.taken_over(connection, inbox.happened(connection).numbers)
                return
            except GalleryLocked:
                # Somebody was faster.
                continue
        if not left:
            if config.identities.resolve:
                resolve()
            return
        time.sleep(_LOOKS)
