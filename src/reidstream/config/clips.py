"""What is kept of the video itself, as a user writes it down."""

from __future__ import annotations

from pydantic import Field

from reidstream.config.base import Section


class ClipConfig(Section):
    """Short clips of visits, beside a gallery in a folder."""

    keep: bool = Field(
        default=False,
        description="Keep a short clip of every visit, as it came: packets of the video, not encoded anew.",
    )
    seconds: float = Field(
        default=20.0,
        gt=0,
        le=600,
        description="Length of a clip. Of a longer visit the clip shows the time around its best picture.",
    )
    margin: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="Seconds before and after the visit. A clip begins at the last key frame before that.",
    )
    ring_seconds: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="Seconds of each camera's packets that wait in memory, because a visit is known when it is over; "
        "one of somebody who only stood or sat there within 4 times tracklets.still_seconds.",
    )
    ring_mib: float = Field(
        default=64.0, gt=0, le=4096, description="Memory for the packets of each camera; the oldest go first."
    )
    days: float | None = Field(
        default=30.0, gt=0, description="Clips made longer ago are deleted by the next run with clips; none: never."
    )
    gib: float = Field(default=20.0, gt=0, description="All clips of a gallery together; the oldest are deleted first.")
