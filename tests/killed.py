"""Jobs in processes that tests kill, forked from one that has imported everything: a start costs next to nothing."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.pipeline.job", "tests.pipeline.reembedding_job"])


class Job:
    """A function in a process of its own. ``lines``: what it writes to its standard output."""

    def __init__(self, run: Callable[..., Any], *arguments: Any) -> None:
        with _everything_found():
            forkserver.ensure_running()
        reading, writing = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_redirected, args=(writing, run, arguments), daemon=True)
        self._process.start()
        writing.close()
        self.lines = os.fdopen(os.dup(reading.fileno()))
        reading.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self.lines.close()


def _redirected(writing: Connection, run: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.dup2(writing.fileno(), 1)
    writing.close()
    run(*arguments)


@contextmanager
def _everything_found() -> Iterator[None]:
    """Where this process looks for modules, the one that others are forked from looks, too."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
