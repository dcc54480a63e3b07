"""One session on a device for callers in many threads: what waits, of all sources, is run together."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from reidstream.errors import DeviceError
from reidstream.inference.network import Answer

# Seconds to wait for a run that is under way when the program ends.
_LAST_RUN = 10.0
# Runs that the device has at the same time: one that it works on and one that is ready behind it.
_UNDER_WAY = 2

I_contra = TypeVar("I_contra", contravariant=True)
A = TypeVar("A", bound="Answers")


class Answers(Protocol):
    """One for each image: an array or a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


class Rows(Protocol[I_contra, A]):
    """What runs up to ``rows`` images at once, in one thread; see FixedSession."""

    path: Path
    rows: int

    @property
    def takes_cuts(self) -> bool: ...

    def begin(self, pictures: Sequence[I_contra]) -> Any:
        """Start a run."""

    def end(self, run: Any) -> A:
        """Wait for a run: an answer for each image."""

    def joined(self, parts: Sequence[A]) -> A:
        """Answers of several runs, one after the other; at least one."""


class SharedBatch(Generic[I_contra, A]):
    """A thread that owns a session, and runs whatever its callers wait for, up to a full batch, as soon as it can.

    A run costs the same for one picture as for all. With little to do a picture goes alone at once, and while it runs,
    more pile up; the next batch is given to a device that is busy only once it is half full. With ``patience`` a batch
    that is not full waits so many seconds for more, and behind another for its end. What was asked for ahead, before
    anybody knows whether it will be needed, fills up what is left of a batch, and has the device when it would be idle.
    Which pictures share a batch depends on timing; that changes nothing for any of them, since every run has the same
    size and a row's result does not depend on the other rows.

    open_session: called once, in the thread that will run it; what it raises is raised here.
    """

    def __init__(self, open_session: Callable[[], Rows[I_contra, A]], patience: float = 0.0) -> None:
        self._waiting: _Waiting[A] = _Waiting(patience)
        opened: Future[tuple[Path, bool]] = Future()
        thread = threading.Thread(
            target=_serve, args=(open_session, self._waiting, opened), name="inference", daemon=True
        )
        thread.start()
        self.path, self.takes_cuts = opened.result()
        # The thread knows what waits but not this object, so that it ends when nobody can ask for anything any more.
        weakref.finalize(self, _end, self._waiting, thread)

    def run(self, images: Sequence[I_contra]) -> A:
        """The answers for n images, n at least 1. Safe from several threads; raises what the session raises."""
        return self.submit(images).result()

    def start(self, images: Sequence[I_contra]) -> Answer:
        """Like ``run`` of a network, but the answer is waited for when it is called."""
        return answer_of(self.submit(images))

    def submit(self, images: Sequence[I_contra]) -> Future[A]:
        """Like ``run``, with the answers in the future; callbacks of that are called in the session's thread."""
        order: Order[A] = Order(images, self._waiting)
        self._waiting.add(order)
        return order.done

    def ahead(self, count: int, images: Callable[[], Sequence[I_contra]]) -> Order[A]:
        """``count`` images, at least one, that perhaps nobody will ask for; see ``Order``. They are made when they are
        run, if they are."""
        order: Order[A] = Order(images, self._waiting, count)
        self._waiting.add(order, urgent=False)
        return order


class Order(Generic[A]):
    """The images of one call, and the answers so far.

    done: the answers, as soon as all are there.
    """

    def __init__(
        self, images: Sequence[Any] | Callable[[], Sequence[Any]], waiting: _Waiting[A], count: int | None = None
    ) -> None:
        """count: how many images there are, where they are made when they are needed."""
        self._images = images
        self.done: Future[A] = Future()
        self.count = len(images) if not callable(images) else count or 0
        self.begun = 0
        """Images that have been taken."""
        self._waiting = waiting
        self._parts: list[A] = []
        self._left = self.count

    @property
    def images(self) -> Sequence[Any]:
        """To be asked for by one thread."""
        if callable(self._images):
            self._images = self._images()
        return self._images

    def hurry(self) -> None:
        """Somebody waits for it now."""
        self._waiting.hurry(self)

    def drop(self) -> None:
        """Nobody will ask for it any more."""
        self._waiting.drop(self)

    def answer(self, part: A, joined: Callable[[Sequence[A]], A]) -> None:
        """The answers for the next images."""
        self._parts.append(part)
        self._left -= len(part)
        if self._left == 0:
            self.done.set_result(joined(self._parts))

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def answer_of(done: Future[Any]) -> Answer:
    """What will be in the future."""
    return Answer(done.result, done.done, lambda call: done.add_done_callback(lambda _: call()))


