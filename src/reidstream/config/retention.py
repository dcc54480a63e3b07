"""How long people are kept, as a user writes it down."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reidstream.config.base import Section

Days = Annotated[float, Field(gt=0)]
"""How long a camera is kept; inf for ever."""


class RetentionConfig(Section):
    """After how many days visits are erased, with proof. Nothing is set, nothing is erased."""

    days: float | None = Field(
        default=None, gt=0, description="Visits that ended longer ago are erased, of every camera; none: never."
    )
    cameras: dict[str, Days] = Field(
        default={}, description="The same for some cameras, by name, instead of `days`; inf: never."
    )
    named_days: float | None = Field(
        default=None,
        gt=0,
        description="The same for people with a name, whatever the camera; inf: never; none: as for everybody.",
    )
    hour: int = Field(
        default=3,
        ge=0,
        le=23,
        description="Hour of the day, on the machine's clock, in which a server erases what is due.",
    )

    @property
    def is_set(self) -> bool:
        """Whether there is anything to do at all."""
        return bool(self.days is not None or self.cameras or self.named_days is not None)
