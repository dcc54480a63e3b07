"""A folder with recordings and the gallery of them, made once and copied for every test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

from reidstream.gallery import Gallery
from reidstream.gallery.schema import recordings


def relocated(made: Path, place: Path, gallery: str) -> Path:
    """Copy what is in a folder to another one; the copy of its gallery, whose recordings are the copies then."""
    shutil.copytree(made, place, dirs_exist_ok=True)
    with Gallery.open(place / gallery, write=True) as opened, opened.write() as connection:
        for read in connection.execute(recordings.select()).all():
            uri = str(place / Path(read.uri).relative_to(made))
            connection.execute(recordings.update().where(recordings.c.content == read.content).values(uri=uri))
    return place / gallery
