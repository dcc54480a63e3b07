"""What stands at one place again and again is a thing, however short each of its tracks is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from reidstream.config import TrackletConfig
from reidstream.tracklets import TrackletCollector, places
from reidstream.types import EndReason, Event, FloatArray, Observed, Samples, SourceEnded, SourceStarted, TrackEnded
from tests.tracklets.test_stillness import drawn

FPS = 10
BOX = (200.0, 100.0, 280.0, 300.0)
Arm = Callable[[int], float]


def somebody(number: int) -> FloatArray:
    return np.eye(8, dtype=np.float32)[number]


class Film:
    """One camera, in which one track follows the other; what was stored and left out of each."""

    def __init__(self, config: TrackletConfig | None = None) -> None:
        self._collector = TrackletCollector(config or TrackletConfig())
        self._collector.take(SourceStarted("gate", "gate.mp4", "abc", (640, 480), FPS, 1000.0, None))
        self._frame = 0
        self._track = 0
        self._stored: dict[int, int] = {}
        self.asks = False
        """Whether open tracks are asked for with every frame."""

    def track(
        self,
        seconds: float,
        who: int,
        arm: Arm,
        box: Sequence[float] = BOX,
        walks: bool = False,
        pictures: bool = True,
        ends: bool = True,
    ) -> bool:
        """Whether a track that shows this is stored at once. arm: degrees at a frame; a thing's does not move."""
        self._track += 1
        ids, sure = np.array([self._track], np.uint64), np.full(1, 0.9, np.float32)
        frames = round(seconds * FPS)
        for n in range(frames):
            at = np.array([box], np.float32)
            if walks:
                at[:, 0::2] -= max(0, 10 - n) * 12
            samples = None
            if n % 5 == 0:
                size = (round(box[3] - box[1]), round(box[2] - box[0]))
                # Each slide is another drawing; noise and compression differ from picture to picture.
                crop = drawn(40.0 * who + arm(n), size, noise=3, seed=self._frame) if pictures else None
                samples = Samples(np.zeros(1, np.int64), somebody(who)[None], np.full(1, 0.8, np.float32), (crop,))
            f = self._frame
            self._take(Observed("gate", f, f / FPS, 1000 + f / FPS, ids, at, sure, samples))
            self._frame += 1
            if self.asks:
                self._collector.unfinished("gate")
        if ends:
            self._take(TrackEnded("gate", self._track, EndReason.LOST))
        self._frame += 2
        return self._track in self._stored

    def nothing(self, seconds: float) -> None:
        self._frame += round(seconds * FPS)
        self._take(Observed("gate", self._frame, self._frame / FPS, 1000 + self._frame / FPS, *NOBODY, None))

    def kept(self) -> list[bool]:
        """Which of the tracks are stored so far."""
        return [number + 1 in self._stored for number in range(self._track)]

    def when_over(self) -> list[bool]:
        """Which of the tracks are stored when the video has ended."""
        self._take(SourceEnded("gate", self._frame, 0.0))
        assert self._collector.counts.tracklets == len(self._stored)
        return self.kept()

    def waiting(self) -> int:
        """How many of those that would be stored if the video ended now are not yet."""
        return len(self._collector.unfinished("gate"))

    def left_out(self) -> list[str]:
        return [one.why.value for one in self._collector.left_out()]

    def _take(self, event: Event) -> None:
        for tracklet in self._collector.take(event):
            self._stored[tracklet.track_id] = self._frame


