"""The table of clips.

It does not refer to the tracklets' by a foreign key: when a row went with its tracklet, nobody would know which file to
delete. What is left over is swept (``shelf``).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Double, Index, MetaData, Table, Text

from reidstream.gallery.migrations import Migration, make_tables

metadata = MetaData()

# A row is there before its file is; size is 0 until then. start_media, end_media: what the clip shows, seconds.
# made_wall: when it was made: recordings may be old.
clips = Table(
    "clips",
    metadata,
    Column("tracklet", Text, primary_key=True),
    Column("content", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("start_media", Double, nullable=False),
    Column("end_media", Double, nullable=False),
    Column("made_wall", Double, nullable=False),
    Column("size", BigInteger, nullable=False),
)
Index("clips_content", clips.c.content, clips.c.start_media)


def _table(connection: Connection) -> None:
    make_tables(connection, clips)


CLIP_MIGRATIONS: tuple[Migration, ...] = (Migration("the table of clips", _table),)
