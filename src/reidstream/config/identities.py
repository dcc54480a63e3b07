"""Deciding which tracklets are one person."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reidstream.config.base import Section


class IdentityConfig(Section):
    """How tracklets become people."""

    false_merges: float = Field(
        default=0.1,
        gt=0,
        lt=0.5,
        description="Accepted risk that joining a tracklet to a person is wrong; smaller keeps people apart.",
    )
    cameras: Literal["auto", "separate", "independent"] = Field(
        default="auto",
        description="separate: nobody is in two cameras at once (clocks agree, views do not overlap); independent: "
        "nothing is known; auto: separate if the gallery's own look-alike pairs say so.",
    )
    resolve: bool = Field(
        default=True,
        description="Whether a run ends by deciding everybody anew, all at once, as `people resolve` does. It never "
        "does in a gallery that people have reviewed or that holds more than 20,000 tracklets.",
    )
    topology: str | None = Field(
        default=None, description="TOML file with camera pairs: overlapping views and shortest travel times."
    )
    clocks: dict[str, float] = Field(
        default_factory=dict,
        description="By how many seconds the clocks of cameras, by name, are ahead (negative: behind); `people clocks` "
        "measures it. Who is who is decided by times that are less by that; stored times stay as they are.",
    )
    clothes: Literal["change", "stay"] = Field(
        default="change",
        description="change: who comes another day mostly wears something else, so that people of another day are "
        "suggestions for review; stay: they do not (uniforms, an event), and looks say as much as on the same day.",
    )
    overlap: float = Field(
        default=0.5, ge=0, description="Seconds two tracklets must be seen together to count as two people."
    )
