"""Work of many sources on a few threads: what belongs to one source is done in its order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

Task = Callable[[], None]


class InOrder:
    """The tasks of one source on a pool's threads, one at a time and in the order in which they came.

    At most ``most`` wait: ``do`` waits for room, so that whoever is too slow slows those who ask. A task must not raise.
    Without a pool each task is done at once.
    """

    def __init__(self, pool: ThreadPoolExecutor | None, most: int) -> None:
        self._pool = pool
        self._tasks: deque[Task] = deque()
        self._lock = threading.Lock()
        self._room = threading.Semaphore(most)
        self._running = False

    def do(self, task: Task) -> None:
        if self._pool is None:
            task()
            return
        self._room.acquire()
        with self._lock:
            self._tasks.append(task)
            if self._running:
                return
            self._running = True
        self._pool.submit(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._tasks:
                    self._running = False
                    return
                task = self._tasks.popleft()
            try:
                task()
            finally:
                self._room.release()
