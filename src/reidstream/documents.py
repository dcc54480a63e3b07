"""What commands print with --json and the server answers over HTTP: made here once, so that both say the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from reidstream.config.redaction import redacted
from reidstream.gallery.next_space import crops_used, move_of
from reidstream.gallery.whose import WHOSE

if TYPE_CHECKING:
    from reidstream.gallery import Gallery
    from reidstream.gallery.erasing import Erasure
    from reidstream.identities.catalogue import Catalogue, Entry
    from reidstream.identities.operations import Moved
    from reidstream.identities.people import Operation, Person
    from reidstream.types import LeftOut


def facts_document(gallery: Gallery, cameras: Collection[str] | None = None) -> dict[str, Any]:
    """What is in a gallery; cameras: the sources to speak of, None for all."""
    from reidstream.identities.people import count_people

    facts, recordings = gallery.facts(), gallery.sources()
    with gallery.read() as connection:
        move, used = move_of(connection), crops_used(connection)
    people, undecided = count_people(gallery, cameras)
    shown = [r for r in recordings if cameras is None or r.source in cameras]
    return {
        "gallery": str(gallery.place),
        "uuid": facts.uuid,
        "tracklets": sum(r.tracklets for r in shown),
        "people": people,
        "undecided": undecided,
        "embedding_space": asdict(facts.space),
        "model": facts.model,
        "index": redacted(facts.index),
        "index_behind": facts.revision - facts.indexed if facts.index != "exact" else 0,
        "crops_used": {str(count): tracklets for count, tracklets in used.items()},
        "moving_to": None if move is None else {**asdict(move.space), "done": move.done},
        "kept_out": facts.kept_out,
        "created": facts.created,
        "recordings": [asdict(recording) for recording in shown],
    }


def tracklet_document(gallery: Gallery, id: str) -> dict[str, Any]:
    """All of a tracklet, and whose it is; its crop by its size in bytes."""
    tracklet = gallery.tracklet(id)
    values: dict[str, Any] = {f.name: getattr(tracklet, f.name) for f in fields(tracklet)}
    values["crop"] = None if tracklet.crop is None else len(tracklet.crop)
    values["more_crops"] = [len(crop) for crop in tracklet.more_crops]
    values["stays"] = [asdict(stay) for stay in tracklet.stays]
    (record,) = gallery.rows(ids=[id]).records()
    return {**values, **{name: record[name] for name in WHOSE}}


def people_document(
    entries: Sequence[Entry], total: int, stored: int, without: int, advice: str | None = None, *, undecided: int
) -> dict[str, Any]:
    """Some people out of ``total``; stored: tracklets that may be seen, without: of them those that have no person.

    undecided: how many tracklets beside these people may be one of them, and are not decided.
    """
    return {
        "people": [entry.as_dict() for entry in entries],
        "total": total,
        "undecided": undecided,
        "tracklets": stored,
        "tracklets_without_person": without,
        "advice": advice,
    }


def person_document(
    gallery: Gallery, entry: Entry, nearest: Iterable[tuple[Entry, float]], *, most: int | None = None
) -> dict[str, Any]:
    """A person with every tracklet, earliest first, and who looks most like them.

    most: give this many tracklets only.
    """
    sure = {visit.tracklet: visit.probability for visit in entry.visits}
    wanted = [visit.tracklet for visit in entry.visits][:most]
    records = list(gallery.rows(ids=wanted).records())
    records.sort(key=lambda record: (record["start_wall"], record["id"]))
    return {
        **entry.as_dict(),
        "tracklets": [{"probability": sure[record["id"]], **record} for record in records],
        "nearest": [
            {"id": other.person.id, "number": other.person.number, "name": other.person.name, "similarity": alike}
            for other, alike in nearest
        ],
    }


def undecided_document(entries: Sequence[Entry], owners: Catalogue, total: int) -> dict[str, Any]:
    """Some undecided tracklets out of ``total``, each with the person that it may be (None: undecided as well)."""
    found = []
    for entry in entries:
        candidate = entry.person.candidate
        owner = owners.get(owners.owner(candidate) or "") if candidate is not None else None
        person = owner.person if owner is not None and not owner.undecided else None
        found.append(
            {
                "tracklet": entry.best,
                "number": entry.person.number,
                "source": entry.visits[0].source,
                "start": entry.first_seen,
                "end": entry.last_seen,
                "may_be": None if person is None else {"id": person.id, "number": person.number, "name": person.name},
                "like": candidate,
                "probability": entry.person.chance,
            }
        )
    return {"undecided": found, "total": total}


def operations_document(operations: Sequence[Operation], total: int) -> dict[str, Any]:
    """Operations, oldest first, out of ``total``."""
    return {"operations": [asdict(operation) for operation in operations], "total": total}


def operation_document(operation: Operation, moves: Sequence[Moved], people: Sequence[Person]) -> dict[str, Any]:
    """An operation with every tracklet that it took from one person to another; people as they are called now."""
    known = {person.id: {"id": person.id, "number": person.number, "name": person.name} for person in people}

    def who(person: str | None) -> dict[str, Any] | None:
        return None if person is None else known.get(person, {"id": person, "number": None, "name": ""})

    moved = [{"tracklet": move.tracklet, "from": who(move.before), "to": who(move.after)} for move in moves]
    return {**asdict(operation), "moved": moved}


def erasure_document(erasure: Erasure) -> dict[str, Any]:
    """What was erased, with the proof."""
    return {**asdict(erasure), "proven": erasure.proven}


def left_out_document(found: Sequence[LeftOut], counts: Mapping[str, int]) -> dict[str, Any]:
    """Some of what was not stored, and how much there is of each reason."""
    total = sum(counts.values())
    return {"left_out": [asdict(one) for one in found], "counts": dict(counts), "total": total}


def tracklets_document(records: Iterable[dict[str, Any]], total: int) -> dict[str, Any]:
    """Some tracklets out of ``total``."""
    return {"tracklets": list(records), "total": total}
