"""Whoever is in view of workers' cameras, as rows: the newest that is known of each open track, until whoever decides
has looked at it.

A worker knows the people in front of its own cameras and nobody else; who they are is known where it is decided. So
rules are looked at there, and workers tell of whoever is in view at cameras about which there is a rule. A payload is a
NumPy archive (``.npz``, read without pickle): vectors, quality and the crop, and everything else as JSON.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from reidstream.alerts.sightings import Sighting
from reidstream.cluster.schema import in_view
from reidstream.errors import GalleryCorrupt
from reidstream.gallery.rows import in_chunks
from reidstream.tracklets.collector import tracklet_id

_ARRAYS = ("vectors", "quality")
_PLAIN = ("source", "content", "track", "start_media", "start_wall", "media", "wall", "box", "zones", "ended")


def put(connection: Connection, sightings: Iterable[Sighting]) -> None:
    """Put each track's newest sighting in the place of the one before; in the caller's transaction.

    The picture of the one before stays while there is no newer one.
    """
    # Always in one order: two who put the same rows would wait for each other.
    newest = {(one.content, one.track): one for one in sightings}
    for _, one in sorted(newest.items()):
        values = {
            "content": one.content,
            "track": str(one.track),
            "source": one.source,
            "id": tracklet_id(one.content, one.track, one.start_frame, 0),
            "payload": packed(one),
            "frame": one.frame,
            "frame_box": None if one.frame_box is None else json.dumps(one.frame_box),
        }
        adding = insert(in_view).values(**values)
        fresh = adding.excluded
        again = {
            "payload": fresh.payload,
            "frame": func.coalesce(fresh.frame, in_view.c.frame),
            "frame_box": func.coalesce(fresh.frame_box, in_view.c.frame_box),
            # Whoever has read the former row takes out that number, not this one.
            "number": func.nextval(func.pg_get_serial_sequence(in_view.name, "number")),
        }
        connection.execute(adding.on_conflict_do_update(index_elements=["content", "track"], set_=again))


def waiting(connection: Connection, most: int) -> list[Any]:
    """Rows that nobody has looked at, the oldest first; see ``sighting_of``."""
    return list(connection.execute(select(in_view).order_by(in_view.c.number).limit(most)).all())


def looked_at(connection: Connection, numbers: Sequence[int]) -> None:
    """Take out rows that were looked at, unless something newer has come in their place."""
    for some in in_chunks(numbers):
        connection.execute(delete(in_view).where(in_view.c.number.in_(some)))


def packed(sighting: Sighting) -> bytes:
    """Everything of a sighting but the camera's picture, for ``sighting_of``."""
    plain = {name: getattr(sighting, name) for name in _PLAIN}
    arrays: dict[str, npt.NDArray[Any]] = {name: getattr(sighting, name) for name in _ARRAYS}
    arrays["plain"] = np.frombuffer(json.dumps({**plain, "zones": dict(sighting.zones)}).encode(), np.uint8)
    if sighting.crop is not None:
        arrays["crop"] = np.frombuffer(sighting.crop, np.uint8)
    written = io.BytesIO()
    np.savez(written, allow_pickle=False, **arrays)
    return written.getvalue()


def sighting_of(row: Any) -> Sighting:
    """The sighting that a row holds. Raises GalleryCorrupt."""
    try:
        with np.load(io.BytesIO(row.payload), allow_pickle=False) as held:
            plain = json.loads(held["plain"].tobytes())
            crop = held["crop"].tobytes() if "crop" in held.files else None
            arrays = {name: held[name].astype(np.float32) for name in _ARRAYS}
        plain["box"] = tuple(plain["box"])
        box = None if row.frame_box is None else json.loads(row.frame_box)
        frame = None if row.frame is None else bytes(row.frame)
        return Sighting(**plain, **arrays, crop=crop, frame=frame, frame_box=None if box is None else tuple(box))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise GalleryCorrupt(f"what a worker told of somebody in view cannot be read: {error}") from None


def forget(connection: Connection, contents: Collection[str]) -> None:
    """Take out whoever is in view in these: their pictures may show anybody who is erased."""
    for some in in_chunks(sorted(contents)):
        connection.execute(delete(in_view).where(in_view.c.content.in_(some)))
