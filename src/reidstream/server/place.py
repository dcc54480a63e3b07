"""Where the server of a gallery on this machine is found: a socket in the gallery's folder, its owner's alone."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

SOCKET_FILE = "server.sock"
RUNS_FILE = "runs.sock"
"""Where runs of this machine hand over what they find."""
SETUP_FILE = "setup-link"

# What an address of a socket may have in bytes (sockaddr_un on Linux), its end included.
_LONGEST = 107


@contextlib.contextmanager
def short_path(folder: Path, name: str = SOCKET_FILE) -> Iterator[Path]:
    """A socket's path as the system takes it: through the open folder when it is too long otherwise."""
    path = folder.absolute() / name
    if len(os.fsencode(path)) <= _LONGEST:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)


def bound_socket(folder: Path, name: str = SOCKET_FILE) -> socket.socket:
    """A listening socket in the folder of a gallery that this process owns; one of a dead server is replaced."""
    with short_path(folder, name) as path:
        path.unlink(missing_ok=True)
        made = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
    made.listen(128)
    made.setblocking(False)
    return made


def user_of(peer: socket.socket) -> int:
    """The number of the user at the other end of a Unix socket; the kernel says so."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid


def is_served(folder: Path) -> bool:
    """Whether a server answers at the socket in this folder."""
    try:
        if not stat.S_ISSOCK((folder / SOCKET_FILE).stat().st_mode):
            return False
        with short_path(folder) as path, socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2.0)
            probe.connect(str(path))
    except OSError:
        return False
    return True
