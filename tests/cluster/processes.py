"""Workers and deciders as their users start them: commands, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reidstream.children import command_of, environment
from reidstream.cluster.opening import opened
from reidstream.cluster.status import status
from reidstream.config import Config

PATIENCE = 180.0


class Command:
    """A running command whose output goes to a file."""

    def __init__(self, log: Path, *words: str) -> None:
        self.log = log
        with log.open("ab") as file:
            self.child = subprocess.Popen(
                command_of("reidstream", *words), stdout=file, stderr=subprocess.STDOUT, env=environment()
            )

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    @property
    def running(self) -> bool:
        return self.child.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def end(self) -> int:
        """Ask it to end; its exit status."""
        self.child.terminate()
        return self.child.wait(PATIENCE)


class Fleet:
    """Commands on one gallery. ``worker`` and ``decider`` start them; what still runs is killed at the end.

    through: the address by which the commands reach it, when that is another.
    """

    def __init__(
        self, folder: Path, url: str, *, lease_seconds: float = 2.0, speed: float = 1.0, through: str = ""
    ) -> None:
        self.url, self._folder, self._commands = url, folder, list[Command]()
        self._speed = speed
        self._common = ("--gallery", through or url, "--set", f"workers.lease_seconds={lease_seconds}")

    def worker(self, *words: str) -> Command:
        return self._start("worker", "--engine", "replay", "--speed", str(self._speed), *self._common, *words)

    def decider(self) -> Command:
        return self._start("decide", *self._common)

    def _start(self, *words: str) -> Command:
        command = Command(self._folder / f"{words[0]}{len(self._commands)}.log", *words)
        self._commands.append(command)
        return command

    def status(self) -> dict[str, Any]:
        with opened(self.url, Config(), None) as there:
            return status(there.database)

    def close(self) -> None:
        for command in self._commands:
            if command.running:
                command.kill()

    def logs(self) -> str:
        return "\n".join(f"--- {c.log.name}\n{c.said}" for c in self._commands)


@contextmanager
def fleet(folder: Path, url: str, **options: Any) -> Iterator[Fleet]:
    made = Fleet(folder, url, **options)
    try:
        yield made
    finally:
        made.close()


def wait_until(true: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """The first answer that is true. Raises AssertionError when there is none in time."""
    until = time.monotonic() + patience
    while not (found := true()):
        if time.monotonic() > until:
            raise AssertionError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.05)
    return found
