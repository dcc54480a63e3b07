"""Files and folders that are there completely or not at all.

They are written beside their place under another name, brought to the disk, and renamed: whoever looks sees the old one
or the whole new one, whenever the process or the machine dies.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reidstream.errors import ReIDStreamError


@contextmanager
def whole_file(path: Path, error: type[ReIDStreamError] = ReIDStreamError, advice: str = "") -> Iterator[Path]:
    """A file to write to, which takes the place of ``path`` when the block is left without an error.

    Its name ends like ``path``'s, for writers that go by it. Missing folders are made. Raises ``error``, with what was
    wrong and the ``advice``, when it cannot be written; what stood at ``path`` stays as it was.
    """
    partial = beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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


def write_whole(path: Path, text: str, error: type[ReIDStreamError] = ReIDStreamError, advice: str = "") -> None:
    """Write text as UTF-8, completely or not at all; see ``whole_file``."""
    with whole_file(path, error, advice) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(path: Path, error: type[ReIDStreamError] = ReIDStreamError, advice: str = "") -> Iterator[Path]:
    """An empty folder to write to, which becomes ``path`` when the block is left without an error.

    ``path`` may be an empty folder, else it must not be there. Raises ``error`` when it cannot be written.
    """
    partial = beside(path)
    try:
        partial.mkdir(parents=True)
        yield partial
        for inner in partial.rglob("*"):
            _to_disk(inner)
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
