"""Whether everything in a gallery agrees with everything else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from reidstream.errors import GalleryCorrupt, GalleryError
from reidstream.files import access_of, wider
from reidstream.gallery.database import Database
from reidstream.gallery.facts import Facts, read_facts
from reidstream.gallery.index.building import INDEX_FOLDER, IndexPlace
from reidstream.gallery.index.exact import VectorIndex
from reidstream.gallery.ownership import index_files_at_rest
from reidstream.gallery.rows import in_chunks, rows_after, unpacked
from reidstream.gallery.schema import crops, details, embeddings, recordings, tracklets
from reidstream.types import EndReason, FloatArray

_AT_ONCE = 2000

_UNIT = 1e-3
"""How far a vector's length may be from 1."""

_SAME = 0.9999
"""Cosine that the index's copy of a vector must have to the row's."""

_SAMPLE = 50
"""Tracklets that are searched for, spread over the gallery; the index's graph could have lost what it counts."""

_NAMED = 20
"""Problems of one kind that are named one by one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One contradiction. kind: facts, row, vector, index or files. remedy: what to do about it."""

    kind: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The outcome: how much was looked at, what is wrong, and what could not be looked at (empty: nothing).

    warnings: what contradicts nothing, but should not be so.
    """

    tracklets: int
    indexed: int | None
    problems: list[Problem]
    unchecked: str
    warnings: tuple[str, ...] = ()


_REBUILD = "reidstream gallery rebuild"
_RESTORE = "restore gallery.db from a backup, or run its source again with --replace"


def check(database: Database, index: VectorIndex | None = None) -> CheckReport:
    """Look at everything. index: the owner's, which must be up to date; a reader loads it when nobody is writing."""
    folder = database.place.folder
    return replace(_checked(database, index), warnings=too_wide(folder) if folder is not None else ())


def too_wide(folder: Path) -> tuple[str, ...]:
    """A warning when others than those for whom it was made may read a gallery's folder, or a file in or beside it."""
    access = access_of(folder)
    beside = [p for p in folder.absolute().parent.glob(f"{folder.absolute().name}.*") if p.is_file() or p.is_dir()]
    found = [path for place in (folder, *beside) for path in wider(place, access)]
    if not found:
        return ()
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    cure = "chmod -R go= " if access.group is None else "chmod -R o= "
    return (
        f"{found[0]}{others} can be read by others; `{cure}{' '.join(map(str, (folder, *beside)))}` takes that away, "
        "and gallery.group opens a gallery to a group on purpose",
    )


def _checked(database: Database, index: VectorIndex | None) -> CheckReport:
    damage = database.damage()
    if damage:
        found = [Problem("facts", f"gallery.db: {text}", _RESTORE) for text in damage[:_NAMED]]
        return CheckReport(0, None, found, "everything but the database file, because that is damaged")
    with database.read() as connection:
        facts = read_facts(connection)
        problems = [*_facts_problems(connection, facts), *_row_problems(connection, facts.space.size)]
        count = connection.execute(select(func.count()).select_from(tracklets)).scalar_one()
    if facts.index == "exact":
        return CheckReport(count, None, problems, "")
    place = IndexPlace(database.place.folder, facts.index, facts.uuid, facts.space.size, database.place)
    with contextlib.ExitStack() as stack:
        if index is None:
            if place.folder is not None and not place.is_server:
                if not stack.enter_context(index_files_at_rest(place.folder)):
                    return CheckReport(count, None, problems, "the index, because another process is writing to it")
                problems += _file_problems(place, facts)
                if not place.files(facts.generation).is_dir():
                    return CheckReport(count, None, problems, "")
            try:
                index = place.open(facts.generation)
            except GalleryError as error:
                return CheckReport(count, None, [*problems, Problem("index", str(error), _REBUILD)], "")
            stack.callback(index.close)
        try:
            held = len(index)
            problems += _index_problems(database, facts, index)
        except GalleryCorrupt:
            # Named among the problems of the rows already.
            return CheckReport(count, None, problems, "the index, because a row's vector cannot be read")
        except GalleryError as error:
            return CheckReport(count, None, [*problems, Problem("index", str(error), _REBUILD)], "")
        return CheckReport(count, held, problems, "")


def _facts_problems(connection: Connection, facts: Facts) -> Iterator[Problem]:
    if facts.erasing:
        yield Problem("facts", "an erasure was begun and not finished", f"{_REBUILD} finishes it")
    if facts.indexed > facts.revision:
        message = f"the index claims revision {facts.indexed}, the facts end at {facts.revision}"
        yield Problem("facts", message, _REBUILD)
    highest = connection.execute(select(func.max(tracklets.c.revision))).scalar() or 0
    if highest > facts.revision:
        yield Problem("facts", f"a row has revision {highest}, the facts end at {facts.revision}", _RESTORE)
    unknown = select(tracklets.c.id).where(tracklets.c.content.not_in(select(recordings.c.content)))
    yield from _named(
        "row", "belongs to a recording that is not there", connection.execute(unknown).scalars(), _RESTORE
    )


def _row_problems(connection: Connection, size: int) -> Iterator[Problem]:
    c = tracklets.c
    columns = (c.id, c.reason, c.start_wall, c.end_wall, embeddings.c.vector, details.c.prototypes, details.c.weights)
    query = (
        select(*columns, details.c.frames, details.c.boxes, func.length(crops.c.jpeg).label("jpeg"))
        .outerjoin(embeddings, embeddings.c.seq == c.seq)
        .outerjoin(details, details.c.seq == c.seq)
        .outerjoin(crops, crops.c.seq == c.seq)
        .order_by(c.seq)
    )
    wrong: dict[tuple[str, str], list[str]] = {}
    for rows in connection.execute(query.execution_options(yield_per=_AT_ONCE)).partitions():
        whole: list[Any] = []
        for row in rows:
            complaint = _shape_complaint(row, size)
            if complaint is not None:
                wrong.setdefault(complaint, []).append(row.id)
            else:
                whole.append(row)
        for complaint, ids in _length_complaints(whole, size):
            wrong.setdefault(complaint, []).extend(ids)
    for (kind, message), ids in wrong.items():
        yield from _named(kind, message, ids, _RESTORE)


