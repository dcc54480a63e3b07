"""Events reach others: in order, at least once, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from reidstream.cli import main
from reidstream.config.identities import IdentityConfig
from reidstream.errors import ConfigError, DeliveryError, IdentityError
from reidstream.gallery import Gallery
from reidstream.identities.applying import apply
from reidstream.identities.delivery import BATCH, Position, Subscriber, Webhook, follow, position_file
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import OutboxEvent, all_events_after
from reidstream.identities.people import history, list_people
from reidstream.identities.proposal import propose
from reidstream.identities.review import Review
from reidstream.identities.schema import links
from tests.identities.conftest import Fill, made_tracklet

VISITS = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15)]
VISIT_IDS = [made_tracklet(*visit).id for visit in VISITS]


class Receiver:
    """A real web server on a port of its own. ``answers``: status codes of the next requests, then 204; 0 hangs."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.release = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.start(0)
        assert self._server is not None
        self.port = self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/people"

    @property
    def seqs(self) -> list[int]:
        """Of all accepted and refused requests."""
        return [event["seq"] for _, body in self.requests for event in json.loads(body)["events"]]

    def start(self, port: int) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 204
                receiver.requests.append((dict(self.headers), body))
                if status == 0:
                    receiver.release.wait(30)
                    self.close_connection = True
                    return
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.release.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    made = fill(VISITS)
    OnlineIdentities(made, IdentityConfig()).catch_up()
    return made


def test_a_server_that_fails_hangs_and_restarts_gets_everything_in_order(gallery: Gallery, receiver: Receiver) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            receiver.stop()
        if len(pauses) == 4:
            receiver.start(receiver.port)

    receiver.answers = [500, 0]
    expected = [event.seq for event in all_events_after(gallery, 0)]
    last = follow(gallery, Webhook(receiver.url, timeout=1.0, pause=pause), 0)
    assert last == expected[-1]
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert receiver.seqs == expected * 3


class Endless:
    """A receiver that answers every request with ``begin`` and then with ``part`` until it is hung up on."""

    def __init__(self, begin: bytes, part: bytes, every: float = 0.0) -> None:
        self.sent = 0
        self.hung_up = threading.Event()
        self._begin, self._part, self._every = begin, part, every
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/"
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        pace = threading.Event()
        with self._server:
            connection, _ = self._server.accept()
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(self._begin)
                while True:
                    connection.sendall(self._part)
                    self.sent += len(self._part)
                    pace.wait(self._every)
            except OSError:
                self.hung_up.set()


@pytest.mark.parametrize(
    ("begin", "part", "every", "accepted"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, 0.0, True),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.05, True),
        (b"HTTP/1.1 200 OK\r\n", b"x", 0.05, False),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 100, 0.0, False),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01, False),
    ],
    ids=["body", "slow body", "slow headers", "headers", "provisional answers"],
)
def test_a_receiver_that_never_ends_neither_holds_nor_fills_the_follower(
    gallery: Gallery, begin: bytes, part: bytes, every: float, accepted: bool
) -> None:
    receiver = Endless(begin, part, every)
    webhook = Webhook(receiver.url, timeout=0.5, attempts=1)
    if accepted:
        follow(gallery, webhook, 0)
    else:
        with pytest.raises(DeliveryError, match="nothing is lost"):
            follow(gallery, webhook, 0)
    assert receiver.hung_up.wait(10)
    # What the sockets of both ends buffer, and no more.
    assert receiver.sent < 32 * 2**20


def test_requests_are_signed_with_their_time(gallery: Gallery, receiver: Receiver) -> None:
    follow(gallery, Webhook(receiver.url, "secret"), 0)
    ((headers, body),) = receiver.requests
    told = headers["X-ReIDStream-Timestamp"].encode() + b"." + body
    assert headers["X-ReIDStream-Signature"] == f"sha256={hmac.new(b'secret', told, hashlib.sha256).hexdigest()}"


