"""People and what was decided about them as plain values, for taking them from one gallery to another.

An operation is known everywhere by the gallery that it was made in and its number there, so that it is never taken over
twice. Its number may be another one in each gallery; time and author stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, inspect, select, update

from reidstream.errors import GalleryCorrupt
from reidstream.gallery import Gallery
from reidstream.identities.archive_rows import checked_rows
from reidstream.identities.operations import built_on, restore
from reidstream.identities.people import assign, has_people, leave_undecided, person_of_tracklets, rename
from reidstream.identities.schema import former_links, former_members, former_people, links, members, operations, people

TABLES: tuple[Table, ...] = (people, members, links, operations, former_members, former_links, former_people)

# Columns that archives of earlier versions do not have.
_ADDED = {"members": ("candidate", "chance"), "former_members": ("candidate", "chance", "became")}

Row = dict[str, Any]
Document = dict[str, list[Row]]


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was not there before. people: ids. assigned: (tracklet, person, probability), the new ones among them.

    operations: how many. kept: decisions that were left as they are here, because a later one contradicts.
    """

    people: tuple[str, ...]
    assigned: tuple[tuple[str, str, float], ...]
    operations: int
    kept: int


def decisions_of(gallery: Gallery, tracklets: Sequence[str]) -> Document:
    """The people of these tracklets, and all decisions that touch them, table by table.

    An operation that touches none of them is left out, and so is everybody else.
    """
    if not has_people(gallery):
        return {table.name: [] for table in TABLES}
    inside = set(tracklets)
    with gallery.read() as connection:
        held = {table.name: _rows(connection, table) for table in TABLES}
    everything = len(inside) == len(gallery)
    for name in ("members", "former_members"):
        held[name] = [row for row in held[name] if row["tracklet"] in inside]
    for name in ("links", "former_links"):
        held[name] = [row for row in held[name] if row["a"] in inside and row["b"] in inside]
    for name in ("members", "former_members"):
        for row in held[name]:
            if row["candidate"] not in inside:
                row |= {"candidate": None, "chance": None}
    known = {row["person"] for name in ("members", "former_members") for row in held[name]}
    known = (known | {row["became"] for row in held["former_members"]}) - {None}
    if not everything:
        held["former_people"] = [row for row in held["former_people"] if row["person"] in known]
        touching = {
            row["changed_by"] for name in ("former_members", "former_links", "former_people") for row in held[name]
        }
        touching |= {row["operation"] for name in ("links", "former_links") for row in held[name]}
        held["operations"] = [row for row in held["operations"] if {row["id"], row["undoes"]} & touching]
        held["people"] = [row for row in held["people"] if row["id"] in known]
    uuid = gallery.facts().uuid
    for row in held["operations"]:
        row["origin"] = row["origin"] or f"{uuid}:{row['id']}"
    return held


