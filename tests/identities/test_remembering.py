"""What is remembered while a gallery grows, how it decides, what waits, and what is read anew."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities import online, remembered, settling
from reidstream.identities.calibration import Calibration, clarity_of
from reidstream.identities.constraints import Cameras
from reidstream.identities.deciding import QUERY_STRENGTH, Conclusion, Decider, Decision
from reidstream.identities.nearest import NearestMeans
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import append_events
from reidstream.identities.people import list_people, prepare
from reidstream.identities.remembered import Memory, Sample, Seen
from reidstream.identities.schema import members
from reidstream.identities.settling import settle
from reidstream.identities.strangers import Nearest
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.identities.waiting import Waiting
from tests.identities.conftest import Fill, Visit, made_tracklet

SIZE = 8
CONFIG = IdentityConfig()


def looks(number: int) -> np.ndarray:
    found: np.ndarray = np.eye(SIZE, dtype=np.float32)[number]
    return found


def seen(id: str, number: int, start: float = 0.0, camera: int = 0, **changes: object) -> Seen:
    made = Seen(camera, start, start + 5, looks(number), looks(number)[None], 0.9, Nearest(0.3, 0.05, 20.0), id)
    return replace(made, **changes)  # type: ignore[arg-type]


# -- memory


def test_a_person_is_remembered_with_every_tracklet_and_the_mean_of_all() -> None:
    memory = Memory(SIZE)
    memory.remember("p", seen("a", 0), Nearest(0.3, 0.1, 20.0))
    memory.remember("p", seen("b", 1, 100.0, camera=2), Nearest(0.4, 0.1, 20.0))
    memory.remember("q", seen("c", 2), Nearest(0.5, 0.1, 20.0))
    assert (len(memory), memory.owner) == (2, {"a": "p", "b": "p", "c": "q"})
    assert (list(memory.tracklets_of("p")), list(memory.tracklets_of("absent"))) == (["a", "b"], [])
    row = memory.row("p")
    assert row is not None
    assert memory.people[row].mean == pytest.approx((looks(0) + looks(1)) / np.sqrt(2))
    assert memory.nearest.to(looks(2), 1) == [memory.row("q")]
    again = memory.seen("b")
    assert again is not None
    assert (again.camera, again.start, again.strangers) == (2, 100.0, Nearest(0.4, 0.1, 20.0))
    assert memory.seen("absent") is None


def test_who_is_forgotten_leaves_the_others_as_they_were() -> None:
    memory = Memory(SIZE)
    for number, person in enumerate("pqr"):
        memory.remember(person, seen(f"of {person}", number), Nearest(0.3, 0.1, 20.0))
    memory.tell_apart("p", "r")
    memory.forget("p")
    memory.forget("absent")
    assert (memory.row("p"), memory.owner) == (None, {"of q": "q", "of r": "r"})
    for number, person in ((1, "q"), (2, "r")):
        row = memory.row(person)
        assert row is not None
        assert memory.people[row].id == person
        assert memory.nearest.to(looks(number), 1) == [row]
    assert list(memory.apart_of("r")) == []
    memory.forget("r")
    assert (len(memory), memory.row("q")) == (1, 0)


def test_who_was_told_apart_is_apart_whoever_is_asked_first() -> None:
    memory = Memory(SIZE)
    for number, person in enumerate("pqr"):
        memory.remember(person, seen(person, number), Nearest(0.3, 0.1, 20.0))
    memory.tell_apart("p", "q")
    apart = {(a, b) for a in range(3) for b in range(3) if memory.are_apart(a, b)}
    assert apart == {(0, 1), (1, 0)}


def test_a_tracklet_that_was_given_to_somebody_else_stays_theirs() -> None:
    memory = Memory(SIZE)
    memory.remember("p", seen("a", 0), Nearest(0.3, 0.1, 20.0))
    memory.remember("q", seen("a", 0), Nearest(0.3, 0.1, 20.0))
    memory.forget("p")
    assert memory.owner == {"a": "q"}


def test_many_are_remembered_as_one_after_the_other_would_be() -> None:
    visits = [
        ("p", seen("a", 0), Nearest(0.3, 0.1, 20.0)),
        ("q", seen("b", 1), Nearest(0.2, 0.1, 20.0)),
        ("p", seen("c", 2), Nearest(0.1, 0.1, 20.0)),
    ]
    one, other = Memory(SIZE), Memory(SIZE)
    one.remember_all(visits)
    for visit in visits:
        other.remember(*visit)
    np.testing.assert_allclose(one.nearest.means[:2], other.nearest.means[:2])
    assert [person.tracklets for person in one.people] == [person.tracklets for person in other.people]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12))
def test_the_nearest_are_those_that_were_put_in_and_not_taken_out(steps: list[tuple[int, bool]]) -> None:
    means, held = NearestMeans(10), [0, 1, 2]
    axes = np.eye(10, dtype=np.float32)
    for row, number in enumerate(held):
        means.put(row, axes[number])
    for number, put in steps:
        if put and number not in held:
            means.put(len(held), axes[number])
            held.append(number)
        elif not put and number in held and len(held) > 1:
            row = held.index(number)
            means.remove(row)
            held[row] = held[-1]
            held.pop()
    for row, number in enumerate(held):
        assert means.to(axes[number], 1) == [row]
    assert len(means.to(axes[0], 99)) == len(held)


def test_the_sample_keeps_the_newest_and_forgets_who_was_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_SAMPLED", 3)
    sample = Sample(SIZE)
    for number, name in enumerate("abcd"):
        sample.put(name, looks(number), Nearest(0.1 * number, 0.1, 9.0))
    assert len(sample) == 3
    assert {tuple(vector) for vector in sample.vectors} == {tuple(looks(number)) for number in (1, 2, 3)}
    better = Nearest(9.0, 1.0, 9.0)
    sample.learn({"c": better, "absent": Nearest(8.0, 1.0, 9.0)})
    held = [Nearest(0.1 * number, 0.1, 9.0) for number in (3, 1)]
    assert sample.strangers.each() == [held[0], held[1], better]
    sample.remove({"c", "a"})
    assert len(sample) == 2
    assert {tuple(vector) for vector in sample.vectors} == {tuple(looks(number)) for number in (1, 3)}
    assert sample.strangers.each() == held[::-1]


# -- deciding


def decider(*known: tuple[str, Seen]) -> Decider:
    made = Decider(SIZE, CONFIG)
    for name in ("door", "yard") if known else ():
        made.camera(name)
    for person, one in known:
        made.remember(person, one)
    return made


def test_cameras_are_numbered_as_they_come_and_each_once() -> None:
    made = decider()
    assert [made.camera(name) for name in ("door", "yard", "door", "roof", "yard")] == [0, 1, 0, 2, 1]
    assert made.names == ["door", "yard", "roof"]


def test_with_nobody_known_everybody_is_nobody() -> None:
    assert decider().decide(seen("a", 0), timed=True) == Decision(Verdict(Outcome.NOBODY, None, 1.0))
    assert Decision(Verdict(Outcome.NOBODY, None, 1.0)).nobody == 1.0


def test_somebody_is_known_again_and_a_stranger_is_nobody() -> None:
    made = decider(("p", seen("a", 0)), ("q", seen("b", 1)))
    again = made.decide(seen("c", 0, 100.0), timed=True)
    assert (again.verdict.outcome, again.verdict.person) == (Outcome.DECIDED, "p")
    assert again.candidates[0][0] == "p"
    assert made.decide(seen("d", 2, 100.0), timed=True).verdict.outcome is Outcome.NOBODY


def test_somebody_in_view_is_more_likely_nobody_known_than_somebody_stored_who_looks_the_same() -> None:
    made = decider(("p", seen("a", 0)), ("q", seen("b", 1)))
    between = (looks(0) + looks(3)) / np.sqrt(2).astype(np.float32)
    found = made.decide(seen("c", 0, 100.0, vector=between, prototypes=between[None]), timed=True)
    assert [person for person, _ in found.cautious] == [person for person, _ in found.candidates]
    nobody = 1.0 - sum(p for _, p in found.cautious)
    for (_, said), (_, told) in zip(found.candidates, found.cautious, strict=True):
        assert np.log(said / found.nobody) - np.log(told / nobody) == pytest.approx(1.5)


def test_who_is_seen_at_the_same_time_in_the_same_camera_is_somebody_else_unless_the_time_is_unknown() -> None:
    made = decider(("p", seen("a", 0)))
    assert made.decide(seen("c", 0, 1.0), timed=True).verdict.outcome is Outcome.NOBODY
    assert made.decide(seen("c", 0, 1.0), timed=False).verdict.person == "p"


def test_two_who_look_the_same_are_not_told_from_each_other_unless_they_may_be_one() -> None:
    """Seen together, they are two people, and neither is named; seen apart, they are one who was taken for two."""
    two = decider(("p", seen("a", 0, 0.0)), ("q", seen("b", 0, 1.0)))
    assert two.decide(seen("c", 0, 100.0), timed=True).verdict.outcome is Outcome.UNDECIDED
    one = decider(("p", seen("a", 0, 0.0)), ("q", seen("b", 0, 50.0)))
    assert one.decide(seen("c", 0, 100.0), timed=True).verdict.outcome is Outcome.DECIDED
    said = decider(("p", seen("a", 0, 0.0)), ("q", seen("b", 0, 50.0)))
    said.memory.tell_apart("p", "q")
    assert said.decide(seen("c", 0, 100.0), timed=True).verdict.outcome is Outcome.UNDECIDED


def test_how_likely_two_known_people_are_one_heeds_looks_times_and_what_was_said() -> None:
    made = decider(
        ("p", seen("a", 0, 0.0)), ("q", seen("b", 0, 50.0)), ("r", seen("c", 1, 90.0)), ("s", seen("d", 0, 2.0))
    )
    alike, other, together, absent = made.same("p", ["q", "r", "s", "absent"])
    assert alike > 0.5 > other
    assert together == absent == 0.0
    made.memory.tell_apart("p", "q")
    assert made.same("p", ["q", "r"])[0] == 0.0
    assert made.same("absent", ["q"]) == [0.0]


def test_conclusions_reach_what_is_remembered_and_the_sample() -> None:
    made = decider(("p", seen("a", 0)), ("q", seen("b", 1)))
    calibration = Calibration(share=0.1, tracklets=2)
    separate = Cameras.separate(2)
    made.adopt(
        Conclusion(
            calibration,
            1.0,
            {"a": Nearest(0.9, 0.2, 9.0), "absent": Nearest(0.8, 0.2, 9.0)},
            ["yard", "door"],
            separate,
        )
    )
    assert made.names == ["door", "yard"]
    assert made.memory.people[0].strangers == [Nearest(0.9, 0.2, 9.0)]
    assert made.memory.people[1].strangers == [Nearest(0.3, 0.05, 20.0)]
    assert made.sample.strangers.each() == [Nearest(0.9, 0.2, 9.0), Nearest(0.3, 0.05, 20.0)]
    # By now nobody is in both cameras at once.
    at_once = seen("c", 0, 1.0, camera=1)
    assert made.decide(at_once, timed=True).verdict.outcome is Outcome.NOBODY


def test_what_was_learnt_from_the_newest_stands_for_everybody_who_is_remembered() -> None:
    made = decider(("p", seen("a", 0)), ("q", seen("b", 1)), ("r", seen("c", 2)), ("s", seen("d", 3)))
    held = Nearest(0.9, 0.2, 9.0)
    made.adopt(
        Conclusion(Calibration(share=0.1, tracklets=2), 1.0, {"c": held, "d": held}, ["yard"], Cameras.separate(1))
    )
    assert made.memory.people[2].strangers == [Nearest(0.9, 0.2, 18.0)]
    made.sample.remove({"a", "b"})
    half = made.strangers_of(looks(0))
    for tracklet in "ab":
        made.memory.forget(made.memory.owner[tracklet])
    assert made.strangers_of(looks(0)).others == pytest.approx(half.others / 2)


def test_strangers_of_a_vector_are_those_who_are_not_likely_the_same_person() -> None:
    made = Decider(SIZE, CONFIG)
    assert made.strangers_of(looks(0)) == (Calibration().usual, Calibration().usual_spread, 0.0)
    rng = np.random.default_rng(0)
    common = np.ones(SIZE) / np.sqrt(SIZE)

    def near(direction: np.ndarray, noise: float) -> np.ndarray:
        vector = direction + noise * rng.normal(size=SIZE)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    strangers = [near(common, 0.25) for _ in range(60)]
    for number, vector in enumerate(strangers):
        made.sample.put(f"s{number}", vector, Nearest(0.8, 0.05, 20.0))
    own = near(common, 0.25)
    alone = made.strangers_of(own)
    for number in range(20):
        made.sample.put(f"o{number}", near(own.astype(float), 0.005), Nearest(0.8, 0.05, 20.0))
    with_own = made.strangers_of(own)
    # Twenty more who look exactly the same: they are the same person, and move hardly anything.
    assert abs(with_own[0] - alone[0]) < 0.5 * (1.0 - alone[0])
    assert [made.strangers_of(own)] == made.strangers_of_all(own[None])


def test_somebody_alone_is_as_probable_as_their_looks_say_and_who_is_unknown_is_not() -> None:
    made = decider(("p", seen("a", 0)), ("q", seen("b", 1)))
    again = seen("c", 0, 100.0)
    assert made.alone("p", again) > 0.5 > made.alone("q", again)
    assert made.alone("absent", again) == 0.0


def test_the_more_alike_they_look_the_better_the_odds_and_looks_of_another_day_are_no_proof() -> None:
    made = decider()
    asked = seen("c", 0, 100.0)
    similarity, gaps = np.array([0.3, 0.6, 0.9]), np.zeros(3)
    found = made.odds_of(similarity, [Nearest(0.3, 0.05, 20.0)] * 3, asked, gaps)
    assert found == sorted(found) and found[0] < 0 < found[2]
    clarity = np.full(3, float(clarity_of(QUERY_STRENGTH)) * asked.clarity)
    ratio = made._log_ratio(similarity, [Nearest(0.3, 0.05, 20.0)] * 3, asked.strangers, clarity)
    np.testing.assert_allclose(found, Calibration().prior + ratio)
    # Looks of another day are no proof, however alike.
    another_day = made.odds_of(similarity, [Nearest(0.3, 0.05, 20.0)] * 3, asked, gaps + 5 * 86400)
    assert max(another_day) < 0


# -- what waits


VISITS: list[Visit] = [(person, "a", 20.0 * person, 20.0 * person + 8) for person in range(4)]
IDS = [made_tracklet(*visit).id for visit in VISITS]


def without_person(gallery: Gallery, tracklet: str) -> None:
    with gallery.write() as connection:
        connection.execute(delete(members).where(members.c.tracklet == tracklet))


@pytest.mark.parametrize("lost", [0, 3])
def test_where_all_had_a_person_it_is_not_looked_again_unless_somebody_says_so(fill: Fill, lost: int) -> None:
    gallery = fill(VISITS)
    OnlineIdentities(gallery, CONFIG).catch_up()
    waiting = Waiting(gallery)
    assert waiting.first(10) == []
    without_person(gallery, IDS[lost])
    assert waiting.first(10) == []
    waiting.include([IDS[lost]])
    assert waiting.first(10) == [IDS[lost]]
    waiting.include(["absent"])
    assert waiting.first(10) == [IDS[lost]]


def test_what_is_stored_later_waits_and_the_first_come_first(fill: Fill) -> None:
    gallery = fill([])
    prepare(gallery)
    waiting = Waiting(gallery)
    assert waiting.first(10) == []
    made = fill(VISITS, "other")
    prepare(made)
    waiting = Waiting(made)
    assert waiting.first(2) == IDS[:2]
    assert waiting.first(10) == IDS


# -- what is read anew


class Noting(OnlineIdentities):
    """Notes whom it reads anew, and how often it concludes."""

    def __init__(self, gallery: Gallery) -> None:
        self.read: list[set[str]] = []
        self.concluded = 0
        super().__init__(gallery, CONFIG)

    def _read(self, persons: Collection[str], changed: Collection[str] = ()) -> None:
        self.read.append(set(persons))
        super()._read(persons, changed)

    def conclude(self, *arguments: object) -> Conclusion:
        self.concluded += 1
        return super().conclude(*arguments)  # type: ignore[arg-type]


def test_whoever_was_read_at_the_beginning_is_not_read_again(fill: Fill) -> None:
    gallery = fill(VISITS)
    OnlineIdentities(gallery, CONFIG).catch_up()
    noting = Noting(gallery)
    noting.follow()
    assert noting.read == []


def resolved(gallery: Gallery) -> None:
    with gallery.write() as connection:
        append_events(connection, [("IdentitiesResolved", {})])


def test_after_a_new_look_at_everybody_all_are_read_unless_it_is_told_who_changed(fill: Fill) -> None:
    gallery = fill(VISITS)
    OnlineIdentities(gallery, CONFIG).catch_up()
    people = [person.id for person in list_people(gallery)]
    noting = Noting(gallery)
    resolved(gallery)
    noting.follow(told=people[:1])
    resolved(gallery)
    noting.follow(told=[])
    resolved(gallery)
    noting.follow()
    assert noting.read == [{people[0]}, set(people)]


@pytest.mark.parametrize(
    ("first", "most", "concluded"),
    [(10, None, False), (3, None, True), (3, 2, False), (4, None, True), (5, None, False)],
)
def test_conclusions_are_drawn_once_the_gallery_has_grown_and_nobody_waits_for_a_batch(
    fill: Fill, monkeypatch: pytest.MonkeyPatch, first: int, most: int | None, concluded: bool
) -> None:
    monkeypatch.setattr(online, "_FIRST_CALIBRATION", first)
    noting = Noting(fill(VISITS))
    assert noting.catch_up(most) == (most or 4)
    assert bool(noting.concluded) is concluded
    assert noting.outgrown is (first <= (most or 4) and not concluded)


@pytest.mark.parametrize(("most", "settles"), [(3, False), (4, True), (5, True)])
def test_a_gallery_is_settled_up_to_a_size(
    fill: Fill, monkeypatch: pytest.MonkeyPatch, most: int, settles: bool
) -> None:
    monkeypatch.setattr(settling, "_SETTLED", most)
    gallery = fill(VISITS)
    OnlineIdentities(gallery, CONFIG).catch_up()
    assert (settle(gallery, CONFIG) is not None) is settles
