"""The queue between NVIDIA's streaming thread and the reader: what waits, what gives way, what is counted."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from reidstream.engines.deepstream.metadata.arrays import FrameArrays
from reidstream.engines.deepstream.running.handover import Handover, Item, PipelineOver, StreamOver

LIVE, FILE = 1, 0


def frame(pad: int, number: int) -> FrameArrays:
    none = np.zeros(0, np.float32)
    return FrameArrays(
        pad, number, None, None, (10, 10), np.zeros(0, np.uint64), np.zeros((0, 4), np.float32), none,
        np.zeros(0, np.int64), np.zeros((0, 8), np.float32), none,
    )  # fmt: skip


@pytest.fixture
def dropped() -> Counter[int]:
    return Counter()


@pytest.fixture
def queue(dropped: Counter[int]) -> Handover:
    return Handover(3, is_live=lambda pad: pad == LIVE, dropped=lambda pad: dropped.update([pad]))


def taken(queue: Handover) -> list[Item]:
    items: list[Item] = []
    while (item := queue.take(0)) is not None:
        items.append(item)
    return items


def numbers(items: list[Item]) -> list[int]:
    return [item.number for item in items if isinstance(item, FrameArrays)]


def test_cameras_lose_their_oldest_frames_and_never_wait(queue: Handover, dropped: Counter[int]) -> None:
    for number in range(10):
        queue.put_frame(frame(LIVE, number))
    assert len(queue) == 3
    assert numbers(taken(queue)) == [7, 8, 9]
    assert dropped == {LIVE: 7}


def test_files_wait_and_lose_nothing(queue: Handover, dropped: Counter[int]) -> None:
    writer = threading.Thread(target=lambda: [queue.put_frame(frame(FILE, number)) for number in range(50)])
    writer.start()
    items = [queue.take(10) for _ in range(50)]
    writer.join(10)
    assert [item.number for item in items if isinstance(item, FrameArrays)] == list(range(50))
    assert not dropped


def test_a_full_queue_of_files_turns_a_cameras_frame_away(queue: Handover, dropped: Counter[int]) -> None:
    """The streaming thread serves all sources: it must not wait for a camera's frame."""
    for number in range(3):
        queue.put_frame(frame(FILE, number))
    queue.put_frame(frame(LIVE, 0))
    assert numbers(taken(queue)) == [0, 1, 2]
    assert dropped == {LIVE: 1}


def test_a_files_frame_takes_the_place_of_a_cameras(queue: Handover, dropped: Counter[int]) -> None:
    for pad, number in ((LIVE, 1), (FILE, 2), (LIVE, 3), (FILE, 4)):
        queue.put_frame(frame(pad, number))
    assert numbers(taken(queue)) == [2, 3, 4]
    assert dropped == {LIVE: 1}


def test_notes_always_find_room_and_keep_their_place(queue: Handover) -> None:
    for number in range(5):
        queue.put_frame(frame(LIVE, number))
        queue.put_note(StreamOver(number, in_order=True))
    queue.put_note(PipelineOver())
    items = taken(queue)
    assert [item.source_index for item in items if isinstance(item, StreamOver)] == [0, 1, 2, 3, 4]
    assert isinstance(items[-1], PipelineOver)
    assert [type(item).__name__ for item in items[:4]] == ["StreamOver", "StreamOver", "FrameArrays", "StreamOver"]


def test_release_lets_a_waiting_file_go(queue: Handover) -> None:
    for number in range(3):
        queue.put_frame(frame(FILE, number))
    waiting = threading.Thread(target=queue.put_frame, args=(frame(FILE, 3),))
    waiting.start()
    queue.release()
    waiting.join(10)
    assert not waiting.is_alive()
    assert numbers(taken(queue)) == [0, 1, 2]
