"""Looking through an archive that others made, before anything of it is believed.

Every file is a plain file of bounded size, every value is of the kind and in the range that a gallery could have
written, and no more than some megabytes of the tracklets are in memory at once, however small the file is: Parquet can
say a gigabyte in a few kilobytes.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from reidstream.errors import GalleryCorrupt
from reidstream.expected_looks import ANY
from reidstream.gallery.interchange import EARLIEST, LATEST, State, parquet_schema, pictures_schema
from reidstream.types import EndReason

MOST_FACTS = 64 * 2**20
MOST_PEOPLE = 512 * 2**20
"""Bytes of the JSON files."""

_MOST_ROWS = 4096
"""Rows of a row group; this program writes 500."""

_MOST_PROTOTYPES, _MOST_POINTS = 16, 4096
"""Per tracklet; the settings allow 16 prototypes, and paths are thinned to fewer points."""

_MOST_CROP = 4 * 2**20
_MOST_TEXT = 4096
"""Bytes of one crop and of one text."""

_MOST_PICTURES = 15
"""Further pictures of a tracklet; the settings allow 16 with the best one."""

_MOST_CROPS = 256 * 2**20
"""Bytes of all crops of a row group."""

_SHARE, _FRAME, _NUMBER, _MEDIA = (0.0, 1.001), (0, 2**53), (0, 2**31 - 1), (-LATEST, LATEST)
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("confidence", "purity", "quality"), _SHARE),
    **dict.fromkeys(("start_frame", "end_frame"), _FRAME),
    **dict.fromkeys(("part", "parts", "observations", "embeddings_used", "embeddings_seen"), _NUMBER),
    **dict.fromkeys(("start_media", "end_media"), _MEDIA),
}
"""Least and largest value of each column of numbers; a NaN is in none."""

_ID = re.compile(r"[0-9a-f]{32}")

Wall = Annotated[float, Field(ge=EARLIEST, le=LATEST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Text = Annotated[str, StringConstraints(max_length=_MOST_TEXT)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=_MOST_TEXT)]
Side = Annotated[int, Field(ge=1, le=65536)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SpaceFacts(_Strict):
    """Whose vectors they are."""

    fingerprint: Name
    model: Name
    size: Annotated[int, Field(ge=1, le=65536)]


class RecordingFacts(_Strict):
    """One recording as the archive describes it; see ``recordings.Recording``."""

    content: Name
    source: Name
    uri: Text
    settings: Text
    state: Annotated[State, Field(strict=False)]
    attempt: Annotated[int, Field(ge=1, le=2**31)]
    size: Annotated[tuple[Side, Side], Field(strict=False)]
    fps: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    live: bool
    started_wall: Wall
    ended_wall: Wall | None
    frames: Count | None
    dropped: Count
    error: Text | None
    tracklets: Count
    # Of archives that say by what a longer version of the recording is known.
    beginning: Text = ""
    length: Count = 0


class Sums(_Strict):
    """The checksums of the other files: of these, and of no others."""

    tracklets: Annotated[str, Field(alias="tracklets.parquet", pattern="^[0-9a-f]{64}$")]
    people: Annotated[str, Field(alias="people.json", pattern="^[0-9a-f]{64}$")]
    # Of galleries that keep several pictures of a tracklet.
    pictures: Annotated[str | None, Field(alias="pictures.parquet", pattern="^[0-9a-f]{64}$")] = None


class ArchiveFacts(_Strict):
    """The document that describes an archive."""

    format: str
    version: int
    gallery: Name
    exported_wall: Wall
    space: SpaceFacts
    model: Text
    tracklets: Count
    recordings: list[RecordingFacts]
    sha256: Sums
    calibration: Name = ANY.name


def plain_file(path: Path, most: int | None = None) -> Path:
    """The path, if there is a plain file, no longer than so many bytes. Raises GalleryCorrupt."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise GalleryCorrupt(f"{path} is not a plain file, as an exported gallery consists of; export it again")
    if most is not None and found.st_size > most:
        raise GalleryCorrupt(f"{path} has {found.st_size:,} bytes; at most {most:,} are read")
    return path