def _rows(connection: Connection, table: Table) -> list[Row]:
    """All rows; None where a gallery that an earlier version wrote last lacks a column."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    columns = [column for column in table.columns if column.name in there]
    empty: Row = dict.fromkeys(column.name for column in table.columns)
    return [{**empty, **row._mapping} for row in connection.execute(select(*columns))]


def checked_document(document: Any) -> Document:
    """A document as ``decisions_of`` makes it. Raises GalleryCorrupt when something is missing or surplus."""
    if not isinstance(document, dict) or set(document) != {table.name for table in TABLES}:
        expected = ", ".join(table.name for table in TABLES)
        raise GalleryCorrupt(f"the exported people must have the tables {expected}; export the gallery again")
    for name, added in _ADDED.items():
        for row in document[name] if isinstance(document[name], list) else ():
            if isinstance(row, dict) and not row.keys() & set(added):
                row |= dict.fromkeys(added)
    for table in TABLES:
        checked_rows(table, document[table.name])
    return document


def take_over(connection: Connection, document: Document, uuid: str, present: set[str]) -> TakenOver:
    """Add people and decisions that are not there yet, in the caller's transaction.

    uuid: of the gallery that takes them over. present: its tracklets; rows about others are left out. Tracklets that
    have a person keep it unless a decision that is new here speaks of them; of two decisions that contradict each other
    the later one holds.
    """
    taking = _Taking(connection, document, uuid, present)
    new_people = taking.people()
    numbers = taking.operations()
    kept = taking.links()
    taking.former()
    taking.undoings()
    taking.names()
    assigned = taking.members()
    return TakenOver(tuple(new_people), tuple(assigned), len(numbers), kept)


class _Taking:
    """One document on its way into a gallery."""

    def __init__(self, connection: Connection, document: Document, uuid: str, present: set[str]) -> None:
        self._connection, self._document, self._present = connection, document, present
        rows = connection.execute(select(operations.c.id, operations.c.origin)).all()
        # The number here of each operation that is known already.
        here = {row.origin or f"{uuid}:{row.id}": int(row.id) for row in rows}
        self._known = {row["id"]: here[row["origin"]] for row in document["operations"] if row["origin"] in here}
        self._new: dict[int, int] = {}
        self._overruled: set[int] = set()
        self._wall = {int(row.id): float(row.wall) for row in connection.execute(select(operations))}

    def people(self) -> list[str]:
        held = {row.id for row in self._connection.execute(select(people.c.id))}
        taken = {row.number for row in self._connection.execute(select(people.c.number))}
        added = []
        for row in sorted(self._document["people"], key=lambda row: row["number"]):
            if row["id"] in held:
                continue
            number = row["number"] if row["number"] not in taken else max(taken) + 1
            taken.add(number)
            self._connection.execute(insert(people).values(**{**row, "number": number}))
            added.append(row["id"])
        return added

    def names(self) -> None:
        """Names and notes that a new operation gave, unless a later one here gave others."""
        named = (operations.c.kind == "label", operations.c.undone_by.is_(None))
        query = select(former_people.c.person, operations.c.id).join(
            operations, operations.c.id == former_people.c.changed_by
        )
        latest: dict[str, float] = {}
        own = set(self._new.values())
        for person, number in self._connection.execute(query.where(*named)).all():
            if number in own:
                continue
            latest[person] = max(latest.get(person, 0.0), self._wall[number])
        spoken: dict[str, float] = {}
        for row in self._document["former_people"]:
            if row["changed_by"] in self._new:
                wall = self._wall[self._new[row["changed_by"]]]
                spoken[row["person"]] = max(spoken.get(row["person"], 0.0), wall)
        for row in self._document["people"]:
            if spoken.get(row["id"], 0.0) > latest.get(row["id"], 0.0):
                rename(self._connection, row["id"], row["name"], row["notes"])

    def operations(self) -> dict[int, int]:
        for row in sorted(self._document["operations"], key=lambda row: row["id"]):
            if row["id"] in self._known:
                continue
            values = {key: row[key] for key in ("wall", "author", "kind", "summary", "origin")}
            result = self._connection.execute(insert(operations).values(**values))
            assert result.inserted_primary_key is not None
            number = self._new[row["id"]] = int(result.inserted_primary_key[0])
            self._wall[number] = row["wall"]
        return self._new

    def links(self) -> int:
        """Add what new operations say, take away what they overruled; how many contradict a later decision here."""
        held = {(row.a, row.b): (row.kind, int(row.operation)) for row in self._connection.execute(select(links))}
        for row in self._document["former_links"]:
            # What an operation overruled there is overruled here.
            if row["changed_by"] in self._new and held.get((row["a"], row["b"]), ("", 0))[0] == row["kind"]:
                self._drop(row["a"], row["b"], row["kind"])
                del held[row["a"], row["b"]]
        for row in self._about_present(self._document["links"], "a", "b"):
            number = self._new.get(row["operation"])
            if number is None:
                continue
            kind, operation = held.get((row["a"], row["b"]), (row["kind"], 0))
            if kind != row["kind"]:
                if self._wall[operation] > self._wall[number]:
                    self._overruled.add(row["operation"])
                    continue
                self._drop(row["a"], row["b"], kind)
            elif operation:
                continue
            self._connection.execute(insert(links).values(**{**row, "operation": number}))
        return len(self._overruled)

    def former(self) -> None:
        """What each new operation changed, so that it can be undone here as there."""
        for table, keys in ((former_members, ("tracklet",)), (former_links, ("a", "b")), (former_people, ())):
            rows = [
                {**row, "changed_by": self._new[row["changed_by"]]}
                for row in self._about_present(self._document[table.name], *keys)
                if row["changed_by"] in self._new
            ]
            if table is former_links:
                numbers = {**self._known, **self._new}
                rows = [{**row, "operation": numbers[row["operation"]]} for row in rows if row["operation"] in numbers]
            if table is former_members:
                rows = [self._with_candidate(row) for row in rows]
            if rows:
                self._connection.execute(insert(table), rows)

    def members(self) -> list[tuple[str, str, float]]:
        wanted = self._about_present(self._document["members"], "tracklet")
        held = person_of_tracklets(self._connection, [row["tracklet"] for row in wanted])
        speaking = self._new.keys() - self._overruled
        spoken = {row["tracklet"] for row in self._document["former_members"] if row["changed_by"] in speaking}
        rows = [
            (row["tracklet"], row["person"], row["probability"])
            for row in wanted
            if row["tracklet"] not in held or row["tracklet"] in spoken
        ]
        assign(self._connection, rows)
        taken = {tracklet for tracklet, _, _ in rows}
        doubtful = [self._with_candidate(row) for row in wanted if row["tracklet"] in taken]
        doubts = [(row["tracklet"], row["candidate"], row["chance"]) for row in doubtful if row["candidate"]]
        leave_undecided(self._connection, doubts)
        return [row for row in rows if row[0] not in held]

    def undoings(self) -> None:
        """Note what undoes what; an operation that was in force here and is undone there is undone here."""
        numbers = {**self._known, **self._new}
        for row in self._document["operations"]:
            target = numbers.get(row["undoes"]) if row["undoes"] is not None else None
            if row["id"] not in self._new or target is None:
                continue
            number = self._new[row["id"]]
            state = self._connection.execute(select(operations.c.undone_by).where(operations.c.id == target)).scalar()
            if state is not None:
                continue
            if row["undoes"] in self._known:
                if built_on(self._connection, target, number) is not None:
                    continue
                restore(self._connection, target)
            self._connection.execute(update(operations).where(operations.c.id == number).values(undoes=target))
            self._connection.execute(update(operations).where(operations.c.id == target).values(undone_by=number))

    def _with_candidate(self, row: Row) -> Row:
        there = row["candidate"] in self._present
        return row if there else {**row, "candidate": None, "chance": None}

    def _drop(self, a: str, b: str, kind: str) -> None:
        self._connection.execute(delete(links).where(links.c.a == a, links.c.b == b, links.c.kind == kind))

    def _about_present(self, rows: Iterable[Row], *keys: str) -> list[Row]:
        return [row for row in rows if all(row[key] in self._present for key in keys)]
