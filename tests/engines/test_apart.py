"""What the process with the models keeps of what tracking processes asked for ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np
import pytest

from reidstream.config import Config
from reidstream.engines import EngineStatus
from reidstream.engines.local.apart.networks import _News, _Side
from reidstream.engines.local.models import Models
from reidstream.engines.local.sampling import FrameCrops
from reidstream.gpu.cuts import Box
from reidstream.inference.network import Answer
from reidstream.inference.shared_batch import answer_of
from reidstream.sources.frame import ArrayPicture, Picture
from reidstream.types import Detections, FloatArray
from tests.blobs import ColourEmbedder

PICTURE = ArrayPicture(np.zeros((40, 40, 3), np.uint8))


class Order:
    """What was asked for ahead, of a device that never comes to it."""

    def __init__(self) -> None:
        self.done: Future[FloatArray] = Future()
        self.heard: list[str] = []

    def hurry(self) -> None:
        self.heard.append("hurry")

    def drop(self) -> None:
        self.heard.append("drop")


class Busy(ColourEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Order] = []

    def start(self, pictures: Sequence[Picture], boxes: Sequence[Box]) -> Answer:
        raise AssertionError("nobody waits")

    def start_ahead(self, pictures: Sequence[Picture], boxes: Sequence[Box]) -> tuple[Answer, Order]:
        self.orders.append(Order())
        return answer_of(self.orders[-1].done), self.orders[-1]


@pytest.fixture
def sides() -> Iterator[tuple[_Side, Busy, Connection]]:
    """The process with the models, which holds three frames, and the end of the tracking process."""
    near, far = Pipe()
    embedder = Busy()
    with ThreadPoolExecutor(1) as copiers:
        side = _Side(near, [], Config(), Models(None, embedder, None), None, _News(EngineStatus()), copiers)
        side._room["a"] = 0
        side._held = {n: ("a", FrameCrops(PICTURE, Detections.empty(), embedder)) for n in (1, 2, 3)}
        yield side, embedder, far
    near.close()
    far.close()


def test_what_nobody_asked_for_is_forgotten_with_the_last_of_its_frames(sides: tuple[_Side, Busy, Connection]) -> None:
    side, embedder, far = sides
    side._do_vectors(7, [1, 2], [(0, 0, 9, 9)] * 2, False)
    (order,) = embedder.orders
    side._do_settled([1])
    assert (order.heard, far.poll()) == ([], False)
    side._do_settled([2, 3])
    assert order.heard == ["drop"]
    kind, number, _ = far.recv()
    assert (kind, number) == ("wrong", 7)
    assert side._room["a"] == 3
    # It may have been begun before.
    order.done.set_result(np.zeros((2, 4), np.float32))
    assert side._ahead == {}


def test_what_somebody_waits_for_outlives_its_frames(sides: tuple[_Side, Busy, Connection]) -> None:
    side, embedder, far = sides
    side._do_vectors(7, [1], [(0, 0, 9, 9)], False)
    side._do_vectors(8, [2], [(0, 0, 9, 9)], False)
    side._do_hurry(7)
    embedder.orders[1].done.set_result(np.zeros((1, 4), np.float32))
    side._do_settled([1, 2])
    assert [order.heard for order in embedder.orders] == [["hurry"], []]
    assert not far.poll()
