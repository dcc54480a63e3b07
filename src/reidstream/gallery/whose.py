"""Whose a tracklet is, read for the tables that list tracklets.

Who is who is decided and written above this package (``identities.schema`` has the tables); here they are only read,
and by name, so that rows and exports say it without knowing how it was decided.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    column,
    exists,
    false,
    func,
    literal,
    select,
    table,
)

from reidstream.gallery.columns import has_column
from reidstream.gallery.schema import tracklets

WHOSE = ("person", "person_number", "person_name", "undecided")
"""Columns: the person's id, number and name, and whether the tracklet is undecided: then that is nobody yet."""

_members = table("members", column("tracklet"), column("person"), column("candidate"))
_people = table("people", column("id"), column("number"), column("name"))


def with_whose(connection: Connection, query: Select[Any]) -> Select[Any]:
    """A query of ``tracklets`` with the columns ``WHOSE``: "", 0, "" and false for one without a person."""
    if not has_column(connection, "people", "id"):
        nobody: tuple[ColumnElement[Any], ...] = (literal(""), literal(0), literal(""), false())
        return query.add_columns(*(value.label(name) for name, value in zip(WHOSE, nobody, strict=True)))
    doubtful: Any = false()
    if has_column(connection, "members", "candidate"):
        other = _members.alias()
        beside = select(literal(1)).where(other.c.person == _members.c.person, other.c.tracklet != _members.c.tracklet)
        doubtful = and_(_members.c.candidate.is_not(None), func.coalesce(_people.c.name, "") == "", ~exists(beside))
    who = (
        func.coalesce(_members.c.person, ""),
        func.coalesce(_people.c.number, 0),
        func.coalesce(_people.c.name, ""),
        doubtful,
    )
    joined = query.add_columns(*(value.label(name) for name, value in zip(WHOSE, who, strict=True)))
    return joined.select_from(
        tracklets.outerjoin(_members, _members.c.tracklet == tracklets.c.id).outerjoin(
            _people, _people.c.id == _members.c.person
        )
    )
