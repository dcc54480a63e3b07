"""When a cheaper form of a graph is taken, and how a thread that runs models ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from reidstream.errors import DeviceError, ModelError
from reidstream.inference import lean_graph, shared_batch
from reidstream.inference.lean_graph import LeanGraph, columns_of
from reidstream.inference.shared_batch import Order, _end, _Waiting
from reidstream.models.graph import padding
from reidstream.types import FloatArray

Run = Callable[[FloatArray], FloatArray]
WIDTH, HEIGHT = 8, 6


def answer(images: FloatArray) -> FloatArray:
    """Three boxes with scores of four classes, all of them of the picture's rows and columns that are not grey."""
    shown = np.where(images == 114, 0, images).sum(axis=(1, 2, 3))
    rows = np.arange(27, dtype=np.float32).reshape(1, 3, 9) + 1
    found: FloatArray = (rows * (1 + shown[:, None, None] / 1e4)).astype(np.float32)
    return found


class Graph:
    """A session of a graph for pictures of 8 by 6; ``form`` is what it becomes with another graph."""

    path = Path("yolox.onnx")

    def __init__(self, run: Run, form: Graph | None = None, shape: tuple[Any, ...] = (1, 3, HEIGHT, WIDTH)) -> None:
        self.run, self._form = run, form
        self.input = SimpleNamespace(shape=shape)
        self.batch = shape[0]
        self.made = 0

    def with_graph(self, _graph: bytes) -> Graph:
        self.made += 1
        if self._form is None:
            raise ModelError("no such graph")
        return self._form


