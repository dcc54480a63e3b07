"""What a gallery's tables say of who has access, who looked, what is stored, and what was erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, column, func, inspect, select, table

from reidstream.clips.schema import clips
from reidstream.config import Config, SourceConfig
from reidstream.gallery import Gallery
from reidstream.gallery.columns import has_column
from reidstream.identities.schema import ERASURE, operations
from reidstream.server.access.schema import jobs, looks, notes, source_settings, tokens, users
from reidstream.sources import source_ids

_TARGET = "target "
# How many rows of which table are counted, and what they are called.
_COUNTED = {
    "visits": "tracklets",
    "vectors": "embeddings",
    "best_pictures": "crops",
    "more_pictures": "more_crops",
    "not_stored": "left_out",
    "clips": "clips",
    "alerts": "alerts",
    "entries_of_watch_lists": "watch_entries",
    "events": "outbox",
    "decisions": "operations",
    "marks_of_erased": "tombstones",
    "log_entries": "looks",
}


def counts_of(connection: Connection) -> dict[str, int]:
    """How much is stored, by what it is; clip_bytes: of all clips together."""
    there = set(inspect(connection).get_table_names())
    found = {
        name: int(connection.execute(select(func.count()).select_from(table(of))).scalar_one()) if of in there else 0
        for name, of in _COUNTED.items()
    }
    found["named_people"] = 0
    if "people" in there:
        named = select(func.count()).select_from(table("people")).where(column("name") != "")
        found["named_people"] = int(connection.execute(named).scalar_one())
    found["clip_bytes"] = 0
    if "clips" in there:
        found["clip_bytes"] = int(connection.execute(select(func.coalesce(func.sum(clips.c.size), 0))).scalar_one())
    return found


def accounts_of(gallery: Gallery) -> dict[str, Any]:
    """Users and tokens: who may do what, of which cameras. Not what they log in with."""
    with gallery.read() as connection:
        if not has_column(connection, "users", "id"):
            return {"users": [], "tokens": [], "told_before": 0}
        names: dict[int, str] = {}
        shown = []
        columns = (users.c.id, users.c.name, users.c.role, users.c.cameras, users.c.created_wall)
        for row in connection.execute(select(*columns).order_by(users.c.name)):
            names[row.id] = row.name
            cameras = _cameras(row.cameras)
            shown.append({"name": row.name, "role": row.role, "cameras": cameras, "since": row.created_wall})
        wanted = (
            tokens.c.user,
            tokens.c.name,
            tokens.c.role,
            tokens.c.cameras,
            tokens.c.begun_wall,
            tokens.c.used_wall,
        )
        held = [
            {
                "name": row.name,
                "user": names.get(row.user),
                "role": row.role,
                "cameras": _cameras(row.cameras),
                "since": row.begun_wall,
                "used": row.used_wall,
            }
            for row in connection.execute(select(*wanted).order_by(tokens.c.begun_wall))
        ]
        # Positions of targets stay when a target is taken out of the settings.
        told = select(notes.c.key).where(notes.c.key.startswith(_TARGET), notes.c.key.endswith(": seq"))
        return {"users": shown, "tokens": held, "told_before": len(connection.execute(told).all())}


def looks_of(connection: Connection, since: float) -> dict[str, Any]:
    """Who did what how often, and when last: what was looked at, searched for, exported; and decisions. since: Unix
    seconds. Whom it was about is not said."""
    found: list[dict[str, Any]] = []
    if has_column(connection, "looks", "id"):
        c = looks.c
        query = select(c.who, c.action, func.count().label("times"), func.max(c.wall).label("last"))
        query = query.where(c.wall >= since).group_by(c.who, c.action).order_by(c.who, c.action)
        found = [dict(row._mapping) for row in connection.execute(query)]
    decided: list[dict[str, Any]] = []
    if has_column(connection, "operations", "id"):
        o = operations.c
        query = select(o.author.label("who"), o.kind, func.count().label("times"), func.max(o.wall).label("last"))
        query = query.where(o.wall >= since).group_by(o.author, o.kind).order_by(o.author, o.kind)
        decided = [dict(row._mapping) for row in connection.execute(query)]
    return {"since": since, "actions": found, "decisions": decided}


def erasures_of(gallery: Gallery) -> dict[str, Any]:
    """Erasures that the log tells of: how many people, and of those by a server whether a byte search proved them."""
    with gallery.read() as connection:
        people = 0
        if has_column(connection, "operations", "id"):
            told = select(func.count()).select_from(operations).where(operations.c.kind == ERASURE)
            people = int(connection.execute(told).scalar_one())
        done = []
        if has_column(connection, "jobs", "id"):
            c = jobs.c
            query = select(c.ended_wall, c.who, c.result).where(c.kind == "erase", c.state == "done").order_by(c.id)
            for row in connection.execute(query):
                result = json.loads(row.result or "{}")
                kept = {name: result.get(name) for name in ("tracklets", "people", "proven", "pieces", "reach")}
                done.append({"wall": row.ended_wall, "who": row.who, **kept})
    return {"entries_in_the_log": people, "by_servers": done}


def sources_of(gallery: Gallery, config: Config | None) -> Iterator[tuple[str, SourceConfig, bool]]:
    """Sources that are to be read: of the settings, and those that were added on the page; paused or not."""
    if config is not None:
        given = list(config.sources)
        for name, source in zip(source_ids(given), given, strict=True):
            yield name, source, False
    with gallery.read() as connection:
        if not has_column(connection, "served_sources", "name"):
            return
        rows = connection.execute(select(source_settings).order_by(source_settings.c.name)).all()
    for row in rows:
        yield row.name, SourceConfig.model_validate_json(row.settings), bool(row.paused)


def _cameras(text: str | None) -> list[str] | None:
    return None if text is None else json.loads(text)
