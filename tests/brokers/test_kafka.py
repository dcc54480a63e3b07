"""Events in Kafka: with librdkafka's own cluster for tests, and with Tansu, a broker of others with its protocol.

Apache Kafka itself does not run here.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest

from reidstream.brokers import subscriber_of
from reidstream.brokers.envelopes import Plain
from reidstream.brokers.kafka import Kafka
from reidstream.config import TargetConfig
from reidstream.errors import DeliveryError
from reidstream.gallery import Gallery
from reidstream.identities.delivery import follow
from tests.brokers.conftest import Authority, MockKafka, RunningBroker, behind_tls, free_port, kafka_messages, seqs
from tests.brokers.test_brokers import append

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def test_events_are_in_one_partition_in_order_and_each_has_its_own_id(gallery: Gallery, kafka: MockKafka) -> None:
    target = subscriber_of(
        TargetConfig(uri=f"kafka://127.0.0.1:{kafka.port}/shop.people", format="cloudevents"), gallery
    )
    follow(gallery, target, 0)
    append(gallery, 3, "AlertRaised")
    follow(gallery, target, seqs(gallery)[-4])
    target.close()
    messages = kafka_messages(kafka.port, "shop.people")
    assert [int(json.loads(message.value())["id"]) for message in messages] == seqs(gallery)
    assert len({message.partition() for message in messages}) == 1
    uuid = gallery.facts().uuid
    assert {message.key() for message in messages} == {uuid.encode()}
    headers = dict(messages[-1].headers())
    assert headers["id"] == f"{uuid}/{seqs(gallery)[-1]}".encode()
    assert (headers["kind"], headers["content-type"]) == (b"AlertRaised", b"application/cloudevents+json")


def test_a_cluster_that_is_away_is_an_error_and_gets_everything_when_there_is_one(
    gallery: Gallery, kafka: MockKafka
) -> None:
    away = Kafka(f"kafka://me:hunter2@127.0.0.1:{free_port()}/shop", Plain(), gallery.facts().uuid, timeout=2.0)
    with pytest.raises(DeliveryError, match="did not take the events") as caught:
        follow(gallery, away, 0)
    away.close()
    assert "hunter2" not in str(caught.value)
    there = Kafka(f"kafka://127.0.0.1:{kafka.port}/shop", Plain(), gallery.facts().uuid)
    follow(gallery, there, 0)
    assert [json.loads(message.value())["seq"] for message in kafka_messages(kafka.port, "shop")] == seqs(gallery)
    kafka.kill()
    append(gallery, 1)
    short = Kafka(f"kafka://127.0.0.1:{kafka.port}/shop", Plain(), gallery.facts().uuid, timeout=2.0)
    with pytest.raises(DeliveryError):
        follow(gallery, short, 0)


def test_a_broker_of_others_keeps_events_in_order_in_one_partition_and_hears_the_rest_when_it_is_back(
    gallery: Gallery, tansu: Callable[..., RunningBroker]
) -> None:
    broker = tansu()
    uri = f"kafka://127.0.0.1:{broker.port}/shop.people"
    target = subscriber_of(TargetConfig(uri=uri, format="cloudevents"), gallery)
    follow(gallery, target, 0)
    append(gallery, 3, "AlertRaised")
    follow(gallery, target, seqs(gallery)[-4])
    target.close()
    messages = kafka_messages(broker.port, "shop.people")
    assert [int(json.loads(message.value())["id"]) for message in messages] == seqs(gallery)
    assert len({message.partition() for message in messages}) == 1
    headers = dict(messages[-1].headers())
    assert (headers["kind"], headers["content-type"]) == (b"AlertRaised", b"application/cloudevents+json")
    broker.kill()
    told = seqs(gallery)[-1]
    append(gallery, 2)
    away = Kafka(uri, Plain(), gallery.facts().uuid, timeout=2.0)
    with pytest.raises(DeliveryError, match="did not take the events"):
        follow(gallery, away, told)
    broker.start()
    follow(gallery, away, told)
    away.close()
    again = [json.loads(message.value())["seq"] for message in kafka_messages(broker.port, "shop.people")]
    assert again == seqs(gallery)[-2:]


@pytest.mark.setting("targets.ca")
def test_a_broker_that_speaks_tls_is_trusted_by_its_authority_and_by_nothing_else(
    gallery: Gallery, authority: Callable[..., Authority], tansu: Callable[..., RunningBroker]
) -> None:
    own = authority("own")
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    broker = tansu(port)
    uri = f"kafka+tls://127.0.0.1:{port}/shop"
    with behind_tls(listening, own, broker.port):
        for ca in (None, authority("another").ca):
            uuid = gallery.facts().uuid
            refusing = Kafka(uri, Plain(), uuid, ca=None if ca is None else str(ca), timeout=4.0)
            with pytest.raises(DeliveryError, match="certificate"):
                follow(gallery, refusing, 0)
            refusing.close()
        trusting = subscriber_of(TargetConfig(uri=uri, ca=str(own.ca)), gallery)
        assert follow(gallery, trusting, 0) == seqs(gallery)[-1]
        trusting.close()
        tls = {"security.protocol": "ssl", "ssl.ca.location": str(own.ca)}
        messages = kafka_messages(port, "shop", **tls)
        assert [json.loads(message.value())["seq"] for message in messages] == seqs(gallery)
