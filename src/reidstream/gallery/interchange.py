"""What may stand in a file of tracklets and beside it, for whoever writes, reads or examines one.

Nothing of SQL is needed here: the process that looks through foreign archives starts sooner without.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

EARLIEST, LATEST = -62135596800.0, 253402300799.0
"""Unix seconds between which a time of day is one: the years 1 to 9999, which is what dates can be written for."""


class State(StrEnum):
    """How far a recording has been read."""

    RUNNING = "running"
    """A run is reading it."""
    COMPLETE = "complete"
    STOPPED = "stopped"
    """The run was stopped before the recording's end; if there is an error, it ended without a word."""
    FAILED = "failed"
    """It could not be read to its end."""


def parquet_schema(size: int) -> Any:
    """The columns of a file of tracklets whose vectors have so many dimensions."""
    import pyarrow as pa

    vector = pa.list_(pa.float32(), size)
    text, integer, number = pa.string(), pa.int64(), pa.float64()
    return pa.schema(
        [
            *((name, text) for name in ("id", "source", "content", "reason")),
            ("track_id", pa.uint64()),
            *((name, integer) for name in ("part", "parts", "start_frame", "end_frame")),
            *((name, number) for name in ("start_media", "end_media", "start_wall", "end_wall")),
            *((name, integer) for name in ("observations", "embeddings_used", "embeddings_seen")),
            *((name, number) for name in ("confidence", "purity", "quality")),
            ("embedding", vector),
            ("prototypes", pa.list_(vector)),
            ("prototype_weights", pa.list_(pa.float32())),
            ("frames", pa.list_(pa.int64())),
            ("boxes", pa.list_(pa.list_(pa.float32(), 4))),
            ("crop", pa.binary()),
            ("crop_frame", integer),
            ("crop_box", pa.list_(number)),
        ]
    )


def pictures_schema() -> Any:
    """The columns of a file of further pictures of tracklets: in the order of the tracklets, numbered from 1."""
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("number", pa.int64()), ("crop", pa.binary())])
