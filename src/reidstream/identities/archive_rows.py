"""Whether the rows of an exported table could have been written by a gallery."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Integer, Table

from reidstream.errors import GalleryCorrupt
from reidstream.gallery.interchange import EARLIEST, LATEST

_MOST_TEXT = 100_000
"""Characters of a text; notes are the longest that people write."""


def checked_rows(table: Table, rows: Any) -> None:
    """Raise GalleryCorrupt unless these are rows of the table: columns, kinds of values, ranges, every key once."""
    columns = {column.name: column for column in table.columns}
    if not isinstance(rows, list):
        raise GalleryCorrupt(f"the exported table {table.name} must be a list of rows; export the gallery again")
    unique = [[column.name for column in table.primary_key.columns]]
    unique += [[column.name] for column in table.columns if column.unique]
    seen: list[set[tuple[Any, ...]]] = [set() for _ in unique]
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != set(columns):
            raise GalleryCorrupt(
                f"a row of the exported table {table.name} must have the columns {', '.join(sorted(columns))}; "
                "export the gallery again"
            )
        for name, column in columns.items():
            if not _fits(column, row[name]):
                raise GalleryCorrupt(
                    f"row {number} of the exported table {table.name} has {str(row[name])[:60]!r} as its {name}, which "
                    "no gallery could have written; export the gallery again"
                )
        for names, keys in zip(unique, seen, strict=True):
            key = tuple(row[name] for name in names)
            if key in keys:
                raise GalleryCorrupt(
                    f"row {number} of the exported table {table.name} is there twice ({', '.join(names)}); export the "
                    "gallery again"
                )
            keys.add(key)


def _fits(column: Column[Any], value: Any) -> bool:
    if value is None:
        return bool(column.nullable)
    if isinstance(column.type, Integer | BigInteger):
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53
    if isinstance(column.type, Double):
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return False
        return EARLIEST <= value <= LATEST if column.name.endswith("wall") else 0 <= value <= 1
    return isinstance(value, str) and len(value) <= _MOST_TEXT
