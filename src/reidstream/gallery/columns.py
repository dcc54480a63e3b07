"""Which tables and columns a gallery has, asked once: an earlier version of the program may have written it last."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, inspect

# Only what is there is remembered: migrations add, and nothing is taken away while a gallery is open.
_there: WeakKeyDictionary[Engine, set[tuple[str, str]]] = WeakKeyDictionary()


def has_column(connection: Connection, table: str, column: str) -> bool:
    """Whether a gallery has this column of this table."""
    known = _there.setdefault(connection.engine, set())
    if (table, column) in known:
        return True
    tables = inspect(connection)
    if not tables.has_table(table):
        return False
    known.update((table, one["name"]) for one in tables.get_columns(table))
    return (table, column) in known
