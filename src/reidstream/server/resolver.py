"""Deciding everybody anew in a process of its own.

Comparing 100,000 tracklets takes minutes of one core. In a thread of the server it would hold the interpreter that
requests and storing need; in a child that reads the gallery beside it, it costs them nothing, and when it is killed
nothing has happened.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from reidstream.children import conversing_child
from reidstream.config.identities import IdentityConfig
from reidstream.errors import IdentityError
from reidstream.identities.applying import Part


@dataclass(frozen=True, slots=True)
class ResolveOrder:
    """What the child is told. gallery: where it is."""

    gallery: str
    config: IdentityConfig


@dataclass(frozen=True, slots=True)
class Found:
    """What the child found. before: the newest operation that it knew of. parts: what is to change, part by part.

    counts, summary: of the proposal as a whole; see ``Proposal``.
    """

    before: int
    parts: tuple[Part, ...]
    counts: Mapping[str, int]
    summary: str


class Resolver:
    """Runs one child at a time. ``stop`` ends it from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @property
    def process(self) -> int | None:
        """The child's process id while there is one."""
        with self._lock:
            return None if self._child is None else self._child.pid

    def propose(self, gallery: str, config: IdentityConfig) -> Found:
        """Everybody decided anew, in the child. Raises IdentityError, also when the child dies; nothing is written."""
        with self._lock:
            if self._stopped:
                raise IdentityError("the server is ending; nothing was changed")
            self._child, requests, answers = conversing_child("reidstream.server.resolver_process")
        child = self._child
        try:
            with requests, answers, contextlib.suppress(EOFError, OSError):
                requests.send(ResolveOrder(gallery, config))
                done, found = answers.recv()
                if not done:
                    raise IdentityError(found)
                assert isinstance(found, Found)
                return found
        finally:
            status = child.wait()
            with self._lock:
                self._child = None
        if self._stopped:
            raise IdentityError("the server was stopped while everybody was being decided anew; nothing was changed")
        raise IdentityError(
            f"the process that decides everybody anew ended with status {status}; nothing was changed. "
            "If the machine had too little memory, decide on one that has more"
        )

    def stop(self) -> None:
        """End the child; whoever waits for it gets an IdentityError, and so does whoever begins another."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.kill()
