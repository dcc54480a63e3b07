"""Events as rows of an Arrow table, without losing a bit.

One row is one event; a column that an event has no value for is null. Arrays become lists in row-major order, so
boxes have four numbers per track and embeddings as many per sample as the embedding space has dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reidstream.types import EndReason, Event, Observed, Samples, SourceEnded, SourceStarted, TrackEnded

_KINDS = {SourceStarted: "source_started", Observed: "observed", TrackEnded: "track_ended", SourceEnded: "source_ended"}

# Arrays of an Observed and of its Samples: column, element type.
_ARRAYS: dict[str, Any] = {
    "track_ids": pa.uint64(),
    "boxes": pa.float32(),
    "confidences": pa.float32(),
    "sample_rows": pa.int64(),
    "sample_embeddings": pa.float32(),
    "sample_quality": pa.float32(),
}

# Scalars by column; which event has which is said by its fields of the same name.
_SCALARS: dict[str, Any] = {
    "frame": pa.int64(),
    "media_time": pa.float64(),
    "wall_time": pa.float64(),
    "track_id": pa.uint64(),
    "reason": pa.string(),
    "uri": pa.string(),
    "content": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "fps": pa.float64(),
    "frames": pa.int64(),
    "live": pa.bool_(),
    "error": pa.string(),
    "stopped": pa.bool_(),
    "dropped": pa.int64(),
}

_CROPS = pa.list_(pa.binary())

SCHEMA: Any = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        *(pa.field(name, kind) for name, kind in _SCALARS.items()),
        *(pa.field(name, pa.list_(kind)) for name, kind in _ARRAYS.items()),
        pa.field("sample_crops", _CROPS),
    ]
)


def event_bytes(event: Event) -> int:
    """Roughly how much memory an event's arrays and crops take."""
    if not isinstance(event, Observed):
        return 200
    size = 200 + event.boxes.nbytes + event.track_ids.nbytes + event.confidences.nbytes
    if event.samples is not None:
        size += event.samples.embeddings.nbytes + sum(len(crop) for crop in event.samples.crops if crop is not None)
    return size


def to_batch(events: Sequence[Event]) -> Any:
    """The events as one ``pyarrow.RecordBatch`` of ``SCHEMA``."""
    arrays: dict[str, list[npt.NDArray[Any] | None]] = {name: [] for name in _ARRAYS}
    scalars: dict[str, list[Any]] = {name: [] for name in _SCALARS}
    crops: list[tuple[bytes | None, ...] | None] = []
    for event in events:
        values = _array_values(event)
        for name, column in arrays.items():
            column.append(values.get(name))
        samples = event.samples if isinstance(event, Observed) else None
        crops.append(samples.crops if samples is not None and samples.crops else None)
        row = _scalar_values(event)
        for name, numbers in scalars.items():
            numbers.append(row.get(name))
    columns = [
        pa.array([_KINDS[type(event)] for event in events], pa.string()),
        pa.array([event.source for event in events], pa.string()),
        *(pa.array(scalars[name], kind) for name, kind in _SCALARS.items()),
        *(_list_array(arrays[name], kind) for name, kind in _ARRAYS.items()),
        pa.array(crops, _CROPS),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def from_batch(batch: Any, embedding_size: int) -> Iterator[Event]:
    """The events of one record batch. ValueError or TypeError when a row is none."""
    scalars = {name: batch.column(name).to_pylist() for name in ("kind", "source", *_SCALARS)}
    arrays = {name: _slices(batch.column(name)) for name in _ARRAYS}
    crops = batch.column("sample_crops").to_pylist()
    for i in range(batch.num_rows):
        row = {name: column[i] for name, column in scalars.items() if column[i] is not None}
        kind = row.pop("kind")
        if kind == "observed":
            yield _observed(row, {name: column[i] for name, column in arrays.items()}, crops[i], embedding_size)
        elif kind == "track_ended":
            yield TrackEnded(row["source"], int(row["track_id"]), EndReason(row["reason"]))
        elif kind == "source_started":
            yield SourceStarted(size=(row.pop("width"), row.pop("height")), **row)
        elif kind == "source_ended":
            yield SourceEnded(**row)
        else:
            raise ValueError(f"unknown kind of event {kind!r}")


def _scalar_values(event: Event) -> dict[str, Any]:
    match event:
        case SourceStarted():
            names = ("wall_time", "uri", "content", "fps", "frames", "live")
            return {name: getattr(event, name) for name in names} | {"width": event.size[0], "height": event.size[1]}
        case Observed():
            return {name: getattr(event, name) for name in ("frame", "media_time", "wall_time")}
        case TrackEnded():
            return {"track_id": event.track_id, "reason": event.reason.value}
        case SourceEnded():
            return {name: getattr(event, name) for name in ("frames", "wall_time", "error", "stopped", "dropped")}


def _array_values(event: Event) -> dict[str, npt.NDArray[Any]]:
    if not isinstance(event, Observed):
        return {}
    values: dict[str, npt.NDArray[Any]] = {
        "track_ids": event.track_ids,
        "boxes": event.boxes.reshape(-1),
        "confidences": event.confidences,
    }
    if event.samples is not None:
        values["sample_rows"] = event.samples.rows
        values["sample_embeddings"] = event.samples.embeddings.reshape(-1)
        values["sample_quality"] = event.samples.quality
    return values


def _observed(
    row: dict[str, Any],
    arrays: dict[str, npt.NDArray[Any] | None],
    crops: list[bytes | None] | None,
    embedding_size: int,
) -> Observed:
    track_ids, boxes, confidences = arrays["track_ids"], arrays["boxes"], arrays["confidences"]
    if track_ids is None or boxes is None or confidences is None:
        raise ValueError("an observation without its tracks")
    samples = None
    rows, embeddings, quality = arrays["sample_rows"], arrays["sample_embeddings"], arrays["sample_quality"]
    if rows is not None and embeddings is not None and quality is not None:
        samples = Samples(rows, embeddings.reshape(len(rows), embedding_size), quality, tuple(crops or ()))
    return Observed(track_ids=track_ids, boxes=boxes.reshape(-1, 4), confidences=confidences, samples=samples, **row)


def _list_array(values: Sequence[npt.NDArray[Any] | None], kind: Any) -> Any:
    lengths = np.array([0 if value is None else len(value) for value in values], np.int32)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    present = [value for value in values if value is not None and len(value)]
    flat = pa.array(np.concatenate(present) if present else [], kind)
    missing = pa.array([value is None for value in values])
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=missing)


def _slices(column: Any) -> list[npt.NDArray[Any] | None]:
    """Each row's list as an array of its own (memory stays free of the whole batch); None where it is null."""
    offsets = column.offsets.to_numpy()
    flat = column.values.to_numpy(zero_copy_only=False)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return [
        flat[start:end].copy() if there else None
        for start, end, there in zip(offsets[:-1], offsets[1:], valid, strict=True)
    ]
