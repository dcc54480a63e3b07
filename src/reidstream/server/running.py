"""A server on its sockets: one for browsers and programs, one in the gallery's folder for commands of its owner."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reidstream.config import Config, SourceConfig
from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.pipeline import EngineName
from reidstream.server.access.accounts import Accounts
from reidstream.server.app import create_app
from reidstream.server.cameras import Cameras
from reidstream.server.command_table import CommandTable
from reidstream.server.desk import Desk
from reidstream.server.guard import LOCAL, Trust
from reidstream.server.photos import Photos
from reidstream.server.place import SETUP_FILE, SOCKET_FILE, bound_socket, user_of
from reidstream.server.run_port import RunPort
from reidstream.server.telling import Telling

_GRACE = 5
"""Seconds that open connections have when the server ends."""
_IDLE = 75
"""Seconds after which a connection on which nothing is asked is closed: more than the 5 of our client and the 60 of
most proxies, so that none of them asks on one that is just being closed."""
_TRIM_EVERY = 3600.0
_LOOK_EVERY = 30.0
"""Seconds between two looks whether something is due to be erased."""
_MOST_SAID = 64 * 1024
"""Bytes of one message that a browser sends by a WebSocket."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and how to be reached. port: 0 for one that is free. certificate, key: PEM files for https."""

    host: str = "127.0.0.1"
    port: int = 8400
    certificate: Path | None = None
    key: Path | None = None
    trust: Trust = field(default_factory=Trust)

    @property
    def url(self) -> str:
        scheme = "https" if self.certificate else "http"
        host = f"[{self.host}]" if ":" in self.host else "localhost" if self.host == "127.0.0.1" else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        return self.host in {"127.0.0.1", "::1", "localhost"}


def serve(
    gallery: Gallery,
    config: Config,
    sources: Sequence[SourceConfig],
    address: Address,
    *,
    engine: EngineName = "local",
    say: Callable[[str], None] = print,
) -> None:
    """Serve a gallery that is open for writing until SIGINT or SIGTERM; everything seen is stored when it returns.

    Raises ConfigError when the address cannot be listened at, or is open to others before anybody has a password.
    """
    listening = _listen(address)
    address = replace(address, port=listening.getsockname()[1])
    with contextlib.ExitStack() as stack:
        stack.callback(listening.close)
        desk = Desk(gallery, config)
        stack.callback(desk.close)
        accounts = Accounts(gallery, oidc=config.oidc)
        # The provider lets in whom the settings name, and nobody else.
        if not address.is_local and not accounts.users() and not config.oidc.is_set:
            raise ConfigError(
                f"nobody has a password yet, so that anybody who reaches {address.host} could take the server over: "
                "start it on 127.0.0.1 first and make a user there"
            )
        cameras = Cameras(desk, sources, engine)
        telling = Telling(desk, config.targets, cameras.occupied)
        stack.callback(telling.close)
        stack.callback(cameras.close)
        app = create_app(
            desk,
            cameras=cameras,
            accounts=accounts,
            photos=Photos(gallery, config),
            trust=address.trust,
            telling=telling,
        )
        servers = [_server(app, listening, address)]
        folder = gallery.place.folder
        if folder is not None:
            own = bound_socket(folder)
            stack.callback((folder / SOCKET_FILE).unlink, missing_ok=True)
            stack.callback(own.close)
            servers.append(_server(app, own, None))
            stack.enter_context(RunPort(desk, cameras, folder))
            stack.enter_context(_setup_link(accounts, folder, address, say))
        else:
            # Workers on other machines may store in it, too.
            from reidstream.cluster.deciding import Deciding

            stack.enter_context(Deciding(desk, config.workers.lease_seconds))
            stack.enter_context(CommandTable(gallery, app))
        say(f"serving {gallery.place} at {address.url}")
        cameras.start()
        telling.start()
        asyncio.run(_run(servers, desk))
        say("finishing what the cameras saw")


class PeerProtocol(HttpToolsProtocol):
    """HTTP on a Unix socket: whoever connects must be the user who runs the server, or root; the kernel says so."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        uid = user_of(peer)
        if uid not in {os.getuid(), 0}:
            transport.abort()
            return
        self.client = (f"{LOCAL}{uid}", 0)


class _Server(uvicorn.Server):
    """One of several in a process: signals are none of its business."""

    def __init__(self, config: uvicorn.Config, bound: socket.socket) -> None:
        super().__init__(config)
        self.bound = bound

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(app: Any, bound: socket.socket, address: Address | None) -> _Server:
    tls = address is not None and address.certificate is not None
    return _Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=PeerProtocol if address is None else "httptools",
            # Commands of the gallery's owner need no WebSocket.
            ws="none" if address is None else "websockets-sansio",
            ws_max_size=_MOST_SAID,
            # Pictures are compressed already.
            ws_per_message_deflate=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=str(address.certificate) if tls and address is not None else None,
            ssl_keyfile=str(address.key) if tls and address is not None and address.key else None,
        ),
        bound,
    )


async def _run(servers: Sequence[_Server], desk: Desk) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        desk.closing = True
        for server in servers:
            # The second signal does not wait for open connections.
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    beside = [asyncio.create_task(_trim(desk)), asyncio.create_task(_retain(desk))]
    try:
        await asyncio.gather(*(server.serve(sockets=[server.bound]) for server in servers))
    finally:
        for task in beside:
            task.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _trim(desk: Desk) -> None:
    while True:
        await asyncio.to_thread(desk.log.trim)
        await asyncio.sleep(_TRIM_EVERY)


async def _retain(desk: Desk) -> None:
    """Erase what is due once a day, by the rules."""
    while True:
        if await asyncio.to_thread(desk.retention_due):
            job = await asyncio.to_thread(desk.retain, "retention")
            await asyncio.to_thread(desk.jobs.wait, job.id)
        await asyncio.sleep(_LOOK_EVERY)


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((address.host, address.port))
    except OSError as error:
        made.close()
        raise ConfigError(
            f"cannot listen at {address.host} port {address.port}: {error.strerror}; choose another with --port"
        ) from None
    made.listen(512)
    made.setblocking(False)
    return made


@contextlib.contextmanager
def _setup_link(accounts: Accounts, folder: Path, address: Address, say: Callable[[str], None]) -> Iterator[None]:
    """While nobody has an account: a link for making the first, in a file that only its owner reads."""
    secret = accounts.setup_secret()
    path = folder / SETUP_FILE
    path.unlink(missing_ok=True)
    if secret is None:
        yield
        return
    # Behind the hash: such a part of an address is sent to no server and stands in no log of one.
    link = f"{address.url}/setup#{secret}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(link + "\n")
    say(f"make the first user within 15 minutes with the link in {path}")
    if sys.stderr.isatty():
        # A terminal is seen by whoever sits at it; a log would keep the link.
        sys.stderr.write(f"  {link}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def open_gallery(place: str, config: Config, *, needed: bool) -> Gallery:
    """The gallery for a server: opened, or made when there is none and sources are going to fill it."""
    from reidstream.errors import GalleryNotFound

    try:
        return Gallery.open(place, write=True)
    except GalleryNotFound:
        if not needed:
            raise
    from reidstream.inference.configured import configured_space

    space, model = configured_space(config)
    return Gallery.open(place, write=True, create=True, space=space, model=model, config=config.gallery)
