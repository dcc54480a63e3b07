"""Who cannot be one person, and what is certainly one, as pure functions of times, cameras and what people said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.applying import apply
from reidstream.identities.constraints import Cameras, HumanLinks, TimeTable, groups_of, inferred_cameras
from reidstream.identities.evidence import evidence_of
from reidstream.identities.people import assign, create_person, list_people, prepare
from reidstream.identities.proposal import propose
from reidstream.identities.resolving import compared, continued, resolve
from reidstream.identities.review import Review
from tests.identities.conftest import Fill, Visit, made_tracklet

OVERLAP = 1.0


def table(spans: list[tuple[int, float, float]], cameras: Cameras | None = None) -> TimeTable:
    """spans: camera, start and end of each tracklet."""
    camera, start, end = (np.array(column) for column in zip(*spans, strict=True))
    count = int(camera.max()) + 1
    return TimeTable(camera, start.astype(float), end.astype(float), cameras or Cameras.independent(count), OVERLAP)


def two_people(*spans: tuple[int, float, float], cameras: Cameras | None = None) -> bool:
    return bool(table(list(spans), cameras).excluded([0], [1])[0, 0])


def test_short_tracklets_that_are_seen_together_are_two_people() -> None:
    """However short: half of the shorter is enough where it is shorter than the tolerance."""
    assert two_people((0, 10.0, 10.4), (0, 10.0, 10.4))
    assert two_people((0, 10.0, 10.4), (0, 0.0, 60.0))
    # Less than half of the shorter: it may be one track that was broken.
    assert not two_people((0, 10.0, 10.4), (0, 10.3, 20.0))


def test_long_tracklets_may_touch_by_less_than_the_tolerance() -> None:
    assert not two_people((0, 0.0, 10.0), (0, 10.0 - 0.9 * OVERLAP, 20.0))
    assert two_people((0, 0.0, 10.0), (0, 10.0 - 1.1 * OVERLAP, 20.0))


def test_one_after_the_other_may_be_one_person() -> None:
    assert not two_people((0, 0.0, 10.0), (0, 10.0, 20.0))
    assert not two_people((0, 0.0, 10.0), (0, 500.0, 510.0))


def test_of_boxes_on_each_other_the_times_say_nothing() -> None:
    camera, start, end = np.zeros(4, np.int64), np.zeros(4), np.full(4, 10.0)
    doubled = np.array([[0, 2], [1, 3]])
    found = TimeTable(camera, start, end, Cameras.independent(1), OVERLAP, doubled).excluded(range(4), range(4))
    two = ~np.eye(4, dtype=bool)
    two[[0, 2, 1, 3], [2, 0, 3, 1]] = False
    np.testing.assert_array_equal(found | np.eye(4, dtype=bool), two | np.eye(4, dtype=bool))


def test_at_once_in_two_cameras_only_where_views_may_overlap() -> None:
    at_once = (0, 0.0, 10.0), (1, 0.0, 10.0)
    assert not two_people(*at_once, cameras=Cameras.independent(2))
    assert two_people(*at_once, cameras=Cameras.separate(2))


def test_nobody_is_faster_than_the_way_takes() -> None:
    cameras = Cameras.separate(2)
    cameras.travel[0, 1] = cameras.travel[1, 0] = 12.0
    assert two_people((0, 0.0, 10.0), (1, 15.0, 20.0), cameras=cameras)
    assert not two_people((0, 0.0, 10.0), (1, 25.0, 30.0), cameras=cameras)
    # In one camera there is no way to go.
    assert not two_people((0, 0.0, 10.0), (0, 11.0, 20.0), cameras=cameras)
    # Where people can be seen by both at once, no time between them is too short.
    cameras.together[0, 1] = cameras.together[1, 0] = True
    assert not two_people((0, 0.0, 10.0), (1, 15.0, 20.0), cameras=cameras)


spans = st.lists(
    st.tuples(st.integers(0, 2), st.floats(0, 60), st.floats(0.1, 20)).map(lambda s: (s[0], s[1], s[1] + s[2])),
    min_size=2,
    max_size=8,
)


@given(spans, st.booleans())
def test_two_people_are_two_whoever_is_named_first(made: list[tuple[int, float, float]], separate: bool) -> None:
    cameras = Cameras.separate(3) if separate else Cameras.independent(3)
    everyone = np.arange(len(made))
    excluded = table(made, cameras).excluded(everyone, everyone)
    np.testing.assert_array_equal(excluded, excluded.T)
    pairs = table(made, cameras).excluded_pairs(everyone[:-1], everyone[1:])
    np.testing.assert_array_equal(pairs, excluded[everyone[:-1], everyone[1:]])
    if separate:
        # More is excluded where nobody can be in two places.
        assert not (table(made, Cameras.independent(3)).excluded(everyone, everyone) & ~excluded).any()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 240), st.integers(1, 80)), min_size=2, max_size=7),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.integers(0, 60), min_size=3, max_size=3),
)
def test_two_are_two_people_where_a_pair_at_a_time_says_so(
    made: list[tuple[int, int, int]], views: list[bool], ways: list[int]
) -> None:
    cameras = Cameras.separate(3)
    for (a, b), overlapping, seconds in zip([(0, 1), (0, 2), (1, 2)], views, ways, strict=True):
        cameras.together[a, b] = cameras.together[b, a] = overlapping
        cameras.travel[a, b] = cameras.travel[b, a] = seconds / 4
    # Quarters of seconds, which are exact, as is what they come to.
    seen = [(camera, start / 4, (start + length) / 4) for camera, start, length in made]
    excluded = table(seen, cameras).excluded(np.arange(len(seen)), np.arange(len(seen)))
    for a, (one, begin, end) in enumerate(seen):
        for b, (other, other_begin, other_end) in enumerate(seen):
            shared = min(end, other_end) - max(begin, other_begin)
            at_once = shared > min(OVERLAP, 0.5 * min(end - begin, other_end - other_begin))
            way = float(cameras.travel[one, other])
            too_fast = way > 0 and -shared < way - OVERLAP
            assert excluded[a, b] == (not cameras.together[one, other] and (at_once or too_fast))


@given(spans, st.floats(-1000, 1000))
def test_only_differences_of_times_count(made: list[tuple[int, float, float]], shift: float) -> None:
    everyone = np.arange(len(made))
    whole = [(camera, round(start), round(end) + 1) for camera, start, end in made]
    later = [(camera, start + round(shift), end + round(shift)) for camera, start, end in whole]
    np.testing.assert_array_equal(table(whole).excluded(everyone, everyone), table(later).excluded(everyone, everyone))


pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12)


@given(pairs, st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_pairs_or_their_sides(
    pairs: list[tuple[int, int]], random: object
) -> None:
    label = groups_of(10, pairs)
    turned = [(b, a) for a, b in pairs]
    random.shuffle(turned)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(groups_of(10, turned), label)
    assert all(label[a] == label[b] for a, b in pairs)
    # Each group is called after its first row, so whoever is in no pair stays alone.
    assert all(label[label[row]] == label[row] <= row for row in range(10))
    alone = set(range(10)) - {row for pair in pairs for row in pair}
    assert all(label[row] == row for row in alone)
    # Saying the same again joins nobody else.
    np.testing.assert_array_equal(groups_of(10, [*pairs, *pairs]), label)


def test_the_number_of_groups_falls_by_one_with_each_pair_that_joins_two() -> None:
    assert len(set(groups_of(6, [(0, 1), (1, 2), (2, 0), (4, 5)]).tolist())) == 3


# -- parts and pieces of one track

PEOPLE: list[Visit] = [(person, "a", 20.0 * person, 20.0 * person + 8) for person in range(6)]


def test_parts_of_a_split_track_are_no_proven_strangers(fill: Fill) -> None:
    """They touch at the seam; what is learnt from people seen together must not be learnt from them."""
    visits: list[Visit] = [*PEOPLE, (7, "a", 200.0, 210.0), (8, "a", 207.0, 215.0)]
    evidence = evidence_of(fill(visits))
    one, other = len(visits) - 2, len(visits) - 1
    track, part = evidence.track.copy(), evidence.part.copy()
    track[other] = track[one]
    part[[one, other]] = 1, 2
    split = replace(evidence, track=track, part=part)
    config, cameras = IdentityConfig(), Cameras.independent(1)
    for held, strangers in ((evidence, 1), (split, 0)):
        pairs, found, _ = compared(held, config, HumanLinks(), cameras)
        (row,) = np.flatnonzero((pairs.i == one) & (pairs.j == other) | (pairs.i == other) & (pairs.j == one))
        assert pairs.open[row] == (strangers == 0)
        assert not pairs.certain[row]
        assert found.calibration.together == strangers
    assert continued(split) == []


def test_pieces_of_a_track_that_goes_on_are_one_person_and_parts_of_a_split_one_need_not_be(fill: Fill) -> None:
    evidence = evidence_of(fill([*PEOPLE, (7, "a", 200.0, 210.0), (8, "a", 210.0, 215.0)]))
    one, other = len(evidence) - 2, len(evidence) - 1
    track = evidence.track.copy()
    track[other] = track[one]
    pieces = replace(evidence, track=track)
    assert continued(pieces) == [(one, other)]
    group = resolve(pieces, IdentityConfig()).group
    assert group[one] == group[other]
    part = evidence.part.copy()
    part[[one, other]] = 1, 2
    group = resolve(replace(pieces, part=part), IdentityConfig()).group
    assert group[one] != group[other]


# -- whose name it stays


def named_together(gallery: Gallery, visits: list[Visit], name: str) -> str:
    """All these visits taken for one person, who is given a name; the person's id."""
    prepare(gallery)
    ids = [made_tracklet(*visit).id for visit in visits]
    with gallery.write() as connection:
        person = create_person(connection, ids[0])
        assign(connection, [(tracklet, person, 1.0) for tracklet in ids])
    Review(gallery, "ana").label(person, name=name)
    return person


