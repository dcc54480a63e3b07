"""The runs that erased what was due."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from reidstream.config.retention import RetentionConfig
from reidstream.gallery import Gallery
from reidstream.gallery.columns import has_column
from reidstream.retention.due import DAY, Due
from reidstream.retention.schema import RETENTION_MIGRATIONS, retention_runs

KEPT = 1000 * DAY
"""Seconds that entries are kept."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. state: running, done, failed, or interrupted: its process died, and the next run goes on.

    rules: as they were. tracklets, left_out, people: what was due. proven: whether the byte search found all gone;
    reach: what it cannot speak for.
    """

    id: int
    begun_wall: float
    ended_wall: float | None
    state: str
    who: str
    rules: dict[str, Any]
    tracklets: int
    left_out: int
    people: int
    proven: bool | None
    reach: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def runs_of(gallery: Gallery, most: int = 100) -> list[Run]:
    """The newest runs first."""
    with gallery.read() as connection:
        if not has_column(connection, "retention_runs", "id"):
            return []
        rows = connection.execute(select(retention_runs).order_by(retention_runs.c.id.desc()).limit(most)).all()
    return [Run(**{**row._mapping, "rules": json.loads(row.rules)}) for row in rows]


def begin(gallery: Gallery, rules: RetentionConfig, who: str, due: Due) -> int:
    """Note that a run begins, and that one which never ended was interrupted; its number."""
    gallery.migrate("retention", RETENTION_MIGRATIONS)
    c = retention_runs.c
    with gallery.write() as connection:
        connection.execute(update(retention_runs).where(c.state == "running").values(state="interrupted"))
        connection.execute(delete(retention_runs).where(c.begun_wall < due.wall - KEPT))
        values = {"begun_wall": due.wall, "state": "running", "who": who, "rules": json.dumps(said(rules))}
        counts = {"tracklets": len(due.tracklets), "left_out": len(due.left_out), "people": due.people, "reach": ""}
        made = connection.execute(insert(retention_runs).values(**values, **counts))
        assert made.inserted_primary_key is not None
        return int(made.inserted_primary_key[0])


def end(gallery: Gallery, number: int, wall: float, state: str, proven: bool | None, reach: str = "") -> None:
    """Note how a run ended."""
    values = {"ended_wall": wall, "state": state, "proven": proven, "reach": reach}
    with gallery.write() as connection:
        connection.execute(update(retention_runs).where(retention_runs.c.id == number).values(**values))


def said(rules: RetentionConfig) -> dict[str, Any]:
    """The rules as plain values that JSON can hold: "never" for ever."""
    plain = rules.model_dump(exclude={"hour"})
    return {
        "days": _days(plain["days"]),
        "named_days": _days(plain["named_days"]),
        "cameras": {camera: _days(days) for camera, days in sorted(plain["cameras"].items())},
    }


def _days(value: float | None) -> float | str | None:
    return "never" if value is not None and value == float("inf") else value
