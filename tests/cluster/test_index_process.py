"""A process that holds the vectors of a gallery on PostgreSQL and answers all who search it."""

from __future__ import annotations

import http.client
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.cluster import index_process
from reidstream.cluster.index_process import HeldVectors, IndexService
from reidstream.errors import ConfigError
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.index import processes
from reidstream.gallery.index.processes import announced
from reidstream.types import FloatArray, Match, Tracklet
from tests.cluster.processes import Command, wait_until
from tests.gallery.conftest import SETTINGS, SPACE, some_tracklets, started
from tests.postgres import PostgresServer


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens every few seconds happens at once."""
    monkeypatch.setattr(index_process, "_LOOKS", 0.02)
    monkeypatch.setattr(index_process, "COMPARED_EVERY", 0.0)
    monkeypatch.setattr(processes, "_LOOK_EVERY", 0.0)


def filled(url: str, *batches: Sequence[Tracklet]) -> Gallery:
    gallery = Gallery.open(url, write=True, create=True, space=SPACE)
    for batch in batches:
        gallery.begin_source(started(batch[0].source, batch[0].content), SETTINGS)
        gallery.add(batch)
    return gallery


@contextmanager
def serving(url: str) -> Iterator[IndexService]:
    service = IndexService(url, "127.0.0.1", 0)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        wait_until(lambda: known(url), "the process to be known")
        yield service
    finally:
        service.stop()
        thread.join()


def known(url: str) -> list[str]:
    with Gallery.open(url) as gallery, gallery.read() as connection:
        return [process.address for process, _ in announced(connection)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each question to a process was answered."""
    answers: list[bool] = []
    ask = processes.Processes.ask

    def noting(self: Any, *arguments: Any) -> Any:
        answer = ask(self, *arguments)
        answers.append(answer is not None)
        return answer

    monkeypatch.setattr(processes.Processes, "ask", noting)
    return answers


def nearest(tracklets: Sequence[Tracklet], query: FloatArray, k: int) -> list[str]:
    vectors = np.stack([t.embedding for t in tracklets])
    return [tracklets[n].id for n in np.argsort(-(vectors @ query), kind="stable")[:k]]


def ids(matches: Sequence[Match]) -> list[str]:
    return [match.tracklet for match in matches]


def test_everybody_who_searches_asks_it_and_finds_what_they_would_have_found(postgres: str, asked: list[bool]) -> None:
    door = some_tracklets(120)
    hall = some_tracklets(90, source="hall", content="content-hall", start=5000.0)
    with filled(postgres, door, hall) as owner, serving(postgres), Gallery.open(postgres) as reader:
        query = hall[3].embedding
        for one in (owner, reader):
            assert ids(one.search(query, 7)[0]) == nearest([*door, *hall], query, 7)
            assert [m.similarity for m in one.search(query, 3)[0]] == pytest.approx(
                sorted((float(t.embedding @ query) for t in (*door, *hall)), reverse=True)[:3], abs=1e-6
            )
            for where, left in (
                (Filter(sources=("door",)), door),
                (Filter(contents=("content-hall",)), hall),
                (Filter(sources=("hall", "nowhere")), hall),
                (Filter(sources=("nowhere",)), []),
                (Filter(since=5030.0), [t for t in hall if t.end_wall >= 5030.0]),
                (Filter(until=1020.0), [t for t in door if t.start_wall <= 1020.0]),
                (Filter(media_since=50.0, media_until=60.0), [t for t in (*door, *hall) if 48 <= t.start_media <= 60]),
            ):
                assert ids(one.search(query, 5, where)[0]) == (nearest(left, query, 5) if left else []), where
            assert len(one.search(np.stack([query, door[0].embedding]), 2)) == 2
        assert asked and all(asked)