NOBODY = (np.zeros(0, np.uint64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def at_rest(_: int) -> float:
    return 0.0


def fidgeting(n: int) -> float:
    return float(50 * np.sin(n / 6))


def test_a_display_that_shows_one_after_the_other_is_a_thing_from_its_first_picture_on() -> None:
    film = Film()
    for who in (0, 1, 2, 0, 3):
        film.track(4, who, at_rest)
    assert film.waiting() == 0
    assert film.when_over() == [False] * 5
    assert film.left_out() == ["thing"] * 5


def test_a_display_on_which_somebody_walks_on_the_spot_is_one_all_the_same() -> None:
    film = Film()
    for who, arm in ((5, fidgeting), (0, at_rest), (1, at_rest), (2, at_rest), (6, fidgeting)):
        film.track(4, who, arm)
    assert film.when_over() == [False] * 5


def test_somebody_who_comes_to_a_display_is_a_person() -> None:
    film = Film()
    for who in (0, 1, 2):
        film.track(4, who, at_rest)
    assert film.track(6, 3, at_rest, walks=True)


def swaying(n: int) -> float:
    """A little: neighbouring pictures are much alike, and yet no two are the same."""
    return float(16 * np.sin(n / 9))


def test_who_sits_for_long_stays_a_person_where_passers_make_it_look_like_a_display() -> None:
    film = Film()
    # Taken together they are a display: motionless, and somebody else each time.
    for who in (0, 1, 2):
        film.track(4, who, at_rest)
    assert film.waiting() == 0
    # Nobody saw them come, and they hardly move; in between others stop in front of them for a moment.
    for passers in ((4, 5), (6, 7)):
        assert film.track(14, 3, swaying)
        for passer in passers:
            assert not film.track(3, passer, at_rest)
            # It is known whose place that is.
            assert film.track(4, 3, at_rest)
    film.track(34, 3, swaying, ends=False)
    assert film.when_over() == [False] * 3 + [True] * 11


def test_a_display_that_shows_one_picture_for_long_is_still_a_thing() -> None:
    film = Film()
    for who in (0, 1, 2, 0):
        film.track(4, who, at_rest)
    film.track(14, 1, at_rest)
    film.track(4, 2, at_rest)
    assert film.when_over() == [False] * 6


def test_who_stayed_at_a_place_for_a_short_time_is_stored_when_nothing_like_it_has_come_there() -> None:
    film = Film()
    assert not film.track(4, 0, at_rest)
    assert film.waiting() == 1
    film.nothing(29)
    assert film.kept() == [False]
    film.nothing(2)
    assert film.kept() == [True]
    assert film.waiting() == 0


def test_who_walks_or_is_seen_for_long_does_not_wait() -> None:
    film = Film()
    assert film.track(6, 0, fidgeting, walks=True)
    assert film.track(11, 1, fidgeting, (400.0, 100.0, 480.0, 300.0))
    assert film.track(4, 2, at_rest, (0.0, 100.0, 80.0, 300.0), pictures=False)


def test_what_stands_at_the_place_now_says_what_stood_there_before() -> None:
    """The second piece of a mannequin's track lasts until night; its first has not been stored by then."""
    film = Film()
    film.track(8, 0, at_rest)
    film.track(45, 0, at_rest, ends=False)
    assert film.left_out() == ["thing"]
    assert film.waiting() == 0
    assert film.when_over() == [False, False]


def test_somebody_of_whom_another_piece_follows_stays_a_person() -> None:
    film = Film()
    film.track(8, 0, at_rest)
    film.track(45, 0, fidgeting)
    assert film.when_over() == [True, True]


def test_short_pictures_count_by_their_boxes() -> None:
    """With three samples each nothing can be compared."""
    film = Film()
    for who in range(8):
        film.track(1.5, who, at_rest)
    assert film.when_over() == [False] * 8


def test_people_who_sit_down_one_after_the_other_stay_people() -> None:
    film = Film()
    for who in (0, 1, 2, 3):
        film.track(6, who, fidgeting)
    assert all(film.track(6, who, at_rest, walks=True) for who in (4, 5, 6, 7))
    assert all(film.when_over())


def test_people_at_different_places_say_nothing_of_each_other() -> None:
    film = Film()
    for who, left in enumerate((0.0, 120.0, 240.0, 360.0)):
        film.track(4, who, at_rest, (left, 100.0, left + 80, 300.0))
    assert all(film.when_over())


def test_a_thing_whose_track_breaks_off_again_and_again_is_one_thing() -> None:
    """Each piece is shorter than what a thing is told by; together they show one picture for half a minute."""
    film = Film()
    for _ in range(4):
        film.track(7, 0, at_rest)
    assert film.when_over() == [False] * 4


def test_a_thing_that_was_told_by_itself_tells_its_pieces() -> None:
    film = Film()
    for seconds in (6, 20, 6):
        film.track(seconds, 0, at_rest)
    assert film.when_over() == [False] * 3


def test_somebody_whose_track_breaks_off_is_judged_by_all_of_it() -> None:
    film = Film()
    # Sits still for some seconds, and otherwise the next time.
    for turn in (0.0, 70.0, 20.0, 110.0):
        film.track(4, 0, lambda n, turn=turn: turn)  # type: ignore[misc]
    assert all(film.when_over())


def test_a_longer_time_asks_for_more() -> None:
    film = Film(TrackletConfig(still_seconds=3600))
    for who in (0, 1, 2, 0, 3):
        film.track(4, who, at_rest)
    assert all(film.when_over())


def test_without_pictures_boxes_alone_say_display() -> None:
    """As on DeepStream without crops: only that what came to the place never moved by a pixel."""
    film = Film()
    assert [film.track(4, who, at_rest, pictures=False) for who in (0, 1, 2)] == [True, True, False]


def test_asking_for_open_tracks_changes_nothing() -> None:
    asked, left_alone = Film(), Film()
    for film in (asked, left_alone):
        film.asks = film is asked
        for who in (0, 1, 2, 0):
            film.track(4, who, at_rest, pictures=False)
    assert asked.when_over() == left_alone.when_over() == [True, True, False, False]


def test_places_where_nobody_was_for_long_are_forgotten_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_MOST_PLACES", 3)
    elsewhere = [(left, 10.0, left + 20, 60.0) for left in (0.0, 30.0, 60.0, 90.0)]
    for others, kept in ((2, False), (3, True)):
        film = Film()
        assert all(film.track(4, who, at_rest, pictures=False) for who in (0, 1))
        for box in elsewhere[:others]:
            assert film.track(4, 5, at_rest, box, pictures=False)
        assert film.track(4, 2, at_rest, pictures=False) is kept


def test_of_the_visits_to_a_place_the_last_ones_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_MOST_VISITS", 3)
    film = Film()
    # Three at most: another came once only among any three of them.
    assert [film.track(4, who, at_rest, pictures=False) for who in (0, 0, 1, 1, 1, 2)] == [True] * 6
    assert not film.track(4, 3, at_rest, pictures=False)


def test_one_place_is_what_overlaps_by_half() -> None:
    for shift, thing in ((50.0, False), (8.0, True)):
        film = Film()
        moved = (BOX[0] + shift, BOX[1], BOX[2] + shift, BOX[3])
        said = [film.track(4, who, at_rest, box, pictures=False) for who, box in enumerate((BOX, moved, BOX))]
        assert said == [True, True, not thing]
