"""Where tracks go on, how long people take from camera to camera, and what that changes about who is who."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.evaluation.grouping import score_grouping
from reidstream.identities.calibration import Calibration, clarity_of
from reidstream.identities.constraints import Cameras, HumanLinks
from reidstream.identities.continuing import continuations
from reidstream.identities.evidence import Evidence, evidence_of, trust_of
from reidstream.identities.refining import _Groups, refined
from reidstream.identities.resolving import resolve
from reidstream.identities.travel import TravelTimes, successions
from reidstream.types import FloatArray
from tests.identities.conftest import Fill, Visit
from tests.identities.given_rows import given_rows

PLACE = (100.0, 50.0, 150.0, 200.0)
ELSEWHERE = (400.0, 50.0, 450.0, 200.0)


def pieces(fill: Fill, gap: float, place: tuple[float, ...], trust: float = 1.0) -> Evidence:
    """Two tracklets of one camera that do not look alike: the second begins after ``gap`` seconds at a place."""
    evidence = evidence_of(fill([(1, "a", 0, 5), (2, "a", 5 + gap, 9 + gap)], f"gap {gap} {place} {trust}"))
    entry = np.array([ELSEWHERE, place], np.float32)
    exit = np.array([PLACE, ELSEWHERE], np.float32)
    held = {"trust": np.array([1.0, trust], np.float32), "strength": np.array([4.0, 4.0 * trust**2], np.float32)}
    return replace(evidence, entry=entry, exit=exit, **held)


def people_of(
    evidence: Evidence, links: HumanLinks | None = None, cameras: str = "auto", risk: float = 0.1
) -> list[int]:
    config = IdentityConfig.model_validate({"cameras": cameras, "false_merges": risk})
    found: list[int] = resolve(evidence, config, links).group.tolist()
    return found


def test_a_poor_track_that_begins_where_and_when_another_ended_is_that_person(fill: Fill) -> None:
    # So poor that their looks say next to nothing.
    assert people_of(pieces(fill, 0.1, PLACE, trust=0.1), risk=0.4) == [0, 0]
    assert people_of(pieces(fill, 0.1, ELSEWHERE, trust=0.1), risk=0.4) == [0, 1]
    assert people_of(pieces(fill, 3.0, PLACE, trust=0.1), risk=0.4) == [0, 0]
    assert people_of(pieces(fill, 30.0, PLACE, trust=0.1), risk=0.4) == [0, 1]


def test_two_who_clearly_look_different_stay_two_where_one_stepped_into_the_others_place(fill: Fill) -> None:
    assert people_of(pieces(fill, 0.1, PLACE)) == [0, 1]


def test_parts_of_a_track_that_was_split_for_good_reason_are_not_put_together_again(fill: Fill) -> None:
    evidence = pieces(fill, 0.1, PLACE)
    one, other, nothing = np.array([0]), np.array([1]), np.zeros(1)
    found = continuations(evidence, one, other, nothing)
    (sure,) = found.worth(replace(evidence, track=np.array([7, 7]), part=np.array([0, 1])), -3.0)
    assert sure == pytest.approx(0)
    assert found.worth(evidence, -3.0).item() > 3


def test_what_people_said_goes_before_where_tracks_go_on(fill: Fill) -> None:
    evidence = pieces(fill, 0.1, PLACE, trust=0.1)
    assert people_of(evidence, HumanLinks(different=np.array([[0, 1]])), risk=0.4) == [0, 1]


def walks(people: int, seed: int) -> list[Visit]:
    """Everybody goes from a to b in 10 s and on to c in 25 s, at their own hour."""
    rng = np.random.default_rng(seed)
    visits: list[Visit] = []
    for person in range(people):
        at = float(rng.uniform(0, 400))
        for camera, way in (("a", 0), ("b", 10), ("c", 25)):
            at += way * float(rng.uniform(0.95, 1.05))
            visits.append((person, camera, round(at, 2), round(at + 4, 2)))
            at += 4
    return visits


def test_the_usual_time_from_camera_to_camera_is_learnt_and_chance_is_not(fill: Fill) -> None:
    visits = walks(30, 1)
    evidence = evidence_of(fill(visits, "walks"))
    who = np.array([visit[0] for visit in visits])
    p, q = successions(who, evidence.start)
    ratio = TravelTimes(evidence, Cameras.separate(3)).ratios(p, q)
    assert ratio[p, q].mean() > 0.7
    others = (who[:, None] != who[None, :]) & (evidence.start[None, :] > evidence.start[:, None])
    assert ratio[others].mean() < 0
    # Those who are nobody's usual time do not make it usual themselves.
    rng = np.random.default_rng(0)
    wrong = TravelTimes(evidence, Cameras.separate(3)).ratios(*successions(rng.permutation(who), evidence.start))
    assert wrong[successions(rng.permutation(who), evidence.start)].mean() < 0.2


def test_times_say_nothing_between_cameras_that_may_see_somebody_at_once(fill: Fill) -> None:
    visits = walks(12, 2)
    evidence = evidence_of(fill(visits, "together"))
    who = np.array([visit[0] for visit in visits])
    ratio = TravelTimes(evidence, Cameras.independent(3)).ratios(*successions(who, evidence.start))
    assert not ratio[evidence.camera[:, None] != evidence.camera[None, :]].any()


def test_who_could_be_either_of_two_by_looks_is_who_had_the_time_to_come(fill: Fill) -> None:
    visits = walks(24, 3)
    evidence = evidence_of(fill(visits, "either"))
    who = np.array([visit[0] for visit in visits])
    looks = np.where(who[:, None] == who[None, :], 6.0, -5.0).astype(np.float32)
    # The last to come, and somebody who was through long before.
    person, rival = int(who[evidence.start.argmax()]), int(who[evidence.start.argmin()])
    last = 3 * person + 2
    own, others = np.flatnonzero(who == person), np.flatnonzero(who == rival)
    looks[last, own] = looks[own, last] = looks[last, others] = looks[others, last] = 1.0
    # The rival was not seen by the last camera, and was given this visit.
    looks[3 * rival + 2], looks[:, 3 * rival + 2] = -5.0, -5.0
    begun = np.where(np.arange(len(who)) == last, rival, who)
    begun[3 * rival + 2] = 99
    nothing = np.zeros(0, np.int64)
    group, _ = refined(
        begun,
        looks,
        np.ones(len(who)),
        given_rows(evidence.start),
        (nothing, nothing, np.zeros(0, np.float32)),
        TravelTimes(evidence, Cameras.separate(3)),
        0.0,
    )
    assert group[last] == group[3 * person]
    assert group[last] != group[3 * rival]


def test_labels_hold_through_refining(fill: Fill) -> None:
    visits = walks(12, 4)
    evidence = evidence_of(fill(visits, "labels"))
    said = HumanLinks(same=np.array([[0, 5]]), different=np.array([[0, 1], [3, 4]]))
    group = people_of(evidence, said)
    assert group[0] == group[5]
    assert group[0] != group[1]
    assert group[3] != group[4]


def test_refining_is_the_same_every_time_and_numbers_people_by_first_appearance(fill: Fill) -> None:
    evidence = evidence_of(fill(walks(15, 5), "again"))
    first, second = people_of(evidence), people_of(evidence)
    assert first == second
    assert list(dict.fromkeys(first)) == list(range(max(first) + 1))


def test_among_many_people_refining_joins_no_strangers(fill: Fill) -> None:
    # Vectors as far apart as those of real people are, of whom many look like somebody else; nobody is in two places.
    rng = np.random.default_rng(0)
    people, visits = 120, 5
    common = rng.normal(size=64)
    directions = 0.73 * common / np.linalg.norm(common) + rng.normal(size=(people, 64)) * 0.1
    who = np.repeat(np.arange(people), visits)
    order = rng.permutation(len(who))
    seen = [(int(person), f"{k % 4}", 2.0 * k, 2.0 * k + 9) for k, person in enumerate(who[order])]
    evidence = evidence_of(fill(seen, "many"))
    vectors = directions[who[order]] + rng.normal(size=(len(who), 64)) * 0.035
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    held = {"vectors": vectors, "prototypes": vectors, "first": np.arange(len(who) + 1)}
    evidence = replace(
        evidence, **held, weights=np.ones(len(who), np.float32), strength=np.full(len(who), 4, np.float32)
    )
    scores = score_grouping(people_of(evidence), who[order].tolist())
    assert scores.precision > 0.75
    assert scores.recall > 0.9


def test_between_two_clear_looks_at_one_person_less_may_differ_than_between_poor_ones() -> None:
    read = Calibration(same=0.8, spread=0.1, usual=0.4, usual_spread=0.1)

    def ratio(similarity: np.ndarray, clarity: float) -> np.ndarray:
        z, growth = (similarity - 0.4) / 0.1, np.full(similarity.shape, 10.0)
        return read.log_ratio(similarity, z, growth, np.full(similarity.shape, clarity))

    poor, clear = float(clarity_of(0.4)) ** 2, float(clarity_of(6.0)) ** 2
    same = np.array([0.65])
    assert ratio(same, clear) < ratio(same, poor)
    high = np.linspace(0.4, 1, 201)
    for clarity in (0.0, poor, 0.65, clear, 1.0):
        assert (np.diff(ratio(high, clarity)) >= -1e-9).all()
    assert np.isfinite(ratio(np.linspace(-1, 1, 201), float(clarity_of(0.0)))).all()


def test_what_was_only_seen_in_part_founds_nobody_who_can_be_somebody_else() -> None:
    # Rows 2 and 3 look most like each other, and like the person of rows 0 and 1.
    looks = np.array([[0, 6, 1, 1], [6, 0, 1, 1], [1, 1, 0, 3], [1, 1, 3, 0]], np.float32)
    start, nothing = np.arange(4.0), np.zeros(0, np.int64)

    def grouped(clarity: list[float], excluded: list[tuple[int, int]], least: float = 0.5) -> list[int]:
        apart = np.zeros((4, 4), bool)
        for a, b in excluded:
            apart[a, b] = apart[b, a] = True
        evidence = (nothing, nothing, np.zeros(0, np.float32))
        silent = np.zeros((4, 4), np.float32)
        times = SimpleNamespace(ratios=lambda p, q: silent.copy())
        began = np.array([0, 0, 1, 1])
        group, _ = refined(began, looks, np.array(clarity), given_rows(start, apart), evidence, times, least)  # type: ignore[arg-type]
        return list(group.tolist())

    poor = [0.9, 0.9, 0.4, 0.4]
    assert len(set(grouped(poor, []))) == 1
    assert grouped(poor, [(0, 2), (0, 3)])[2] != grouped(poor, [(0, 2), (0, 3)])[0]
    # Who is less likely somebody else than has to be is not made somebody else.
    assert len(set(grouped(poor, [], least=2.0))) == 2


def test_few_poor_crops_are_trusted_less_than_many_good_ones() -> None:
    trust = trust_of(np.array([1.0, 1.0, 0.5]), np.array([0.3, 4.0, 4.0]))
    assert trust[0] == pytest.approx(0.5)
    assert trust[1] > 0.9
    assert trust[2] == pytest.approx(trust[1] / 2)


def chains(ratios: FloatArray, label: list[int], weight: list[float], time: FloatArray, least: float) -> _Groups:
    """Groups of rows, one after the other in time. ratios: float32 (n, n), likelihood ratios of pairs."""
    weights = np.array(weight)
    looks = (ratios * weights * weights[:, None]).astype(np.float32)
    np.fill_diagonal(looks, 0.0)
    n = len(label)
    return _Groups(np.array(label), looks, weights, given_rows(np.arange(float(n))), time, least)


def test_poor_looks_that_are_nobodys_go_to_whom_they_fit_unless_they_were_said_to_be_somebody() -> None:
    alike = np.full((5, 5), 20.0, np.float32)
    # Row 4 is like nobody.
    alike[4, :4] = alike[:4, 4] = 0.001
    groups = chains(alike, [0, 0, 1, 2, 3], [0.9, 0.9, 0.3, 0.3, 0.3], np.zeros((5, 5), np.float32), 1.0)
    groups.give_up_weak(np.array([False, False, False, True, False]))
    assert groups.label[2] == groups.label[0] == groups.label[1]
    assert len(set(groups.label[[0, 3, 4]].tolist())) == 3
    assert groups._chains[int(groups.label[0])] == [0, 1, 2]
    # Where all are poor nobody is left to go to.
    groups = chains(alike, [0, 0, 1, 2, 3], [0.3] * 5, np.zeros((5, 5), np.float32), 1.0)
    groups.give_up_weak(np.zeros(5, bool))
    assert groups.label.tolist() == [0, 0, 1, 2, 3]


@pytest.mark.parametrize(("said", "compared"), [(0.0, False), (0.4, False), (0.6, True), (-1.0, True)])
def test_pairs_are_compared_that_the_times_could_make_likely_enough(said: float, compared: bool) -> None:
    """By looks a pair is one short of what a join needs. Each row comes between two at most, so the times may say twice
    what they say of one; where they may have parted others, twice that may be won back."""
    least = 2.0
    time = np.zeros((2, 2), np.float32)
    time[0, 1] = said
    groups = chains(np.full((2, 2), np.exp(least - 1), np.float32), [0, 1], [1.0, 1.0], time, least)
    assert groups._candidate_pairs() == ([(0, 1)] if compared else [])
