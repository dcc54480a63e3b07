"""How a run tells of whoever is in view."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from reidstream.alerts.sightings import Sighting


class Watcher(Protocol):
    """Whoever hears of open tracks: ``alerts.Watch``, or one in another process. Called from the run's own thread."""

    def wants(self, source: str) -> bool:
        """Whether open tracks of a source are asked for. Asked for every frame."""

    def saw(self, sightings: Iterable[Sighting]) -> object:
        """Whoever is in view, as far as they are known by now."""
