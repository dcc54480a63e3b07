"""Numbers of the named zones of cameras, and noting stays of what is stored already when zones have changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from sqlalchemy import delete, insert, select

from reidstream.gallery.columns import has_column
from reidstream.gallery.gallery import Gallery
from reidstream.gallery.rows import EVERYTHING, Filter, in_chunks
from reidstream.gallery.schema import stays, tracklets
from reidstream.regions import Zones


@dataclass(frozen=True, slots=True)
class ZoneNumbers:
    """What happened in one zone of one camera.

    visits: tracklets that were in it; stays: how often somebody came; people: different ones, where it is decided who
    is who, else None. seconds, longest, median: of stays. first_wall, last_wall: of all stays, Unix seconds.
    """

    source: str
    zone: str
    visits: int
    stays: int
    people: int | None
    seconds: float
    median: float
    longest: float
    first_wall: float
    last_wall: float


def zone_numbers(gallery: Gallery, where: Filter = EVERYTHING) -> list[ZoneNumbers]:
    """The numbers of every zone in which anybody was, by camera and name.

    With a time in the filter, those stays count of which any part lies in it.
    """
    c, t = stays.c, tracklets.c
    query = select(t.id, t.source, c.zone, c.start_media, c.end_media, c.start_wall, c.end_wall)
    query = query.join(tracklets, t.seq == c.seq).where(where.clause())
    if where.since is not None:
        query = query.where(c.end_wall >= where.since)
    if where.until is not None:
        query = query.where(c.start_wall <= where.until)
    if where.media_since is not None:
        query = query.where(c.end_media >= where.media_since)
    if where.media_until is not None:
        query = query.where(c.start_media <= where.media_until)
    with gallery.read() as connection:
        found = list(connection.execute(query))
        decided = has_column(connection, "people", "id")
    ids = sorted({row.id for row in found})
    whose = {r["id"]: r["person"] for r in gallery.rows(ids=ids).records() if not r["undecided"]} if decided else {}
    by_zone = defaultdict(list)
    for row in found:
        by_zone[row.source, row.zone].append(row)
    numbers = []
    for (source, zone), some in sorted(by_zone.items()):
        lengths = np.array([row.end_media - row.start_media for row in some])
        people = {whose.get(row.id) for row in some} - {None}
        numbers.append(
            ZoneNumbers(
                source,
                zone,
                visits=len({row.id for row in some}),
                stays=len(some),
                people=len(people) if decided else None,
                seconds=float(lengths.sum()),
                median=float(np.median(lengths)),
                longest=float(lengths.max()),
                first_wall=min(row.start_wall for row in some),
                last_wall=max(row.end_wall for row in some),
            )
        )
    return numbers


def note_zones(gallery: Gallery, zones: Mapping[str, Zones]) -> int:
    """Note the stays of all stored tracklets of these sources anew, from their paths; how many stays there are.

    zones: by source. Sources that are not named keep what they have. Raises GalleryError unless it may be written.
    """
    sizes = {recording.content: recording.size for recording in gallery.sources()}
    noted = 0
    for source, polygons in zones.items():
        found = {t.id: polygons.stays(t, sizes[t.content]) for t in gallery.tracklets(Filter(sources=(source,)))}
        with gallery.write() as connection:
            for some in in_chunks(list(found)):
                query = select(tracklets.c.seq, tracklets.c.id).where(tracklets.c.id.in_(some))
                seqs = {row.id: row.seq for row in connection.execute(query)}
                connection.execute(delete(stays).where(stays.c.seq.in_(list(seqs.values()))))
                rows = [{"seq": seq, **asdict(stay)} for id, seq in seqs.items() for stay in found[id]]
                if rows:
                    connection.execute(insert(stays), rows)
                noted += len(rows)
    return noted
