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

from reidstream.brokers.former import Former, place_at_broker, without_written_password
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
_LONGEST_OF_FORMER = 6 * 3600.0
"""Seconds between two tries at the broker of a former target, which may never come back. There is no end: it keeps
pictures of people, until it is told to let them go, for as long as it lasts itself."""


class Telling:
    """All targets. occupied: says of every camera that is read whether somebody is there.

    Raises ConfigError for a target that cannot be one. ``start`` begins, ``close`` ends.
    """

    def __init__(
        self, desk: Desk, targets: Sequence[TargetConfig], occupied: Callable[[], Mapping[str, bool]] = dict
    ) -> None:
        self.targets = [_Told(desk, target, occupied) for target in targets]
        self._left = [_Left(desk, key, text, targets) for key, text in _left(desk, targets)]
        self._everybody: list[_Told | _Left] = [*self.targets, *self._left]

    @property
    def former(self) -> list[dict[str, Any]]:
        """Targets that are none any more, whose brokers still keep something of ours, and why."""
        return [one.as_dict() for one in self._left if not one.done]

    def start(self) -> None:
        for one in self._everybody:
            one.thread.start()

    def close(self) -> None:
        for one in self._everybody:
            one.stop.set()
        for one in self._everybody:
            if one.thread.is_alive():
                one.thread.join()


def _left(desk: Desk, targets: Sequence[TargetConfig]) -> list[tuple[str, str]]:
    """Targets, by key, that Home Assistant was told by and is not any more, as they were noted."""
    now = {key_of(target, desk.gallery) for target in targets if target.home_assistant}
    with desk.gallery.read() as connection:
        found = connection.execute(select(notes).where(notes.c.key.like("target %: home"))).all()
    every = [(str(row.key).removeprefix("target ").partition(":")[0], str(row.value)) for row in found]
    return [(key, text) for key, text in every if key not in now]


class _Left:
    """What the broker of a target that is none any more keeps is taken away, as soon as the broker is there.

    trouble: why that could not be done yet; "" before the first try. done: nothing is kept there any more.
    """

    def __init__(self, desk: Desk, key: str, text: str, targets: Sequence[TargetConfig]) -> None:
        self._desk, self._key, self._former = desk, key, Former.of_text(text)
        place = place_at_broker(self._former.uri)
        self._uri = next((t.uri for t in targets if key_of(t, desk.gallery) == key), None)
        self._shared = any(t.home_assistant and place_at_broker(t.uri) == place for t in targets)
        self.trouble, self.done = "", False
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, name="telling a former target", daemon=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; no password."""
        return {"target": redacted(self._former.uri), "trouble": redacted(self.trouble)}

    def _run(self) -> None:
        wait = _POLL
        while not self.stop.is_set():
            try:
                shown: dict[str, str] = json.loads(_kept(self._desk, self._key, "pictures") or "{}")
                self._former.withdraw(shown, self._uri, shared=self._shared)
            except ReIDStreamError as error:
                if str(error) != self.trouble:
                    self.trouble = str(error)
                    _log.warning(
                        "%s; it keeps what was told to Home Assistant until it answers: it is asked again, less and "
                        "less often, at least every %.0f hours and whenever the server starts",
                        redacted(self.trouble),
                        _LONGEST_OF_FORMER / 3600,
                    )
                self.stop.wait(wait)
                wait = min(2 * wait, _LONGEST_OF_FORMER)
            else:
                with self._desk.gallery.write() as connection:
                    gone = [f"target {self._key}: {what}" for what in ("home", "pictures")]
                    connection.execute(delete(notes).where(notes.c.key.in_(gone)))
                self.done = True
                return


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
            # What another target with the same topics has shown is shown, or taken away, by this one.
            shown = {**_shown_by_others(desk, config), **shown} if config.home_assistant else shown
            if config.home_assistant and shown:
                self._keep("pictures", json.dumps(shown))
            if config.home_assistant or (shown and self._kept("home") is None):
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
                if self._config.home_assistant:
                    self._note_home()
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

    def _note_home(self) -> None:
        """Note what a broker is about to keep, so that it can be taken away when this is no target any more."""
        before = self._kept("home")
        cameras = {*(Former.of_text(before).cameras if before else ()), *self._occupied()}
        uri = without_written_password(self._config.uri)
        now = Former(uri, self._config.ca, f"reidstream_{self.key}", tuple(sorted(cameras))).as_text()
        if now != before:
            self._keep("home", now)

    def _kept(self, what: str) -> str | None:
        return _kept(self._desk, self.key, what)

    def _keep(self, what: str, value: str) -> None:
        key = f"target {self.key}: {what}"
        with self._desk.gallery.write() as connection:
            connection.execute(delete(notes).where(notes.c.key == key))
            connection.execute(insert(notes).values(key=key, value=value))


def _kept(desk: Desk, key: str, what: str) -> str | None:
    with desk.gallery.read() as connection:
        value = connection.execute(select(notes.c.value).where(notes.c.key == f"target {key}: {what}")).scalar()
    return None if value is None else str(value)


def _shown_by_others(desk: Desk, config: TargetConfig) -> dict[str, str]:
    """Cameras of which the same broker keeps a picture, under the same topics, that a former target sent."""
    place = place_at_broker(config.uri)
    found: dict[str, str] = {}
    for key, text in _left(desk, [config]):
        if place_at_broker(Former.of_text(text).uri) == place:
            found |= json.loads(_kept(desk, key, "pictures") or "{}")
    return found
