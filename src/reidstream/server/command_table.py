"""Commands for a server whose gallery is in PostgreSQL: requests are rows of a table, which whoever owns it answers.

A folder has a socket beside it; a database has none, and who asks may be on another machine. A row is a request of the
HTTP interface, so that every command is the same there and here. Whoever can write to the gallery's database could
change everything by themselves; so whoever asks by this table is the gallery's owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx
from sqlalchemy import Connection, Engine, create_engine, delete, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from reidstream.errors import GalleryError
from reidstream.gallery import Gallery
from reidstream.gallery.database import Place, place_of
from reidstream.gallery.ownership import writer_on
from reidstream.server.access.schema import ERASED, commands, notes
from reidstream.server.guard import DATABASE

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_OWNER = "commands are answered by"
_LOOKS = 0.1
"""Seconds between two looks into the table."""
_LONGEST = 3600.0
"""Seconds after which a row is taken out that nobody has taken out: who asked is gone."""
_STREAMS = ("/stream", "/file")


class CommandTable:
    """Answers what stands in the table while it is entered. app: the application, guard included."""

    def __init__(self, gallery: Gallery, app: ASGIApp) -> None:
        self._gallery, self._app = gallery, app
        self._closing = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._answer()), name="commands", daemon=True)

    def __enter__(self) -> Self:
        with self._gallery.write() as connection:
            # Whoever asked a server before this one was told that it had ended.
            connection.execute(delete(commands))
            connection.execute(delete(notes).where(notes.c.key == _OWNER))
            connection.execute(insert(notes).values(key=_OWNER, value=writer_on(connection) or ""))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        # Who owns the gallery by now, or finds nobody, writes its own.
        with contextlib.suppress(GalleryError), self._gallery.write() as connection:
            connection.execute(delete(notes).where(notes.c.key == _OWNER))

    async def _answer(self) -> None:
        answering: set[asyncio.Task[None]] = set()
        begun: set[int] = set()
        while not self._closing.is_set():
            # What cannot be read just now is read the next time: the database may be starting again.
            with contextlib.suppress(GalleryError):
                for row in await asyncio.to_thread(self._waiting):
                    if row.id not in begun:
                        begun.add(row.id)
                        task = asyncio.create_task(self._do(row.id, row.who, row.request))
                        answering.add(task)
                        task.add_done_callback(answering.discard)
            await asyncio.sleep(_LOOKS)
        await asyncio.gather(*answering)

    def _waiting(self) -> list[Any]:
        with self._gallery.read() as connection:
            waits = select(commands).where(commands.c.response.is_(None)).order_by(commands.c.id)
            rows = list(connection.execute(waits).all())
            late = select(commands.c.id).where(commands.c.wall < time.time() - _LONGEST)
            old = list(connection.execute(late).scalars())
        if old:
            with self._gallery.write() as connection:
                connection.execute(delete(commands).where(commands.c.id.in_(old)))
        return rows

    async def _do(self, number: int, who: str, request: str) -> None:
        response = json.dumps(await self._asked(who, json.loads(request))) if request else ERASED
        with contextlib.suppress(GalleryError):
            await asyncio.to_thread(self._note, number, response)

    async def _asked(self, who: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What the application answers. Raises nothing that is about the request."""
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, client=(f"{DATABASE}{who}", 0))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            if asked["path"].partition("?")[0].endswith(_STREAMS):
                words = {"detail": "a table carries no files and no streams; ask over HTTP"}
                return {"status": 422, "text": json.dumps(words)}
            headers = {"content-type": asked["type"]} if asked["type"] else {}
            answered = await client.request(asked["method"], asked["path"], content=asked["body"], headers=headers)
            return {"status": answered.status_code, "text": answered.text}

    def _note(self, number: int, response: str) -> None:
        with self._gallery.write() as connection:
            connection.execute(update(commands).where(commands.c.id == number).values(response=response))


class TableTransport(httpx.BaseTransport):
    """Requests of a ``Client`` by the table of a gallery. who: is named as the author."""

    def __init__(self, url: str, who: str) -> None:
        self._place, self._who = place_of(url), who
        self._engine = _engine(self._place)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.ConnectError when no server answers, httpx.ReadError when it takes too long."""
        asked = {
            "method": request.method,
            "path": request.url.raw_path.decode(),
            "type": request.headers.get("content-type", ""),
            "body": request.read().decode(),
        }
        until = time.monotonic() + (request.extensions.get("timeout", {}).get("read") or 60.0)
        try:
            with self._engine.begin() as connection:
                values = {"wall": time.time(), "who": self._who, "request": json.dumps(asked)}
                (number,) = connection.execute(insert(commands).values(**values).returning(commands.c.id)).one()
            try:
                return self._answer(number, until)
            finally:
                with self._engine.begin() as connection:
                    connection.execute(delete(commands).where(commands.c.id == number))
        except DBAPIError as error:
            raise httpx.ConnectError(f"gallery {self._place}: {str(error.orig).strip()}") from None

    def _answer(self, number: int, until: float) -> httpx.Response:
        while time.monotonic() < until:
            with self._engine.connect() as connection:
                row = connection.execute(select(commands.c.response).where(commands.c.id == number)).one_or_none()
                there = _answers(connection)
            if row is None:
                raise httpx.ReadError("the command is gone: an erasure took it out, or the server was started again")
            if row.response is not None:
                answered = json.loads(row.response)
                return httpx.Response(answered["status"], text=answered["text"])
            if not there:
                raise httpx.ConnectError("the server that owns the gallery has ended")
            time.sleep(_LOOKS)
        raise httpx.ReadError("the server that owns the gallery does not answer")

    def close(self) -> None:
        self._engine.dispose()


def answers_commands(url: str) -> bool:
    """Whether a server owns the gallery in this database, and answers what stands in its table."""
    engine = _engine(place_of(url))
    try:
        with engine.connect() as connection:
            return _answers(connection)
    except DBAPIError:
        return False
    finally:
        engine.dispose()


def _answers(connection: Connection) -> bool:
    if not inspect(connection).has_table(notes.name):
        return False
    owner = connection.execute(select(notes.c.value).where(notes.c.key == _OWNER)).scalar()
    return owner is not None and owner == writer_on(connection)


def _engine(place: Place) -> Engine:
    assert place.url is not None
    return create_engine(place.url, poolclass=NullPool, connect_args={"connect_timeout": 10})
