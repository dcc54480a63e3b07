"""TLS to brokers: whom to trust is said, and nobody else gets events or passwords."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidstream.brokers import subscriber_of
from reidstream.config import TargetConfig
from reidstream.errors import ConfigError, DeliveryError
from reidstream.gallery import Gallery
from reidstream.identities.delivery import follow
from tests.brokers.conftest import Authority, RunningBroker, seqs

pytestmark = [pytest.mark.broker, pytest.mark.slow]
SCHEMES = {"mqtts": "mqtts://", "nats": "nats+tls://me:hunter2@"}


async def make_stream(port: int, ca: Path) -> None:
    import nats

    trusted = ssl.create_default_context(cafile=str(ca))
    connection = await nats.connect(f"nats://127.0.0.1:{port}", user="me", password="hunter2", tls=trusted)
    await connection.jetstream().add_stream(name="people", subjects=["shop.>"])
    await connection.close()


def target(kind: str, gallery: Gallery, port: int, ca: Path | None) -> Any:
    uri = f"{SCHEMES[kind]}127.0.0.1:{port}/shop"
    return subscriber_of(TargetConfig(uri=uri, ca=None if ca is None else str(ca)), gallery)


@pytest.mark.setting("targets.ca")
@pytest.mark.parametrize("kind", ["mqtts", "nats"])
def test_a_broker_is_trusted_by_its_authority_and_by_nothing_else(
    kind: str, gallery: Gallery, authority: Callable[..., Authority], secured: Callable[..., RunningBroker]
) -> None:
    own = authority("own")
    broker = secured(kind, own)
    if kind == "nats":
        asyncio.run(make_stream(broker.port, own.ca))
    trusting = target(kind, gallery, broker.port, own.ca)
    assert follow(gallery, trusting, 0) == seqs(gallery)[-1]
    trusting.close()
    for ca in (None, authority("another").ca):
        refusing = target(kind, gallery, broker.port, ca)
        with pytest.raises(DeliveryError, match="certificate is not trusted") as caught:
            follow(gallery, refusing, 0)
        assert "hunter2" not in str(caught.value)
        refusing.close()


@pytest.mark.parametrize("kind", ["mqtts", "nats"])
def test_a_certificate_of_another_name_is_refused(
    kind: str, gallery: Gallery, authority: Callable[..., Authority], secured: Callable[..., RunningBroker]
) -> None:
    own = authority("own", "broker.example.org")
    broker = secured(kind, own)
    refusing = target(kind, gallery, broker.port, own.ca)
    with pytest.raises(DeliveryError, match="certificate is not trusted"):
        follow(gallery, refusing, 0)
    refusing.close()


def test_who_asks_for_no_tls_hears_no_password(gallery: Gallery, authority: Callable[..., Authority]) -> None:
    """Whoever sits between us and a broker could leave out that it speaks TLS."""
    pytest.importorskip("nats", reason="needs nats-py (.ci/brokers installs it)")
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    made, _ = listening.accept()
                except OSError:
                    return
                with made:
                    made.sendall(b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"headers":true}\r\n')
                    with contextlib.suppress(ConnectionError):
                        while part := made.recv(4096):
                            heard.extend(part)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        refusing = target("nats", gallery, listening.getsockname()[1], authority("own").ca)
        with pytest.raises(DeliveryError, match="does not speak TLS"):
            follow(gallery, refusing, 0)
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert heard == b""


def test_a_file_without_certificates_is_refused_in_words(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    pytest.importorskip("nats", reason="needs nats-py (.ci/brokers installs it)")
    with pytest.raises(ConfigError, match="cannot be read"):
        follow(gallery, target("nats", gallery, 9, tmp_path / "ca.pem"), 0)
