"""What is known of a track while it goes on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from reidstream.alerts.frames import FrameShelf
from reidstream.alerts.sightings import EVERY, Moment, OpenTracks, Sighting
from reidstream.config import TrackletConfig
from reidstream.regions import Zones
from reidstream.sources.frame import ArrayPicture, Frame
from reidstream.types import EndReason, Observed, Samples, SourceEnded, SourceStarted, TrackEnded

FPS = 10
STARTED = SourceStarted("door", "door.mp4", "content", (100, 100), FPS, 1000.0)
LEFT_HALF = {"left": [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]}


def observed(frame: int, x: float = 20.0, quality: float | None = None, people: int = 1) -> Observed:
    """A frame with somebody at x; with a crop of this quality, or none."""
    samples = None
    if quality is not None:
        look = np.zeros((1, 4), np.float32)
        look[0, frame % 4] = 1
        samples = Samples(np.array([0]), look, np.array([quality], np.float32), (b"crop %d" % frame,))
    boxes = np.tile(np.array([[x, 20, x + 10, 80]], np.float32), (people, 1))
    ids = np.arange(1, people + 1, dtype=np.uint64)
    scores = np.full(people, 0.9, np.float32)
    return Observed("door", frame, frame / FPS, 1000 + frame / FPS, ids, boxes, scores, samples)


def walked(tracks: OpenTracks, events: Iterator[Observed]) -> list[Sighting]:
    tracks.take(STARTED, True)
    return [sighting for event in events for sighting in tracks.take(event, True)]


def test_somebody_is_told_of_with_their_first_good_crop_and_then_twice_a_second() -> None:
    tracks = OpenTracks(TrackletConfig(min_observations=3))
    found = walked(tracks, (observed(n, quality=0.8 if n in (1, 20) else None) for n in range(40)))
    frames = [round(sighting.media * FPS) for sighting in found]
    # Not before there are as many frames as a stored track needs; a new crop is told of at once.
    assert frames[0] == 2
    assert 20 in frames
    gaps = np.diff(frames)
    # Frames come when they come.
    assert gaps.max() <= EVERY * FPS + 1
    assert len(frames) <= 2 + 4 / EVERY
    assert len(found[-1].quality) == 2
    assert found[-1].seconds == pytest.approx(found[-1].media)


def test_who_has_no_good_crop_is_not_told_of() -> None:
    tracks = OpenTracks(TrackletConfig(min_quality=0.5))
    assert walked(tracks, (observed(n, quality=0.3) for n in range(30))) == []
    assert tracks.take(TrackEnded("door", 1, EndReason.LEFT), True) == []


def test_the_best_crops_are_kept_and_the_best_is_shown() -> None:
    tracks = OpenTracks(TrackletConfig())
    qualities = [0.1 + 0.02 * n for n in range(30)]
    found = walked(tracks, (observed(n, quality=qualities[n]) for n in range(30)))
    assert found[-1].crop == b"crop 29"
    assert np.sort(found[-1].quality) == pytest.approx(qualities[-8:])
    assert found[-1].vectors.shape == (8, 4)


def test_time_in_a_zone_is_counted_from_coming_to_leaving() -> None:
    tracks = OpenTracks(TrackletConfig(), {"door": Zones(LEFT_HALF)})
    # Outside, inside for two seconds, out for less than one, inside again, and gone.
    places = [80.0] * 10 + [20.0] * 20 + [80.0] * 5 + [20.0] * 10 + [80.0] * 20
    found = walked(tracks, (observed(n, x, 0.5) for n, x in enumerate(places)))
    for sighting in found:
        now = round(sighting.media * FPS)
        if 10 <= now < 30 or 35 <= now < 45:
            assert sighting.zones["left"] == pytest.approx(sighting.media - 1.0)
        elif now < 10 or now >= 55:
            assert sighting.zones == {}
    assert {bool(sighting.zones) for sighting in found} == {True, False}


def test_the_end_of_a_track_and_of_its_source_is_told() -> None:
    tracks = OpenTracks(TrackletConfig())
    walked(tracks, (observed(n, quality=0.5, people=1) for n in range(5)))
    (ended,) = tracks.take(TrackEnded("door", 1, EndReason.LEFT), True)
    assert ended.ended
    assert tracks.take(TrackEnded("door", 1, EndReason.LEFT), True) == []
    walked(tracks, (observed(n, quality=0.5) for n in range(5)))
    (ended,) = tracks.take(SourceEnded("door", 5, 1001.0), True)
    assert ended.ended
    assert tracks.take(observed(6, quality=0.5), True) == []


def test_whoever_leaves_has_the_newest_picture_that_shows_them() -> None:
    def shown(_source: str, frame: int) -> Moment | None:
        return Moment(b"at %d" % frame, {1: (0.0, 0.0, 0.5, 0.5)} if frame < 4 else {2: (0.5, 0.5, 1.0, 1.0)})

    tracks = OpenTracks(TrackletConfig(), frame=shown)
    walked(tracks, (observed(n, quality=0.5) for n in range(6)))
    (ended,) = tracks.take(TrackEnded("door", 1, EndReason.LEFT), True)
    assert (ended.frame, ended.frame_box) == (b"at 3", (0.0, 0.0, 0.5, 0.5))


def test_nothing_is_collected_while_nobody_asks() -> None:
    tracks = OpenTracks(TrackletConfig())
    tracks.take(STARTED, False)
    for n in range(20):
        assert tracks.take(observed(n, quality=0.5), False) == []
    found = [sighting for n in range(20, 30) for sighting in tracks.take(observed(n, quality=0.5), True)]
    assert found[0].start_media == 2.0


def frame(index: int) -> Frame:
    return Frame("door", index, index / FPS, 0.0, ArrayPicture(np.zeros((20, 20, 3), np.uint8)))


def test_pictures_of_moments_are_kept_where_somebody_is_watched_for_and_somebody_is() -> None:
    made: list[int] = []
    shelf = FrameShelf(encode=lambda _picture, _width: made.append(1) or b"%d" % len(made))
    shelf.observe(frame(0), observed(0))
    assert shelf.at("door", 0) is None
    shelf.wanted = lambda source: source == "door"
    for n in range(100):
        shelf.observe(frame(n), observed(n, people=int(n >= 50)))
    assert len(made) == 10
    assert shelf.at("door", 49) is None
    early, late = shelf.at("door", 52), shelf.at("door", 1000)
    assert early is not None
    assert late is not None
    assert (early.jpeg, late.jpeg) == (b"1", b"10")
    # In parts of the picture, which is 20 pixels wide and high here; what is outside of it is not in it.
    assert early.boxes == {1: (1.0, 1.0, 1.0, 1.0)}
    assert shelf.at("hall", 1000) is None
