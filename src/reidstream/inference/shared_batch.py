"""One session on a device for callers in many threads: what waits, of all sources, is run together."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

import numpy as np

from reidstream.errors import DeviceError
from reidstream.inference.network import Answer
from reidstream.inference.placing import Image
from reidstream.types import FloatArray

# Seconds to wait for a run that is under way when the program ends.
_LAST_RUN = 10.0


class Rows(Protocol):
    """What runs up to ``rows`` pictures at once, in one thread; see FixedSession."""

    path: Path
    rows: int

    @property
    def takes_cuts(self) -> bool: ...

    def run(self, pictures: Sequence[Image]) -> FloatArray: ...


class SharedBatch:
    """A thread that owns a session, and runs whatever its callers wait for, up to a full batch, as soon as it can.

    It never waits for a batch to fill up: with little to do a picture goes alone, and while it runs, more pile up.
    Which pictures share a batch depends on timing; that changes nothing for any of them, since every run has the same
    size and a row's result does not depend on the other rows.

    open_session: called once, in the thread that will run it; what it raises is raised here.
    """

    def __init__(self, open_session: Callable[[], Rows]) -> None:
        self._waiting = _Waiting()
        opened: Future[tuple[Path, bool]] = Future()
        thread = threading.Thread(
            target=_serve, args=(open_session, self._waiting, opened), name="inference", daemon=True
        )
        thread.start()
        self.path, self.takes_cuts = opened.result()
        # The thread knows what waits but not this object, so that it ends when nobody can ask for anything any more.
        weakref.finalize(self, _end, self._waiting, thread)

    def run(self, images: Sequence[Image]) -> FloatArray:
        """float32 (n, ...) for n images, n at least 1. Safe from several threads; raises what the session raises."""
        return self.start(images)()

    def start(self, images: Sequence[Image]) -> Answer:
        """Like ``run``, but the answer is waited for when it is called."""
        order = _Order(images)
        self._waiting.add(order)
        return order.done.result


class _Order:
    """The images of one call, and the answers so far."""

    def __init__(self, images: Sequence[Image]) -> None:
        self.images = images
        self.done: Future[FloatArray] = Future()
        self._left = len(images)
        self._answers: FloatArray | None = None

    def answer(self, place: int, answer: FloatArray) -> None:
        if self._answers is None:
            self._answers = np.empty((len(self.images), *answer.shape), np.float32)
        self._answers[place] = answer
        self._left -= 1
        if self._left == 0:
            self.done.set_result(self._answers)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Waiting:
    """Images that nobody has run yet, in the order in which they came."""

    def __init__(self) -> None:
        self._places: deque[tuple[_Order, int]] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def add(self, order: _Order) -> None:
        with self._changed:
            if self._closed:
                raise DeviceError("the models' thread has ended; open the models anew")
            self._places.extend((order, place) for place in range(len(order.images)))
            self._changed.notify()

    def take(self, most: int) -> list[tuple[_Order, int]]:
        """Up to ``most`` of them, as soon as there is one; none when no more can come."""
        with self._changed:
            while not self._places and not self._closed:
                self._changed.wait()
            return [self._places.popleft() for _ in range(min(most, len(self._places)))]

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


def _serve(open_session: Callable[[], Rows], waiting: _Waiting, opened: Future[tuple[Path, bool]]) -> None:
    try:
        session = open_session()
    except BaseException as error:  # noqa: BLE001 - raised where the session was asked for
        opened.set_exception(error)
        return
    opened.set_result((session.path, session.takes_cuts))
    while taken := waiting.take(session.rows):
        try:
            answers = session.run([order.images[place] for order, place in taken])
        except Exception as error:  # noqa: BLE001 - raised where the images came from
            for order, _ in taken:
                order.fail(error)
            continue
        for (order, place), answer in zip(taken, answers, strict=True):
            order.answer(place, answer)
        # Pictures are not to be held while there is nothing to do.
        taken = []


def _end(waiting: _Waiting, thread: threading.Thread) -> None:
    waiting.close()
    if thread is not threading.current_thread():
        thread.join(_LAST_RUN)
