"""A run on a gallery that a server owns: it reads here, and has the server store what it finds and decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidstream.cli.common import console_error
from reidstream.errors import ConfigError, GalleryError

if TYPE_CHECKING:
    from reidstream.client import Client
    from reidstream.config import Config
    from reidstream.gallery import Gallery
    from reidstream.pipeline import GalleryRun
    from reidstream.server.remote import RemoteShelf, RemoteStore


class Owner:
    """The server at the other end. resolved: what deciding everybody anew at the end came to, once it has."""

    def __init__(
        self, gallery: Gallery, store: RemoteStore, client: Client, shelf: RemoteShelf | None, config: Config
    ) -> None:
        from reidstream.server.remote import RemoteWatcher

        self.store, self.shelf = store, shelf
        self.watcher = RemoteWatcher(store)
        self._gallery, self._client, self._config = gallery, client, config
        self.resolved: dict[str, Any] | None = None

    def decided(self, goes_on: bool) -> Gallery:
        """The gallery when everything that was stored has a person; everybody is decided anew if the run is to."""
        self.store.settle()
        if self._config.identities.resolve and not goes_on:
            try:
                self.resolved = self._client.resolve()
            except GalleryError as error:
                # Everything is stored and has a person; the server may be ending just now.
                console_error(f"everybody was not decided anew: {error}")
        return self._gallery

    @contextmanager
    def told_of(self, job: GalleryRun) -> Iterator[None]:
        """While it is entered, the server is told how the run goes and who is in view, and may end it."""
        from reidstream.server.remote import reporting

        with reporting(job, self.store, self.watcher), closing(self.watcher):
            yield


@contextmanager
def owner_of(gallery: str, config: Config) -> Iterator[Owner | None]:
    """The server that owns a gallery on this machine; None when none does, so that the run writes by itself.

    Raises ConfigError for a server elsewhere.
    """
    from reidstream.cli.asked import is_elsewhere, served

    if is_elsewhere(gallery):
        raise ConfigError(
            f"{gallery} is a server elsewhere, which reads its sources itself: add them on its page Sources, or run "
            "this on its machine with the gallery's folder"
        )
    with ExitStack() as stack:
        client = stack.enter_context(served(gallery))
        if client is None:
            yield None
            return
        if "://" in gallery:
            raise ConfigError(
                "a server or a decider owns this gallery in PostgreSQL: add the videos on its page Sources, or to the "
                "list of workers (reidstream workers add), or end it first"
            )
        from reidstream.clips.shelf import FOLDER
        from reidstream.gallery import Gallery
        from reidstream.server.remote import RemoteShelf
        from reidstream.server.run_port import joined

        store = stack.enter_context(joined(Path(gallery)))
        shelf = RemoteShelf(store, Path(gallery) / FOLDER) if config.clips.keep else None
        yield Owner(stack.enter_context(Gallery.open(gallery)), store, client, shelf, config)
