"""Numbers as files for other programs: CSV, Parquet, JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reidstream.errors import GalleryError
from reidstream.files import whole_file
from reidstream.foreign_text import csv_cell
from reidstream.numbers.counting import PeopleRow
from reidstream.numbers.journeys import Flow

_ENDINGS = (".csv", ".parquet", ".json")
_KINDS: dict[str, str] = {"str": "string", "float": "float64", "int": "int64"}


def write_numbers(document: dict[str, Any], path: Path) -> int:
    """Write what ``Numbers.as_dict`` or ``Journeys.as_dict`` gave to a file; how many rows. Its ending is the format.

    .csv and .parquet have the rows (Parquet says the rest, the time zone among it, in its metadata), .json everything.
    The file is there completely, or not at all. Raises GalleryError for another ending or when it cannot be written.
    """
    kind, rows = (Flow, document["flows"]) if "flows" in document else (PeopleRow, document["rows"])
    if path.suffix.lower() not in _ENDINGS:
        raise GalleryError(f"numbers are written to a file that ends with {', '.join(_ENDINGS)}; got {path.name!r}")
    rest = {name: value for name, value in document.items() if value is not rows}
    with whole_file(path, GalleryError) as partial:
        if path.suffix.lower() == ".json":
            partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        elif path.suffix.lower() == ".csv":
            _csv(partial, kind, rows)
        else:
            _parquet(partial, kind, rows, rest)
    return len(rows)


def _csv(path: Path, kind: Any, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(kind.__dataclass_fields__))
        writer.writeheader()
        for row in rows:
            writer.writerow({name: csv_cell("" if value is None else value) for name, value in row.items()})


def _parquet(path: Path, kind: Any, rows: Sequence[dict[str, Any]], rest: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [(name, _KINDS[str(field.type).split(" ")[0]]) for name, field in kind.__dataclass_fields__.items()]
    said = {"numbers": json.dumps(rest)}
    schema = pa.schema([(name, pa.type_for_alias(alias)) for name, alias in columns]).with_metadata(said)
    with path.open("wb") as file:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file)
