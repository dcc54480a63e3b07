"""What commands print with --json and the server answers over HTTP: made here once, so that both say the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from reidstream.config.redaction import redacted

if TYPE_CHECKING:
    from reidstream.gallery import Gallery
    from reidstream.gallery.erasing import Erasure
    from reidstream.identities.catalogue import Entry
    from reidstream.identities.people import Operation
    from reidstream.types import Tracklet


def facts_document(gallery: Gallery, cameras: Collection[str] | None = None) -> dict[str, Any]:
    """What is in a gallery; cameras: the sources to speak of, None for all."""
    facts, recordings = gallery.facts(), gallery.sources()
    shown = [r for r in recordings if cameras is None or r.source in cameras]
    return {
        "gallery": str(gallery.place),
        "tracklets": sum(r.tracklets for r in shown),
        "embedding_space": asdict(facts.space),
        "model": facts.model,
        "index": redacted(facts.index),
        "index_behind": facts.revision - facts.indexed if facts.index != "exact" else 0,
        "kept_out": facts.kept_out,
        "created": facts.created,
        "recordings": [asdict(recording) for recording in shown],
    }


def tracklet_document(tracklet: Tracklet) -> dict[str, Any]:
    """All of a tracklet; its crop by its size in bytes."""
    values: dict[str, Any] = {f.name: getattr(tracklet, f.name) for f in fields(tracklet)}
    values["crop"] = None if tracklet.crop is None else len(tracklet.crop)
    return values


def people_document(
    entries: Sequence[Entry], total: int, stored: int, without: int, advice: str | None = None
) -> dict[str, Any]:
    """Some people out of ``total``; stored: tracklets that may be seen, without: of them those that have no person."""
    return {
        "people": [entry.as_dict() for entry in entries],
        "total": total,
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


def operations_document(operations: Sequence[Operation], total: int) -> dict[str, Any]:
    """Operations, oldest first, out of ``total``."""
    return {"operations": [asdict(operation) for operation in operations], "total": total}


def erasure_document(erasure: Erasure) -> dict[str, Any]:
    """What was erased, with the proof."""
    return {**asdict(erasure), "proven": erasure.proven}


def tracklets_document(records: Iterable[dict[str, Any]], total: int) -> dict[str, Any]:
    """Some tracklets out of ``total``."""
    return {"tracklets": list(records), "total": total}
