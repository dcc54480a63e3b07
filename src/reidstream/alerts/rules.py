"""Rules: about whom, where, when, how sure, and how often something is said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Who(StrEnum):
    """About whom a rule is."""

    LISTED = "listed"
    """Somebody on a watch list."""
    UNKNOWN = "unknown"
    """Somebody who has no name; where a list is given, who is not on it."""
    ANYBODY = "anybody"
    """Whoever it is."""


class RuleSettings(BaseModel):
    """A rule as a user writes it down."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "stranger at night",
                    "purpose": "burglaries in March",
                    "who": "unknown",
                    "cameras": ["yard"],
                    "hours": "22:00-06:00",
                    "timezone": "Europe/Berlin",
                }
            ]
        },
    )
    name: str = Field(min_length=1, max_length=100, description="What it is called.")
    purpose: str = Field(min_length=5, max_length=1000, description="What it is for, in words.")
    who: Who = Field(description="listed: on the list; unknown: without a name, or not on the list; anybody.")
    list: str | None = Field(default=None, max_length=64, description="The watch list, by id or name.")
    cameras: tuple[str, ...] = Field(default=(), max_length=256, description="Only these cameras; none named: all.")
    zone: str | None = Field(default=None, max_length=100, description="Only who stands in this named zone.")
    dwell: float = Field(default=0.0, ge=0, le=86_400, description="Only who is there (or in the zone) so long, s.")
    hours: str | None = Field(default=None, max_length=11, description="Only at this time of day, HH:MM-HH:MM.")
    days: tuple[str, ...] = Field(default=(), max_length=7, description="Only on these days: mon, tue, ...")
    timezone: str = Field(default="UTC", max_length=64, description="Whose clock hours and days are, Europe/Berlin.")
    cooldown: float = Field(default=60.0, ge=0, le=86_400, description="Seconds in which the same is said once only.")
    risk: float = Field(
        default=0.1, gt=0, le=0.5, description="The accepted probability that an alert is about somebody else."
    )

    @field_validator("hours")
    @classmethod
    def _times(cls, hours: str | None) -> str | None:
        if hours is not None and _HOURS.fullmatch(hours) is None:
            raise ValueError("hours must be HH:MM-HH:MM, like 22:00-06:00")
        return hours

    @field_validator("days")
    @classmethod
    def _known(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        if not set(days) <= set(DAYS):
            raise ValueError(f"days are {', '.join(DAYS)}")
        return days

    @field_validator("timezone")
    @classmethod
    def _there(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone {name!r}; expected a name like Europe/Berlin or UTC") from None
        return name

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.who is Who.LISTED and self.list is None:
            raise ValueError("a rule about listed people names its list")
        if self.who is Who.ANYBODY and self.list is not None:
            raise ValueError("a rule about anybody has no list")
        return self


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is kept. id: 12 hex digits. list: the id of its watch list."""

    id: str
    settings: RuleSettings
    active: bool
    list: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"id": self.id, "active": self.active, **self.settings.model_dump(mode="json")}

    @property
    def needed(self) -> float:
        """How probable it must be that somebody is whom the rule is about."""
        return 1.0 - self.settings.risk

    def about(self, source: str) -> bool:
        """Whether it may hold at a camera at some time."""
        return self.active and (not self.settings.cameras or source in self.settings.cameras)

    def covers(self, source: str, wall: float) -> bool:
        """Whether it holds at a camera at a time, Unix seconds."""
        wanted = self.settings
        if not self.about(source):
            return False
        if wanted.hours is None and not wanted.days:
            return True
        there = datetime.fromtimestamp(wall, ZoneInfo(wanted.timezone))
        day, minute = there.weekday(), there.hour * 60 + there.minute
        if wanted.hours is not None:
            begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in wanted.hours.split("-"))
            if begin <= end:
                inside = begin <= minute < end
            else:
                inside = minute >= begin or minute < end
                # The night belongs to the day on which it began.
                day = day if minute >= begin else (day - 1) % 7
            if not inside:
                return False
        return not wanted.days or DAYS[day] in wanted.days
