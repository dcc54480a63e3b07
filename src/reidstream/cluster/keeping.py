"""Keeping one command of this program running: started again whenever it has ended, for as long as it is wanted."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from reidstream.children import python_child

_log = logging.getLogger(__name__)

_LONGEST_PAUSE = 30.0
_LONG = 60.0
"""A command that ran for so long had begun well: the pause before it is started again is the shortest one."""
_ENDING = 100.0
"""Seconds in which a command that was told to end has to."""


class Kept:
    """A command, from when this is made until ``stop``.

    words: as typed after ``reidstream``. files: name to contents of files that are written into a folder of its own
    first; ``{folder}`` in a word stands for that. again: whether it is started again when it has ended, after a pause
    that grows from one second to half a minute.
    """

    def __init__(
        self,
        words: Sequence[str],
        files: Mapping[str, bytes] | None = None,
        *,
        again: bool = True,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="reidstream-", ignore_cleanup_errors=True)
        for name, contents in (files or {}).items():
            (Path(self._folder.name) / name).write_bytes(contents)
        self._words = [word.replace("{folder}", self._folder.name) for word in words]
        self._again = again
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self.starts = 0
        """How often it was started."""
        self.status: int | None = None
        """With which status it ended last."""
        self._thread = threading.Thread(target=self._keep, name=f"keeping {words[0]}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process of the command; None while none runs."""
        child = self._child
        return None if child is None or child.poll() is not None else child.pid

    def wait(self, seconds: float | None = None) -> int | None:
        """Its last status when it is over; None when it still goes on after so many seconds."""
        self._thread.join(seconds)
        return None if self._thread.is_alive() else self.status

    def stop(self) -> int | None:
        """Have it end in the orderly way, at the latest after a minute and a half; its status."""
        self._stopping.set()
        with self._lock:
            child = self._child
        if child is not None:
            _ask(child)
        return self.wait()

    def _keep(self) -> None:
        pause = 1.0
        with self._folder:
            while not self._stopping.is_set():
                began = time.monotonic()
                self.status = self._once()
                if not self._again or self._stopping.is_set():
                    return
                pause = 1.0 if time.monotonic() - began > _LONG else pause
                _log.warning("%s ended with %s; it is started again in %.0f s", self._words[0], self.status, pause)
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _once(self) -> int:
        # A group of its own: a terminal's Ctrl-C goes to who started the cluster, who then drains everybody.
        with self._lock:
            child = python_child("reidstream.cli.tethered", *self._words, stdin=subprocess.PIPE, process_group=0)
            self._child = child
            self.starts += 1
        if self._stopping.is_set():
            _ask(child)
        with child:
            while True:
                try:
                    return child.wait(1.0)
                except subprocess.TimeoutExpired:
                    if self._stopping.is_set():
                        return _ended_in_time(child)


def _ask(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        os.kill(child.pid, signal.SIGTERM)


def _ended_in_time(child: subprocess.Popen[bytes]) -> int:
    try:
        return child.wait(_ENDING)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
