"""One connection to a live source, from opening to its loss."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from reidstream.sources.frame import Picture
from reidstream.sources.packet_tap import PacketTaker


class ConnectionLost(Exception):
    """The camera does not answer, or does not any more; trying again makes sense."""


class ConnectionRefused(Exception):
    """The camera says that it will not deliver: wrong password, no such stream, no permission."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A picture that has just arrived, and the camera's time stamp in seconds if it gives one."""

    picture: Picture
    stamp: float | None


class Connection(Protocol):
    """An open connection; a context manager. Making one raises ConnectionLost or ConnectionRefused."""

    @property
    def fps(self) -> float:
        """Frames per second as far as the camera says, else 0."""

    def take_skipped(self) -> int:
        """Damaged packets since the last call."""

    def record(self, taker: PacketTaker) -> None:
        """Give every packet to one more taker before it is decoded; a device that delivers pictures has none to
        give."""

    def arrivals(self, closed: threading.Event) -> Iterator[Arrival]:
        """Pictures until the stream ends or ``closed`` is set.

        Raises ConnectionLost when it breaks, or when no picture comes for the time-out although data may.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
