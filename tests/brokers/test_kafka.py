"""Events in Kafka. No real broker runs here: librdkafka's own cluster for tests does, over TCP."""

from __future__ import annotations

import json

import pytest

from reidstream.brokers import subscriber_of
from reidstream.brokers.envelopes import Plain
from reidstream.brokers.kafka import Kafka
from reidstream.config import TargetConfig
from reidstream.errors import DeliveryError
from reidstream.gallery import Gallery
from reidstream.identities.delivery import follow
from tests.brokers.conftest import MockKafka, free_port, seqs
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
    messages = kafka.stored("shop.people")
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
    assert [json.loads(message.value())["seq"] for message in kafka.stored("shop")] == seqs(gallery)
    kafka.kill()
    append(gallery, 1)
    short = Kafka(f"kafka://127.0.0.1:{kafka.port}/shop", Plain(), gallery.facts().uuid, timeout=2.0)
    with pytest.raises(DeliveryError):
        follow(gallery, short, 0)