def _shape_complaint(row: Any, size: int) -> tuple[str, str] | None:
    if len(row.id) != 32 or set(row.id) - set("0123456789abcdef"):
        return "row", "has an id that is not 32 hexadecimal digits"
    if row.reason not in set(EndReason):
        return "row", f"ended for an unknown reason ({row.reason})"
    if not row.start_wall <= row.end_wall:
        return "row", "ends before it starts"
    if row.vector is None:
        return "vector", "has no vector"
    if len(row.vector) != 4 * size:
        return "vector", f"has a vector of {len(row.vector) / 4:g} dimensions instead of {size}"
    if row.prototypes is None:
        return "row", "has no prototypes and no path"
    count = len(row.weights) // 4
    if not count or len(row.prototypes) != 4 * size * count:
        return "vector", f"has prototypes of another size than its {count} weights and {size} dimensions"
    if len(row.boxes) != 2 * len(row.frames):
        return "row", "has a path with frames and boxes of different number"
    if row.jpeg == 0:
        return "row", "has an empty crop"
    return None


def _length_complaints(rows: Sequence[Any], size: int) -> Iterator[tuple[tuple[str, str], list[str]]]:
    if not rows:
        return
    vectors = unpacked(b"".join(row.vector for row in rows), size)
    lengths = np.linalg.norm(vectors, axis=1)
    # Written so that a NaN fails, too.
    for n in np.flatnonzero(~(np.abs(lengths - 1) < _UNIT)).tolist():
        yield ("vector", f"has a vector of length {lengths[n]:.4g} instead of 1"), [rows[n].id]
    owner = np.repeat(np.arange(len(rows)), [len(row.weights) // 4 for row in rows])
    lengths = np.linalg.norm(unpacked(b"".join(row.prototypes for row in rows), size), axis=1)
    bad = np.unique(owner[~(np.abs(lengths - 1) < _UNIT)]).tolist()
    if bad:
        yield ("vector", "has a prototype whose length is not 1"), [rows[n].id for n in bad]


def _file_problems(place: IndexPlace, facts: Facts) -> Iterator[Problem]:
    assert place.folder is not None
    valid = place.files(facts.generation)
    if not valid.is_dir() and facts.revision:
        yield Problem("files", f"the index's files are not there ({valid})", _REBUILD)
    folder = place.folder / INDEX_FOLDER
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path != valid:
            yield Problem("files", f"{path} belongs to no index that is in use", f"{_REBUILD} deletes it")


def _index_problems(database: Database, facts: Facts, index: VectorIndex) -> Iterator[Problem]:
    """Compare every row up to the revision that the index claims, and look for vectors of no row."""
    held = set(index.ids())
    missing: list[str] = []
    different: list[str] = []
    sample: list[tuple[str, FloatArray]] = []
    revision = 0
    while True:
        with database.read() as connection:
            ids, vectors, last = rows_after(connection, revision, _AT_ONCE, facts.space.size)
        if not ids:
            break
        revision = last
        present = [n for n, i in enumerate(ids) if i in held]
        # Rows beyond what the index claims may be in it already; a crash can come between the two.
        absent = [i for i in ids if i not in held]
        missing += absent if last <= facts.indexed else _up_to(database, absent, facts.indexed)
        copies = index.vectors([ids[n] for n in present]) if present else np.zeros((0, facts.space.size), np.float32)
        cosines = np.einsum("nd,nd->n", copies, vectors[present]) / np.maximum(np.linalg.norm(copies, axis=1), 1e-12)
        different += [ids[present[n]] for n in np.flatnonzero(~(cosines > _SAME)).tolist()]
        step = max(1, len(present) // _SAMPLE)
        sample += [(ids[n], vectors[n]) for n in present[::step]]
        held -= set(ids)
    yield from _named("index", "is missing from the index", missing, _REBUILD)
    yield from _named("index", "has another vector in the index than in its row", different, _REBUILD)
    yield from _named("index", "is in the index without a row", sorted(held), _REBUILD)
    chosen = sample[:: max(1, len(sample) // _SAMPLE)]
    if chosen and not missing:
        answers = index.search(np.stack([vector for _, vector in chosen]), 1)
        lost = [i for (i, _), best in zip(chosen, answers, strict=True) if not best.similarities[:1].sum() > _SAME]
        yield from _named("index", "is not found by a search for its own vector", lost, _REBUILD)


def _up_to(database: Database, ids: Sequence[str], revision: int) -> list[str]:
    held: list[str] = []
    with database.read() as connection:
        for some in in_chunks(ids):
            query = select(tracklets.c.id).where(tracklets.c.id.in_(some), tracklets.c.revision <= revision)
            held.extend(connection.execute(query).scalars())
    return held


def _named(kind: str, message: str, ids: Iterable[str], remedy: str) -> Iterator[Problem]:
    """One problem per tracklet, the first few by name."""
    all_ids = list(ids)
    for i in all_ids[:_NAMED]:
        yield Problem(kind, f"tracklet {i} {message}", remedy)
    if len(all_ids) > _NAMED:
        yield Problem(kind, f"... and {len(all_ids) - _NAMED} more that are like the last one", remedy)