def test_a_refused_request_is_not_tried_again_and_an_overloaded_server_is(gallery: Gallery, receiver: Receiver) -> None:
    pauses: list[float] = []
    receiver.answers = [404]
    with pytest.raises(DeliveryError, match="answered 404"):
        follow(gallery, Webhook(receiver.url, pause=pauses.append), 0)
    assert pauses == []
    receiver.answers = [429]
    follow(gallery, Webhook(receiver.url, pause=pauses.append), 0)
    assert pauses == [0.5]


def test_attempts_are_bounded_and_what_was_not_accepted_comes_again(
    gallery: Gallery, receiver: Receiver, tmp_path: Path
) -> None:
    pauses: list[float] = []
    position = Position(tmp_path / "position.json", gallery)
    receiver.answers = [503] * 10
    with pytest.raises(DeliveryError, match="nothing is lost"):
        follow(gallery, Webhook(receiver.url, pause=pauses.append), position.seq, position=position)
    assert len(receiver.requests) == 10
    assert max(pauses) == 60.0
    assert position.seq == 0
    receiver.requests.clear()
    follow(gallery, Webhook(receiver.url), position.seq, position=position)
    assert receiver.seqs == [event.seq for event in all_events_after(gallery, 0)]
    again = Position(tmp_path / "position.json", gallery)
    assert again.seq == receiver.seqs[-1]


