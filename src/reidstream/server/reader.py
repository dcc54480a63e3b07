"""One who reads sources in another process, at the server's end: what is asked is done at the desk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from reidstream.errors import ReIDStreamError
from reidstream.server.desk import Desk


class Reader:
    """Answers the requests of a ``RemoteStore``. told: what it reports of its sources; whether it may go on."""

    def __init__(self, desk: Desk, told: Callable[[dict[str, Any]], bool]) -> None:
        self._desk, self._told = desk, told

    def answer(self, requests: Connection, answers: Connection) -> None:
        """Until the other end has closed. What it began and did not end is broken off then."""
        while True:
            try:
                name, arguments = requests.recv()
            except (EOFError, OSError):
                break
            try:
                answer: tuple[bool, Any] = (True, self._do(name, arguments))
            except ReIDStreamError as error:
                answer = (False, str(error))
            with contextlib.suppress(OSError):
                answers.send(answer)
        self._desk.break_off(self)

    def _do(self, name: str, arguments: tuple[Any, ...]) -> Any:
        desk = self._desk
        match name:
            case "begin":
                started, settings, replace, formerly = arguments
                begin = desk.begin_source(started, settings, replace=replace, formerly=formerly, reader=self)
                return begin.value
            case "add":
                return desk.store(*arguments)
            case "leave out":
                desk.leave_out(*arguments)
            case "end":
                desk.end_source(*arguments)
            case "clip":
                return desk.about_clip(*arguments)
            case "watched":
                return [name for name in arguments[0] if desk.watches(name)]
            case "saw":
                desk.watching.put(*arguments)
            case "settle":
                desk.settle()
            case "report":
                return self._told(*arguments)
        return None
