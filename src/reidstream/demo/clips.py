"""Short videos of the busiest moments, with what the gallery knows drawn into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from reidstream.rendering import Named, Renderer, Sightings
from reidstream.synthetic import CameraTruth
from reidstream.types import Tracklet


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
    from reidstream.sources import open_source

    seen = Sightings(tracklets, people)
    length = min(round(seconds * camera.fps), camera.length)
    busy = np.convolve(seen.counts(camera.length), np.ones(length), "valid")
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
            film.draw(shifted, *seen.at(camera.name, shifted.index, shifted.media_time, frame.wall_time))
