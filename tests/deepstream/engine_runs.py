"""Making a DeepStream engine for a test, and finding one's way in its events."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reidstream.config import Config, SourceConfig
from reidstream.types import Event, Observed, SourceEnded


def engine_for(config: Config, sources: Sequence[tuple[str, Path]], **options: Any) -> Any:
    from reidstream.engines.deepstream.running.engine import DeepStreamEngine

    return DeepStreamEngine(config, [(name, SourceConfig(uri=str(path))) for name, path in sources], **options)


def events_of(engine: Any, seconds: float = 240.0) -> Iterator[Event]:
    """The engine's events; what never comes ends the run after a long while, so that a test fails and does not hang."""
    limit = threading.Timer(seconds, engine.stop)
    limit.start()
    try:
        yield from engine.events()
    finally:
        limit.cancel()
        limit.join()


def by_source(events: Sequence[Event]) -> dict[str, list[Event]]:
    grouped: dict[str, list[Event]] = {}
    for event in events:
        grouped.setdefault(event.source, []).append(event)
    return grouped


def end_of(events: Sequence[Event], source: str) -> SourceEnded:
    (end,) = [event for event in events if isinstance(event, SourceEnded) and event.source == source]
    return end


def frames_of(events: Sequence[Event], source: str) -> list[Observed]:
    return [event for event in events if isinstance(event, Observed) and event.source == source]
