"""A video with the people in it that a gallery knows, drawn from what the gallery has stored."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from reidstream.config import SourceConfig
from reidstream.errors import SourceNotFound
from reidstream.gallery import Filter, Gallery
from reidstream.identities.people import Person, list_people
from reidstream.rendering import Renderer
from reidstream.sources import open_source
from reidstream.types import FloatArray, Observed


def draw_people(gallery: Gallery, video: str, path: Path) -> int:
    """Draw a video that the gallery has read: boxes with people's names and numbers; how many tracklets that are.

    Who has no person is drawn with the track's number. Nothing is detected anew. Raises SourceNotFound when the gallery
    has not read this video, ConfigError for a path that cannot become a video, EngineError when it cannot be written.
    """
    with open_source(SourceConfig(uri=video), "video") as source:
        content = source.started().content
        if content not in {recording.content for recording in gallery.sources()}:
            raise SourceNotFound(
                f"gallery {gallery.place} has not read {video}, so nobody in it is known; "
                f"`reidstream run {video} --gallery {gallery.place}` reads it"
            )
        owner: dict[str, Person] = {t: person for person in list_people(gallery) for t in person.tracklets}
        seen: defaultdict[int, list[tuple[int, FloatArray]]] = defaultdict(list)
        known: defaultdict[int, dict[int, Person]] = defaultdict(dict)
        drawn = 0
        for tracklet in gallery.tracklets(Filter(contents=(content,))):
            drawn += 1
            for frame, box in zip(tracklet.frames.tolist(), tracklet.boxes, strict=True):
                seen[frame].append((tracklet.track_id, box))
                if tracklet.id in owner:
                    known[frame][tracklet.track_id] = owner[tracklet.id]
        with Renderer(path, ["video"]) as film:
            for frame in source:
                rows = seen.get(frame.index, [])
                observed = Observed(
                    source="video",
                    frame=frame.index,
                    media_time=frame.media_time,
                    wall_time=frame.wall_time,
                    track_ids=np.array([track_id for track_id, _ in rows], np.uint64),
                    boxes=np.array([box for _, box in rows], np.float32).reshape(-1, 4),
                    confidences=np.ones(len(rows), np.float32),
                )
                film.draw(frame, observed, known.get(frame.index))
    return drawn
