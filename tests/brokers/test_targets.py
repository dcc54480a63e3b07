"""Targets of events: what an envelope holds, what a web server gets, and which addresses cannot be one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from reidstream.brokers import subscriber_of
from reidstream.brokers.envelopes import CloudEvents, type_of
from reidstream.brokers.former import Former
from reidstream.cli.app import app
from reidstream.config import TargetConfig, load_config
from reidstream.errors import ConfigError, DeliveryError
from reidstream.gallery import Gallery
from reidstream.identities.delivery import signature
from reidstream.identities.outbox import OutboxEvent, all_events_after
from reidstream.server.access.schema import notes
from reidstream.server.desk import Desk
from reidstream.server.telling import Telling
from tests.brokers.conftest import seqs, until
from tests.identities.test_events import Receiver
from tests.server.conftest import with_pictures


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
        ({"uri": "redis://host/topic"}, "must begin with"),
        ({"uri": "mqtt://host/a", "ca": "ca.pem"}, "TLS to a broker"),
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


@pytest.mark.parametrize(
    "uri", ["mqtt://host/a/#", "mqtt://:1883/a", "nats://host/a b", "nats://host/a.*", "kafka://host/a b", "kafka:///a"]
)
def test_addresses_that_cannot_be_one_are_refused(gallery: Gallery, uri: str) -> None:
    with pytest.raises(ConfigError, match="address is"):
        subscriber_of(TargetConfig(uri=uri), gallery)


@pytest.mark.setting("targets.kinds", "targets.format")
def test_a_web_server_hears_of_the_kinds_that_it_wants(desk: Desk, tell: Callable[..., Telling]) -> None:
    receiver = Receiver()
    telling = tell(uri=receiver.url, kinds=["IdentityCreated"], format="cloudevents")
    desk.store(with_pictures([(8, "b", 70, 75)]))
    desk.settle()
    until(lambda: telling.targets[0].as_dict()["behind"] == 0)
    telling.close()
    receiver.stop()
    told = [one for _, body in receiver.requests for one in json.loads(body)]
    assert {one["type"] for one in told} == {"reidstream.identity.created.v1"}


def test_the_broker_of_a_former_target_is_asked_less_and_less_often_and_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "mqtt://me:s3cret@127.0.0.1:9/shop"
    with desk.gallery.write() as connection:
        kept = Former(uri, None, "node", ("a",)).as_text()
        connection.execute(insert(notes).values(key="target abc: home", value=kept))
    telling = Telling(desk, [])
    (left,) = telling._left
    waits: list[float] = []
    answers = iter([*[False] * 20, True])

    def withdraw(*_: object, **__: object) -> None:
        if not next(answers):
            raise DeliveryError("nobody answers at mqtt://me:s3cret@127.0.0.1:9")

    monkeypatch.setattr(Former, "withdraw", withdraw)
    monkeypatch.setattr(left.stop, "wait", lambda seconds: waits.append(seconds) or said.append(telling.former))
    said: list[Any] = []
    left._run()
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert waits == sorted(waits)
    # Hours, and no longer than that.
    assert waits[-1] == waits[-2] == 6 * 3600
    assert said[0] == [{"target": "mqtt://me:***@127.0.0.1:9/shop", "trouble": said[0][0]["trouble"]}]
    assert "nobody answers" in said[0][0]["trouble"]
    assert "s3cret" not in json.dumps(said)
    assert telling.former == []
    assert Telling(desk, [])._left == []
