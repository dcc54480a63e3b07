"""The list of what workers read. Passwords do not get into it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from reidstream.cluster.schema import leases, worker_sources
from reidstream.config import SourceConfig
from reidstream.config.redaction import redacted
from reidstream.config.secrets import without_secrets
from reidstream.errors import ConfigError
from reidstream.sources import source_ids
from reidstream.sources.address import Kind, kind_of, local_path


def listed(configs: Sequence[SourceConfig]) -> list[SourceConfig]:
    """The sources as they may stand in the list: with names, recordings with whole paths.

    Raises ConfigError for an address with a password in it.
    """
    found = []
    for name, config in zip(source_ids(configs), configs, strict=True):
        hidden = without_secrets(config.uri)
        if redacted(hidden) != hidden:
            raise ConfigError(
                f"{redacted(config.uri)}: the list of sources lies in the database, where passwords do not belong: "
                "name a variable or a file of the workers instead, rtsp://viewer:{env:CAMERA_PASSWORD}@host or "
                "rtsp://viewer:{file:/run/secrets/camera}@host"
            )
        local = kind_of(config.uri) in (Kind.FILE, Kind.FOLDER)
        uri = str(local_path(config.uri).resolve()) if local else config.uri
        found.append(config.model_copy(update={"name": name, "uri": uri}))
    return found


def add(connection: Connection, configs: Sequence[SourceConfig]) -> list[str]:
    """Put sources into the list, or change how they are read; the names of those that are new.

    What was done, or given up, is looked at again when it is listed anew. Who reads a source goes on with the former
    settings until it is taken the next time. Raises ConfigError.
    """
    new = []
    known = names(connection)
    for config in listed(configs):
        assert config.name is not None
        live = kind_of(config.uri) not in (Kind.FILE, Kind.FOLDER)
        values = {"settings": config.model_dump_json(exclude_defaults=True), "live": live, "wanted": True}
        adding = insert(worker_sources).values(name=config.name, **values)
        connection.execute(adding.on_conflict_do_update(index_elements=["name"], set_=values))
        connection.execute(insert(leases).values(source=config.name).on_conflict_do_nothing())
        again = (leases.c.source == config.name, leases.c.state.in_(("failed", "done")))
        ready = text("clock_timestamp()")
        connection.execute(update(leases).where(*again).values(state="waiting", ready=ready, failures=0, error=None))
        if config.name not in known:
            new.append(config.name)
    return new


def names(connection: Connection) -> set[str]:
    """The names of the sources in the list."""
    return set(connection.execute(select(worker_sources.c.name)).scalars())


def want(connection: Connection, name: str, wanted: bool) -> None:
    """Read a source, or let it rest: who reads it ends within a few seconds. Raises ConfigError."""
    _demand(connection, name)
    connection.execute(update(worker_sources).where(worker_sources.c.name == name).values(wanted=wanted))


def remove(connection: Connection, name: str) -> None:
    """Take a source out of the list. What is stored of it stays. Raises ConfigError, also while somebody reads it."""
    _demand(connection, name)
    c = leases.c
    reads = select(c.worker).where(c.source == name, c.state == "running", c.until > func.clock_timestamp())
    if (worker := connection.execute(reads.with_for_update()).scalar()) is not None:
        raise ConfigError(f"{worker} reads {name!r} just now: let it rest first (reidstream workers pause {name})")
    connection.execute(delete(worker_sources).where(worker_sources.c.name == name))


def _demand(connection: Connection, name: str) -> None:
    known = sorted(names(connection))
    if name not in known:
        raise ConfigError(
            f"there is no source {name!r} in the list of workers; there are: {', '.join(known) or 'none'}"
        )
