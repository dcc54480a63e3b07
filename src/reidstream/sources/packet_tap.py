"""A live source's packets as they come, for whoever wants them just now: nothing is copied while nobody does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakValueDictionary


class PacketTaker(Protocol):
    """Whoever takes packets of PyAV, on the source's reading thread, before they are decoded."""

    def take(self, packet: Any, stream: Any) -> None:
        """A packet has come. Must neither wait nor keep the packet, which is the decoder's."""


class PacketTap:
    """``taker`` is called with every packet of a live source and its stream; None: nobody wants them."""

    def __init__(self) -> None:
        self.taker: Callable[[Any, Any], None] | None = None

    def take(self, packet: Any, stream: Any) -> None:
        taker = self.taker
        if taker is not None:
            taker(packet, stream)


_TAPS: WeakValueDictionary[str, PacketTap] = WeakValueDictionary()


def remember_tap(source: str, tap: PacketTap) -> None:
    """Make a live source's tap known by its id, for as long as somebody holds it."""
    _TAPS[source] = tap


def tap_of(source: str) -> PacketTap | None:
    """The tap of a live source that is read in this process and hands packets on."""
    return _TAPS.get(source)