def test_what_was_stored_a_moment_ago_is_found_and_what_was_erased_is_not(
    postgres: str, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracklets = some_tracklets(60)
    with filled(postgres, tracklets[:50]) as owner, serving(postgres), Gallery.open(postgres) as reader:
        # It looks no more: what follows, whoever asks has to know by themselves.
        monkeypatch.setattr(HeldVectors, "take_in", lambda *_: 0)
        monkeypatch.setattr(HeldVectors, "compare", lambda *_: 0)
        owner.add(tracklets[50:])
        gone = [t.id for t in tracklets[:20]]
        owner.erase(gone)
        left = tracklets[20:]
        for t in (tracklets[0], tracklets[55]):
            assert ids(reader.search(t.embedding, 5)[0]) == nearest(left, t.embedding, 5)
        assert set(ids(reader.search(tracklets[0].embedding, 40)[0])) == {t.id for t in left}
        assert asked and all(asked)


def test_what_was_erased_leaves_its_memory_and_a_renamed_source_is_followed(postgres: str) -> None:
    tracklets = some_tracklets(40)
    other = some_tracklets(20, source="hall", content="content-hall")
    with filled(postgres, tracklets, other) as owner, serving(postgres) as service:
        held = service._held
        assert held is not None and len(held) == 60
        owner.erase([t.id for t in tracklets[:9]])
        wait_until(lambda: len(held) == 51, "what was erased to be gone")
        with owner.write() as connection:
            connection.exec_driver_sql("UPDATE tracklets SET source = 'lobby' WHERE source = 'hall'")
        query = other[2].embedding
        lobby = Filter(sources=("lobby",))
        wait_until(lambda: len(held) == 51 and held._codes[0].get("lobby") is not None, "the new name")
        wait_until(lambda: ids(owner.search(query, 4, lobby)[0]) == nearest(other, query, 4), "the rows under it")


def test_one_that_died_is_not_waited_for_and_nothing_is_missed(
    postgres: str, tmp_path: Path, asked: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    tracklets = some_tracklets(50)
    with filled(postgres, tracklets) as gallery:
        command = Command(tmp_path / "log", "index", "--gallery", postgres)
        try:
            wait_until(lambda: "in memory, answering at 127.0.0.1:" in command.said, "the process")
            assert "50 tracklets of " in command.said
            wait_until(lambda: known(postgres), "the process to be known")
            query = tracklets[7].embedding
            assert ids(gallery.search(query, 5)[0]) == nearest(tracklets, query, 5)
            assert asked == [True]
            command.kill()
            with caplog.at_level(logging.WARNING):
                assert ids(gallery.search(query, 5)[0]) == nearest(tracklets, query, 5)
            assert "does not answer" in caplog.text
            assert asked == [True, False]
            # For a while nobody tries it again, and it is said once.
            caplog.clear()
            assert ids(gallery.search(query, 5)[0]) == nearest(tracklets, query, 5)
            assert not caplog.records
        finally:
            command.kill()
        another = Command(tmp_path / "log2", "index", "--gallery", postgres)
        try:
            wait_until(lambda: len(known(postgres)) == 2, "another process")
            assert ids(gallery.search(query, 5)[0]) == nearest(tracklets, query, 5)
            assert asked[-1]
        finally:
            assert another.end() == 0
        assert len(known(postgres)) == 1, "the one that ended in order is not named any more"


def test_it_goes_on_when_the_database_was_away_and_finds_a_gallery_that_is_another(
    postgres: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_process, "_HEARD_EVERY", 0.1)
    tracklets = some_tracklets(30)
    with filled(postgres, tracklets[:20]), serving(postgres) as service:
        before = service._held
        postgres_server.restart()
        wait_until(lambda: known(postgres), "the process to be known again")
        assert service._held is before
    with filled(postgres) as owner, serving(postgres) as service:
        owner.begin_source(started(), SETTINGS)
        owner.add(tracklets[20:])
        wait_until(lambda: service._held is not None and len(service._held) == 30, "the new rows")
        former = service._held
        with owner.write() as connection:
            connection.exec_driver_sql("UPDATE meta SET value = 'another' WHERE key = 'uuid'")
        wait_until(lambda: service._held is not former and service._held is not None and service._held.whole, "it")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"secret": "guessed"}, 401, "secret"),
        ({"gallery": "another"}, 409, "another gallery"),
        ({"space": "another"}, 409, "another gallery"),
        ({"queries": "AAAA"}, 400, "cannot be read"),
        ({"queries": "%%"}, 400, "cannot be read"),
        ({"k": 0}, 400, "not answered"),
        ({"k": 10**9}, 400, "not answered"),
        ({"k": "many"}, 400, "cannot be read"),
        ({"where": {"colour": "red"}}, 400, "unknown in a filter: colour"),
        ({"where": {"since": "now"}}, 400, "cannot be read"),
        ({"where": []}, 400, "cannot be read"),
        ({"where": {"zones": ["till"]}}, 400, "not answered"),
        ({"path": "/"}, 404, "/nearest"),
    ],
)
def test_strangers_and_nonsense_are_refused_in_words(
    postgres: str, change: dict[str, Any], status: int, words: str
) -> None:
    tracklets = some_tracklets(5)
    with filled(postgres, tracklets) as gallery, serving(postgres) as service:
        question = json.loads(processes._asked(gallery.facts(), np.stack([tracklets[0].embedding]), 3, Filter()))
        secret = change.pop("secret", service.process.secret)
        path = change.pop("path", processes.PATH)
        line = http.client.HTTPConnection(service.process.address, timeout=30)
        line.request("POST", path, json.dumps({**question, **change}), {"Authorization": f"Bearer {secret}"})
        response = line.getresponse()
        said = json.loads(response.read())
        line.close()
        assert response.status == status
        assert words in said["error"]


def test_while_it_reads_it_says_so_and_folders_are_refused(postgres: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        IndexService(str(tmp_path), "127.0.0.1", 0)
    service = IndexService(postgres, "127.0.0.1", 0)
    with pytest.raises(ConfigError, match=r"cannot listen at 127\.0\.0\.1 port \d+: .*--port"):
        IndexService(postgres, "127.0.0.1", service._server.server_port)
    with pytest.raises(index_process._Refused, match="ask again later"):
        service.answer(b"{}")
    service._server.server_close()


def test_an_answer_that_makes_no_sense_is_none(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracklets = some_tracklets(12)
    query = tracklets[4].embedding
    with filled(postgres, tracklets) as gallery, serving(postgres) as service:
        for answer in (b"{}", b"[]", b"no JSON", b'{"nearest": [], "revision": 1}', b'{"nearest": [{"ids": [1]}]}'):
            monkeypatch.setattr(service, "answer", lambda *_, answer=answer: answer)
            # As one who has not been disappointed by it yet.
            gallery._searcher.close()
            gallery._searcher._processes = processes.Processes()
            assert ids(gallery.search(query, 3)[0]) == nearest(tracklets, query, 3)
