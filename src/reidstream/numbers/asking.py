"""Numbers as somebody asks for them, in words and days: the same from the command line, a program and a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.numbers.buckets import Bucket, Clock
from reidstream.numbers.counting import people_numbers
from reidstream.numbers.journeys import journeys
from reidstream.numbers.visits import Asked
from reidstream.suggestions import did_you_mean


def asked_for(
    gallery: Gallery,
    *,
    visible: tuple[str, ...] | None = None,
    cameras: Sequence[str] = (),
    by: str = "hour",
    since: str | None = None,
    until: str | None = None,
    time_zone: str = "UTC",
    stay: float = 60.0,
    within: float = 3600.0,
) -> Asked:
    """What these words mean. since, until: a day or a moment in that time zone, or Unix seconds.

    Raises ConfigError for a camera that is not there (or may not be seen), a time or a time zone that makes no sense.
    """
    known = {recording.source for recording in gallery.sources()}
    seen = sorted(known if visible is None else known.intersection(visible))
    for camera in cameras:
        if camera not in seen:
            raise ConfigError(f"no source {camera!r} in gallery {gallery.place}; {did_you_mean(camera, seen)}")
    clock = Clock(time_zone)
    return Asked(Bucket(by), clock, visible, tuple(cameras), _moment(clock, since), _moment(clock, until), stay, within)


def numbers_document(gallery: Gallery, **words: Any) -> dict[str, Any]:
    """People per camera, zone and bucket; see ``asked_for`` and ``Numbers``."""
    return people_numbers(gallery, asked_for(gallery, **words)).as_dict()


def journeys_document(gallery: Gallery, **words: Any) -> dict[str, Any]:
    """How people went from camera to camera; see ``asked_for`` and ``Journeys``."""
    return journeys(gallery, asked_for(gallery, **words)).as_dict()


def _moment(clock: Clock, text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return clock.day(text)
