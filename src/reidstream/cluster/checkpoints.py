"""Open tracks of cameras as rows, and as tracks that were cut short when nobody lives to end them.

A row's payload is a NumPy archive (``.npz``, read without pickle): the arrays of the tracklet that the track would be
if it ended now, its pictures as bytes, and everything else as JSON.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, delete, func, insert, select, tuple_

from reidstream.cluster.schema import checkpoint_times, checkpoints
from reidstream.errors import GalleryCorrupt
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import recordings
from reidstream.gallery.storing import Stored, store
from reidstream.types import EndReason, LeftOut, Stay, Tracklet

_ARRAYS = ("embedding", "prototypes", "prototype_weights", "frames", "boxes")
_PICTURES = ("crop", "more_crops")


def packed_tracklet(tracklet: Tracklet) -> bytes:
    """Everything of a tracklet, for ``unpacked_tracklet``."""
    plain = {key: value for key, value in asdict(tracklet).items() if key not in (*_ARRAYS, *_PICTURES)}
    arrays: dict[str, npt.NDArray[Any]] = {name: getattr(tracklet, name) for name in _ARRAYS}
    arrays["plain"] = np.frombuffer(json.dumps({**plain, "reason": tracklet.reason.value}).encode(), np.uint8)
    for number, jpeg in enumerate(filter(None, (tracklet.crop, *tracklet.more_crops))):
        arrays[f"picture{number}"] = np.frombuffer(jpeg, np.uint8)
    written = io.BytesIO()
    np.savez(written, allow_pickle=False, **arrays)
    return written.getvalue()


def unpacked_tracklet(payload: bytes) -> Tracklet:
    """The tracklet again. Raises GalleryCorrupt."""
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as held:
            plain = json.loads(held["plain"].tobytes())
            count = sum(name.startswith("picture") for name in held.files)
            pictures = [held[f"picture{number}"].tobytes() for number in range(count)]
            arrays = {name: held[name] for name in _ARRAYS}
        plain["reason"] = EndReason(plain["reason"])
        plain["crop_box"] = None if plain["crop_box"] is None else tuple(plain["crop_box"])
        plain["stays"] = tuple(Stay(**stay) for stay in plain["stays"])
        return Tracklet(**plain, **arrays, crop=pictures[0] if pictures else None, more_crops=tuple(pictures[1:]))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise GalleryCorrupt(f"a checkpoint of an open track cannot be read: {error}") from None


def keep(connection: Connection, source: str, unfinished: Sequence[Tracklet]) -> None:
    """Keep these open tracks of a source, and no others; in the caller's transaction."""
    connection.execute(delete(checkpoints).where(checkpoints.c.source == source))
    if unfinished:
        rows = [{"id": t.id, "payload": packed_tracklet(t), **_about(t)} for t in unfinished]
        connection.execute(insert(checkpoints), rows)
    connection.execute(delete(checkpoint_times).where(checkpoint_times.c.source == source))
    connection.execute(insert(checkpoint_times).values(source=source, at=func.clock_timestamp()))


def ended(connection: Connection, tracks: Sequence[Tracklet | LeftOut]) -> None:
    """Keep no longer what these tracks had come to, for they have ended; in the transaction that stores them."""
    c = checkpoints.c
    pairs = sorted({(t.content, _signed(t.track_id)) for t in tracks})
    for start in range(0, len(pairs), 400):
        connection.execute(delete(checkpoints).where(tuple_(c.content, c.track_id).in_(pairs[start : start + 400])))


def rescue(connection: Connection, source: str) -> Stored:
    """Store what is kept of a source's open tracks, in the caller's transaction: whoever followed them is gone."""
    c = checkpoints.c
    rows = connection.execute(select(c.content, c.payload).where(c.source == source).order_by(c.id)).all()
    attempts: dict[str, int] = {}
    for some in in_chunks(sorted({row.content for row in rows})):
        query = select(recordings.c.content, recordings.c.attempt).where(recordings.c.content.in_(some))
        attempts.update((row.content, row.attempt) for row in connection.execute(query))
    # What was forgotten meanwhile stays so.
    held = [unpacked_tracklet(row.payload) for row in rows if row.content in attempts]
    stored = store(connection, held, attempts)
    forget(connection, source)
    return stored


def forget(connection: Connection, source: str) -> None:
    """Keep nothing of a source: its tracks have ended, or are stored."""
    connection.execute(delete(checkpoints).where(checkpoints.c.source == source))
    connection.execute(delete(checkpoint_times).where(checkpoint_times.c.source == source))


def _about(tracklet: Tracklet) -> dict[str, Any]:
    return {"source": tracklet.source, "content": tracklet.content, "track_id": _signed(tracklet.track_id)}


def _signed(track_id: int) -> int:
    return int(np.uint64(track_id).view(np.int64))
