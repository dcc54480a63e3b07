"""A server tells its targets what happens, and Home Assistant who is where; pictures go with whom they show."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reidstream.server.access.roles import Caller, Role
from reidstream.server.desk import Desk
from reidstream.server.telling import Telling
from tests.brokers.conftest import Listener, RunningBroker, until
from tests.server.conftest import IDS, picture, with_pictures

pytestmark = [pytest.mark.broker, pytest.mark.slow]

OWNER = Caller("owner", Role.ADMIN)
PICTURE_A = "shop/cameras/a/picture"
PICTURE_B = "shop/cameras/b/picture"


def home(port: int, **more: Any) -> dict[str, Any]:
    return {"uri": f"mqtt://127.0.0.1:{port}/shop", "home_assistant": True, **more}


@pytest.mark.setting("targets.home_assistant")
def test_home_assistant_finds_every_camera_and_hears_who_is_there(
    tell: Callable[..., Telling], mqtt: RunningBroker, listen: Callable[..., Listener]
) -> None:
    there = {"a": False, "back door": True}
    tell(lambda: dict(there), **home(mqtt.port))
    late = listen(mqtt.port, "homeassistant/#", "shop/#")
    (topic,) = until(lambda: [t for t in late.kept if t.startswith("homeassistant/device/")])
    declared = json.loads(late.kept[topic])
    node = topic.split("/")[2]
    assert declared["device"]["identifiers"] == [node]
    assert declared["availability_topic"] == "shop/availability"
    occupancy = [one for one in declared["components"].values() if one["platform"] == "binary_sensor"]
    topics = {one["name"]: one["state_topic"] for one in occupancy}
    assert set(topics) == {"a occupancy", "back door occupancy"}
    assert len({one["unique_id"] for one in occupancy}) == 2
    # Names of topics hold neither spaces nor wildcards.
    assert " " not in topics["back door occupancy"]
    until(lambda: late.kept.get(topics["back door occupancy"]) == b"ON")
    until(lambda: late.kept.get(topics["a occupancy"]) == b"OFF")
    there["a"] = True
    until(lambda: late.kept.get(topics["a occupancy"]) == b"ON")
    # No picture unless it is asked for.
    assert not any(t.endswith("/picture") for t in late.kept)
    del there["a"]
    until(lambda: json.loads(late.kept[topic])["components"]["a_occupancy"] == {"platform": "binary_sensor"})


@pytest.mark.setting("targets.pictures")
def test_the_last_picture_is_withdrawn_when_who_is_on_it_is_erased(
    desk: Desk, tell: Callable[..., Telling], mqtt: RunningBroker, listen: Callable[..., Listener]
) -> None:
    listener = listen(mqtt.port, "shop/cameras/#")
    tell(lambda: {"a": False, "b": False}, **home(mqtt.port, pictures=True))
    until(lambda: listener.kept.get(PICTURE_A) == picture(1))
    until(lambda: listener.kept.get(PICTURE_B) == picture(2))
    desk.store(with_pictures([(5, "b", 40, 45)]))
    until(lambda: listener.kept.get(PICTURE_B) == picture(5))
    erased = desk.erase(OWNER, [IDS[5]])
    desk.jobs.wait(erased.id)
    until(lambda: PICTURE_A not in listener.kept)
    # Nobody who comes later gets it from the broker.
    late = listen(mqtt.port, "shop/cameras/#")
    until(lambda: late.kept.get(PICTURE_B) == picture(5))
    assert PICTURE_A not in late.kept
    assert any(body == b"" for topic, body, _ in listener.heard if topic == PICTURE_A)


def test_what_was_erased_while_the_server_was_away_is_withdrawn_when_it_is_back_and_so_is_what_is_not_wanted(
    desk: Desk, tell: Callable[..., Telling], mqtt: RunningBroker, listen: Callable[..., Listener]
) -> None:
    listener = listen(mqtt.port, "shop/cameras/#")
    first = tell(lambda: {"a": False, "b": False}, **home(mqtt.port, pictures=True))
    until(lambda: {PICTURE_A, PICTURE_B} <= set(listener.kept))
    first.close()
    desk.jobs.wait(desk.erase(OWNER, [IDS[5]]).id)
    assert PICTURE_A in listener.kept
    # The camera is read no more: nothing else would take its picture's place.
    second = tell(lambda: {"b": False}, **home(mqtt.port, pictures=True))
    until(lambda: PICTURE_A not in listener.kept)
    assert PICTURE_B in listener.kept
    second.close()
    tell(uri=f"mqtt://127.0.0.1:{mqtt.port}/shop")
    until(lambda: PICTURE_B not in listener.kept)


@pytest.mark.parametrize("left", ["nothing", "another", "plain"])
def test_a_target_that_is_taken_out_takes_with_it_what_the_broker_keeps(
    left: str,
    desk: Desk,
    tell: Callable[..., Telling],
    mqtt: RunningBroker,
    listen: Callable[..., Listener],
) -> None:
    listener = listen(mqtt.port, "shop/#", "homeassistant/#")
    first = tell(lambda: {"a": False, "b": True}, **home(mqtt.port, pictures=True))
    until(lambda: {PICTURE_A, PICTURE_B, "shop/cameras/b/occupancy"} <= set(listener.kept))
    assert any(topic.startswith("homeassistant/") for topic in listener.kept)
    first.close()
    mqtt.kill()
    mqtt.start()
    # The broker kept nothing over its own end; what it keeps is put there again.
    again = tell(lambda: {"a": False, "b": True}, **home(mqtt.port, pictures=True))
    late = listen(mqtt.port, "shop/#", "homeassistant/#")
    until(lambda: {PICTURE_A, PICTURE_B, "shop/cameras/b/occupancy"} <= set(late.kept))
    again.close()
    if left == "nothing":
        nobody = Telling(desk, [])
        nobody.start()
        until(lambda: not late.kept)
        nobody.close()
        assert listen(mqtt.port, "shop/#", "homeassistant/#").kept == {}
    elif left == "plain":
        tell(uri=f"mqtt://127.0.0.1:{mqtt.port}/shop")
        until(lambda: set(late.kept) <= {"shop/availability"})
    else:
        # The same topics at the same broker, by another name of it: what is shown there stays right.
        tell(lambda: {"a": True}, uri=f"mqtt://me@127.0.0.1:{mqtt.port}/shop", home_assistant=True, pictures=True)
        until(lambda: sum(topic.startswith("homeassistant/") for topic in late.kept) == 1)
        until(lambda: late.kept.get("shop/cameras/a/occupancy") == b"ON")
        assert PICTURE_A in late.kept


def test_a_target_goes_on_where_it_was_and_a_new_one_begins_now(
    desk: Desk, tell: Callable[..., Telling], mqtt: RunningBroker, listen: Callable[..., Listener]
) -> None:
    listener = listen(mqtt.port, "shop/events/#")
    uri = f"mqtt://127.0.0.1:{mqtt.port}/shop"
    first = tell(uri=uri)
    begun = desk.last_event()
    desk.store(with_pictures([(6, "b", 50, 55)]))
    desk.settle()
    until(lambda: first.targets[0].as_dict()["behind"] == 0)
    assert min(event["seq"] for event in listener.events()) == begun + 1
    first.close()
    heard = len(listener.events())
    desk.store(with_pictures([(7, "b", 60, 65)]))
    desk.settle()
    mqtt.kill()
    second = tell(uri=uri)
    # The broker is away: that is said, and nothing is lost.
    until(lambda: second.targets[0].trouble)
    assert second.targets[0].as_dict()["behind"] > 0
    mqtt.start()
    again = listen(mqtt.port, "shop/events/#")
    until(
        lambda: (
            second.targets[0].as_dict() | {"target": ""}
            == {"target": "", "seq": desk.last_event(), "behind": 0, "trouble": ""}
        )
    )
    assert heard > 0
    assert {event["seq"] for event in again.events()} <= set(range(begun, desk.last_event() + 1))
