"""Two boxes on one person at once do not make two people; boxes beside each other do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.gallery.appearances import Route
from reidstream.gallery.schema import details, tracklets
from reidstream.identities.doubled import doubled, on_each_other, seen_at_once
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.resolving import resolve
from reidstream.types import Tracklet
from tests.identities.conftest import begin, filled, made_tracklet

Boxes = Callable[[float], tuple[float, float, float, float]]


def standing(person: int, start: float, end: float, box: Boxes, camera: str = "a") -> Tracklet:
    """Somebody with a box a second. box: where it is, xyxy, by the second."""
    seconds = np.arange(start, end + 1)
    boxes = np.array([box(second) for second in seconds.tolist()], np.float32)
    return replace(made_tracklet(person, camera, start, end), frames=(seconds * 10).astype(np.int64), boxes=boxes)


def route(person: int, start: float, end: float, box: Boxes) -> Route:
    one = standing(person, start, end, box)
    return Route(one.content, one.frames, one.boxes)


def at(x: float) -> Boxes:
    return lambda second: (x, 0.0, x + 40, 100.0)


@pytest.mark.parametrize(("beside", "said"), [(0, True), (10, True), (20, False), (60, False)])
def test_boxes_that_share_half_of_both_lie_on_each_other(beside: float, said: bool) -> None:
    assert on_each_other(route(1, 0, 20, at(100)), route(1, 5, 9, at(100 + beside))) is said


def test_half_of_the_frames_that_both_have_is_enough() -> None:
    one = route(1, 0, 20, at(100))

    def leaving(after: float) -> Boxes:
        return lambda second: at(100)(second) if second < after else at(300)(second)

    assert on_each_other(one, route(1, 10, 29, leaving(16)))
    assert not on_each_other(one, route(1, 10, 29, leaving(15)))


def test_without_a_frame_in_common_or_in_two_recordings_nothing_lies_on_anything() -> None:
    one = route(1, 0, 20, at(100))
    assert not on_each_other(one, route(1, 21, 30, at(100)))
    assert not on_each_other(one, replace(route(1, 5, 9, at(100)), content="another"))


def test_who_is_seen_at_once_is_found_by_camera() -> None:
    camera = np.array([0, 1, 0, 0, 0])
    start, end = np.array([5.0, 5.0, 0.0, 8.0, 10.0]), np.array([9.0, 9.0, 6.0, 20.0, 20.0])
    assert seen_at_once(camera, start, end).tolist() == [[0, 2], [0, 3], [3, 4]]


@pytest.fixture
def doubles(tmp_path: Path) -> Evidence:
    """Somebody who stands there in two tracks, a double of each, and others who pass."""
    with filled(tmp_path / "doubles", []) as gallery:
        begin(gallery, [(1, "a", 0, 0), (1, "b", 0, 0)])
        gallery.add(
            [
                standing(1, 0, 60, at(100)),
                standing(1, 10, 20, at(105)),
                standing(1, 70, 130, at(100)),
                standing(1, 90, 99, at(105)),
                standing(2, 12, 20, at(105)),
                standing(3, 30, 40, at(400)),
                standing(3, 32, 41, at(440)),
                *(standing(person, 50, 60, at(300), "b") for person in range(4, 12)),
            ]
        )
        return evidence_of(gallery)


def test_only_who_looks_alike_may_be_doubled(doubles: Evidence) -> None:
    # Not the passer before the first, nor the two beside each other who look alike.
    assert doubles.doubled.tolist() == [[0, 1], [2, 3]]
    assert doubles.some(np.array([3, 5, 2, 1])).doubled.tolist() == [[0, 2]]


def test_who_is_seen_twice_at_once_at_one_place_is_one_person(doubles: Evidence) -> None:
    group = resolve(doubles, IdentityConfig()).group
    assert len(set(group[:4].tolist())) == 1
    assert len({*group[[0, 4, 5, 6]].tolist()}) == 4
    apart = replace(doubles, doubled=doubles.doubled[:0])
    assert len(set(resolve(apart, IdentityConfig()).group[:4].tolist())) > 1


def test_who_is_damaged_or_erased_meanwhile_is_nobodys_double(tmp_path: Path) -> None:
    camera, start, end = np.zeros(3, np.int64), np.array([0.0, 10.0, 12.0]), np.array([60.0, 20.0, 18.0])
    vectors = np.ones((3, 1), np.float32)
    with filled(tmp_path / "doubles", []) as gallery:
        begin(gallery, [(1, "a", 0, 0)])
        whole, damaged = standing(1, 0, 60, at(100)), standing(1, 10, 20, at(105))
        gallery.add([whole, damaged])
        ids = [whole.id, damaged.id, "0" * 32]
        assert doubled(gallery, ids, camera, start, end, vectors, 0.5).tolist() == [[0, 1]]
        seq = select(tracklets.c.seq).where(tracklets.c.id == damaged.id).scalar_subquery()
        with gallery.write() as connection:
            connection.execute(update(details).where(details.c.seq == seq).values(frames=b"123"))
        assert doubled(gallery, ids, camera, start, end, vectors, 0.5).tolist() == []


def test_a_gallery_without_tracklets_has_no_doubles(tmp_path: Path) -> None:
    with filled(tmp_path / "nobody", []) as gallery:
        assert isinstance(gallery, Gallery)
        assert evidence_of(gallery).doubled.shape == (0, 2)
