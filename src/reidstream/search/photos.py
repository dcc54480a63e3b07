"""Searching for the people of many photos at once, and writing the answers to a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidstream.config.identities import IdentityConfig
from reidstream.errors import ConfigError, GalleryError
from reidstream.files import whole_file
from reidstream.foreign_text import csv_cell
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.reranking import Reranking, search_reranked
from reidstream.gallery.rows import EVERYTHING
from reidstream.search.person import Conclusion, Identity, Recogniser
from reidstream.search.query import Query, photo_queries
from reidstream.types import Match

if TYPE_CHECKING:
    from reidstream.inference.protocols import Detector, Embedder

_AT_ONCE = 256

# Column, and what kind of value it holds; every one may be missing.
COLUMNS: dict[str, str] = {
    "query": "text",
    "reason": "text",
    "people_in_photo": "integer",
    **dict.fromkeys(("box_x1", "box_y1", "box_x2", "box_y2"), "integer"),
    "verdict": "text",
    "nobody": "boolean",
    "nobody_probability": "number",
    "named": "text",
    "rank": "integer",
    "tracklet": "text",
    "person": "text",
    "person_number": "integer",
    "person_name": "text",
    "source": "text",
    **dict.fromkeys(("start_media", "end_media", "start_wall", "end_wall"), "number"),
    "similarity": "number",
    "probability": "number",
}


@dataclass(frozen=True, slots=True)
class PhotoAnswer:
    """What a gallery says of one photo.

    query, identity: None when there is a ``reason`` why the photo cannot be asked for (unreadable, nobody in it).
    matches: the tracklets that look most like the person, best first.
    """

    photo: Path
    reason: str | None
    query: Query | None
    identity: Identity | None
    matches: tuple[Match, ...]


def search_photos(
    gallery: Gallery,
    photos: Sequence[Path],
    embedder: Embedder,
    detector: Callable[[], Detector],
    config: IdentityConfig,
    *,
    k: int = 10,
    where: Filter = EVERYTHING,
    whole: bool = False,
    reranking: Reranking | None = None,
) -> Iterator[PhotoAnswer]:
    """Who the largest person of each photo is, and the k tracklets that look most like them; photo by photo.

    whole: each photo shows one person and nothing else. A photo that cannot be used gives its reason and does not stop
    the rest. The people of the gallery are those of the moment when the first photo is asked for.
    """
    recogniser = Recogniser(gallery, config)
    asked = photo_queries(photos, embedder, detector, whole=whole)
    while some := list(islice(asked, _AT_ONCE)):
        queries = [query for _, query in some if isinstance(query, Query)]
        found: Iterator[list[Match]] = iter(())
        if queries:
            vectors = np.stack([query.vector for query in queries])
            found = iter(
                gallery.search(vectors, k, where)
                if reranking is None
                else search_reranked(gallery, vectors, k, reranking, where)
            )
        for photo, query in some:
            if isinstance(query, Query):
                matches = tuple(next(found))
                identity = recogniser.recognise(query.vector, [match.tracklet for match in matches])
                yield PhotoAnswer(photo, None, query, identity, matches)
            else:
                yield PhotoAnswer(photo, query, None, None, ())


def answer_rows(gallery: Gallery, answers: Iterable[PhotoAnswer]) -> Iterator[dict[str, Any]]:
    """One row of COLUMNS per tracklet found, at least one per photo. Times in seconds (media, Unix)."""
    for answer in answers:
        head: dict[str, Any] = dict.fromkeys(COLUMNS) | {"query": str(answer.photo), "reason": answer.reason}
        if answer.query is None or answer.identity is None:
            yield head
            continue
        identity = answer.identity
        box = dict(zip(("box_x1", "box_y1", "box_x2", "box_y2"), answer.query.box or (None,) * 4, strict=True))
        head |= {**box, "people_in_photo": answer.query.people, "verdict": identity.verdict.value}
        head |= {"nobody": identity.verdict is Conclusion.NOBODY, "nobody_probability": identity.nobody}
        head |= {"named": identity.person.title if identity.person is not None else None}
        rows = gallery.rows(ids=[match.tracklet for match in answer.matches])
        records = {record["id"]: record for record in rows.records()}
        # A tracklet that was erased a moment ago is no answer any more.
        held = [match for match in answer.matches if match.tracklet in records]
        if not held:
            yield head | {"reason": "no tracklet fits"}
        for rank, match in enumerate(held, start=1):
            record = records[match.tracklet]
            person = identity.owners.get(match.tracklet)
            row = head | {"rank": rank, "tracklet": match.tracklet, "similarity": match.similarity}
            row |= {key: record[key] for key in ("source", "start_media", "end_media", "start_wall", "end_wall")}
            if person is not None:
                row |= {"person": person.id, "person_number": person.number, "person_name": person.name}
            yield row | {"probability": identity.probability_of(match.tracklet)}


def write_answers(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows of ``answer_rows`` to a file, completely or not at all; how many. Its ending decides the format.

    Raises ConfigError for another ending than .parquet, .csv or .json, GalleryError when it cannot be written.
    """
    write = _WRITERS[checked_ending(path)]
    with whole_file(path, GalleryError) as partial:
        return write(partial, rows)


def checked_ending(path: Path) -> str:
    """The ending of a file that answers can be written to. Raises ConfigError for any other."""
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        raise ConfigError(f"answers are written to {', '.join(_WRITERS)}; got {path.name!r}")
    return ending


def _csv(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        for count, row in enumerate(rows, start=1):  # noqa: B007 - the last number is how many there were
            writer.writerow({name: csv_cell(value) for name, value in row.items()})
    return count


def _json(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    held = list(rows)
    path.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(held)


def _parquet(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    count = 0
    remaining = iter(rows)
    # An open file: Arrow takes only paths that are UTF-8.
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        while some := list(islice(remaining, 10_000)):
            writer.write_table(pa.table({name: [row[name] for row in some] for name in COLUMNS}, schema=schema))
            count += len(some)
    return count


_WRITERS: dict[str, Callable[[Path, Iterable[dict[str, Any]]], int]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _json,
}
