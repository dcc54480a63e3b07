"""Workers that share the sources of a gallery on PostgreSQL, as a user writes it down."""

from __future__ import annotations

from pydantic import Field

from reidstream.config.base import Section


class WorkerConfig(Section):
    """Workers that share the sources of a gallery on PostgreSQL (`reidstream worker`)."""

    lease_seconds: float = Field(
        default=15.0,
        ge=1,
        le=300,
        description="A worker, or a decider, that the database has not heard of for so long is replaced by another; "
        "it is heard of five times in that.",
    )
    checkpoint_seconds: float = Field(
        default=5.0,
        ge=0.1,
        le=300,
        description="How often it is kept what the open tracks of a camera have come to: what is lost, at most, of "
        "people in view when a worker dies.",
    )
    silent_seconds: float = Field(
        default=12.0,
        ge=1,
        le=3600,
        description="A camera that has given frames and then none for so long is ended and tried anew, by whichever "
        "worker is free. An engine that does not even end it is given up, and its worker ends. Keep it above the "
        "cameras' timeout.",
    )
