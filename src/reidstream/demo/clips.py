"""Short videos of the busiest moments, with what the gallery knows drawn into them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from reidstream.rendering import Named
from reidstream.synthetic import CameraTruth
from reidstream.types import Observed, Tracklet


def write_clip(
    camera: CameraTruth,
    tracklets: Sequence[Tracklet],
    path: Path,
    seconds: float,
    people: Mapping[str, Named] | None = None,
) -> None:
    """Draw the tracklets of one camera over the ``seconds`` of its video in which most people are seen.

    people: the person of each tracklet, by its id; who has none is drawn with the track's number.
    """
    from reidstream.config import SourceConfig
    from reidstream.rendering import Renderer
    from reidstream.sources import open_source

    seen: defaultdict[int, list[tuple[int, np.ndarray[tuple[int], np.dtype[np.float32]]]]] = defaultdict(list)
    known: defaultdict[int, dict[int, Named]] = defaultdict(dict)
    for tracklet in tracklets:
        person = (people or {}).get(tracklet.id)
        for frame, box in zip(tracklet.frames.tolist(), tracklet.boxes, strict=True):
            seen[frame].append((tracklet.track_id, box))
            if person is not None:
                known[frame][tracklet.track_id] = person
    length = min(round(seconds * camera.fps), camera.length)
    busy = np.convolve([len(seen[i]) for i in range(camera.length)], np.ones(length), "valid")
    first = int(busy.argmax())
    begun: float | None = None
    with (
        open_source(SourceConfig(uri=str(camera.video)), camera.name) as source,
        Renderer(path, [camera.name]) as film,
    ):
        for frame in source:
            if frame.index < first:
                continue
            if frame.index >= first + length:
                break
            begun = frame.media_time if begun is None else begun
            shifted = replace(frame, media_time=frame.media_time - begun)
            observed = _observed(camera.name, shifted.index, shifted.media_time, frame.wall_time, seen)
            film.draw(shifted, observed, known[frame.index])


def _observed(
    source: str,
    index: int,
    media_time: float,
    wall_time: float,
    seen: dict[int, list[tuple[int, np.ndarray[tuple[int], np.dtype[np.float32]]]]],
) -> Observed:
    rows = seen.get(index, [])
    return Observed(
        source=source,
        frame=index,
        media_time=media_time,
        wall_time=wall_time,
        track_ids=np.array([track_id for track_id, _ in rows], np.uint64),
        boxes=np.array([box for _, box in rows], np.float32).reshape(-1, 4),
        confidences=np.ones(len(rows), np.float32),
    )
