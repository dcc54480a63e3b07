"""Recent decisions are made again while tracklets come, with everybody whom they may concern."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.evaluation.grouping import GroupingScores, score_grouping
from reidstream.gallery import Gallery
from reidstream.identities import online, revisiting
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.operations import Moved, moves_of
from reidstream.identities.people import assign, create_person, history, list_people
from reidstream.identities.review import Review
from reidstream.identities.revisiting import _Back, decided
from tests.identities.conftest import Fill, Visit, made_tracklet
from tests.identities.test_events import held, mirrored

PEOPLE, NOISE = 10, 1.2


def returning(count: int, seed: int = 1) -> list[tuple[int, str, float, float, float]]:
    """Visits of ten people who look quite unlike themselves, to two cameras in turn."""
    persons = np.random.default_rng(seed).integers(0, PEOPLE, count)
    return [(int(p), "ab"[k % 2], 10.0 * k, 10.0 * k + 5, NOISE) for k, p in enumerate(persons)]


VISITS = returning(90)
PERSON = {made_tracklet(*visit).id: visit[0] for visit in VISITS}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small galleries are looked at again, too."""
    monkeypatch.setattr(online, "_REVISITED", 16)
    monkeypatch.setattr(online, "_FORMER", 2)
    yield


def scores(gallery: Gallery) -> GroupingScores:
    owner = {t: person.id for person in list_people(gallery) for t in person.tracklets}
    return score_grouping([owner[t] for t in PERSON], list(PERSON.values()))


def as_partition(gallery: Gallery) -> set[frozenset[str]]:
    return {frozenset(person.tracklets) for person in list_people(gallery)}


