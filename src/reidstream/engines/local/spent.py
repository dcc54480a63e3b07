"""What an engine in another process says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from reidstream.engines import EngineStatus


@dataclass(frozen=True, slots=True)
class Spent:
    """What an EngineStatus says, at one moment."""

    frames: dict[str, int]
    dropped: dict[str, int]
    reconnects: dict[str, int]
    stage_seconds: dict[str, float]
    warnings: dict[str, int]

    @classmethod
    def of(cls, status: EngineStatus) -> Spent:
        # Copies of dictionaries to which other threads add are made in one step of the interpreter.
        return cls(
            status.frames.copy(),
            status.dropped.copy(),
            status.reconnects.copy(),
            status.stage_seconds.copy(),
            status.warnings.copy(),
        )
