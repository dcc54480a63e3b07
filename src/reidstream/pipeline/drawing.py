"""Videos with the people in them that a gallery knows, drawn from what the gallery has stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reidstream.config import SourceConfig
from reidstream.errors import SourceError, SourceNotFound
from reidstream.gallery import Filter, Gallery
from reidstream.identities.people import list_people
from reidstream.pipeline.known import same_recording
from reidstream.rendering import Renderer, Sightings
from reidstream.sources import Source, open_source

Goes = Callable[[str, int], bool]
"""Told the source and the frame that comes next, says whether drawing goes on."""


def draw_people(gallery: Gallery, videos: Sequence[tuple[str, SourceConfig]], path: Path) -> int:
    """Draw videos that the gallery has read: boxes with people's names and numbers; how many tracklets that are.

    videos: with a name each; several become a file each, see ``rendering.film_paths``. Who has no person is drawn with
    the track's number. Nothing is detected anew. Raises SourceNotFound when the gallery has not read one of the videos,
    ConfigError for a path that cannot become a video, SourceBroken when a video cannot be read to its end (what could
    be read is drawn), EngineError when it cannot be written.
    """
    for name, config in videos:
        with open_source(config, name) as source:
            if sightings(gallery, source) is None:
                raise SourceNotFound(
                    f"gallery {gallery.place} has not read {config.uri}, so nobody in it is known; "
                    f"`reidstream run {config.uri} --gallery {gallery.place}` reads it"
                )
    with Renderer(path, [name for name, _ in videos]) as film:
        return sum(draw_video(gallery, name, config, film) for name, config in videos)


def draw_video(
    gallery: Gallery, name: str, config: SourceConfig, film: Renderer, goes: Goes = lambda _name, _frame: True
) -> int:
    """Draw one video into a film; how many tracklets are in it. Of what the gallery never read nothing is drawn.

    Raises SourceError as far as the video cannot be read.
    """
    # Every frame is drawn, however few of them were looked at.
    with open_source(config.model_copy(update={"max_fps": None}), name) as source:
        seen = sightings(gallery, source)
        if seen is None:
            return 0
        for frame in source:
            if not goes(name, frame.index):
                break
            film.draw(frame, *seen.at(name, frame.index, frame.media_time, frame.wall_time))
    return len(seen)


def sightings(gallery: Gallery, source: Source) -> Sightings | None:
    """Who was where in a recording, as the gallery knows it; None when it has not read it. Raises SourceError."""
    held = same_recording(source.started(), {recording.content: recording for recording in gallery.sources()})
    if held is None:
        return None
    people = {tracklet: person for person in list_people(gallery) for tracklet in person.tracklets}
    return Sightings(gallery.tracklets(Filter(contents=(held.content,))), people)


def drawn_as_far_as_possible(
    gallery: Gallery, videos: Sequence[tuple[str, SourceConfig]], film: Renderer, goes: Goes
) -> dict[str, str]:
    """Draw videos at the end of a run, and say of each that could not be read to its end why."""
    problems: dict[str, str] = {}
    for name, config in videos:
        try:
            draw_video(gallery, name, config, film, goes)
        except SourceError as error:
            problems[name] = str(error)
    return problems