@pytest.mark.parametrize("few_first", [True, False])
def test_a_name_stays_with_the_most_of_who_had_it(fill: Fill, few_first: bool) -> None:
    many: list[Visit] = [(1, "a", 20.0 * n, 20.0 * n + 8) for n in range(4)]
    few: list[Visit] = [(2, "a", 200.0, 208.0), (2, "a", 220.0, 228.0)]
    both = [*few, *many] if few_first else [*many, *few]
    gallery = fill(both)
    person = named_together(gallery, both, "Grace")
    proposal = propose(gallery, IdentityConfig())
    assert sorted(map(len, proposal.groups)) == [2, 4]
    assert sorted(proposal.moved) == sorted(made_tracklet(*visit).id for visit in few)
    assert proposal.divided == ((person, 2),)
    apply(gallery, proposal)
    (grace,) = [found for found in list_people(gallery) if found.name == "Grace"]
    assert grace.id == person
    assert sorted(grace.tracklets) == sorted(made_tracklet(*visit).id for visit in many)


def test_a_name_stays_with_the_larger_of_two_who_become_one(fill: Fill) -> None:
    many: list[Visit] = [(1, "a", 20.0 * n, 20.0 * n + 8) for n in range(4)]
    one: list[Visit] = [(1, "a", 200.0, 208.0)]
    others: list[Visit] = [(person, "a", 300.0 + 20 * person, 308.0 + 20 * person) for person in (2, 3)]
    gallery = fill([*one, *many, *others])
    named_together(gallery, one, "Ann")
    grace = named_together(gallery, many, "Grace")
    apply(gallery, propose(gallery, IdentityConfig()))
    (found,) = [found for found in list_people(gallery) if len(found.tracklets) == 5]
    assert (found.id, found.name) == (grace, "Grace")


