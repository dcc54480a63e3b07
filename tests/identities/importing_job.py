"""Importing an archive in processes that die at each of some statements: GALLERY, FOLDER of the archive, PLACE.

Each works in a copy of the gallery of its own, PLACE/<number of the statement>; the numbers are printed.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from reidstream.gallery import Gallery
from reidstream.gallery.archive import Archive
from reidstream.identities.archive import import_gallery, open_archive

MOMENTS = 8
"""How many moments are tried, evenly over the whole import."""


def imported(gallery: Path, archive: Archive, last: int | None = None) -> int:
    """Import, and die before the statement with this number is carried out; how many statements it takes otherwise."""
    numbers = itertools.count(1)
    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done = next(numbers)
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)

    with Gallery.open(gallery, write=True) as opened:
        for name in ("before_cursor_execute", "commit"):
            event.listen(Engine, name, count)
        import_gallery(opened, archive)
    return done


def main(gallery: Path, folder: Path, place: Path) -> None:
    archive = open_archive(folder)
    whole = place / "whole"
    shutil.copytree(gallery, whole)
    statements = in_a_process(whole, archive, None)
    for part in range(MOMENTS):
        last = 1 + part * (statements - 1) // (MOMENTS - 1)
        shutil.copytree(gallery, place / str(last))
        in_a_process(place / str(last), archive, last)
        print(last, flush=True)


def in_a_process(gallery: Path, archive: Archive, last: int | None) -> int:
    """The same in a process of its own, since this one is not to die."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, str(imported(gallery, archive, last)).encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 100)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) == (last is not None), f"statement {last}: status {status}"
    return int(said or 0)


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:4]))
