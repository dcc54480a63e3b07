"""As many workers as the list of sources asks for, kept on a cluster, while the list changes."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import func, select

from reidstream.cluster import sources as listing
from reidstream.cluster.placement import RayCluster, Share, Work
from reidstream.cluster.schema import worker_sources
from reidstream.config import SourceConfig
from reidstream.errors import ConfigError, GalleryUnreachable
from reidstream.gallery.database import Database
from reidstream.sources import expand_sources
from reidstream.wording import counted

_log = logging.getLogger(__name__)

_LOOKS = 2.0
"""Seconds between two looks at the list."""
DECIDER = "decider"


class FollowedList:
    """What some words name (see ``expand_sources``), brought into the database's list whenever their files change.

    What was named and is no longer is taken out, once nobody reads it; what others put into the list stays.
    """

    def __init__(self, words: Sequence[str], database: Database, say: Callable[[str], None]) -> None:
        self._words, self._database, self._say = list(words), database, say
        self._files = [Path(word) for word in words if word.lower().endswith(".toml")]
        self._stamps: list[tuple[int, int] | None] = []
        self._named: dict[str, SourceConfig] = {}
        self._leaving: set[str] = set()

    def follow(self, configs: Sequence[SourceConfig] | None = None) -> None:
        """Look once. configs: what the words name, if it is known already. Raises GalleryUnreachable."""
        stamps = [_stamp(path) for path in self._files]
        if configs is not None or stamps != self._stamps:
            try:
                named = listing.listed(configs if configs is not None else expand_sources(self._words))
            except ConfigError as error:
                if configs is not None:
                    raise
                _log.warning("%s; the list stays as it was", error)
                self._stamps = stamps
                return
            self._bring(named)
            self._stamps = stamps
        if self._leaving:
            self._take_out()

    def _bring(self, named: Sequence[SourceConfig]) -> None:
        now = {config.name or config.uri: config for config in named}
        changed = [config for name, config in now.items() if self._named.get(name) != config]
        gone = self._named.keys() - now.keys()
        with self._database.write() as connection:
            # Those that stay as they are may have been paused by somebody.
            new = listing.add(connection, changed)
            for name in gone & listing.names(connection):
                listing.want(connection, name, False)
        first = not self._named
        self._named = now
        self._leaving = (self._leaving | gone) - now.keys()
        if new or gone or first:
            self._say(f"{counted(len(now), 'source')} in the list, {len(new)} of them new, {len(gone)} taken out")

    def _take_out(self) -> None:
        for name in sorted(self._leaving):
            try:
                with self._database.write() as connection:
                    if name in listing.names(connection):
                        listing.remove(connection, name)
            except ConfigError:
                # Its reader is just ending.
                continue
            self._leaving.discard(name)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        held = path.stat()
    except OSError:
        return None
    return held.st_mtime_ns, held.st_size


class Crew:
    """Workers, and one who decides, on a cluster. ``run`` once; ``stop`` from anywhere, a signal handler included.

    workers: how many; None: as many as the list asks for, with ``most`` sources each.
    """

    def __init__(
        self,
        cluster: RayCluster,
        database: Database,
        work: Work,
        share: Share,
        *,
        most: int,
        workers: int | None,
        decide: Work | None,
        say: Callable[[str], None],
    ) -> None:
        self._cluster, self._database, self._work, self._share = cluster, database, work, share
        self._most, self._workers, self._decide, self._say = most, workers, decide, say
        self._stopping = threading.Event()
        self._placed: set[str] = set()

    def stop(self) -> None:
        self._stopping.set()

    def run(self, follow: Callable[[], None]) -> None:
        """Place, and follow the list, until it is told to stop; then everybody is drained.

        Who was placed before, by a run that is gone, stays; unless it was to do it with other settings.
        """
        self._take_over()
        while True:
            try:
                follow()
                self._resize()
            except GalleryUnreachable as error:
                _log.warning("%s; workers stay as they are", error)
            if self._stopping.wait(_LOOKS):
                break
        drain(self._cluster, self._say)

    def _take_over(self) -> None:
        found = self._cluster.status()
        wanted = {DECIDER: self._decide.digest if self._decide is not None else None}
        former = [one["name"] for one in found if one["work"] != wanted.get(one["name"], self._work.digest)]
        if former:
            self._say(f"{counted(len(former), 'actor')} placed before with other settings, drained")
            self._cluster.stop(former)
        self._placed = {one["name"] for one in found} - set(former)

    def _resize(self) -> None:
        wanted = {f"worker-{n:04d}" for n in range(1, self._count() + 1)}
        surplus = {name for name in self._placed if name.startswith("worker-")} - wanted
        missing = sorted(wanted - self._placed)
        for name in missing:
            self._cluster.place(name, self._work, self._share)
        self._placed |= wanted
        if self._decide is not None and DECIDER not in self._placed:
            self._cluster.place(DECIDER, self._decide, Share(self._share.cpus))
            self._placed.add(DECIDER)
        if missing:
            self._say(f"{counted(len(wanted), 'worker')} wanted, {len(missing)} more placed")
        if surplus:
            self._say(f"{counted(len(wanted), 'worker')} wanted, {len(surplus)} too many drained")
            self._cluster.stop(sorted(surplus))
            self._placed -= surplus

    def _count(self) -> int:
        if self._workers is not None:
            return self._workers
        with self._database.read() as connection:
            query = select(func.count()).select_from(worker_sources).where(worker_sources.c.wanted)
            return math.ceil(int(connection.execute(query).scalar_one()) / self._most)


def drain(cluster: RayCluster, say: Callable[[str], None]) -> None:
    """Workers store what they see and end; then whoever decides does, who has everything by then."""
    names = cluster.names()
    workers = [name for name in names if name != DECIDER]
    if names:
        say(f"draining {counted(len(workers), 'worker')}")
    cluster.stop(workers)
    cluster.stop([name for name in names if name == DECIDER])
