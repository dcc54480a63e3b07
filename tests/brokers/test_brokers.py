"""Events reach real brokers: each at least once, in order, over kills of either side."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidstream.brokers import subscriber_of
from reidstream.brokers.envelopes import CloudEvents, type_of
from reidstream.brokers.mqtt import Mqtt
from reidstream.children import command_of, environment
from reidstream.cli.app import app
from reidstream.config import TargetConfig, load_config
from reidstream.config.identities import IdentityConfig
from reidstream.errors import ConfigError, DeliveryError
from reidstream.gallery import Gallery
from reidstream.identities.delivery import follow, signature
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import OutboxEvent, all_events_after, append_events
from tests.brokers.conftest import Listener, RunningBroker, until
from tests.identities.conftest import Fill
from tests.identities.test_events import Receiver

VISITS = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15)]


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    made = fill(VISITS)
    OnlineIdentities(made, IdentityConfig()).catch_up()
    return made


def seqs(gallery: Gallery) -> list[int]:
    return [event.seq for event in all_events_after(gallery, 0)]


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


@pytest.mark.parametrize("broker", ["mqtt", "nats"])
def test_nothing_is_lost_when_who_delivers_is_killed_again_and_again(
    gallery: Gallery, broker: str, request: pytest.FixtureRequest, listen: Callable[..., Listener]
) -> None:
    running: RunningBroker = request.getfixturevalue(broker)
    if broker == "mqtt":
        listener = listen(running.port, "shop/events/#")

        def heard() -> list[int]:
            return [event["seq"] for event in listener.events()]
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


def test_an_envelope_has_what_the_specification_demands(gallery: Gallery) -> None:
    uuid = gallery.facts().uuid
    for event in all_events_after(gallery, 0):
        written = json.loads(CloudEvents(uuid).write(event))
        assert written["specversion"] == "1.0"
        assert {type(written[name]) for name in ("id", "source", "type", "subject")} == {str}
        assert datetime.fromisoformat(written["time"]).timestamp() == pytest.approx(event.wall, abs=0.001)
        assert written["data"] == json.loads(json.dumps(event.as_dict()))
        # Names of attributes are small letters and digits.
        assert all(name.isascii() and name.isalnum() and name == name.lower() for name in written)
    assert type_of("IdentitySeenAgain") == "reidstream.identity.seen_again.v1"
    assert type_of("AlertRaised") == "reidstream.alert.raised.v1"
    alone = json.loads(CloudEvents(uuid).write(OutboxEvent(1, 0.0, "IdentitiesResolved", {"people": 3})))
    assert "subject" not in alone


def test_a_web_server_gets_signed_batches_of_cloud_events(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    receiver = Receiver()
    receiver.answers = [503]
    words = ["--to", receiver.url, "--format", "cloudevents", "--secret-env", "SECRET"]
    done = CliRunner().invoke(app, ["events", "--gallery", str(gallery.place.folder), *words])
    receiver.stop()
    assert done.exit_code == 0, (done.output, done.exception)
    # The first attempt was refused.
    (_, _), (headers, body) = receiver.requests
    assert headers["Content-Type"] == "application/cloudevents-batch+json"
    assert [int(one["id"]) for one in json.loads(body)] == seqs(gallery)
    assert headers["X-ReIDStream-Signature"] == signature("s3cret", headers["X-ReIDStream-Timestamp"], body)


@pytest.mark.setting("targets.uri", "targets.secret", "targets.format", "targets.pictures", "targets.home_assistant")
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"uri": "kafka://host/topic"}, "must begin with"),
        ({"uri": "mqtt://"}, "must begin with"),
        ({"uri": "mqtt://host/a", "secret": "env:S"}, "signs requests"),
        ({"uri": "https://host/a", "secret": "hunter2"}, "where the secret stands"),
        ({"uri": "https://host/a", "home_assistant": True}, "MQTT"),
        ({"uri": "mqtt://host/a", "pictures": True}, "home_assistant"),
        ({"uri": "https://host/a", "format": "xml"}, "cloudevents"),
    ],
)
def test_targets_that_make_no_sense_are_refused_in_words(tmp_path: Path, target: dict[str, Any], said: str) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in target.items()]
    path = tmp_path / "settings.toml"
    path.write_text("[[targets]]\n" + "\n".join(lines) + "\n")
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(path)
    assert "hunter2" not in str(caught.value) or target.get("secret") == "hunter2"


@pytest.mark.parametrize("uri", ["mqtt://host/a/#", "mqtt://:1883/a", "nats://host/a b", "nats://host/a.*"])
def test_addresses_that_cannot_be_one_are_refused(gallery: Gallery, uri: str) -> None:
    with pytest.raises(ConfigError, match="address is"):
        subscriber_of(TargetConfig(uri=uri), gallery)


def test_a_password_is_filled_in_when_connecting_and_never_said(gallery: Gallery) -> None:
    target = subscriber_of(TargetConfig(uri="mqtt://me:hunter2@127.0.0.1:9/shop"), gallery)
    with pytest.raises(DeliveryError) as caught:
        target.deliver([OutboxEvent(1, 0.0, "IdentityCreated", {})])
    assert "hunter2" not in str(caught.value)
