"""A whole gallery out of one place and into another: tracklets, people, and every decision with its time and author."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidstream.gallery import Filter, Gallery
from reidstream.gallery.archive import (
    Archive,
    add_archived,
    read_archive,
    refuse_other_contents,
    write_archive,
)
from reidstream.gallery.archive_examiner import Examiner
from reidstream.gallery.facts import check_space, write_facts
from reidstream.gallery.rows import EVERYTHING, rows_of
from reidstream.identities.decisions import TakenOver, checked_document, decisions_of, take_over
from reidstream.identities.kept_out import without_erased
from reidstream.identities.outbox import append_events
from reidstream.identities.people import person_of_tracklets, prepare


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import added. tracklets, people, operations: how many were not there before.

    kept_out: tracklets that were left out because they were erased here before. kept: decisions of the archive that
    were left out because a later one here contradicts them.
    """

    tracklets: int
    people: int
    operations: int
    kept: int
    kept_out: int = 0


def export_gallery(gallery: Gallery, folder: Path, where: Filter = EVERYTHING) -> int:
    """Write a new folder that ``import_gallery`` reads; how many tracklets. Raises GalleryError."""
    return write_archive(gallery, folder, where, lambda tracklets: decisions_of(gallery, tracklets))


def open_archive(folder: Path, examiner: Examiner | None = None) -> Archive:
    """An exported gallery whose files were found to be whole. Raises GalleryNotFound, -Mismatch or -Corrupt.

    examiner: see ``read_archive``.
    """
    archive = read_archive(folder, examiner)
    checked_document(archive.people)
    return archive


def import_gallery(gallery: Gallery, archive: Archive) -> Imported:
    """Add an exported gallery to one that is open for writing. Importing again adds nothing.

    Whatever could be refused is refused before anything is changed: GalleryMismatch for another embedding space, and
    for recordings that are here under another name or were read with other settings. All of it is added in one
    transaction, or nothing.
    """
    check_space(str(gallery.place), gallery.space, archive.space)
    refuse_other_contents(gallery, archive)
    prepare(gallery)
    document = checked_document(archive.people)
    here = {recording.content: recording for recording in gallery.sources()}
    uuid = gallery.facts().uuid
    with gallery.batch() as batch:
        connection = batch.connection
        stored = set(rows_of(connection, EVERYTHING).id.tolist())
        if not stored:
            # A gallery that is only moved goes on deciding as it did.
            write_facts(connection, calibration=archive.calibration)
        new = add_archived(batch, archive, here, stored)
        facts = {record["id"]: record for record in rows_of(connection, EVERYTHING).records()}
        former = person_of_tracklets(connection, facts)
        document = without_erased(connection, document, facts)
        taken = take_over(connection, document, uuid, set(facts))
        now = person_of_tracklets(connection, former)
        events = _events(taken, facts, archive, new)
        moved = [t for t, (person, _) in sorted(now.items()) if person != former[t][0]]
        append_events(connection, [*(("TrackletMoved", {"tracklet": t, "person": now[t][0]}) for t in moved), *events])
    return Imported(new, len(taken.people), taken.operations, taken.kept, batch.kept_out)


def _events(
    taken: TakenOver, facts: dict[str, dict[str, Any]], archive: Archive, new: int
) -> list[tuple[str, dict[str, Any]]]:
    """Who follows a gallery hears of imported visits as of any others, in the order of their ends."""
    events: list[tuple[str, dict[str, Any]]] = []
    created = set(taken.people)
    for tracklet, person, probability in sorted(taken.assigned, key=lambda row: (facts[row[0]]["end_wall"], row[0])):
        seen = facts[tracklet]
        event = {"tracklet": tracklet, "source": seen["source"], "start": seen["start_wall"]}
        events.append(("TrackletStored", {**event, "end": seen["end_wall"]}))
        if person in created:
            created.discard(person)
            events.append(("IdentityCreated", {**event, "person": person}))
        else:
            events.append(("IdentitySeenAgain", {**event, "person": person, "probability": round(probability, 4)}))
    if new or taken.people or taken.operations:
        counts = {"tracklets": new, "people": len(taken.people), "operations": taken.operations}
        events.append(("GalleryImported", {"gallery": archive.gallery, **counts}))
    return events