def test_a_crash_after_delivery_repeats_the_batch_and_loses_nothing(gallery: Gallery, tmp_path: Path) -> None:
    got: list[int] = []

    class Broker:
        def deliver(self, events: Any) -> None:
            got.extend(event.seq for event in events)

    class Killed(Position):
        def move_to(self, seq: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(gallery, Broker(), 0, position=Killed(tmp_path / "p", gallery))
    position = Position(tmp_path / "p", gallery)
    follow(gallery, Broker(), position.seq, position=position)
    expected = [event.seq for event in all_events_after(gallery, 0)]
    assert got == expected * 2


def test_a_follower_sees_what_a_writer_adds_and_batches_are_bounded(gallery: Gallery, fill: Fill) -> None:
    with Gallery.open(gallery.place.folder or "") as reader:
        sizes: list[int] = []
        seen: list[OutboxEvent] = []
        more = [made_tracklet(5, "a", 100 + 10 * k, 105 + 10 * k) for k in range(BATCH)]

        class Broker:
            def deliver(self, events: Any) -> None:
                sizes.append(len(events))
                seen.extend(events)

        def pause(_: float) -> None:
            if len(seen) > 10:
                raise KeyboardInterrupt
            gallery.add(more)
            OnlineIdentities(gallery, IdentityConfig()).catch_up()

        with pytest.raises(KeyboardInterrupt):
            follow(reader, Broker(), 0, forever=True, pause=pause)
    assert [event.seq for event in seen] == [event.seq for event in all_events_after(gallery, 0)]
    assert len(seen) == 2 * (len(VISITS) + BATCH)
    assert max(sizes) == BATCH


def test_a_position_of_another_gallery_or_a_broken_one_is_refused(gallery: Gallery, fill: Fill, tmp_path: Path) -> None:
    Position(tmp_path / "p", gallery).move_to(3)
    with pytest.raises(ConfigError, match="another gallery"):
        Position(tmp_path / "p", fill(VISITS, "other"))
    (tmp_path / "p").write_text("{")
    with pytest.raises(ConfigError, match="not a position"):
        Position(tmp_path / "p", gallery)


def mirrored(gallery: Gallery) -> dict[str, str]:
    """The person of every tracklet, as somebody knows it who has nothing but the events."""
    person: dict[str, str] = {}
    for event in all_events_after(gallery, 0):
        told = event.payload
        if event.kind == "TrackletStored":
            assert told["tracklet"] not in person
        elif event.kind in ("IdentityCreated", "IdentitySeenAgain", "TrackletMoved"):
            person[told["tracklet"]] = told["person"]
        elif event.kind == "IdentityMerged" and isinstance(told["merged"], str):
            person = {t: told["person"] if p == told["merged"] else p for t, p in person.items()}
    return person


def held(gallery: Gallery) -> dict[str, str]:
    return {tracklet: person.id for person in list_people(gallery) for tracklet in person.tracklets}


def test_every_visit_is_told_once_and_people_when_they_are_new_or_come_again(gallery: Gallery) -> None:
    events = list(all_events_after(gallery, 0))
    assert [event.kind for event in events] == [
        "TrackletStored", "IdentityCreated", "TrackletStored", "IdentityCreated", "TrackletStored", "IdentitySeenAgain",
    ]  # fmt: skip
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert events[0].payload.keys() == {"tracklet", "source", "start", "end", "person"}
    assert events[0].payload["person"] == events[1].payload["person"]
    assert events[5].payload["person"] == events[1].payload["person"]
    assert 0.5 < events[5].payload["probability"] <= 1


def test_events_alone_tell_who_everybody_is_after_runs_merges_and_resolving(gallery: Gallery) -> None:
    assert mirrored(gallery) == held(gallery)
    people = list_people(gallery)
    number = Review(gallery, "ana").merge(people[0].id, people[1].id)
    assert mirrored(gallery) == held(gallery)
    with gallery.write() as connection:
        # As if nobody had ever said so: resolving takes the two apart again.
        connection.execute(delete(links).where(links.c.operation == number))
    apply(gallery, propose(gallery, IdentityConfig()))
    kinds = [event.kind for event in all_events_after(gallery, 0)]
    assert kinds.count("IdentityMerged") == 1
    assert kinds[-1] == "IdentitiesResolved"
    assert mirrored(gallery) == held(gallery)
    assert len(set(held(gallery).values())) == 2
    Review(gallery, "ana").split(held(gallery)[VISIT_IDS[0]], [VISIT_IDS[0]])
    assert mirrored(gallery) == held(gallery)
    Review(gallery, "ana").undo()
    assert mirrored(gallery) == held(gallery)


def test_a_gallery_that_is_first_resolved_tells_of_everybody(fill: Fill) -> None:
    made = fill(VISITS, "undecided")
    apply(made, propose(made, IdentityConfig()))
    kinds = [event.kind for event in all_events_after(made, 0)]
    assert (kinds.count("TrackletStored"), kinds.count("IdentityCreated"), kinds.count("IdentitySeenAgain")) == (
        3,
        2,
        1,
    )
    assert mirrored(made) == held(made)


@pytest.mark.parametrize(
    ("decide", "kind"),
    [
        (lambda review: review.merge("1", "2"), "IdentityMerged"),
        (lambda review: review.split("1", [VISIT_IDS[2]]), "IdentitySplit"),
        (lambda review: review.move(VISIT_IDS[2], "2"), "TrackletMoved"),
        (lambda review: review.reject(VISIT_IDS[2], "1"), "TrackletRejected"),
        (lambda review: review.label("1", name="Grace"), "IdentityLabelled"),
        (lambda review: review.duplicates(VISIT_IDS[:2]), "DuplicatesLabelled"),
        (lambda review: review.undo(review.label("1", name="Grace")), "OperationUndone"),
    ],
)
def test_every_decision_has_its_event_in_its_own_transaction(
    gallery: Gallery, decide: Callable[[Review], int], kind: str
) -> None:
    number = decide(Review(gallery, "ana"))
    event = list(all_events_after(gallery, 0))[-1]
    assert (event.kind, event.payload.get("operation")) == (kind, number if kind != "OperationUndone" else number - 1)
    assert mirrored(gallery) == held(gallery)
    with pytest.raises(IdentityError):
        Review(gallery, "ana").label("99", name="nobody")
    assert list(all_events_after(gallery, 0))[-1] == event


@pytest.mark.usefixtures("unproven")
def test_a_number_is_never_used_again_after_its_tracklet_was_erased(gallery: Gallery) -> None:
    last = list(all_events_after(gallery, 0))[-1]
    gallery.erase([last.payload["tracklet"]])
    assert all(event.payload.get("tracklet") != last.payload["tracklet"] for event in all_events_after(gallery, 0))
    Review(gallery, "ana").label("1", name="Grace")
    assert list(all_events_after(gallery, 0))[-1].seq == last.seq + 1


def test_a_decision_that_fails_halfway_leaves_no_event(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(all_events_after(gallery, 0))
    monkeypatch.setattr("reidstream.identities.review.assign", _broken)
    with pytest.raises(RuntimeError, match="disk"):
        Review(gallery, "ana").merge("1", "2")
    assert list(all_events_after(gallery, 0)) == before
    assert history(gallery) == []


def _broken(*_: Any) -> None:
    raise RuntimeError("disk")


def test_a_broker_is_one_class_with_one_method(gallery: Gallery, tmp_path: Path) -> None:
    class Broker:
        def __init__(self) -> None:
            self.lines: list[str] = []
            self.fails = True

        def deliver(self, events: Sequence[OutboxEvent]) -> None:
            if self.fails:
                raise DeliveryError("the broker is away")
            self.lines += [json.dumps(event.as_dict()) for event in events]

    broker: Any = Broker()
    subscriber: Subscriber = broker
    position = Position(tmp_path / "broker.json", gallery)
    with pytest.raises(DeliveryError, match="away"):
        follow(gallery, subscriber, position.seq, position=position)
    assert Position(tmp_path / "broker.json", gallery).seq == 0
    broker.fails = False
    follow(gallery, subscriber, position.seq, position=position)
    assert [json.loads(line)["seq"] for line in broker.lines] == [e.seq for e in all_events_after(gallery, 0)]


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(gallery: Gallery, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        sys.argv = ["reidstream", "events", "--gallery", str(gallery.place), *arguments]
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call


def test_the_command_prints_lines_while_another_process_owns_the_gallery(run: Run) -> None:
    code, out, _ = run()
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["kind"] for line in lines][:2] == ["TrackletStored", "IdentityCreated"]
    _, out, _ = run("--after", str(lines[-2]["seq"]))
    assert [json.loads(line) for line in out.splitlines()] == lines[-1:]


def test_events_are_chosen_by_time_as_elsewhere(run: Run) -> None:
    lines = [json.loads(line) for line in run()[1].splitlines()]
    assert [json.loads(line) for line in run("--since", str(lines[0]["wall"]))[1].splitlines()] == lines
    last = [line for line in lines if line["wall"] >= lines[-1]["wall"]]
    assert [json.loads(line) for line in run("--since", str(lines[-1]["wall"]))[1].splitlines()] == last
    assert run("--since", "2100-01-01")[1] == ""


def test_the_command_posts_once_and_goes_on_where_it_stopped(
    run: Run, receiver: Receiver, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEOPLE_SECRET", "secret")
    arguments = ("--webhook", receiver.url, "--secret-env", "PEOPLE_SECRET")
    assert run(*arguments)[0] == 0
    assert run(*arguments)[0] == 0
    assert len(receiver.requests) == 1
    assert position_file(gallery, receiver.url).is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--secret-env", "X"), "there is none"),
        (("--webhook", "http://127.0.0.1:1/", "--secret-env", "NO_SUCH_VARIABLE"), "holds no secret"),
        (("--webhook", "127.0.0.1"), "http://, https://"),
    ],
)
def test_wrong_use_is_explained(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, _, error = run(*arguments)
    assert code == 2
    assert says in error


def test_undoing_tells_where_everybody_is_again(gallery: Gallery) -> None:
    before = held(gallery)
    Review(gallery, "ana").move(VISIT_IDS[2], "2")
    assert mirrored(gallery) == held(gallery) != before
    Review(gallery, "ana").undo()
    assert mirrored(gallery) == held(gallery) == before


def test_a_try_that_fails_says_whether_it_was_refused_or_not_answered(gallery: Gallery, receiver: Receiver) -> None:
    def said(webhook: Webhook) -> str:
        with pytest.raises(DeliveryError) as failed:
            follow(gallery, webhook, 0)
        return str(failed.value)

    receiver.answers = [0]
    assert "no answer within 0.3 seconds" in said(Webhook(receiver.url, attempts=1, timeout=0.3))
    receiver.stop()
    refused = said(Webhook(receiver.url, attempts=1, timeout=30.0))
    assert "no answer within" not in refused
    assert "refused" in refused