@pytest.fixture
def leaner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph whose score moved from column 7 to column 5."""
    model = SimpleNamespace(SerializeToString=lambda: b"graph")
    monkeypatch.setattr(lean_graph, "_leaner", lambda _session, _column: (model, 5))


def only(columns: list[int], change: Callable[[FloatArray], FloatArray] = lambda found: found) -> Run:
    return lambda images: change(answer(images)[:, :, columns])


def lean(form: Graph | None) -> tuple[LeanGraph, Graph]:
    stored: Any = Graph(answer, form)
    return LeanGraph(stored, (WIDTH, HEIGHT), 7), stored


KEPT = columns_of(7)


def test_the_columns_that_are_left_end_with_the_score() -> None:
    assert KEPT == [0, 1, 2, 3, 4, 7]


@pytest.mark.usefixtures("leaner")
def test_a_form_that_gives_the_same_is_taken() -> None:
    form = Graph(only(KEPT))
    made, _ = lean(form)
    assert (made.session, made.column) == (form, 5)


def endless(found: FloatArray) -> FloatArray:
    changed = found.copy()
    changed[0, 0, 0] = np.inf
    return changed


WRONG: dict[str, Run] = {
    "other numbers": only(KEPT, lambda found: found * 1.01),
    "one other number": only(KEPT, lambda found: found + np.eye(3, 6, dtype=np.float32) * 0.1),
    "another class": only(columns_of(6)),
    "fewer boxes": only(KEPT, lambda found: found[:, :2]),
    "no numbers": only(KEPT, endless),
    "no score": only(KEPT[:5]),
    "another shape": only(KEPT, lambda found: found[0]),
}


@pytest.mark.usefixtures("leaner")
@pytest.mark.parametrize("name", WRONG)
def test_a_form_that_gives_something_else_is_not_taken(name: str) -> None:
    made, stored = lean(Graph(WRONG[name]))
    assert (made.session, made.column) == (stored, 7)
    assert made.fitting((WIDTH, 3)) == (stored, (WIDTH, HEIGHT))


@pytest.mark.usefixtures("leaner")
def test_rounding_is_no_difference() -> None:
    form = Graph(only(KEPT, lambda found: found * np.float32(1 + 1e-6)))
    assert lean(form)[0].session is form


@pytest.mark.usefixtures("leaner")
def test_a_graph_that_cannot_be_made_leaner_is_run_as_it_is() -> None:
    made, stored = lean(None)
    assert (made.session, made.column, stored.made) == (stored, 7, 1)


@pytest.mark.parametrize(("shape", "wanted"), [
    ((1, 3, 3, WIDTH), (WIDTH, 3)), ((1, 3, None, None), (WIDTH, HEIGHT)), ((1, 3, 3, None), (WIDTH, 3))
])  # fmt: skip
def test_a_picture_that_leaves_room_is_given_to_a_form_without_that_room(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[Any, ...], wanted: tuple[int, int]
) -> None:
    """A form of any size takes the whole input; one of a fixed size as much as it is for."""
    monkeypatch.setattr(lean_graph, "_leaner", lambda _session, _column: (ModelProto(), 5))
    monkeypatch.setattr(padding, "skip_padding", lambda _model, axis, needed, _shape: needed if axis == 2 else WIDTH)
    given: list[tuple[int, ...]] = []

    def run(images: FloatArray) -> FloatArray:
        given.append(images.shape[2:])
        return answer(images)[:, :, KEPT]

    made, _ = lean(first := Graph(run))
    short = Graph(run, shape=shape)
    first._form = short
    assert made.fitting((WIDTH, 3)) == (short, wanted)
    assert given[-1] == wanted[::-1]
    # The same again is not made again.
    assert made.fitting((WIDTH, 3)) == (short, wanted)
    assert first.made == 1


def test_a_graph_whose_channels_come_last_is_run_as_it_is() -> None:
    stored: Any = Graph(answer, shape=(1, HEIGHT, WIDTH, 3))
    assert LeanGraph(stored, (WIDTH, HEIGHT), 7).session is stored


# -- the thread of a session


def test_whoever_waits_for_an_answer_gets_it_when_all_of_it_is_there() -> None:
    order: Order[FloatArray] = Order([SimpleNamespace(), SimpleNamespace()], _Waiting())
    order.answer(np.array([[1.0]], np.float32), np.concatenate)
    assert not order.done.done()
    order.answer(np.array([[2.0]], np.float32), np.concatenate)
    assert order.done.result(0).tolist() == [[1.0], [2.0]]
    # A failure of a later run changes nothing.
    order.fail(ValueError("late"))
    assert order.done.exception(0) is None


def _orders(*counts: int) -> tuple[_Waiting[FloatArray], list[Order[FloatArray]]]:
    waiting: _Waiting[FloatArray] = _Waiting()
    return waiting, [Order([object() for _ in range(count)], waiting) for count in counts]


def test_no_more_is_taken_than_fits_and_nothing_after_the_end() -> None:
    waiting, (first, second) = _orders(5, 1)
    assert waiting.take(3, wait=False) == []
    waiting.add(first)
    waiting.add(second)
    assert waiting.take(3) == [(first, 0, 3)]
    # A device that is busy is not given less than is worth it.
    assert waiting.take(4, wait=False, least=4) == []
    waiting.close()
    assert waiting.take(3) == [(first, 3, 5), (second, 0, 1)]
    assert waiting.take(3) == []
    with pytest.raises(DeviceError, match="has ended"):
        waiting.add(first)


def test_what_is_asked_for_ahead_is_made_when_it_is_run() -> None:
    waiting, (first,) = _orders(3)
    made: list[int] = []

    def images() -> list[object]:
        made.append(1)
        return [object(), object()]

    later: Order[FloatArray] = Order(images, waiting, 2)
    waiting.add(later, urgent=False)
    waiting.add(first)
    assert waiting.take(3) == [(first, 0, 3)]
    assert not made
    assert waiting.take(3) == [(later, 0, 2)]
    assert len(later.images) == len(later.images) == 2
    assert made == [1]


def test_a_batch_waits_to_be_full_but_not_for_ever() -> None:
    waiting: _Waiting[FloatArray] = _Waiting(patience=30.0)
    orders: list[Order[FloatArray]] = [Order([object()], waiting) for _ in range(4)]
    taken: list[int] = []
    taking = threading.Thread(target=lambda: taken.append(len(waiting.take(3))))
    for order in orders[:2]:
        waiting.add(order)
    taking.start()
    taking.join(0.05)
    assert taking.is_alive()
    waiting.add(orders[2])
    taking.join(20)
    assert taken == [3]
    waiting.patience = 0.01
    waiting.add(orders[3])
    assert [order for order, _, _ in waiting.take(3)] == [orders[3]]


def test_what_is_asked_for_ahead_fills_what_is_left() -> None:
    waiting, (perhaps, later, sure, dropped) = _orders(3, 4, 2, 5)
    for order in (perhaps, dropped, later):
        waiting.add(order, urgent=False)
    waiting.add(sure)
    dropped.drop()
    later.hurry()
    assert waiting.take(7) == [(sure, 0, 2), (later, 0, 4), (perhaps, 0, 1)]
    # What has begun is answered; of the rest nobody will ask.
    perhaps.drop()
    assert waiting.take(7, wait=False) == []
    dropped.drop()
    sure.hurry()
    assert waiting.take(7, wait=False) == []


def test_ending_waits_for_the_run_that_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: _Waiting[FloatArray] = _Waiting()
    joined: list[float] = []
    thread: Any = SimpleNamespace(join=joined.append)
    _end(waiting, thread)
    assert joined == [shared_batch._LAST_RUN]
    assert waiting.take(1) == []


def test_a_thread_does_not_wait_for_itself() -> None:
    failed: list[BaseException] = []

    def end() -> None:
        try:
            _end(_Waiting(), threading.current_thread())
        except RuntimeError as error:
            failed.append(error)

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    assert failed == []
