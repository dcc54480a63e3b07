"""The thread that gives stored tracklets a person, and what it remembers of everybody for that.

It decides soon after something was stored, draws its conclusions anew when the gallery has outgrown them, and makes the
newest decisions again now and then; both take seconds and happen beside, in a thread of their own.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterator

from reidstream.config.identities import IdentityConfig
from reidstream.errors import GalleryLocked, GalleryUnreachable
from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Catalogue
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.revisiting import decided

_log = logging.getLogger(__name__)

# Tracklets that are given people in one go; a decision waits for no more than these.
_AT_ONCE = 20
# Seconds until people are given again after it failed, twice as many each time.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0


class Assigning:
    """Whoever is stored has a person soon after ``wake``, from ``start`` to ``close``.

    Three locks, taken in this order where one holds several: ``_reading`` (everybody is read once; it guards that what
    is remembered is made or dropped), then ``deciding`` (the desk's: who is who, in the database and in memory), and
    ``_waiting`` (the flags below), within which nothing else is taken and nothing is waited for but the flags.

    deciding: held while who is who changes. catalogue: takes over whom people were given. given: called, with no lock
    held, when tracklets have got their people.
    """

    def __init__(
        self,
        gallery: Gallery,
        config: IdentityConfig,
        catalogue: Catalogue,
        deciding: threading.Lock,
        given: Callable[[], None],
    ) -> None:
        self._gallery, self._config, self._catalogue = gallery, config, catalogue
        self._deciding, self._given = deciding, given
        self._reading = threading.Lock()
        self._identities: OnlineIdentities | None = None
        self._waiting = threading.Condition()
        self._awake = True
        self._working = self._closing = False
        self._reconsidering: threading.Thread | None = None
        self._pause = 0.0
        self._thread = threading.Thread(target=self._assign, name="assigning people", daemon=True)

    def start(self) -> None:
        """Begin with what was stored before."""
        self._thread.start()

    def wake(self) -> None:
        """Something was stored, or somebody decided: there may be tracklets without a person."""
        with self._waiting:
            self._awake = True
            self._waiting.notify_all()

    def settle(self) -> None:
        """Wait until every stored tracklet has a person, or it is being closed."""
        with self._waiting:
            self._waiting.wait_for(lambda: self._closing or not (self._awake or self._working))

    def close(self) -> None:
        """Everything stored has a person when it returns, unless that fails."""
        with self._waiting:
            self._closing = self._awake = True
            self._waiting.notify_all()
        self._thread.join()

    def everybody(self) -> OnlineIdentities:
        """Everybody, as they are remembered for deciding; read once, while decisions go on. Not within ``deciding``."""
        with self._reading:
            if self._identities is None:
                identities = OnlineIdentities(self._gallery, self._config)
                with self._deciding:
                    identities.follow()
                    self._identities = identities
            return self._identities

    def follow(self, told: Collection[str] | None, gone: Collection[str]) -> None:
        """Take over what has happened; see ``OnlineIdentities.follow``. Within ``deciding``."""
        identities = self._identities
        if identities is not None:
            identities.follow(told, gone)

    def _assign(self) -> None:
        while True:
            with self._waiting:
                self._working = self._reconsidering is not None
                self._waiting.notify_all()
                self._waiting.wait_for(lambda: self._awake or self._closing)
                if not self._awake:
                    break
                self._awake, self._working = False, True
            with self._goes_on():
                while self._catch_up():
                    pass
        if (reconsidering := self._reconsidering) is not None:
            reconsidering.join()

    @contextlib.contextmanager
    def _goes_on(self) -> Iterator[None]:
        """Whatever goes wrong in it is said, and tried again after a while: tracklets are stored, and whoever opens the
        gallery next gives them people at the latest."""
        try:
            yield
            self._pause = 0.0
            return
        except (GalleryLocked, GalleryUnreachable) as error:
            _log.warning("%s; stored tracklets wait for their people", error)
        except Exception:  # noqa: BLE001 - nobody would be given people any more
            _log.exception("stored tracklets could not be given people")
            with self._reading:
                # What is remembered of everybody may be half of what it was to become.
                self._identities = None
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        with self._waiting:
            if not self._closing:
                self._awake = True
                self._waiting.wait_for(lambda: self._closing, self._pause)

    def _catch_up(self) -> int:
        """Give one batch people; how many that were."""
        identities = self.everybody()
        with self._deciding:
            given = identities.catch_up(_AT_ONCE)
        if given:
            # First: they have their people, whatever goes wrong from here on.
            self._given()
            self._catalogue.refresh()
        # What failed is not begun again by who ends.
        hopeless = self._closing and self._pause > 0
        if (identities.outgrown or identities.due) and self._reconsidering is None and not hopeless:
            # Takes seconds: neither whoever decides nor the next tracklets wait for it.
            self._reconsidering = threading.Thread(
                target=self._reconsider, args=(identities,), name="deciding again", daemon=True
            )
            self._reconsidering.start()
        return given

    def _reconsider(self, identities: OnlineIdentities) -> None:
        """Conclude from what is stored by now, and make the newest decisions again."""
        try:
            with self._goes_on():
                if identities.outgrown:
                    concluded = identities.conclude()
                    with self._deciding:
                        identities.adopt(concluded)
                if identities.due:
                    for some in identities.turns():
                        with self._deciding:
                            looked_at = identities.looked_at(some)
                        parts = decided(looked_at, self._config)
                        with self._deciding:
                            if identities is not self._identities:
                                # Everybody was read anew meanwhile, because something failed.
                                return
                            identities.revise(looked_at, parts)
                            self._catalogue.refresh()
                    identities.looked()
        finally:
            with self._waiting:
                self._reconsidering = None
                self._awake = True
                self._waiting.notify_all()