class TestSeenTogether:
    """Whether pairs are seen at the same time, for settings of the cameras' clocks."""

    @given(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(1, 20)), min_size=2, max_size=8),
        st.lists(st.tuples(*(st.integers(0, 7),) * 3), min_size=1, max_size=5),
    )
    def test_it_is_what_turning_each_clock_by_hand_gives(
        self, made: list[tuple[int, int, int]], turns: list[tuple[int, int, int]]
    ) -> None:
        seen = [(camera, float(start), float(start + length)) for camera, start, length in made]
        everyone = [(a, b) for a in range(len(seen)) for b in range(a)]
        weights = np.array([2.0**-k for k in range(len(everyone))])
        span = max(end for _, _, end in seen) - min(start for _, start, _ in seen)
        found = table(seen).weights_together(np.array(everyone), weights, np.array(turns) / 8)
        for turn, weight in zip(turns, found.tolist(), strict=True):
            expected = 0.0
            for (a, b), own in zip(everyone, weights.tolist(), strict=True):
                (one, begin, end), (other, other_begin, other_end) = seen[a], seen[b]
                by = (turn[other] - turn[one]) / 8 * span
                # Round the time that all span: the other's time may lie a whole turn before or behind.
                shared = max(
                    min(end, other_end + by + k * span) - max(begin, other_begin + by + k * span) for k in range(-3, 4)
                )
                least = min(OVERLAP, 0.5 * min(end - begin, other_end - other_begin))
                assume(abs(shared - least) > 1e-6)
                expected += own if shared > least else 0.0
            assert weight == pytest.approx(expected)

    def test_many_settings_give_what_each_gives_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(4)
        starts = rng.uniform(0, 300, 40)
        seen = [
            (int(camera), float(at), float(at) + 9.0) for camera, at in zip(rng.integers(0, 3, 40), starts, strict=True)
        ]
        pairs, weights, turns = rng.integers(0, 40, (70, 2)), rng.uniform(size=70), rng.uniform(size=(25, 3))
        whole = table(seen).weights_together(pairs, weights, turns)
        assert len(set(whole.tolist())) > 20
        assert whole.tolist() == [table(seen).weights_together(pairs, weights, turn[None])[0] for turn in turns]
        for some in (1, 200):
            monkeypatch.setattr("reidstream.identities.constraints._AT_ONCE", some)
            assert table(seen).weights_together(pairs, weights, turns).tolist() == whole.tolist()

    def test_without_a_likely_pair_nothing_is_known_of_the_cameras(self) -> None:
        seen = table([(0, 0.0, 5.0), (1, 10.0, 15.0)])
        for pairs, weights in ((np.zeros((0, 2), int), np.zeros(0)), (np.array([[0, 1]]), np.zeros(1))):
            assert inferred_cameras(seen, pairs, weights, 2).together.tolist() == [[False, True], [True, False]]
