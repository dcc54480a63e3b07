"""Moving a gallery to another embedding space: new vectors gather beside the old ones, and change places at once.

Until the last tracklet has its new vector everything reads the old ones, and runs may add more; then one transaction
puts the new ones in their place. A process that dies in between leaves the gallery in one space or in the other, and
what it had made is continued with. Everything runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from reidstream.errors import GalleryMismatch
from reidstream.expected_looks import newest_expected
from reidstream.gallery.facts import read_facts, storing_turn, write_facts
from reidstream.gallery.rows import in_chunks, packed
from reidstream.gallery.schema import details, embeddings, meta, next_embeddings, tracklets
from reidstream.gallery.storing import remove
from reidstream.types import EmbeddingSpace, FloatArray

_KEYS = ("next_fingerprint", "next_name", "next_size", "next_model")


@dataclass(frozen=True, slots=True)
class NextVector:
    """What a tracklet looks like in the next space.

    embedding: float32 (d,), unit length. prototypes: float32 (p, d), unit length. weights: float32 (p,), sum 1.
    used, seen: how many crops it was made from, and how many were embedded for it.
    """

    embedding: FloatArray
    prototypes: FloatArray
    weights: FloatArray
    used: int
    seen: int


@dataclass(frozen=True, slots=True)
class Move:
    """A move to another space that has begun.

    model: name or path under which the new model can be opened. done: tracklets that have their new vector.
    """

    space: EmbeddingSpace
    model: str
    done: int


def move_of(connection: Connection) -> Move | None:
    """The move that has begun and is not finished; None if there is none."""
    query = select(meta.c.key, meta.c.value).where(meta.c.key.in_(_KEYS))
    said = {row.key: row.value for row in connection.execute(query)}
    if len(said) < len(_KEYS):
        return None
    done = connection.execute(select(func.count()).select_from(next_embeddings)).scalar_one()
    space = EmbeddingSpace(said["next_fingerprint"], said["next_name"], int(said["next_size"]))
    return Move(space, said["next_model"], done)


def begin_move(connection: Connection, space: EmbeddingSpace, model: str) -> None:
    """Begin to move to a space, or go on; vectors for another space than this one are forgotten.

    model: under which others can open the model of that space.
    """
    known = move_of(connection)
    if known is None or known.space != space:
        connection.execute(delete(next_embeddings))
    write_facts(
        connection,
        next_fingerprint=space.fingerprint,
        next_name=space.model,
        next_size=space.size,
        next_model=model,
    )


def abandon_move(connection: Connection) -> None:
    """Stay in the present space, and forget what was made for the next one."""
    connection.execute(delete(next_embeddings))
    connection.execute(delete(meta).where(meta.c.key.in_(_KEYS)))


def waiting(connection: Connection, content: str | None = None) -> list[str]:
    """Ids of the tracklets without a vector for the next space, of one recording or of all, in order of storing."""
    there = exists().where(next_embeddings.c.seq == tracklets.c.seq)
    query = select(tracklets.c.id).where(~there).order_by(tracklets.c.seq)
    if content is not None:
        query = query.where(tracklets.c.content == content)
    return list(connection.execute(query).scalars())


def put(connection: Connection, vectors: Mapping[str, NextVector]) -> int:
    """Keep vectors for the next space, by tracklet; how many tracklets were there to have one."""
    rows = []
    for some in in_chunks(list(vectors)):
        for row in connection.execute(select(tracklets.c.seq, tracklets.c.id).where(tracklets.c.id.in_(some))):
            new = vectors[row.id]
            rows.append(
                {
                    "seq": row.seq,
                    "vector": packed(new.embedding),
                    "prototypes": packed(new.prototypes),
                    "weights": packed(new.weights),
                    "used": new.used,
                    "seen": new.seen,
                }
            )
    for some in in_chunks([row["seq"] for row in rows]):
        connection.execute(delete(next_embeddings).where(next_embeddings.c.seq.in_(some)))
    if rows:
        connection.execute(insert(next_embeddings), rows)
    return len(rows)


def finish_move(connection: Connection, left: Sequence[str] = ()) -> None:
    """Put the new vectors in the place of the old ones, all at once; the index is to be made anew afterwards.

    left: tracklets without a new vector that go, with all that belongs to them. Raises GalleryMismatch while any other
    tracklet has none.
    """
    # Nobody stores another vector of the old space from here on.
    storing_turn(connection)
    move = move_of(connection)
    if move is None:
        raise GalleryMismatch("no move to another embedding space has begun")
    remove(connection, left)
    if without := waiting(connection):
        raise GalleryMismatch(
            f"tracklet {without[0]} (and {len(without) - 1} more) has no vector of {move.space.model} yet; "
            "nothing was changed"
        )
    n = next_embeddings.c
    of_details, of_tracklets = n.seq == details.c.seq, n.seq == tracklets.c.seq
    connection.execute(
        update(embeddings).values(vector=select(n.vector).where(n.seq == embeddings.c.seq).scalar_subquery())
    )
    connection.execute(
        update(details).values(
            prototypes=select(n.prototypes).where(of_details).scalar_subquery(),
            weights=select(n.weights).where(of_details).scalar_subquery(),
        )
    )
    facts = read_facts(connection)
    connection.execute(
        update(tracklets).values(
            # Every row has changed: above all that any index or reader has seen, and in the same order.
            revision=tracklets.c.revision + facts.revision,
            embeddings_used=select(n.used).where(of_tracklets).scalar_subquery(),
            embeddings_seen=select(n.seen).where(of_tracklets).scalar_subquery(),
        )
    )
    write_facts(
        connection,
        space_fingerprint=move.space.fingerprint,
        space_model=move.space.model,
        space_size=move.space.size,
        model=move.model,
        calibration=newest_expected(move.space.fingerprint).name,
        revision=2 * facts.revision,
        generation=facts.generation + 1,
        indexed=0,
        sealed=False,
    )
    abandon_move(connection)


def crops_used(connection: Connection) -> dict[int, int]:
    """How many tracklets have a vector that was made from so many crops, by that number, smallest first."""
    used = tracklets.c.embeddings_used
    query = select(used, func.count().label("n")).group_by(used).order_by(used)
    return {row[0]: row[1] for row in connection.execute(query)}
