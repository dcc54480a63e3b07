"""Which rows of an archive are believed: each value at the end of what is allowed, and just beyond it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reidstream.errors import GalleryCorrupt
from reidstream.gallery import archive_checks
from reidstream.gallery.archive_checks import (
    demand_checksum,
    demand_tracklets,
    plain_file,
    row_groups,
)
from reidstream.gallery.interchange import EARLIEST, LATEST, parquet_schema, pictures_schema

SIZE = 4
IDS = [f"{number:032x}" for number in range(3)]
SOURCES = {"content-door": "door", "content-yard": "yard"}
UNIT = [0.6, 0.8, 0.0, 0.0]
ROW: dict[str, Any] = {
    "source": "door",
    "content": "content-door",
    "reason": "left",
    "track_id": 7,
    "part": 0,
    "parts": 1,
    "start_frame": 0,
    "end_frame": 20,
    "start_media": 0.0,
    "end_media": 2.0,
    "start_wall": 1000.0,
    "end_wall": 1002.0,
    "observations": 5,
    "embeddings_used": 2,
    "embeddings_seen": 2,
    "confidence": 0.5,
    "purity": 0.9,
    "quality": 0.4,
    "embedding": UNIT,
    "prototypes": [UNIT, UNIT[::-1]],
    "prototype_weights": [0.5, 0.5],
    "frames": [0, 20],
    "boxes": [[0.0, 0.0, 10.0, 20.0]] * 2,
    "crop": b"\xff\xd8picture",
    "crop_frame": 10,
    "crop_box": [0.0, 0.0, 10.0, 20.0],
}


def written(path: Path, *changes: dict[str, Any], **layout: Any) -> Path:
    """A file of as many tracklets as there are changes, each otherwise right."""
    rows = [{"id": IDS[number], **ROW, **change} for number, change in enumerate(changes)]
    schema = parquet_schema(SIZE)
    table = pa.table(
        {field.name: pa.array([row[field.name] for row in rows], field.type) for field in schema}, schema=schema
    )
    pq.write_table(table, path, **layout)
    return path


def demand(path: Path, count: int = 3) -> None:
    demand_tracklets(path, SIZE, count, SOURCES)


ALLOWED: dict[str, dict[str, Any]] = {
    "another recording": {"content": "content-yard", "source": "yard"},
    "the first and the last moment": {"start_wall": EARLIEST, "end_wall": LATEST},
    "one frame": {"start_frame": 3, "end_frame": 3, "start_media": 1.0, "end_media": 1.0},
    "no share": {"confidence": 0.0, "purity": 0.0, "quality": 0.0},
    "the whole share": {"confidence": 1.0, "purity": 1.0, "quality": 1.0},
    "the last frame that can be counted": {"end_frame": 2**53},
    "no crop": {"crop": None, "crop_frame": None, "crop_box": None},
    "one prototype": {"prototypes": [UNIT], "prototype_weights": [1.0]},
    "one point": {"frames": [0], "boxes": [[0.0, 0.0, 1.0, 1.0]]},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_gallery_can_write_is_believed(name: str, tmp_path: Path) -> None:
    demand(written(tmp_path / "t.parquet", {}, ALLOWED[name], {}))


NO_TIME, NO_RANGE, RAGGED = "times that are no times", "numbers out of their range", "do not fit together"
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "an id with capitals": ("32 hexadecimal digits", {"id": IDS[1][:-1] + "A"}),
    "a longer id": ("32 hexadecimal digits", {"id": IDS[1] + "0"}),
    "an id of another tracklet": ("is there twice", {"id": IDS[0]}),
    "another recording's source": ("that is not described", {"source": "yard"}),
    "an unknown recording": ("that is not described", {"content": "content-roof"}),
    "an unknown reason": ("unknown reason", {"reason": "boredom"}),
    "a start before all times": (NO_TIME, {"start_wall": EARLIEST * 2}),
    "an end after all times": (NO_TIME, {"end_wall": LATEST * 2}),
    "a start that is no number": (NO_TIME, {"start_wall": float("nan")}),
    "an end in frames before the start": ("ends before it starts", {"start_frame": 21}),
    "an end in seconds before the start": ("ends before it starts", {"start_media": 2.5}),
    "a negative share": (NO_RANGE, {"confidence": -0.1}),
    "more than the whole": (NO_RANGE, {"quality": 1.1}),
    "a frame before the first": (NO_RANGE, {"start_frame": -1}),
    "a number of parts below none": (NO_RANGE, {"parts": -1}),
    "prototypes without weights": (RAGGED, {"prototype_weights": [1.0]}),
    "no prototypes": (RAGGED, {"prototypes": [], "prototype_weights": []}),
    "frames without boxes": (RAGGED, {"boxes": [[0.0, 0.0, 1.0, 1.0]]}),
    "no path": (RAGGED, {"frames": [], "boxes": []}),
    "a long prototype": ("not of unit length", {"prototypes": [UNIT, [1.0, 1.0, 0.0, 0.0]]}),
    "a short embedding": ("not of unit length", {"embedding": [0.3, 0.4, 0.0, 0.0]}),
    "an embedding that is no number": ("not of unit length", {"embedding": [float("nan")] * SIZE}),
    "a weight that is no number": ("that are no numbers", {"prototype_weights": [0.5, float("inf")]}),
    "a box that is no number": ("that are no numbers", {"boxes": [[0.0] * 4, [float("nan")] * 4]}),
    "a crop that is no picture": ("not a JPEG file", {"crop": b"<svg>"}),
    "a crop of three sides": ("a crop from nowhere", {"crop_box": [0.0, 0.0, 10.0]}),
    "a crop without end": ("a crop from nowhere", {"crop_box": [0.0, 0.0, float("inf"), 20.0]}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_gallery_can_write_is_refused_and_the_tracklet_named(name: str, tmp_path: Path) -> None:
    trouble, change = REFUSED[name]
    path = written(tmp_path / "t.parquet", {}, change, {})
    with pytest.raises(GalleryCorrupt, match=trouble) as refused:
        demand(path)
    whose = change.get("id", IDS[1])[:32]
    assert f"tracklet {whose}" in str(refused.value).replace("'", "")


@pytest.mark.parametrize("column", ["end_wall", "embedding", "frames", "reason"])
def test_only_the_crop_may_be_missing(column: str, tmp_path: Path) -> None:
    with pytest.raises(GalleryCorrupt, match=f"lacks its {column}"):
        demand(written(tmp_path / "t.parquet", {}, {column: None}, {}))


@pytest.mark.parametrize("count", [2, 4])
def test_the_number_of_tracklets_must_be_as_described(count: int, tmp_path: Path) -> None:
    with pytest.raises(GalleryCorrupt, match=f"holds 3 tracklets, and should hold {count}"):
        demand(written(tmp_path / "t.parquet", {}, {}, {}), count)


def test_an_id_counts_as_known_in_later_row_groups_too(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", {}, {}, {"id": IDS[0]}, row_group_size=1)
    with pytest.raises(GalleryCorrupt, match="is there twice"):
        demand(path)


@pytest.mark.parametrize(("rows", "fits"), [(2, True), (3, False)])
def test_a_row_group_has_no_more_rows_than_can_be_held(
    rows: int, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_checks, "_MOST_ROWS", 2)
    path = written(tmp_path / "t.parquet", *[{}] * rows)
    if fits:
        demand(path, rows)
        return
    with pytest.raises(GalleryCorrupt, match="in one row group are more than"):
        demand(path, rows)


@pytest.mark.parametrize(
    ("limit", "column", "value"),
    [
        ("_MOST_PROTOTYPES", "prototypes", [UNIT]),
        ("_MOST_PROTOTYPES", "prototype_weights", [1.0]),
        ("_MOST_POINTS", "frames", [1]),
        ("_MOST_POINTS", "boxes", [[0.0] * 4]),
    ],
)
def test_a_row_has_no_more_values_than_a_tracklet_can_have(
    limit: str, column: str, value: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_checks, limit, 2)
    list(row_groups(written(tmp_path / "two.parquet", {column: value * 2}), SIZE))
    with pytest.raises(GalleryCorrupt, match=f"values of {column} in one row group"):
        list(row_groups(written(tmp_path / "three.parquet", {column: value * 3}), SIZE))


@pytest.mark.parametrize(
    ("limit", "column", "value"),
    [("_MOST_CROP", "crop", b"\xff\xd8345678"), ("_MOST_TEXT", "content", "12345678")],
)
def test_a_crop_or_word_is_no_longer_than_allowed(
    limit: str, column: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {"source": "door", "content": "door", "reason": "left", "id": "0", "crop": b"\xff\xd8", column: value}
    monkeypatch.setattr(archive_checks, limit, 8)
    list(row_groups(written(tmp_path / "short.parquet", short), SIZE))
    with pytest.raises(GalleryCorrupt, match=rf"{column} has 9 bytes; 8 in one tracklet"):
        list(row_groups(written(tmp_path / "long.parquet", {**short, column: value + value[:1]}), SIZE))


def test_a_crop_that_is_repeated_counts_as_often_as_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = len(ROW["crop"])
    path = written(tmp_path / "t.parquet", {}, {}, {"crop": None})
    monkeypatch.setattr(archive_checks, "_MOST_CROPS", 2 * each)
    demand(path)
    monkeypatch.setattr(archive_checks, "_MOST_CROPS", 2 * each - 1)
    with pytest.raises(GalleryCorrupt, match="crop has"):
        demand(path)


def test_a_file_without_any_crop_is_believed(tmp_path: Path) -> None:
    demand(written(tmp_path / "t.parquet", *[{"crop": None, "crop_frame": None, "crop_box": None}] * 3))


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["purity"]),
        lambda table: table.append_column("extra", pa.array([1])),
        lambda table: table.set_column(4, "track_id", pa.array([7], pa.int32())),
    ],
)
def test_other_columns_are_refused(change: Callable[[Any], Any], tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", {})
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(GalleryCorrupt, match="other columns than an exported gallery"):
        list(row_groups(path, SIZE))


def test_some_columns_can_be_read_alone(tmp_path: Path) -> None:
    (table,) = row_groups(written(tmp_path / "t.parquet", {}, {}), SIZE, ["id", "crop"])
    assert table.column("id").to_pylist() == IDS[:2]
    assert sorted(table.schema.names) == ["crop", "id"]


def test_vectors_may_be_off_unit_length_by_rounding_only(tmp_path: Path) -> None:
    rounded = np.array(UNIT, np.float16).astype(np.float32).tolist()
    demand(written(tmp_path / "t.parquet", {}, {"embedding": rounded}, {}))


def test_a_plain_file_is_no_longer_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(b"12345678")
    assert plain_file(path) == plain_file(path, 8) == path
    with pytest.raises(GalleryCorrupt, match="has 8 bytes; at most 7 are read"):
        plain_file(path, 7)
    with pytest.raises(GalleryCorrupt, match="is not a plain file"):
        plain_file(tmp_path)


def test_another_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    demand_checksum(path, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    with pytest.raises(GalleryCorrupt, match="is not as it was written"):
        demand_checksum(path, "0" * 64)


JPEG = b"\xff\xd8further"


def pictured(folder: Path, rows: list[tuple[Any, ...]], schema: pa.Schema | None = None) -> None:
    """Demand three tracklets with a file of further pictures."""
    names = ("id", "number", "crop")
    path = folder / "pictures.parquet"
    pq.write_table(
        pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema or pictures_schema()),
        path,
        row_group_size=2,
    )
    demand_tracklets(written(folder / "tracklets.parquet", {}, {}, {}), SIZE, 3, SOURCES, path)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(IDS[1], 1, JPEG)],
        [(IDS[0], 1, JPEG), (IDS[0], 2, JPEG), (IDS[0], 3, JPEG), (IDS[2], 1, JPEG)],
        [(IDS[2], number, JPEG) for number in range(1, 16)],
    ],
    ids=["none", "one", "two with several", "as many as the settings allow"],
)
def test_further_pictures_in_the_order_of_the_tracklets_are_believed(
    tmp_path: Path, rows: list[tuple[Any, ...]]
) -> None:
    pictured(tmp_path, rows)


@pytest.mark.parametrize(
    ("rows", "trouble"),
    [
        ([("f" * 32, 1, JPEG)], "is of no tracklet"),
        ([(None, 1, JPEG)], "is of no tracklet"),
        ([(IDS[1], 1, JPEG), (IDS[0], 1, JPEG)], "is not in its place"),
        ([(IDS[0], 1, JPEG), (IDS[1], 1, JPEG), (IDS[0], 2, JPEG)], "is not in its place"),
        ([(IDS[0], 2, JPEG)], "is not in its place"),
        ([(IDS[0], 0, JPEG)], "is not in its place"),
        ([(IDS[0], None, JPEG)], "is not in its place"),
        ([(IDS[0], 1, JPEG), (IDS[0], 1, JPEG)], "is not in its place"),
        ([(IDS[0], 1, JPEG), (IDS[0], 3, JPEG)], "is not in its place"),
        ([(IDS[2], number, JPEG) for number in range(1, 17)], "is not in its place"),
        ([(IDS[0], 1, b"<script>")], "is not a JPEG"),
        ([(IDS[0], 1, None)], "is not a JPEG"),
    ],
)
def test_other_further_pictures_are_refused(tmp_path: Path, rows: list[tuple[Any, ...]], trouble: str) -> None:
    with pytest.raises(GalleryCorrupt, match=trouble):
        pictured(tmp_path, rows)


def test_a_file_of_pictures_with_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GalleryCorrupt, match="other columns"):
        pictured(
            tmp_path, [(IDS[0], 1, "text")], pa.schema([("id", "string"), ("number", "int64"), ("crop", "string")])
        )