def demand_checksum(path: Path, expected: str) -> None:
    """Raise GalleryCorrupt unless a file has this SHA-256."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise GalleryCorrupt(
            f"{path} is not as it was written (SHA-256 {found[:12]}, expected {expected[:12]}); export the gallery "
            "again"
        )


def demand_tracklets(
    path: Path, size: int, count: int, sources: Mapping[str, str], pictures: Path | None = None
) -> None:
    """Raise GalleryCorrupt unless a Parquet file holds so many tracklets that a gallery could have written.

    size: dimensions of the vectors. sources: the source of each recording, by content. pictures: the file of their
    further pictures, which is looked through, too.
    """
    seen: dict[str, int] = {}
    for batch in row_groups(path, size):
        for row, trouble in _troubles(batch, size, sources, seen):
            raise GalleryCorrupt(f"{path}: tracklet {row} {trouble}; export the gallery again")
    if len(seen) != count:
        raise GalleryCorrupt(f"{path} holds {len(seen)} tracklets, and should hold {count}; export the gallery again")
    if pictures is not None:
        _demand_pictures(pictures, seen)


def _demand_pictures(path: Path, places: Mapping[str, int]) -> None:
    """Raise GalleryCorrupt unless a file of further pictures follows the order of these tracklets."""
    last = number = -1
    for group in picture_groups(path):
        for id, count, crop in zip(*(group.column(name).to_pylist() for name in ("id", "number", "crop")), strict=True):
            place = places.get(id)
            if place is None:
                trouble = "is of no tracklet of the archive"
            elif count != (number + 1 if place == last else 1) or place < last or count > _MOST_PICTURES:
                trouble = "is not in its place"
            elif crop is None or not crop.startswith(b"\xff\xd8"):
                trouble = "is not a JPEG file"
            else:
                last, number = place, count
                continue
            raise GalleryCorrupt(f"{path}: picture {count} of {str(id)[:40]!r} {trouble}; export the gallery again")


def picture_groups(path: Path) -> Iterator[Any]:
    """The row groups of a file of further pictures, as ``row_groups``."""
    return _row_groups(path, pictures_schema(), {}, None)


def row_groups(path: Path, size: int, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """The row groups of a Parquet file of tracklets as Arrow tables, none of them large. Raises GalleryCorrupt.

    columns: only these. Some broken files end the process in here; see ``archive_examiner``.
    """
    most = {
        "embedding": size,
        "prototypes": size * _MOST_PROTOTYPES,
        "prototype_weights": _MOST_PROTOTYPES,
        "frames": _MOST_POINTS,
        "boxes": 4 * _MOST_POINTS,
        "crop_box": 4,
    }
    return _row_groups(path, parquet_schema(size), most, columns)


def _row_groups(path: Path, schema: Any, most: Mapping[str, int], columns: Sequence[str] | None) -> Iterator[Any]:
    """most: values of a row in each column that may have more than one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
    # Words and crops are read as numbers into a list of different ones, so that a crop that is repeated a thousand
    # times is not there a thousand times before it is known how large it is.
    with pq.ParquetFile(path, read_dictionary=words, page_checksum_verification=True) as file:
        found = file.schema_arrow.remove_metadata()
        expected = schema.remove_metadata()
        plain = pa.schema([(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in found])
        if [(f.name, f.type) for f in plain] != [(f.name, f.type) for f in expected]:
            raise GalleryCorrupt(f"{path} has other columns than an exported gallery; export it again")
        for number in range(file.metadata.num_row_groups):
            _demand_small(path, file.metadata.row_group(number), most)
            table = file.read_row_group(number, columns=columns)
            for name in words:
                if name in table.schema.names:
                    _demand_short(path, table.column(name), name)
            yield table.cast(pa.schema([field for field in schema if field.name in table.schema.names]))


def _demand_small(path: Path, group: Any, most: Mapping[str, int]) -> None:
    """Raise unless a row group says of itself that it has as many values as its rows could have."""
    rows = group.num_rows
    for number in range(group.num_columns):
        column = group.column(number)
        name = column.path_in_schema.split(".")[0]
        if rows > _MOST_ROWS or column.num_values > rows * most.get(name, 1):
            raise GalleryCorrupt(
                f"{path}: {rows} rows with {column.num_values:,} values of {name} in one row group are more than an "
                "exported gallery has; export it again"
            )


def _demand_short(path: Path, column: Any, name: str) -> None:
    import pyarrow.compute as pc

    each, together = (_MOST_CROP, _MOST_CROPS) if name == "crop" else (_MOST_TEXT, _MOST_TEXT * _MOST_ROWS)
    total = 0
    for chunk in column.chunks:
        lengths = np.asarray(pc.binary_length(chunk.dictionary).fill_null(0), np.int64)
        if not len(lengths):
            continue
        uses = np.asarray(chunk.indices.drop_null(), np.int64)
        total += int(lengths[uses].sum())
        if lengths.max() > each or total > together:
            raise GalleryCorrupt(
                f"{path}: {name} has {max(int(lengths.max()), total):,} bytes; {each:,} in one tracklet are the most"
            )


def _troubles(table: Any, size: int, sources: Mapping[str, str], seen: dict[str, int]) -> Iterator[tuple[str, str]]:
    """(id, what is wrong) of every tracklet that no gallery could have written. seen: ids so far, placed; grows."""
    import pyarrow.compute as pc

    n = len(table)
    required = [name for name in table.schema.names if name not in {"crop", "crop_frame", "crop_box"}]
    for name in required:
        if table.column(name).null_count:
            yield "?", f"lacks its {name}"
            return
    ids = table.column("id").to_pylist()
    for id, content, source, reason in zip(
        ids, *(table.column(name).to_pylist() for name in ("content", "source", "reason")), strict=True
    ):
        if not _ID.fullmatch(id):
            yield repr(id[:40]), "has an id that is not 32 hexadecimal digits"
        elif id in seen:
            yield id, "is there twice"
        elif sources.get(content) != source:
            yield id, "belongs to a recording that is not described"
        elif reason not in set(EndReason):
            yield id, f"ended for an unknown reason ({reason[:40]!r})"
        seen.setdefault(id, len(seen))
    numbers = {
        name: table.column(name).to_numpy()
        for name in required
        if name not in {"id", "content", "source", "reason", "embedding", "prototypes", "frames", "boxes"}
        and name != "prototype_weights"
    }
    walls = ("start_wall", "end_wall")
    bad = {
        "has times that are no times": ~np.all(
            [(numbers[name] >= EARLIEST) & (numbers[name] <= LATEST) for name in walls], axis=0
        ),
        "ends before it starts": (numbers["end_frame"] < numbers["start_frame"])
        | (numbers["end_media"] < numbers["start_media"]),
        "has numbers out of their range": ~np.all(
            [(numbers[name] >= least) & (numbers[name] <= most) for name, (least, most) in _RANGES.items()], axis=0
        ),
    }
    counts = np.stack(
        [
            pc.list_value_length(table.column(name)).to_numpy()
            for name in ("prototypes", "prototype_weights", "frames", "boxes")
        ]
    )
    ragged = (counts[0] != counts[1]) | (counts[0] < 1) | (counts[2] != counts[3]) | (counts[2] < 1)
    if ragged.any():
        yield ids[int(ragged.argmax())], "has a path or prototypes whose parts do not fit together"
        return
    owner = np.repeat(np.arange(n), counts[0])
    vectors = _flat(table, "prototypes", 2).reshape(-1, size)
    loose = np.zeros(n, bool)
    loose[owner[~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3)]] = True
    loose |= ~(np.abs(np.linalg.norm(_flat(table, "embedding", 1).reshape(n, size), axis=1) - 1) < 1e-3)
    bad["has vectors that are not of unit length"] = loose
    endless = np.zeros(n, bool)
    for name, depth, places in (("boxes", 2, np.repeat(np.arange(n), 4 * counts[3])), ("prototype_weights", 1, owner)):
        endless[places[~np.isfinite(_flat(table, name, depth))]] = True
    bad["has boxes or weights that are no numbers"] = endless
    for trouble, rows in bad.items():
        for row in np.flatnonzero(rows).tolist():
            yield ids[row], trouble
    for id, crop, box in zip(ids, table.column("crop").to_pylist(), table.column("crop_box").to_pylist(), strict=True):
        if crop is not None and not crop.startswith(b"\xff\xd8"):
            yield id, "has a crop that is not a JPEG file"
        if box is not None and (len(box) != 4 or not np.all(np.isfinite(np.array(box, float)))):
            yield id, "has a crop from nowhere"


def _flat(table: Any, name: str, depth: int) -> Any:
    column = table.column(name).combine_chunks()
    for _ in range(depth):
        column = column.flatten()
    # Half-precision numbers that are none are looked for afterwards.
    with np.errstate(invalid="ignore"):
        return column.to_numpy(zero_copy_only=False).astype(np.float64)
