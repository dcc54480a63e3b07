"""Telling the targets of the configuration what happens, each in a thread of its own, every event at least once.

How far a target has come is kept in the gallery, and moved on after it has accepted what came before. A target that is
new begins with what happens from then on.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select

from reidstream.brokers.home import Home
from reidstream.brokers.mqtt import Mqtt
from reidstream.brokers.targets import key_of, subscriber_of
from reidstream.config import TargetConfig
from reidstream.config.redaction import redacted
from reidstream.errors import DeliveryError, ReIDStreamError
from reidstream.identities.delivery import BATCH
from reidstream.identities.outbox import events_after
from reidstream.server.access.schema import notes
from reidstream.server.desk import Desk

_log = logging.getLogger(__name__)

_POLL = 0.5
_LONGEST_WAIT = 60.0


class Telling:
    """All targets. occupied: says of every camera that is read whether somebody is there.

    Raises ConfigError for a target that cannot be one. ``start`` begins, ``close`` ends.
    """

    def __init__(
        self, desk: Desk, targets: Sequence[TargetConfig], occupied: Callable[[], Mapping[str, bool]] = dict
    ) -> None:
        self.targets = [_Told(desk, target, occupied) for target in targets]

    def start(self) -> None:
        for target in self.targets:
            target.thread.start()

    def close(self) -> None:
        for target in self.targets:
            target.stop.set()
        for target in self.targets:
            if target.thread.is_alive():
                target.thread.join()


class _Told:
    """One target. seq: everything up to this event has been accepted. trouble: why no more is; "" when it is."""

    def __init__(self, desk: Desk, config: TargetConfig, occupied: Callable[[], Mapping[str, bool]]) -> None:
        self._desk, self._config, self._occupied = desk, config, occupied
        self.name = redacted(config.uri)
        self.key = key_of(config, desk.gallery)
        self.stop = threading.Event()
        self.trouble = ""
        self.subscriber = subscriber_of(config, desk.gallery, patient=False)
        kept = self._kept("seq")
        self.seq = int(kept) if kept is not None else desk.last_event()
        self._keep("seq", str(self.seq))
        self._home: Home | None = None
        if isinstance(self.subscriber, Mqtt):
            shown: dict[str, str] = json.loads(self._kept("pictures") or "{}")
            if config.home_assistant or shown:
                self._home = Home(
                    self.subscriber,
                    desk.gallery,
                    f"ReIDStream {desk.gallery.place}".rstrip("/").rpartition("/")[2],
                    f"reidstream_{self.key}",
                    pictures=config.pictures,
                    shown=shown,
                    note=lambda shown: self._keep("pictures", json.dumps(shown)),
                )
        self.thread = threading.Thread(target=self._run, name=f"telling {self.name}", daemon=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; no password."""
        behind = self._desk.last_event() - self.seq
        return {"target": self.name, "seq": self.seq, "behind": behind, "trouble": redacted(self.trouble)}

    def _run(self) -> None:
        wait = _POLL
        first = True
        while not self.stop.is_set():
            try:
                delivered = self._deliver()
                if self._home is not None:
                    self._home.tell(self._occupied() if self._config.home_assistant else {}, first or delivered > 0)
                first = False
                self.trouble, wait = "", _POLL
                if delivered:
                    continue
            except DeliveryError as error:
                if str(error) != self.trouble:
                    _log.warning("%s; nothing is lost, it is tried again", redacted(str(error)))
                self.trouble, wait = str(error), min(2 * wait, _LONGEST_WAIT)
            except ReIDStreamError as error:
                _log.exception("%s is not told what happens for now", self.name)
                self.trouble, wait = str(error), _LONGEST_WAIT
            self.stop.wait(wait)
        self.subscriber.close()

    def _deliver(self) -> int:
        """Deliver one batch; how many events it held."""
        batch = events_after(self._desk.gallery, self.seq, BATCH)
        if not batch:
            return 0
        wanted = [event for event in batch if not self._config.kinds or event.kind in self._config.kinds]
        if wanted:
            self.subscriber.deliver(wanted)
        self._keep("seq", str(batch[-1].seq))
        self.seq = batch[-1].seq
        return len(batch)

    def _kept(self, what: str) -> str | None:
        with self._desk.gallery.read() as connection:
            value = connection.execute(
                select(notes.c.value).where(notes.c.key == f"target {self.key}: {what}")
            ).scalar()
        return None if value is None else str(value)

    def _keep(self, what: str, value: str) -> None:
        key = f"target {self.key}: {what}"
        with self._desk.gallery.write() as connection:
            connection.execute(delete(notes).where(notes.c.key == key))
            connection.execute(insert(notes).values(key=key, value=value))
