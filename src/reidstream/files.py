"""Files and folders that are there completely or not at all, and that nobody but their owner can read.

They are written beside their place under another name, brought to the disk, and renamed: whoever looks sees the old one
or the whole new one, whenever the process or the machine dies.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from reidstream.errors import ConfigError, ReIDStreamError


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read and change what is made: its owner, and a group of users as well if one is named by its number.

    Said for each file, because the umask is the whole process's, and belongs to the program that uses this package.
    """

    group: int | None = None

    @property
    def file_mode(self) -> int:
        return 0o600 if self.group is None else 0o660

    @property
    def folder_mode(self) -> int:
        """With a group, what is made in the folder belongs to the group as well (set-group-id)."""
        return 0o700 if self.group is None else 0o2770

    @property
    def umask(self) -> int:
        """For a process that makes files in ways of its own."""
        return 0o077 if self.group is None else 0o007

    def give(self, path: Path) -> None:
        """Make a file or folder that is there this wide, no more and no less."""
        if self.group is not None:
            os.chown(path, -1, self.group)
        path.chmod(self.folder_mode if path.is_dir() else self.file_mode)


OWNER_ONLY = Access()


def access_for(group: str | None) -> Access:
    """Access for a group of users by its name; for the owner alone without. Raises ConfigError for an unknown one."""
    if group is None:
        return OWNER_ONLY
    import grp

    try:
        return Access(grp.getgrnam(group).gr_gid)
    except KeyError:
        raise ConfigError(f"there is no group of users called {group!r} on this machine (gallery.group)") from None


def access_of(folder: Path) -> Access:
    """The access that a folder has: for a group if it was made for one, else for its owner alone."""
    found = folder.stat()
    shared = stat.S_IMODE(found.st_mode) & 0o2070 == 0o2070
    return Access(found.st_gid) if shared else OWNER_ONLY


def new_file(path: Path, access: Access = OWNER_ONLY) -> None:
    """Make an empty file; whoever writes to it afterwards leaves it as wide as it is. One that is there is narrowed."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    access.give(path)


def wider(folder: Path, access: Access) -> Iterator[Path]:
    """The folder, and all in it, that others may use than those who should."""
    allowed = access.folder_mode | access.file_mode
    for path in (folder, *folder.rglob("*")):
        # Files come and go while a gallery is written.
        with suppress(FileNotFoundError):
            found = path.lstat()
            foreign = access.group is not None and found.st_mode & 0o070 and found.st_gid != access.group
            if not stat.S_ISLNK(found.st_mode) and (stat.S_IMODE(found.st_mode) & 0o777 & ~allowed or foreign):
                yield path


@contextmanager
def whole_file(
    path: Path,
    error: type[ReIDStreamError] = ReIDStreamError,
    advice: str = "",
    access: Access | None = OWNER_ONLY,
) -> Iterator[Path]:
    """A file to write to, which takes the place of ``path`` when the block is left without an error.

    access: None leaves it to the umask, for what is about nobody and may be of use to all. The file's name ends like
    ``path``'s, for writers that go by it. Missing folders are made. Raises ``error``, with what was wrong and the
    ``advice``, when it cannot be written; what stood at ``path`` stays as it was.
    """
    partial = beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if access is not None:
            new_file(partial, access)
        yield partial
        _to_disk(partial)
        partial.replace(path)
        _to_disk(path.parent)
    except OSError as failure:
        raise error(_cannot(path, failure, advice)) from None
    finally:
        # Where the folder itself is not there, nothing is left behind.
        with suppress(OSError):
            partial.unlink()


def write_whole(
    path: Path,
    text: str,
    error: type[ReIDStreamError] = ReIDStreamError,
    advice: str = "",
    access: Access | None = OWNER_ONLY,
) -> None:
    """Write text as UTF-8, completely or not at all; see ``whole_file``."""
    with whole_file(path, error, advice, access) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(
    path: Path, error: type[ReIDStreamError] = ReIDStreamError, advice: str = "", access: Access = OWNER_ONLY
) -> Iterator[Path]:
    """An empty folder to write to, which becomes ``path`` when the block is left without an error.

    ``path`` may be an empty folder, else it must not be there. Raises ``error`` when it cannot be written.
    """
    partial = beside(path)
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        yield partial
        for inner in partial.rglob("*"):
            access.give(inner)
            _to_disk(inner)
        access.give(partial)
        if path.is_dir():
            path.rmdir()
        partial.replace(path)
        _to_disk(path.parent)
    except OSError as failure:
        raise error(_cannot(path, failure, advice)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def beside(path: Path) -> Path:
    """The name under which ``path`` is written until it is whole: hidden, this process's own, with the same ending."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def _cannot(path: Path, failure: OSError, advice: str) -> str:
    return f"{path} cannot be written: {failure.strerror or failure}{'; ' if advice else ''}{advice}"


def _to_disk(path: Path) -> None:
    """Wait until the disk has a file's bytes, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
