"""Rules while somebody is in view, and when it is decided who it was."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest

from reidstream.alerts import Watch
from reidstream.alerts.lists import rule_settings
from reidstream.alerts.watch import Recognised
from reidstream.errors import ConfigError, WatchNotFound
from reidstream.identities.in_view import photos_shown
from reidstream.identities.remembered import Seen
from tests.alerts.conftest import DAY, NOW, VISITS, Scene, looks, sighting, track_of, tracklet
from tests.identities.conftest import Fill, fill

__all__ = ["fill"]


def test_somebody_on_the_list_is_told_of_while_in_view_and_once(scene: Scene) -> None:
    scene.rule()
    assert scene.see(2) == []
    (alert,) = scene.see(1)
    assert scene.see(1, 3.0, crops=6) == []
    found = scene.watch.alerts.get(alert)
    assert found["state"] == "raised"
    assert found["person"]["name"] == "Ann"
    assert found["probability"] >= 0.9
    assert scene.watch.alerts.picture(alert) == b"frame"
    (event,) = scene.events("AlertRaised")
    assert {**event.payload, "probability": 1} == {
        "alert": alert,
        "rule": found["rule"]["id"],
        "name": "rule 0",
        "who": "listed",
        "source": "a",
        "wall": 5002.0,
        "probability": 1,
        "person": scene.id_of(1),
        "seconds": 2.0,
    }


def test_it_stands_when_it_was_so(scene: Scene) -> None:
    scene.rule()
    (alert,) = scene.see(1)
    scene.see(1, 8.0, ended=True)
    stored = scene.store(1)
    found = scene.watch.alerts.get(alert)
    assert (found["state"], found["tracklet"]) == ("confirmed", stored.id)
    assert scene.events("AlertWithdrawn") == []
    scene.watch.settle()
    assert len(scene.alerts()) == 1


def test_it_is_withdrawn_when_it_was_somebody_else(scene: Scene) -> None:
    scene.rule()
    (alert,) = scene.see(1)
    scene.see(1, 8.0, ended=True)
    scene.store(1, shown=4)
    found = scene.watch.alerts.get(alert)
    assert found["state"] == "withdrawn"
    assert "somebody else" in found["reason"]
    (event,) = scene.events("AlertWithdrawn")
    assert (event.payload["alert"], event.payload["source"]) == (alert, "a")


def test_it_is_withdrawn_when_there_was_nobody_worth_storing(scene: Scene) -> None:
    scene.rule("anybody")
    (alert,) = scene.see(3)
    scene.see(3, 2.2, ended=True)
    scene.leave_out(3)
    found = scene.watch.alerts.get(alert)
    assert (found["state"], found["reason"]) == ("withdrawn", "in view too briefly to be kept")


def test_what_was_lost_before_it_was_stored_is_withdrawn(scene: Scene) -> None:
    scene.rule("anybody")
    (alert,) = scene.see(3)
    scene.watch.settle()
    assert scene.watch.alerts.get(alert)["state"] == "raised"
    scene.see(3, 4.0, ended=True)
    scene.gallery.break_off(["content of a"])
    scene.watch.settle()
    assert "lost" in scene.watch.alerts.get(alert)["reason"]
    # A recording is read again, by a process that remembers nothing.
    scene.watch = Watch(scene.gallery, lambda: scene.identities, clock=scene.clock)
    (again,) = scene.see(3)
    scene.store(3)
    assert {one["id"]: one["state"] for one in scene.alerts()} == {alert: "withdrawn", again: "confirmed"}


def test_who_was_sure_enough_only_at_the_end_is_told_of_then(scene: Scene) -> None:
    scene.rule()
    stored = scene.store(1)
    (found,) = scene.alerts()
    assert (found["state"], found["tracklet"], found["person"]["name"]) == ("confirmed", stored.id, "Ann")
    (event,) = scene.events("AlertRaised")
    assert event.payload["tracklet"] == stored.id


def test_who_has_no_name_is_unknown_and_who_has_one_is_not(scene: Scene) -> None:
    scene.rule("unknown")
    assert scene.see(1) == []
    assert scene.see(2) == []
    # Seen before and without a name; and somebody who was never seen.
    assert len(scene.see(5)) == 1
    assert len(scene.see(77, at=6000.0)) == 1


def test_nobody_is_called_unknown_by_the_first_glance(scene: Scene) -> None:
    scene.rule("unknown")
    assert scene.see(5, 0.2, crops=1) == []
    assert len(scene.see(5, 0.9, crops=3)) == 1


def test_who_is_hardly_known_is_neither_told_of_as_listed_nor_called_unknown(scene: Scene) -> None:
    """Caution serves both: what is said of a listed person is the cautious probability, of an unknown one the full."""
    scene.rule("unknown")
    scene.rule()
    ann = scene.id_of(1)
    unsure = Recognised({ann: 0.6}, {ann: 0.2})
    said = {rule.settings.who.value: scene.watch._who(rule, unsure).probability for rule in scene.watch._rules}
    assert said == pytest.approx({"unknown": 0.4, "listed": 0.2})


def test_unknown_may_mean_who_is_not_on_a_list(scene: Scene) -> None:
    scene.rule("unknown", people=(5, 6))
    assert scene.see(5) == []
    assert len(scene.see(1)) == 1


def test_what_is_said_again_soon_is_not_said(scene: Scene) -> None:
    scene.rule(cooldown=100)
    assert len(scene.see(1)) == 1
    assert scene.see(1, at=5050.0) == []
    assert len(scene.see(1, at=5200.0)) == 1


def test_of_two_people_both_are_said_however_soon(scene: Scene) -> None:
    scene.rule(people=(1, 2), cooldown=1000)
    assert len(scene.see(1)) == 1
    assert len(scene.see(2)) == 1


@pytest.mark.parametrize(
    ("wanted", "how", "said"),
    [
        ({"dwell": 10}, {"seconds": 9.0}, 0),
        ({"dwell": 10}, {"seconds": 10.0}, 1),
        ({"zone": "till"}, {}, 0),
        ({"zone": "till"}, {"zones": {"till": 0.0}}, 1),
        ({"zone": "till", "dwell": 5}, {"zones": {"till": 4.0}, "seconds": 60.0}, 0),
        ({"zone": "till", "dwell": 5}, {"zones": {"till": 5.0}, "seconds": 60.0}, 1),
        ({"cameras": ["b"]}, {}, 0),
        ({"cameras": ["b"]}, {"source": "b"}, 1),
    ],
)
def test_where_and_for_how_long(scene: Scene, wanted: dict[str, Any], how: dict[str, Any], said: int) -> None:
    scene.rule("anybody", **wanted)
    assert len(scene.see(3, **how)) == said


def test_how_long_somebody_stood_in_a_zone_counts_at_the_end_too(scene: Scene) -> None:
    from reidstream.types import Stay

    scene.rule("anybody", zone="till", dwell=5)
    scene.store(3, stays=(Stay("till", 5001.0, 5007.0, 5001.0, 5007.0),))
    scene.store(4, at=6000.0, stays=(Stay("till", 6001.0, 6003.0, 6001.0, 6003.0),))
    (found,) = scene.alerts()
    assert found["why"]["zone"] == "till"
    assert found["why"]["seconds"] == 6.0


def test_a_smaller_accepted_risk_says_less(scene: Scene) -> None:
    # Somebody between two people: who it is stays in doubt.
    between = looks(1, 2, noise=0.0) + looks(2, 2, noise=0.0)
    unit = (between / np.linalg.norm(between, axis=1, keepdims=True)).astype(np.float32)
    doubtful = {"vectors": unit, "quality": np.full(2, 0.5, np.float32)}
    scene.watch.saw([replace(sighting(1, 5000.0, 1.0), **doubtful)])
    likeliest, sure, _ = scene.watch.in_view("a")[6000]
    assert likeliest == scene.id_of(1)
    assert 0.5 < sure < 0.999
    scene.rule(risk=(1 - sure) / 2)
    bold = scene.rule(risk=min((1 - sure) * 1.5, 0.5))
    (alert,) = scene.watch.saw([replace(sighting(1, 5010.0, 1.0), **doubtful)])
    assert scene.watch.alerts.get(alert)["rule"]["id"] == bold


def test_a_photo_finds_somebody_who_was_never_seen(scene: Scene) -> None:
    made = scene.watch.lists.make("missing", "a child is missing", NOW + 5 * DAY, "test")
    (photo,) = looks(55, 1, seed=9)
    entry = scene.watch.lists.add_photo(made.id, photo, b"jpeg", "test")
    scene.rule(people=())
    values = {"name": "child", "purpose": "a child is missing", "who": "listed", "list": "missing"}
    scene.watch.lists.add_rule(rule_settings(values), "test")
    scene.watch.reload()
    assert scene.see(1) == []
    assert scene.see(66, at=5100.0) == []
    (alert,) = scene.see(55, at=5300.0)
    assert scene.watch.alerts.get(alert)["entry"] == entry.id
    stored = scene.store(55, at=5300.0)
    found = scene.watch.alerts.get(alert)
    assert (found["state"], found["tracklet"]) == ("confirmed", stored.id)


def test_photos_go_after_their_time_and_everybody_with_the_list(scene: Scene) -> None:
    lists = scene.watch.lists
    scene.rule()
    made = lists.make("missing", "a child is missing", NOW + 5 * DAY, "test")
    (photo,) = looks(55, 1)
    lists.add_photo(made.id, photo, b"jpeg", "test", days=2)
    longer = lists.add_photo(made.id, photo, b"jpeg", "test", days=20)
    assert longer.until == made.until
    scene.clock.now += 3 * DAY
    scene.see(3)
    assert [entry.id for entry in lists.get("missing").entries] == [longer.id]
    scene.clock.now += 40 * DAY
    assert scene.see(1) == []
    assert all(one.entries == () for one in lists.all())
    with pytest.raises(ConfigError, match="has ended"):
        lists.add_person("missing", "any", "test")
    assert not scene.watch.wants("a")


def test_an_entry_follows_its_person_through_decisions(scene: Scene) -> None:
    from reidstream.identities.review import Review

    scene.rule(people=(3,))
    Review(scene.gallery, "test").merge(scene.id_of(4), scene.id_of(3))
    scene.identities.follow()
    scene.watch.reload()
    assert len(scene.see(4)) == 1


def test_nothing_is_wanted_until_there_is_a_rule(scene: Scene) -> None:
    assert not scene.watch.wants("a")
    rule = scene.rule(cameras=["a"])
    assert scene.watch.wants("a")
    assert not scene.watch.wants("b")
    scene.watch.lists.switch(rule, False)
    scene.watch.reload()
    assert not scene.watch.wants("a")


def test_a_list_says_what_for_and_how_long(scene: Scene) -> None:
    lists = scene.watch.lists
    for name, purpose, until in (
        ("x", "", NOW + DAY),
        ("x", "because", NOW - 1),
        ("x", "because", NOW + 1000 * DAY),
        (" ", "because", NOW + DAY),
    ):
        with pytest.raises(ConfigError):
            lists.make(name, purpose, until, "test")
    with pytest.raises(WatchNotFound, match="there are: none"):
        lists.get("x")
    made = lists.make("x", "because", NOW + DAY, "test")
    with pytest.raises(ConfigError, match="already"):
        lists.make("x", "because", NOW + DAY, "test")
    lists.drop(made.id)
    assert lists.all() == []


def test_who_is_in_view_is_known_by_track_until_they_leave(scene: Scene) -> None:
    scene.rule()
    scene.see(1)
    scene.see(77, at=5010.0)
    view = scene.watch.in_view("a")
    likeliest, sure, alert = view[6000]
    assert (likeliest, alert) == (scene.id_of(1), True)
    assert sure > 0.9
    assert view[82_010][2] is False
    scene.see(1, 12.0, ended=True)
    assert set(scene.watch.in_view("a")) == {82_010}
    # Who is not heard of any more is not in view; nor is what a camera showed before it was begun anew.
    scene.see(3, at=5100.0)
    assert set(scene.watch.in_view("a")) == {8100}
    scene.watch.saw([replace(sighting(4, 1.0, 1.0), content="begun anew")])
    assert set(scene.watch.in_view("a")) == {4001}


@pytest.mark.setting("alerts.days")
def test_old_alerts_are_deleted(scene: Scene) -> None:
    from reidstream.alerts import Watch

    scene.rule("anybody", cooldown=0)
    scene.see(3)
    scene.clock.now += 5 * DAY
    kept = Watch(scene.gallery, lambda: scene.identities, clock=scene.clock, days=10.0)
    kept.saw([])
    assert len(scene.alerts()) == 1
    Watch(scene.gallery, lambda: scene.identities, clock=scene.clock, days=3.0).saw([])
    assert scene.alerts() == []


def test_an_alert_is_acknowledged_once(scene: Scene) -> None:
    scene.rule()
    (alert,) = scene.see(1)
    assert [one["id"] for one in scene.watch.alerts.page(state="open")] == [alert]
    assert scene.watch.alerts.acknowledge(alert, "grace")["acknowledged_by"] == "grace"
    assert scene.watch.alerts.acknowledge(alert, "ben")["acknowledged_by"] == "grace"
    assert scene.watch.alerts.page(state="open") == []
    with pytest.raises(WatchNotFound):
        scene.watch.alerts.acknowledge("none", "grace")


@pytest.mark.setting("identities.clothes")
@pytest.mark.parametrize(("clothes", "said"), [("change", 0), ("stay", 1)])
def test_a_photo_says_little_of_another_day_unless_clothes_stay(
    fill: Fill, clothes: Literal["change", "stay"], said: int
) -> None:
    scene = Scene(fill(VISITS), clothes)
    lists = scene.watch.lists
    made = lists.make("missing", "a child is missing", NOW + 20 * DAY, "test")
    (photo,) = looks(55, 1, seed=9)
    lists.add_photo(made.id, photo, b"jpeg", "test")
    values = {"name": "child", "purpose": "a child is missing", "who": "listed", "list": "missing"}
    lists.add_rule(rule_settings(values), "test")
    scene.watch.reload()
    # Two days after the photo was put on the list, and then in the same hour.
    assert len(scene.see(55, at=NOW + 2 * DAY)) == said
    assert len(scene.see(55, at=NOW + 3600.0)) == 1


def test_who_could_not_be_looked_at_is_looked_at_the_next_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.rule(people=(1, 2))
    first, second = scene.see(1, at=5000.0), scene.see(2, at=5200.0)
    confirm, broken = scene.watch.alerts.confirm, set(first)

    def failing(id: str, *rest: Any) -> None:
        if id in broken:
            raise RuntimeError("the disk is away")
        confirm(id, *rest)

    monkeypatch.setattr(scene.watch.alerts, "confirm", failing)
    scene.store(2, at=5200.0)
    with pytest.raises(RuntimeError, match="the disk is away"):
        scene.store(1, at=5000.0)
    assert scene.watch.alerts.get(second[0])["state"] == "confirmed"
    broken.clear()
    scene.watch.settle()
    assert scene.watch.alerts.get(first[0])["state"] == "confirmed"


def test_whoever_looks_after_a_kill_says_nothing_twice(scene: Scene) -> None:
    scene.rule(cooldown=0)
    (alert,) = scene.see(1)
    scene.watch = Watch(scene.gallery, lambda: scene.identities, clock=scene.clock)
    assert scene.see(1, 4.0, crops=6) == []
    assert scene.watch.in_view("a")[track_of(1, 5000.0)][2]
    scene.store(1)
    assert [one["id"] for one in scene.alerts()] == [alert]
    assert len(scene.events("AlertRaised")) == 1


def test_who_was_stored_just_before_a_kill_is_looked_at_afterwards(scene: Scene) -> None:
    scene.rule()
    stored = replace(tracklet(1, 5000.0, 5008.0), track_id=track_of(1, 5000.0))
    scene.gallery.add([stored])
    scene.identities.catch_up()
    for _ in range(2):
        scene.watch = Watch(scene.gallery, lambda: scene.identities, clock=scene.clock)
    (found,) = scene.alerts()
    assert found["tracklet"] == stored.id


def test_nobody_who_was_stored_before_there_was_a_rule_is_told_of(scene: Scene) -> None:
    rule = scene.rule(cooldown=0)
    scene.store(1)
    scene.watch.lists.drop_rule(rule)
    scene.watch.reload()
    scene.store(1, at=6000.0)
    scene.rule(cooldown=0)
    scene.watch = Watch(scene.gallery, lambda: scene.identities, clock=scene.clock)
    assert [one["media"] for one in scene.alerts()] == [5008.0]


def test_whoever_else_it_may_be_speaks_against_a_photo() -> None:
    """Likelihoods of a photo, of people whom it does not show, and of nobody known share the certainty."""
    decider: Any = SimpleNamespace(
        strangers_of_all=lambda photos: [(0.3, 0.1)] * len(photos),
        odds_of=lambda similarity, strangers, seen, gaps: np.log([3.0] * len(similarity)),
        alone=lambda person, asked: {"shown": 0.9, "other": 0.1}[person],
    )
    photos = np.eye(1, 4, dtype=np.float32)
    seen = Seen(0, 0.0, 5.0, photos[0], photos, 0.9, (0.3, 0.1), "t")
    decision: Any = SimpleNamespace(candidates=[("shown", 0.2), ("other", 0.4)], nobody=0.4)
    assert photos_shown(decider, photos, np.zeros(1), seen, decision) == pytest.approx([3 / (1 + 3 + 1)])
