"""Frames of several sources waiting for one reader, and pictures of several sources waiting for one device."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from reidstream.engines import EngineStatus
from reidstream.engines.local.detecting import Detecting, Gathered, Separately
from reidstream.engines.local.inbox import Inbox
from reidstream.sources.frame import ArrayPicture, Picture, Pixels
from reidstream.types import Detections
from tests.blobs import BlobDetector


def test_each_source_keeps_its_order_and_what_is_not_ready_waits() -> None:
    ready: set[int] = set()
    inbox: Inbox[int] = Inbox(["a", "b"], 3, ready.__contains__)
    for item in (1, 2):
        assert inbox.put("a", item)
    inbox.put("b", 11)
    ready |= {2, 11}
    assert inbox.take(["a", "b"], wait=False) == ({"b": 11}, [])
    ready.add(1)
    assert inbox.take(["a", "b"], wait=True) == ({"a": 1}, [])
    assert inbox.take(["b"], wait=False) == ({}, [])
    inbox.close("a")
    assert inbox.take(["a", "b"], wait=True) == ({"a": 2}, [])
    assert inbox.take(["a", "b"], wait=True) == ({}, ["a"])


def test_a_full_queue_holds_its_own_source_and_no_other() -> None:
    inbox: Inbox[int] = Inbox(["a", "b"], 1, lambda _: True)
    inbox.put("a", 1)
    waiting = threading.Thread(target=inbox.put, args=("a", 2))
    waiting.start()
    assert inbox.put("b", 11)
    assert inbox.take(["a"], wait=True) == ({"a": 1}, [])
    waiting.join(10)
    assert not waiting.is_alive()
    assert inbox.take(["a"], wait=True) == ({"a": 2}, [])


def test_whoever_waits_for_room_is_woken_once_half_of_the_queue_is_free() -> None:
    inbox: Inbox[int] = Inbox(["a"], 4, lambda _: True)
    for item in range(4):
        inbox.put("a", item)
    told: list[int] = []
    room = inbox._room["a"]
    room.notify = lambda n=1: told.append(len(inbox._items["a"]))  # type: ignore[method-assign]
    for _ in range(4):
        inbox.take(["a"], wait=False)
    assert told == [2, 1, 0]


def test_who_is_not_read_any_more_is_not_held() -> None:
    inbox: Inbox[int] = Inbox(["a"], 1, lambda _: True)
    inbox.put("a", 1)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(inbox.put("a", 2)))
    waiting.start()
    inbox.abandon("a")
    waiting.join(10)
    assert answers == [False]
    assert inbox.take(["a"], wait=False) == ({}, [])


def test_whoever_waits_is_told_what_has_become_ready() -> None:
    ready: set[int] = set()
    inbox: Inbox[int] = Inbox(["a"], 1, ready.__contains__)
    inbox.put("a", 1)
    taken: list[object] = []
    reader = threading.Thread(target=lambda: taken.append(inbox.take(["a"], wait=True)))
    reader.start()
    ready.add(1)
    inbox.look_again()
    reader.join(10)
    assert taken == [({"a": 1}, [])]


def picture(value: int) -> Picture:
    array: Pixels = np.full((4, 6, 3), value, np.uint8)
    return ArrayPicture(array)


class Counting(BlobDetector):
    """Says how bright each picture is, and remembers what it was asked together; the first call waits."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.go = threading.Event()
        self.begun = threading.Event()

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        self.calls.append(len(pictures))
        self.begun.set()
        assert self.go.wait(10)
        values = [float(one.bgr()[0, 0, 0]) for one in pictures]
        return [Detections(np.zeros((1, 4), np.float32), np.array([value], np.float32)) for value in values]


def score(found: list[Detections]) -> list[float]:
    return [float(one.scores[0]) for one in found]


def test_what_waits_is_looked_at_together_and_everybody_gets_their_own() -> None:
    detector = Counting()
    gathered = Gathered(detector, 4, EngineStatus())
    first = [gathered.start([picture(1)], score)]
    assert detector.begun.wait(10)
    # Both threads are busy with one picture each before the others come.
    detector.begun.clear()
    first.append(gathered.start([picture(2)], score))
    assert detector.begun.wait(10)
    rest = [gathered.start([picture(n), picture(n + 1)], score) for n in (10, 20, 30)]
    detector.go.set()
    assert [one.result(10) for one in first] == [[1.0], [2.0]]
    assert [one.result(10) for one in rest] == [[10.0, 11.0], [20.0, 21.0], [30.0, 31.0]]
    assert sorted(detector.calls) == [1, 1, 2, 4]
    gathered.close()


@pytest.mark.parametrize("gather", [True, False])
def test_what_goes_wrong_is_raised_where_it_is_asked_for(gather: bool) -> None:
    class Broken(BlobDetector):
        def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
            raise RuntimeError("the device is gone")

    status = EngineStatus()
    detecting: Detecting = Gathered(Broken(), 4, status) if gather else Separately(Broken(), 1, status)
    with pytest.raises(RuntimeError, match="gone"):
        detecting.start([picture(1)], score).result(10)
    detecting.close()

    def refuse(found: list[Detections]) -> None:
        raise RuntimeError("not with these")

    whole = BlobDetector()
    detecting = Gathered(whole, 4, status) if gather else Separately(whole, 1, status)
    with pytest.raises(RuntimeError, match="not with these"):
        detecting.start([picture(1)], refuse).result(10)
    assert detecting.start([picture(1)], len).result(10) == 1
    detecting.close()


def test_what_has_not_begun_is_cancelled_at_the_end() -> None:
    detector = Counting()
    gathered = Gathered(detector, 1, EngineStatus())
    running = [gathered.start([picture(1)], score)]
    assert detector.begun.wait(10)
    detector.begun.clear()
    running.append(gathered.start([picture(1)], score))
    assert detector.begun.wait(10)
    left = gathered.start([picture(2)], score)
    # What runs goes on until the end has begun.
    left.add_done_callback(lambda _: detector.go.set())
    gathered.close()
    assert left.cancelled()
    assert [one.result(10) for one in running] == [[1.0], [1.0]]


def test_what_comes_is_shown_and_stays() -> None:
    inbox: Inbox[int] = Inbox(["a", "b", "c"], 8, lambda item: item < 10)
    for item in (1, 2, 3, 11, 4):
        inbox.put("a", item)
    inbox.put("b", 12)
    assert inbox.coming(["a", "b", "c"], 2) == {"a": [1, 2], "b": []}
    assert inbox.coming(["a"], 9) == {"a": [1, 2, 3]}
    assert inbox.take(["a"], wait=False) == ({"a": 1}, [])


def test_a_patient_reader_waits_for_all_but_not_for_ever() -> None:
    inbox: Inbox[int] = Inbox(["a", "b"], 8, lambda item: True)
    inbox.put("a", 1)
    taken: list[tuple[dict[str, int], list[str]]] = []
    reader = threading.Thread(target=lambda: taken.append(inbox.take(["a", "b"], wait=True, patience=30.0)))
    reader.start()
    reader.join(0.05)
    assert reader.is_alive()
    inbox.put("b", 2)
    reader.join(20)
    assert taken == [({"a": 1, "b": 2}, [])]
    inbox.put("a", 3)
    assert inbox.take(["a", "b"], wait=True, patience=0.01) == ({"a": 3}, [])
