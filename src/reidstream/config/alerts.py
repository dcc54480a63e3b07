"""How long alerts are kept, as a user writes it down. Whom to look for is no setting: lists and rules are."""

from __future__ import annotations

from pydantic import Field

from reidstream.config.base import Section


class AlertConfig(Section):
    """Alerts of a gallery; there are none until somebody writes a rule."""

    days: float | None = Field(
        default=30.0, gt=0, description="Alerts raised longer ago are deleted with their pictures; none: never."
    )
