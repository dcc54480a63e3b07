"""What is asked of processes that hold an index in memory, what they answer, and who among them is asked."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.gallery import Filter, Gallery
from reidstream.gallery.facts import write_facts
from reidstream.gallery.index import processes
from reidstream.gallery.index.exact import Nearest
from reidstream.gallery.index.processes import (
    HEARD_SECONDS,
    Answered,
    IndexProcess,
    Processes,
    announce,
    announced,
    answer_of,
    filter_of,
    withdraw,
)
from tests.exact import EXACT

from .conftest import SPACE

NAMES = st.lists(st.text(max_size=5), max_size=3).map(tuple)
TIMES = st.none() | st.floats(0, 2e9)


@given(
    st.builds(
        Filter,
        sources=NAMES,
        contents=NAMES,
        zones=NAMES,
        since=TIMES,
        until=TIMES,
        media_since=TIMES,
        media_until=TIMES,
    )
)
def test_a_filter_arrives_as_it_was_asked_with(where: Filter) -> None:
    facts: Any = type("Facts", (), {"uuid": "u", "space": SPACE})
    asked = json.loads(processes._asked(facts, np.eye(2, 4, dtype=np.float32), 3, where))
    assert filter_of(asked["where"]) == where
    assert (asked["k"], asked["gallery"], asked["space"]) == (3, "u", SPACE.fingerprint)


@pytest.mark.parametrize("said", [{"colour": "red"}, {"since": "noon"}, {"since": [1]}])
def test_what_is_no_filter_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        filter_of(said)


NEAREST = [Nearest(["a", "b"], np.array([0.5, 0.25], np.float32)), Nearest([], np.zeros(0, np.float32))]


def test_an_answer_arrives_as_it_was_given() -> None:
    answered = processes._answered(json.loads(answer_of(NEAREST, 7)), 2)
    assert answered.revision == 7
    assert [one.ids for one in answered.nearest] == [["a", "b"], []]
    for one, given_ in zip(answered.nearest, NEAREST, strict=True):
        np.testing.assert_array_equal(one.similarities, given_.similarities)
        assert one.similarities.dtype == np.float32


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["nearest"].pop(),
        lambda said: said["nearest"].append(said["nearest"][1]),
        lambda said: said["nearest"][0]["ids"].pop(),
        lambda said: said["nearest"][0].update(ids=["a", 7]),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(change: Any) -> None:
    said = json.loads(answer_of(NEAREST, 7))
    change(said)
    with pytest.raises(ValueError, match="answer"):
        processes._answered(said, 2)


@pytest.fixture
def gallery(postgres: str) -> Iterator[Gallery]:
    with Gallery.open(postgres, write=True, create=True, space=SPACE, config=EXACT) as opened:
        yield opened


def heard_before(gallery: Gallery, name: str, seconds: float) -> None:
    """A process was last heard of so long ago."""
    with gallery.write() as connection:
        announce(connection, IndexProcess(name, f"{name}:1", "secret"))
        said = json.loads(
            connection.exec_driver_sql("SELECT value FROM meta WHERE key LIKE %s", (f"%{name}",)).scalar()
        )
        write_facts(connection, **{f"index process {name}": json.dumps({**said, "heard": said["heard"] - seconds})})


def test_who_was_heard_of_is_known_and_who_was_not_for_long_is_not(gallery: Gallery) -> None:
    for name, seconds in (("late", HEARD_SECONDS / 2), ("now", 0.0), ("dead", HEARD_SECONDS + 1)):
        heard_before(gallery, name, seconds)
    with gallery.read() as connection:
        found = announced(connection)
    assert [one for one, _ in found] == [
        IndexProcess("now", "now:1", "secret"),
        IndexProcess("late", "late:1", "secret"),
    ]
    (_, now), (_, late) = found
    assert 0 <= now < 10
    assert HEARD_SECONDS / 2 <= late < HEARD_SECONDS
    with gallery.write() as connection:
        withdraw(connection, "now")
        left = connection.exec_driver_sql("SELECT key FROM meta WHERE key LIKE 'index process%%'").scalars().all()
    assert left == ["index process late"]


class Line:
    """The processes of a gallery and the time, as a test wants them; ``asked``: who was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.looked = 0
        monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(processes, "announced", self._announced)
        monkeypatch.setattr(Processes, "_exchanged", self._exchanged)
        self._processes = Processes()

    def _announced(self, _connection: object) -> list[tuple[IndexProcess, float]]:
        self.looked += 1
        return [(IndexProcess(name, f"{name}:1", "s"), 0.0) for name in ("one", "two")]

    def _exchanged(self, process: IndexProcess, _body: bytes) -> dict[str, Any]:
        self.asked.append(process.name)
        if process.name in self.broken:
            raise http.client.HTTPException("gone")
        said: dict[str, Any] = json.loads(answer_of(NEAREST[:1], 7))
        return said

    def ask(self) -> tuple[Answered | None, list[str]]:
        self.asked.clear()
        facts: Any = type("Facts", (), {"uuid": "u", "space": SPACE})
        connection: Any = None
        answer = self._processes.ask(connection, facts, np.eye(1, 4, dtype=np.float32), 2, Filter())
        return answer, list(self.asked)


def test_who_does_not_answer_is_left_alone_for_a_while_and_the_next_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch)
    answer, asked = line.ask()
    assert answer is not None
    assert (answer.revision, asked) == (7, ["one"])
    line.broken = {"one"}
    assert line.ask()[1] == ["one", "two"]
    assert line.ask()[1] == ["two"]
    line.broken = {"one", "two"}
    assert line.ask() == (None, ["two"])
    assert line.ask() == (None, [])
    line.now += processes._PAUSE - 0.5
    assert line.ask() == (None, [])
    line.broken = set()
    line.now += 0.5
    assert line.ask()[1] == ["one"]


def test_who_there_is_is_remembered_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch)
    for _ in range(3):
        line.ask()
    line.now += processes._LOOK_EVERY
    line.ask()
    assert line.looked == 1
    line.now += 0.1
    line.ask()
    assert line.looked == 2
    # Somebody died: it is looked at once who there is.
    line.broken = {"one"}
    line.ask()
    line.ask()
    assert line.looked == 3
