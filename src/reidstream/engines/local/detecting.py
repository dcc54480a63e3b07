"""Who looks for people in frames: threads that each take one request, few that take whatever waits, or the device."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from reidstream.engines import EngineStatus
from reidstream.inference import Detector, StartingDetector
from reidstream.sources.frame import Picture
from reidstream.types import Detections

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Use = Callable[[list[Detections]], T]
"""What is made of the people in each picture."""


class Detecting(Protocol):
    """Looks for people on threads of its own. Safe to use from several threads."""

    def start(self, pictures: Sequence[Picture], use: Use[T]) -> Future[T]:
        """Begin to look; the result is what ``use`` makes of it, or what went wrong."""

    def close(self) -> None:
        """End; what has not begun is cancelled."""


class Separately:
    """Each request by itself, so that what is looked at together does not depend on what else waits: a processor's
    results may differ in their last bits between batches."""

    def __init__(self, detector: Detector, threads: int, status: EngineStatus) -> None:
        self._detector = detector
        self._status = status
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="detect")

    def start(self, pictures: Sequence[Picture], use: Use[T]) -> Future[T]:
        return self._pool.submit(self._detect, pictures, use)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _detect(self, pictures: Sequence[Picture], use: Use[T]) -> T:
        before = time.perf_counter()
        found = self._detector.detect(pictures)
        self._status.spend("detect", time.perf_counter() - before)
        return use(found)


class Submitted:
    """Handed to a detector that looks at what waits, of all sources, together, and answers from a thread of its own."""

    def __init__(self, detector: StartingDetector, status: EngineStatus) -> None:
        self._detector = detector
        self._status = status
        self._lock = threading.Lock()
        self._busy_until = 0.0

    def start(self, pictures: Sequence[Picture], use: Use[T]) -> Future[T]:
        done: Future[T] = Future()
        begun = time.perf_counter()

        def answer(found: Future[list[Detections]]) -> None:
            try:
                self._spend(begun)
                done.set_result(use(found.result()))
            except Exception as error:  # noqa: BLE001 - raised where the result is asked for
                done.set_exception(error)

        try:
            self._detector.start(pictures).add_done_callback(answer)
        except Exception as error:  # noqa: BLE001 - as above
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Nothing is held here: what was handed over is answered."""

    def _spend(self, begun: float) -> None:
        """The time in which anything at all was being looked at."""
        now = time.perf_counter()
        with self._lock:
            spent = now - max(begun, self._busy_until)
            self._busy_until = now
        self._status.spend("detect", max(spent, 0.0))


class _Request(Generic[T_co]):
    """Pictures that belong together."""

    def __init__(self, pictures: Sequence[Picture], use: Use[T_co]) -> None:
        self.pictures = pictures
        self._use = use
        self.done: Future[T_co] = Future()

    def answer(self, found: list[Detections]) -> None:
        try:
            self.done.set_result(self._use(found))
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            self.done.set_exception(error)


class Gathered:
    """Whatever waits, up to ``most`` pictures, is looked at together.

    A thread that takes one picture at a time hands Python's lock on ten times for each; with a dozen streams that is
    where the time goes. Two threads take turns, so that one prepares while the device works for the other. For networks
    in which a picture's result does not depend on its neighbours.
    """

    def __init__(self, detector: Detector, most: int, status: EngineStatus) -> None:
        self._detector = detector
        self._most = most
        self._status = status
        self._waiting: deque[_Request[object]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"detect {n}", daemon=True) for n in range(2)]
        for thread in self._threads:
            thread.start()

    def start(self, pictures: Sequence[Picture], use: Use[T]) -> Future[T]:
        request = _Request(pictures, use)
        with self._changed:
            self._waiting.append(request)
            self._changed.notify()
        return request.done

    def close(self) -> None:
        with self._changed:
            self._closed = True
            for request in self._waiting:
                request.done.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while requests := self._taken():
            before = time.perf_counter()
            try:
                found = self._detector.detect([picture for request in requests for picture in request.pictures])
            except Exception as error:  # noqa: BLE001 - raised where the results are asked for
                for request in requests:
                    request.done.set_exception(error)
                continue
            self._status.spend("detect", time.perf_counter() - before)
            begin = 0
            for request in requests:
                end = begin + len(request.pictures)
                request.answer(found[begin:end])
                begin = end
            # Pictures are not to be held while there is nothing to do.
            requests = []

    def _taken(self) -> list[_Request[object]]:
        """What waits, as soon as there is something; nothing when nothing more can come."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            taken: list[_Request[object]] = []
            count = 0
            while self._waiting and (not taken or count + len(self._waiting[0].pictures) <= self._most):
                taken.append(self._waiting.popleft())
                count += len(taken[-1].pictures)
            return taken
