"""Taking a gallery elsewhere: Parquet, CSV, JSON or NumPy files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from reidstream.errors import GalleryError
from reidstream.files import whole_file
from reidstream.foreign_text import csv_cell
from reidstream.gallery.gallery import Gallery
from reidstream.gallery.interchange import parquet_schema
from reidstream.gallery.rows import EVERYTHING, Filter
from reidstream.gallery.whose import WHOSE
from reidstream.types import EmbeddingSpace, Tracklet

_AT_ONCE = 500


def export(gallery: Gallery, path: Path, where: Filter = EVERYTHING) -> int:
    """Write the tracklets that a filter leaves to a file; how many. Its ending decides the format.

    .parquet: everything, vectors, prototypes, path and crop included. .npz: metadata columns, ``embedding`` float32
    (n, d) and the prototypes. .csv, .json: metadata only. The file is there completely, or not at all.
    Raises GalleryError for another ending or when it cannot be written.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        endings = ", ".join(_WRITERS)
        raise GalleryError(
            f"the export's ending must be one of {endings}, or none at all for a folder that can be imported; "
            f"got {path.name!r}"
        )
    with whole_file(path, GalleryError, access=gallery.access) as partial:
        return write(gallery, partial, where)


def _csv(gallery: Gallery, path: Path, where: Filter) -> int:
    rows = gallery.rows(where)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=type(rows).__dataclass_fields__)
        writer.writeheader()
        for record in rows.records():
            record["zones"] = ", ".join(record["zones"])
            writer.writerow({name: csv_cell(value) for name, value in record.items()})
    return len(rows)


def _json(gallery: Gallery, path: Path, where: Filter) -> int:
    rows = gallery.rows(where)
    document = {"embedding_space": _space(gallery.space), "tracklets": list(rows.records())}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(rows)


def _numpy(gallery: Gallery, path: Path, where: Filter) -> int:
    rows = gallery.rows(where)
    ids = rows.id.tolist()
    columns = {name: getattr(rows, name) for name in type(rows).__dataclass_fields__}
    prototypes = gallery.prototypes(ids)
    with path.open("wb") as file:
        # np.savez would add an ending of its own to a name; not to a file.
        np.savez(
            file,
            **columns,
            embedding=gallery.vectors(ids)[1],
            prototype=prototypes.vectors,
            prototype_owner=prototypes.owner,
            prototype_weight=prototypes.weights,
            space=np.array(json.dumps(_space(gallery.space))),
        )
    return len(rows)


def _parquet(gallery: Gallery, path: Path, where: Filter) -> int:
    return write_parquet(gallery, path, where, whose=True)


def write_parquet(
    gallery: Gallery,
    path: Path,
    where: Filter,
    *,
    whose: bool = False,
    beside: Callable[[list[Tracklet]], object] = lambda some: None,
) -> int:
    """Everything about the tracklets that a filter leaves, a row each; how many. whose: their people, too.

    beside: is given what is written, some hundred at once, for what no row has room for.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    facts = {"embedding_space": json.dumps(_space(gallery.space))}
    schema = parquet_schema(gallery.space.size).with_metadata(facts)
    own = schema.names
    if whose:
        kinds = (pa.list_(pa.string()), pa.string(), pa.int64(), pa.string(), pa.bool_())
        for name, kind in zip(("zones", *WHOSE), kinds, strict=True):
            schema = schema.append(pa.field(name, kind))
    count = 0
    # An open file: Arrow takes only paths that are UTF-8.
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        tracklets = gallery.tracklets(where)
        while some := list(islice(tracklets, _AT_ONCE)):
            columns = {name: [_plain(getattr(t, name)) for t in some] for name in own}
            if whose:
                rows = {record["id"]: record for record in gallery.rows(ids=[t.id for t in some]).records()}
                columns |= {name: [rows[t.id][name] for t in some] for name in ("zones", *WHOSE)}
            writer.write_table(pa.table(columns, schema=schema))
            beside(some)
            count += len(some)
    return count


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim == 2 else value
    return str(value) if isinstance(value, str) else value


def _space(space: EmbeddingSpace) -> dict[str, Any]:
    return {"fingerprint": space.fingerprint, "model": space.model, "size": space.size}


_WRITERS: dict[str, Callable[[Gallery, Path, Filter], int]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _json,
    ".npz": _numpy,
}
