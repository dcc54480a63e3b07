"""How live pictures are shown, as a user writes it down."""

from __future__ import annotations

from pydantic import Field

from reidstream.config.base import Section


class LiveConfig(Section):
    """Live pictures on the server's page. Nothing is made of cameras that nobody looks at."""

    fps: float = Field(
        default=5.0, gt=0, le=30, description="At most so many pictures a second of a camera in which somebody is."
    )
    still_seconds: float = Field(
        default=5.0, gt=0, le=600, description="Seconds between two pictures of a camera in which nobody is."
    )
