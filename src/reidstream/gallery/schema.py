"""The tables of a gallery.

Metadata, vectors, details and pictures live in tables of their own, so that listing and filtering never read a blob.
``revision`` counts every insertion and change over the gallery's life and is never used twice: the vector index is
complete up to a revision, and what is above it is searched exactly. ``seq`` is a tracklet's private row number, the
revision in which it was first stored.
Track ids are unsigned 64-bit numbers kept as the signed number with the same bits, because SQL has no unsigned type.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

# In SQLite only a key of type INTEGER is the row's own number, without a second index.
_RowNumber = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Who may write, by scope; see fencing.
fences = Table(
    "fences",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("since_wall", Double, nullable=False),
)

# What was erased, unrecognisably; see tombstones.
tombstones = Table("tombstones", metadata, Column("mark", LargeBinary, primary_key=True))

recordings = Table(
    "recordings",
    metadata,
    Column("content", Text, primary_key=True),
    Column("source", Text, nullable=False, index=True),
    Column("uri", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("fps", Double, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("started_wall", Double, nullable=False),
    Column("ended_wall", Double),
    Column("frames", Integer),
    Column("dropped", Integer, nullable=False),
    Column("error", Text),
    # By which a longer version of it is known; see sources.fingerprint.
    Column("beginning", Text),
    Column("length", BigInteger),
    # The fence under which a process that is not the owner reads it; none for the owner.
    Column("reader", Text),
)

tracklets = Table(
    "tracklets",
    metadata,
    Column("seq", _RowNumber, primary_key=True),
    Column("revision", BigInteger, nullable=False, unique=True),
    Column("id", Text, nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("content", Text, ForeignKey("recordings.content"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("track_id", BigInteger, nullable=False),
    Column("part", Integer, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("start_frame", BigInteger, nullable=False),
    Column("end_frame", BigInteger, nullable=False),
    Column("start_media", Double, nullable=False),
    Column("end_media", Double, nullable=False),
    Column("start_wall", Double, nullable=False),
    Column("end_wall", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("observations", Integer, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("embeddings_used", Integer, nullable=False),
    Column("embeddings_seen", Integer, nullable=False),
    Column("purity", Double, nullable=False),
    Column("quality", Double, nullable=False),
    Column("crop_frame", BigInteger),
    Column("crop_x1", Double),
    Column("crop_y1", Double),
    Column("crop_x2", Double),
    Column("crop_y2", Double),
)
Index("tracklets_source_time", tracklets.c.source, tracklets.c.start_wall, tracklets.c.end_wall)
Index("tracklets_time", tracklets.c.start_wall, tracklets.c.end_wall)
tracklets_end = Index("tracklets_end", tracklets.c.end_wall)


# Tracks that were not worth storing, and why; see types.LeftOut.
left_out = Table(
    "left_out",
    metadata,
    Column("id", Text, primary_key=True),
    Column("content", Text, ForeignKey("recordings.content"), nullable=False, index=True),
    Column("source", Text, nullable=False),
    Column("track_id", BigInteger, nullable=False),
    Column("part", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("start_frame", BigInteger, nullable=False),
    Column("end_frame", BigInteger, nullable=False),
    Column("start_media", Double, nullable=False),
    Column("end_media", Double, nullable=False),
    Column("start_wall", Double, nullable=False),
    Column("end_wall", Double, nullable=False),
    Column("observations", Integer, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("quality", Double),
    Column("x1", Double, nullable=False),
    Column("y1", Double, nullable=False),
    Column("x2", Double, nullable=False),
    Column("y2", Double, nullable=False),
)
Index("left_out_time", left_out.c.start_wall, left_out.c.id)


# See partitions.
_BY_SEQ = "RANGE (seq)"


def _belonging(name: str, *columns: Column[Any]) -> Table:
    key = Column("seq", _RowNumber, ForeignKey("tracklets.seq", ondelete="CASCADE"), primary_key=True)
    return Table(name, metadata, key, *columns, postgresql_partition_by=_BY_SEQ)


# Stays in the named zones of the camera's picture; see types.Stay.
stays = Table(
    "stays",
    metadata,
    Column("seq", _RowNumber, ForeignKey("tracklets.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("zone", Text, primary_key=True),
    Column("start_media", Double, primary_key=True),
    Column("end_media", Double, nullable=False),
    Column("start_wall", Double, nullable=False),
    Column("end_wall", Double, nullable=False),
)
Index("stays_zone", stays.c.zone, stays.c.seq)

# Little-endian arrays: vector float32 (d,), prototypes float32 (p, d), weights float32 (p,), frames int64 (m,),
# boxes float32 (m, 4).
embeddings = _belonging("embeddings", Column("vector", LargeBinary, nullable=False))
details = _belonging(
    "details",
    Column("prototypes", LargeBinary, nullable=False),
    Column("weights", LargeBinary, nullable=False),
    Column("frames", LargeBinary, nullable=False),
    Column("boxes", LargeBinary, nullable=False),
)
crops = _belonging("crops", Column("jpeg", LargeBinary, nullable=False))
# Pictures of a tracklet beside the best one, which is number 0 and in ``crops``.
more_crops = Table(
    "more_crops",
    metadata,
    Column("seq", _RowNumber, ForeignKey("tracklets.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
    postgresql_partition_by=_BY_SEQ,
)

# Vectors in the space that the gallery is being moved to, and how many crops each was made from; see next_space.
next_embeddings = _belonging(
    "next_embeddings",
    Column("vector", LargeBinary, nullable=False),
    Column("prototypes", LargeBinary, nullable=False),
    Column("weights", LargeBinary, nullable=False),
    Column("used", Integer, nullable=False),
    Column("seen", Integer, nullable=False),
)

PARTITIONED = (embeddings, details, crops, more_crops, next_embeddings)
"""On PostgreSQL they are in partitions; see ``partitions``."""
