"""Events reach real brokers: each at least once, in order, over kills of either side."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from reidstream.brokers import subscriber_of
from reidstream.brokers.envelopes import CloudEvents
from reidstream.brokers.mqtt import Mqtt
from reidstream.children import command_of, environment
from reidstream.config import TargetConfig
from reidstream.errors import DeliveryError
from reidstream.gallery import Gallery
from reidstream.identities.delivery import follow
from reidstream.identities.outbox import OutboxEvent, append_events
from tests.brokers.conftest import Listener, RunningBroker, kafka_messages, seqs, until

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def append(gallery: Gallery, count: int, kind: str = "IdentityConfirmed") -> None:
    with gallery.write() as connection:
        append_events(connection, [(kind, {"person": f"p{n}"}) for n in range(count)])


def test_events_are_below_topics_of_their_kinds_and_whoever_listens_knows_that_we_are_there(
    gallery: Gallery, mqtt: RunningBroker, listen: Callable[..., Listener]
) -> None:
    listener = listen(mqtt.port, "shop/#")
    append(gallery, 1, "AlertRaised")
    target = subscriber_of(TargetConfig(uri=f"mqtt://127.0.0.1:{mqtt.port}/shop"), gallery)
    follow(gallery, target, 0)
    until(lambda: len(listener.events()) == len(seqs(gallery)))
    assert [event["seq"] for event in listener.events()] == seqs(gallery)
    topics = {topic for topic, _, _ in listener.heard}
    assert {"shop/events/TrackletStored", "shop/alerts", "shop/availability"} <= topics
    # Events are not kept by the broker; whether we are there is.
    assert set(listen(mqtt.port, "shop/#").kept) <= {"shop/availability"}
    late = listen(mqtt.port, "shop/availability")
    until(lambda: late.kept == {"shop/availability": b"online"})
    target.close()
    until(lambda: late.kept == {"shop/availability": b"offline"})


def test_the_broker_says_that_we_have_gone_when_we_were_killed(
    gallery: Gallery, mqtt: RunningBroker, listen: Callable[..., Listener]
) -> None:
    listener = listen(mqtt.port, "#")
    child = following(gallery, f"mqtt://127.0.0.1:{mqtt.port}/shop")
    until(lambda: listener.kept.get("shop/availability") == b"online")
    child.kill()
    child.wait()
    until(lambda: listener.kept.get("shop/availability") == b"offline")


def following(gallery: Gallery, target: str) -> subprocess.Popen[bytes]:
    command = command_of("reidstream", "events", "--gallery", str(gallery.place.folder), "--follow", "--to", target)
    return subprocess.Popen(command, env=environment())


@pytest.mark.parametrize("broker", ["mqtt", "nats", "kafka"])
def test_nothing_is_lost_when_who_delivers_is_killed_again_and_again(
    gallery: Gallery, broker: str, request: pytest.FixtureRequest, listen: Callable[..., Listener]
) -> None:
    running: Any = request.getfixturevalue(broker)
    if broker == "mqtt":
        listener = listen(running.port, "shop/events/#")

        def heard() -> list[int]:
            return [event["seq"] for event in listener.events()]
    elif broker == "kafka":

        def heard() -> list[int]:
            return [json.loads(message.value())["seq"] for message in kafka_messages(running.port, "shop")]
    else:
        asyncio.run(make_stream(running.port, "shop.>"))

        def heard() -> list[int]:
            return [event["seq"] for event in asyncio.run(stored(running.port))]

    before = 0
    for _ in range(3):
        append(gallery, 150)
        child = following(gallery, f"{broker}://127.0.0.1:{running.port}/shop")
        # Somewhere in the middle of it.
        until(lambda: len(heard()) > before)  # noqa: B023
        child.send_signal(signal.SIGKILL)
        child.wait()
        before = len(heard())
    child = following(gallery, f"{broker}://127.0.0.1:{running.port}/shop")
    until(lambda: set(heard()) == set(seqs(gallery)))
    child.kill()
    child.wait()
    # In order, but for what was offered again.
    firsts = list(dict.fromkeys(heard()))
    assert firsts == sorted(firsts)


def test_a_broker_that_is_away_is_an_error_and_gets_everything_when_it_is_back(
    gallery: Gallery, mqtt: RunningBroker, listen: Callable[..., Listener]
) -> None:
    target = Mqtt(f"mqtt://127.0.0.1:{mqtt.port}/shop", CloudEvents(gallery.facts().uuid), "test", timeout=2.0)
    follow(gallery, target, 0)
    mqtt.kill()
    append(gallery, 3)
    last = seqs(gallery)[-4]
    with pytest.raises(DeliveryError, match="does not answer"):
        follow(gallery, target, last)
    mqtt.start()
    listener = listen(mqtt.port, "shop/events/#")
    follow(gallery, target, last)
    until(lambda: len(listener.events()) == 3)
    assert [int(event["id"]) for event in listener.events()] == seqs(gallery)[-3:]
    target.close()


async def make_stream(port: int, subject: str) -> None:
    import nats

    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    await connection.jetstream().add_stream(name="people", subjects=[subject])
    await connection.close()


async def stored(port: int) -> list[dict[str, Any]]:
    """Everything that the stream holds, in order."""
    import nats

    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = connection.jetstream()
    count = (await stream.stream_info("people")).state.messages
    found = [json.loads((await stream.get_msg("people", n + 1)).data) for n in range(count)]
    await connection.close()
    return found


def test_jetstream_stores_each_event_once_and_says_what_is_missing(gallery: Gallery, nats: RunningBroker) -> None:
    target = subscriber_of(TargetConfig(uri=f"nats://127.0.0.1:{nats.port}/shop"), gallery)
    with pytest.raises(DeliveryError, match="nats stream add"):
        follow(gallery, target, 0)
    asyncio.run(make_stream(nats.port, "shop.>"))
    follow(gallery, target, 0)
    # What is delivered again after a crash has the same ids, and the stream knows it.
    follow(gallery, target, 0)
    assert [event["seq"] for event in asyncio.run(stored(nats.port))] == seqs(gallery)
    nats.kill()
    with pytest.raises(DeliveryError, match="did not take"):
        follow(gallery, target, 0)
    nats.start()
    append(gallery, 1)
    follow(gallery, target, 0)
    assert [event["seq"] for event in asyncio.run(stored(nats.port))] == seqs(gallery)


def test_a_password_is_filled_in_when_connecting_and_never_said(gallery: Gallery) -> None:
    pytest.importorskip("paho.mqtt", reason="needs paho-mqtt (.ci/brokers installs it)")
    target = subscriber_of(TargetConfig(uri="mqtt://me:hunter2@127.0.0.1:9/shop"), gallery)
    with pytest.raises(DeliveryError) as caught:
        target.deliver([OutboxEvent(1, 0.0, "IdentityCreated", {})])
    assert "hunter2" not in str(caught.value)
