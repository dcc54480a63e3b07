"""What of an exported gallery's people and decisions stays outside: whatever is about somebody who was erased here."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, select

from reidstream.gallery.tombstones import erased_people
from reidstream.identities.schema import ERASED_SUMMARY, people

Document = dict[str, list[dict[str, Any]]]


def without_erased(connection: Connection, document: Document, present: Collection[str]) -> Document:
    """The document without people of whom no visit is here, without the names of those who were erased here, and
    without decisions of which nothing is left.

    present: the gallery's tracklets. Words of decisions that name somebody who stays outside are taken out.
    """
    visited = {row["person"] for name in ("members", "former_members") for row in _of(document[name], present)}
    mentioned = {row["person"] for name in ("members", "former_members") for row in document[name]}
    here = set(connection.execute(select(people.c.id)).scalars())
    erased = erased_people(connection, {row["id"] for row in document["people"]} | (visited - {None}))
    kept_people, words = [], set()
    for row in document["people"]:
        # Somebody without visits, there as here, is nobody whose visits were left out.
        alone = row["id"] not in mentioned and row["id"] not in erased
        comes = alone or row["id"] in visited or row["id"] in here
        if not comes or row["id"] in erased:
            words |= {row["name"], row["notes"]}
        if comes:
            kept_people.append({**row, "name": "", "notes": ""} if row["id"] in erased else row)
    ids = {row["id"] for row in kept_people} - erased
    former_people = [row for row in document["former_people"] if row["person"] in ids]
    words |= {row[key] for row in document["former_people"] if row["person"] not in ids for key in ("name", "notes")}
    touched = {row["changed_by"] for row in document["former_people"] if row["person"] not in ids}
    left = {row["changed_by"] for row in (*former_people, *_of(document["former_members"], present))}
    left |= {row["changed_by"] for row in _of(document["former_links"], present)}
    left |= {row["operation"] for row in _of(document["links"], present)}
    left |= {row["id"] for row in document["operations"] if row["undoes"] in left}
    named = _naming(words - {""})
    operations = [
        {**row, "summary": ERASED_SUMMARY} if {row["id"], row["undoes"]} & touched or named(row["summary"]) else row
        for row in document["operations"]
        if row["id"] in left
    ]
    return {**document, "people": kept_people, "former_people": former_people, "operations": operations}


def _of(rows: list[dict[str, Any]], present: Collection[str]) -> list[dict[str, Any]]:
    """The rows all of whose tracklets are here."""
    return [row for row in rows if all(row[key] in present for key in ("tracklet", "a", "b") if key in row)]


def _naming(words: set[str]) -> Callable[[str], bool]:
    if not words:
        return lambda _text: False
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(words)))})(?!\w)")
    return lambda text: pattern.search(text) is not None