def test_who_was_taken_for_several_is_found_to_be_one_while_tracklets_come(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, once = fill(VISITS, "again"), fill(VISITS, "once")  # type: ignore[arg-type]
    OnlineIdentities(again, IdentityConfig()).catch_up()
    monkeypatch.setattr(OnlineIdentities, "due", False)
    OnlineIdentities(once, IdentityConfig()).catch_up()
    assert scores(again).f1 > scores(once).f1 + 0.1
    assert scores(again).precision > 0.85


def test_a_replay_decides_the_same_however_the_tracklets_came(fill: Fill) -> None:
    whole, parts = fill(VISITS, "whole"), fill(VISITS[:7], "parts")  # type: ignore[arg-type]
    OnlineIdentities(whole, IdentityConfig()).catch_up()
    identities = OnlineIdentities(parts, IdentityConfig())
    for first in range(0, len(VISITS), 7):
        parts.add([made_tracklet(*visit) for visit in VISITS[first : first + 7]])
        identities.catch_up()
    assert as_partition(parts) == as_partition(whole)


def test_events_alone_tell_who_everybody_is(fill: Fill) -> None:
    gallery = fill(VISITS)  # type: ignore[arg-type]
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    assert mirrored(gallery) == held(gallery)


def _tear(gallery: Gallery, tracklet: str) -> None:
    """As when a bad look had made somebody new of a tracklet."""
    with gallery.write() as connection:
        assign(connection, [(tracklet, create_person(connection, tracklet), 1.0)])


def test_what_is_decided_again_is_one_entry_of_the_log_until_somebody_decides(fill: Fill) -> None:
    visits: list[Visit] = [(n % 6, "ab"[n % 2], 10.0 * n, 10.0 * n + 5) for n in range(30)]
    ids = [made_tracklet(*visit).id for visit in visits]
    gallery = fill(visits)
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    for torn in (ids[-1], ids[-2]):
        _tear(gallery, torn)
        OnlineIdentities(gallery, IdentityConfig()).look_again()
    (entry,) = history(gallery)
    assert entry.summary == "looked again at recent decisions: 2 tracklets moved"
    assert {move.tracklet for move in _moves(gallery, entry.id)} == {ids[-1], ids[-2]}
    nameless = next(person for person in list_people(gallery) if ids[-3] not in person.tracklets)
    Review(gallery, "ana").label(nameless.id, name="Ana")
    _tear(gallery, ids[-3])
    OnlineIdentities(gallery, IdentityConfig()).look_again()
    assert [one.kind for one in history(gallery)] == ["revisit", "label", "revisit"]


def test_it_can_be_undone_and_is_then_not_done_again(fill: Fill) -> None:
    gallery = fill(VISITS[:80])  # type: ignore[arg-type]
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    (entry,) = history(gallery)
    review = Review(gallery, "ana")
    review.undo(entry.id)
    before = {t: person.id for person in list_people(gallery) for t in person.tracklets}
    identities.follow()
    for _ in range(3):
        identities.look_again()
    after = {t: person.id for person in list_people(gallery) for t in person.tracklets}
    touched = {move.tracklet for move in _moves(gallery, entry.id)}
    assert touched
    assert {t: after[t] for t in touched} == {t: before[t] for t in touched}


def _moves(gallery: Gallery, number: int) -> list[Moved]:
    """What went from one person to another."""
    return [move for move in moves_of(gallery, number) if move.before is not None and move.before != move.after]


def test_undo_without_a_number_takes_back_what_somebody_decided(fill: Fill) -> None:
    gallery = fill(VISITS[:80])  # type: ignore[arg-type]
    identities = OnlineIdentities(gallery, IdentityConfig())
    review = Review(gallery, "ana")
    identities.catch_up(16)
    review.label(list_people(gallery)[0].id, name="Ana")
    identities.catch_up()
    assert history(gallery)[-1].kind == "revisit"
    review.undo()
    assert "label" not in [entry.kind for entry in history(gallery) if entry.undone_by is None and not entry.undoes]
    assert not any(person.name for person in list_people(gallery))


def test_who_was_reviewed_neither_gains_nor_loses_and_what_fits_is_a_suggestion(fill: Fill) -> None:
    visits: list[Visit] = [(n % 6, "ab"[n % 2], 10.0 * n, 10.0 * n + 5) for n in range(30)]
    gallery = fill(visits)
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    one = made_tracklet(*visits[0]).id
    person = next(p for p in list_people(gallery) if one in p.tracklets)
    # Somebody takes a tracklet away and gives the rest a name.
    review = Review(gallery, "ana")
    review.label(person.id, name="Ana")
    away = person.tracklets[-1]
    with gallery.write() as connection:
        assign(connection, [(away, create_person(connection, away), 1.0)])
    fresh = OnlineIdentities(gallery, IdentityConfig())
    fresh.look_again()
    ana = next(p for p in list_people(gallery) if p.name == "Ana")
    assert set(ana.tracklets) == set(person.tracklets) - {away}
    alone = next(p for p in list_people(gallery) if away in p.tracklets)
    assert alone.undecided
    assert alone.candidate in ana.tracklets


def test_what_is_no_longer_looked_at_goes_along_unless_it_cannot(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisiting, "_OF_EACH", 2)
    visits: list[Visit] = [(n % 4, "ab"[n % 2], 10.0 * n, 10.0 * n + 5) for n in range(40)]
    gallery = fill(visits)
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    own = [made_tracklet(*visit).id for visit in visits if visit[0] == 0]
    with gallery.write() as connection:
        other = create_person(connection, own[1])
        # Taken for two, by turns: the older ones of either are not looked at.
        assign(connection, [(tracklet, other, 1.0) for tracklet in own[1::2]])
    identities = OnlineIdentities(gallery, IdentityConfig())
    looked_at = identities.looked_at(identities.turns()[0])
    assert len(looked_at.evidence) < len(visits)
    assert looked_at.beyond
    identities.revise(looked_at, decided(looked_at, IdentityConfig()))
    assert len({p.id for p in list_people(gallery) for t in p.tracklets if t in own}) == 1


def test_what_somebody_decides_meanwhile_stays(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = fill(VISITS[:80])  # type: ignore[arg-type]
    identities = OnlineIdentities(gallery, IdentityConfig())
    monkeypatch.setattr(OnlineIdentities, "due", False)
    identities.catch_up()
    looked_at = identities.looked_at(identities.turns()[0])
    parts = decided(looked_at, IdentityConfig())
    part = next(part for part in parts if part.moved)
    moved = next(t for group, owner in zip(part.groups, part.owners, strict=True) for t in group
                 if t in part.before and part.before[t].person != owner)  # fmt: skip
    person = part.before[moved].person
    Review(gallery, "ana").label(person, name="Ana")
    identities.follow()
    identities.revise(looked_at, parts)
    assert next(p for p in list_people(gallery) if moved in p.tracklets).name == "Ana"


class Remembering:
    """Whom each tracklet belongs to, and whom it plausibly is instead; each person has as many tracklets as said."""

    def __init__(self, owner: dict[str, str], plausible: dict[str, list[tuple[str, float]]], counts: list[int]) -> None:
        names = sorted({*owner.values(), *(person for some in plausible.values() for person, _ in some)})
        self.memory: Any = self
        self.owner, self._plausible, self._names = owner, plausible, names
        self.people = [SimpleNamespace(tracklets=[None] * count) for count in counts]

    def row(self, person: str) -> int:
        return self._names.index(person)

    def seen(self, tracklet: str) -> str | None:
        return tracklet if tracklet in self._plausible else None

    def plausible(self, seen: str) -> list[tuple[str, float]]:
        return self._plausible[seen]


def test_decided_together_are_the_newest_and_whom_they_may_be_the_likeliest_first() -> None:
    enough = revisiting._PLAUSIBLE
    owner = {"t1": "ann", "t2": "ben", "t3": "ann", "gone": "zoe"}
    plausible = {
        "t1": [("ann", 0.9), ("dan", enough), ("cleo", 0.4)],
        "t3": [("ben", 0.3), ("eve", enough / 2), ("dan", 0.5)],
    }
    some: Any = Remembering(owner, plausible, [1] * 6)
    assert revisiting._together(some, ["t1", "t2", "t3", "nobody's"]) == ["ann", "ben", "dan", "cleo"]
    assert revisiting._together(some, ["t1"]) == ["ann", "cleo", "dan"]
    assert revisiting._together(some, ["t2"]) == ["ben"]


def test_no_more_are_decided_together_than_fit_and_somebody_always_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisiting, "_MOST", 5)
    monkeypatch.setattr(revisiting, "_OF_EACH", 3)
    owner = {"t1": "ann", "t2": "ben", "t3": "cleo"}
    # Of each no more than three count.
    some: Any = Remembering(owner, {}, [2, 90, 1])
    assert revisiting._together(some, ["t1", "t2", "t3"]) == ["cleo", "ben"]
    assert revisiting._together(some, ["t3", "t1", "t2"]) == ["ben", "ann"]
    monkeypatch.setattr(revisiting, "_MOST", 0)
    assert revisiting._together(some, ["t1", "t2", "t3"]) == ["cleo"]


@pytest.mark.parametrize(("count", "older"), [(15, False), (16, False), (32, True), (50, False), (64, True)])
def test_older_ones_are_looked_at_every_other_time_where_there_are_any(fill: Fill, count: int, older: bool) -> None:
    gallery = fill(VISITS[:count])  # type: ignore[arg-type]
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    ids = [made_tracklet(*visit).id for visit in VISITS[:count]]  # type: ignore[arg-type]
    newest, *others = identities.turns()
    assert newest == ids[-16:]
    assert bool(others) is older
    for some in others:
        assert len(some) == 16
        assert set(some) <= set(ids)


def test_a_look_is_not_due_again_before_as_many_more_have_come(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = fill(VISITS[:40])  # type: ignore[arg-type]
    identities = OnlineIdentities(gallery, IdentityConfig())
    with monkeypatch.context() as patched:
        patched.setattr(OnlineIdentities, "due", False)
        identities.catch_up()
    assert identities.due
    identities.look_again()
    assert not identities.due
    gallery.add([made_tracklet(*visit) for visit in VISITS[40:47]])  # type: ignore[arg-type]
    identities.catch_up(100)
    assert not identities.due
    gallery.add([made_tracklet(*visit) for visit in VISITS[47:48]])  # type: ignore[arg-type]
    identities.catch_up(100)
    assert identities.due


def test_what_former_conclusions_decided_is_looked_at_again_by_new_ones(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones were drawn while hardly anybody had come back, and would make two of them for as long as it
    takes until the next look."""
    monkeypatch.setattr(online, "_REVISITED", 10**6)
    gallery = fill(VISITS[:60])  # type: ignore[arg-type]
    looks = []
    monkeypatch.setattr(
        OnlineIdentities, "look_again", lambda self: (looks.append(len(self._memory.owner)), self.looked())
    )
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    assert looks == [16, 24, 36, 54]
    # Nobody has decided anything by conclusions that are drawn when a gallery is opened.
    assert not OnlineIdentities(gallery, IdentityConfig()).due


def test_who_cannot_go_where_they_were_put_goes_to_most_of_those_they_were_with() -> None:
    holders = {"a": "p", "b": "p", "c": "p", "d": "q", "e": "q"}
    groups = [["a", "d", "e"], ["b", "c"], ["x"]]
    back = _Back(groups, {**holders, "x": "r"})
    back.send(groups[0], "a")
    assert groups == [["d", "e"], ["b", "c", "a"], ["x"]]
    # Nobody of theirs is anywhere else: they are by themselves.
    back.send(groups[2], "x")
    assert groups == [["d", "e"], ["b", "c", "a"], [], ["x"]]
    assert back.sent == {"a", "x"}