Taken = list[tuple[Order[A], int, int]]
"""Orders, and from where to where their images are taken."""


class _Waiting(Generic[A]):
    """Images that nobody has run yet: those that somebody waits for and others, both in the order they came in.

    patience: seconds that a batch waits to be full.
    """

    def __init__(self, patience: float = 0.0) -> None:
        self.patience = patience
        self._since = 0.0
        self._full = 1
        self._urgent: deque[Order[A]] = deque()
        self._ahead: deque[Order[A]] = deque()
        self._count = 0
        self._changed = threading.Condition()
        self._closed = False

    def add(self, order: Order[A], urgent: bool = True) -> None:
        with self._changed:
            if self._closed:
                raise DeviceError("the models' thread has ended; open the models anew")
            (self._urgent if urgent else self._ahead).append(order)
            if not self._count:
                self._since = time.monotonic()
            if not self._count or self._count < self._full <= self._count + order.count:
                self._changed.notify()
            self._count += order.count

    def hurry(self, order: Order[A]) -> None:
        with self._changed:
            if order in self._ahead:
                self._ahead.remove(order)
                self._urgent.append(order)

    def drop(self, order: Order[A]) -> None:
        with self._changed:
            if order in self._ahead:
                self._ahead.remove(order)
                self._count -= order.count - order.begun

    def take(self, most: int, wait: bool = True, least: int = 1) -> Taken[A]:
        """Up to ``most`` of them, as soon as there is one; none when no more can come. Without ``wait`` none, either,
        when there are fewer than ``least``."""
        with self._changed:
            self._full = most if self.patience else 1
            while wait and self._count < self._full and not self._closed:
                left = self._since + self.patience - time.monotonic() if self._count else None
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            taken: Taken[A] = []
            if not wait and self._count < least:
                return taken
            for orders in (self._urgent, self._ahead):
                while orders and most:
                    order = orders[0]
                    begin, order.begun = order.begun, min(order.begun + most, order.count)
                    taken.append((order, begin, order.begun))
                    most -= order.begun - begin
                    self._count -= order.begun - begin
                    if order.begun == order.count:
                        orders.popleft()
            self._since = time.monotonic()
            return taken

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


def _serve(open_session: Callable[[], Rows[Any, A]], waiting: _Waiting[A], opened: Future[tuple[Path, bool]]) -> None:
    try:
        session = open_session()
    except BaseException as error:  # noqa: BLE001 - raised where the session was asked for
        opened.set_exception(error)
        return
    opened.set_result((session.path, session.takes_cuts))
    under_way: deque[tuple[Taken[A], Any]] = deque()
    while True:
        least = session.rows if waiting.patience else (session.rows + 1) // 2
        taken = waiting.take(session.rows, wait=not under_way, least=least)
        if taken:
            try:
                run = session.begin([image for order, begin, end in taken for image in order.images[begin:end]])
            except Exception as error:  # noqa: BLE001 - raised where the images came from
                _fail(taken, error)
            else:
                under_way.append((taken, run))
        elif not under_way:
            return
        if under_way and (not taken or len(under_way) == _UNDER_WAY):
            _answer(session, *under_way.popleft())
        # Pictures are not to be held while there is nothing to do.
        taken = []


def _answer(session: Rows[Any, A], taken: Taken[A], run: Any) -> None:
    try:
        answers = session.end(run)
    except Exception as error:  # noqa: BLE001 - as above
        _fail(taken, error)
        return
    place = 0
    for order, begin, end in taken:
        order.answer(answers[place : place + end - begin], session.joined)
        place += end - begin


def _fail(taken: Taken[A], error: Exception) -> None:
    for order, _, _ in taken:
        order.fail(error)


def _end(waiting: _Waiting[Any], thread: threading.Thread) -> None:
    waiting.close()
    if thread is not threading.current_thread():
        thread.join(_LAST_RUN)
