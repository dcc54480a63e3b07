"""What a gallery knows about itself: a few named values beside the tracklets."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from reidstream.errors import GalleryCorrupt, GalleryMismatch
from reidstream.expected_looks import ANY, newest_expected
from reidstream.gallery.schema import meta
from reidstream.types import EmbeddingSpace


@dataclass(frozen=True, slots=True)
class Facts:
    """One reading of the values.

    uuid: tells galleries apart that share a server. created: Unix seconds. space: whose vectors are in it.
    model: name or path under which that model was opened. index: "chroma", "exact" or a server's address.
    generation: which of the index's files are the valid ones. revision: the last one given to a row.
    indexed: the index holds every row up to this revision. erasing: an erasure has begun and is not finished.
    kept_out: tracklets that came again after they had been erased, and were left out.
    sealed: the index was compared with the rows and closed whole after the last change to its files.
    calibration: what its similarities are read with before they say it themselves; see ``expected_looks``.
    """

    uuid: str
    created: float
    space: EmbeddingSpace
    model: str
    index: str
    generation: int
    revision: int
    indexed: int
    erasing: bool
    kept_out: int = 0
    sealed: bool = False
    calibration: str = ANY.name


def new_facts(space: EmbeddingSpace, model: str, index: str) -> Facts:
    """The values of a gallery that is just being made."""
    expected = newest_expected(space.fingerprint).name
    return Facts(uuid.uuid4().hex, time.time(), space, model, index, 1, 0, 0, False, calibration=expected)


def read_facts(connection: Connection) -> Facts:
    """The values as they are now. Raises GalleryCorrupt when one is missing or makes no sense."""
    found = {row.key: row.value for row in connection.execute(select(meta.c.key, meta.c.value))}
    try:
        return Facts(
            uuid=found["uuid"],
            created=float(found["created"]),
            space=EmbeddingSpace(found["space_fingerprint"], found["space_model"], int(found["space_size"])),
            model=found["model"],
            index=found["index"],
            generation=int(found["generation"]),
            revision=int(found["revision"]),
            indexed=int(found["indexed"]),
            erasing=found["erasing"] == "1",
            kept_out=int(found.get("kept_out", "0")),
            # Galleries of earlier versions do not say.
            sealed=found.get("sealed") == "1",
            calibration=found.get("calibration", ANY.name),
        )
    except (KeyError, ValueError) as error:
        raise GalleryCorrupt(f"the gallery's own description is damaged: {error}; restore it from a backup") from None


def write_facts(connection: Connection, **values: str | int | float | bool) -> None:
    """Set some values, by their names in Facts (and space_fingerprint, space_model, space_size)."""
    for key, value in values.items():
        plain = _plain(value)
        # In place: whoever waits for a row that is deleted and made anew would find none.
        if not connection.execute(update(meta).where(meta.c.key == key).values(value=plain)).rowcount:
            connection.execute(insert(meta).values(key=key, value=plain))


def _plain(value: str | int | float | bool) -> str:
    return str(int(value) if isinstance(value, bool) else value)


def storing_turn(connection: Connection) -> int:
    """The last revision that was given to a row; whoever else wants to store waits until this transaction ends.

    So revisions appear in their order, however many processes store: a reader who has seen one has seen all before it.
    """
    last = connection.execute(select(meta.c.value).where(meta.c.key == "revision").with_for_update()).scalar_one()
    return int(last)


def write_new_facts(connection: Connection, facts: Facts) -> None:
    """Say what a gallery is that has said nothing of itself yet."""
    values: dict[str, str | int | float | bool] = {
        "uuid": facts.uuid,
        "created": facts.created,
        "space_fingerprint": facts.space.fingerprint,
        "space_model": facts.space.model,
        "space_size": facts.space.size,
        "model": facts.model,
        "index": facts.index,
        "generation": facts.generation,
        "revision": facts.revision,
        "indexed": facts.indexed,
        "erasing": facts.erasing,
        "calibration": facts.calibration,
    }
    connection.execute(insert(meta), [{"key": key, "value": _plain(value)} for key, value in values.items()])


def demand_same_space(connection: Connection, place: str, opened: EmbeddingSpace) -> None:
    """Raise GalleryMismatch when a gallery has moved to another space since somebody opened it in this one."""
    key = meta.c.key == "space_fingerprint"
    now = connection.execute(select(meta.c.value).where(key)).scalar_one_or_none()
    if now != opened.fingerprint:
        raise GalleryMismatch(
            f"gallery {place} held embeddings of {opened.model} when it was opened, and has been moved to another "
            "model since; open it anew"
        )


def check_space(place: str, held: EmbeddingSpace, given: EmbeddingSpace) -> None:
    """Raise GalleryMismatch unless vectors of the given space may be compared with those held."""
    if held.fingerprint != given.fingerprint or held.size != given.size:
        raise GalleryMismatch(
            f"gallery {place} holds embeddings of {held.model} ({held.size} dimensions, space "
            f"{held.fingerprint[:12]}), not of {given.model} ({given.size} dimensions, space "
            f"{given.fingerprint[:12]}); vectors of different models cannot be compared: "
            "use the gallery's model, move the gallery to this one (`reidstream gallery reembed`), or take another "
            "gallery"
        )
