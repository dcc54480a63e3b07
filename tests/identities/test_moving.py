"""A gallery moves from a folder into PostgreSQL and back, with its people, decisions and what can be undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.archive import export_gallery, import_gallery, open_archive
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import history, list_people
from reidstream.identities.review import Review
from tests.identities.conftest import SPACE, Visit, made_tracklet
from tests.server.conftest import stored

VISITS: list[Visit] = [(1, "door", 0, 8), (1, "door", 20, 28), (1, "yard", 40, 48), (2, "door", 60, 68),
                       (2, "yard", 80, 88), (3, "yard", 100, 108), (3, "door", 120, 128)]  # fmt: skip
IDS = [made_tracklet(*visit).id for visit in VISITS]


def opened(place: Path | str) -> Gallery:
    return Gallery.open(place, write=True, create=True, space=SPACE, config=GalleryConfig(index="exact"))


def moved(source: Gallery, target: Path | str, through: Path) -> Gallery:
    """All of a gallery in a new place."""
    assert export_gallery(source, through) == len(IDS)
    gallery = opened(target)
    archive = open_archive(through)
    done = import_gallery(gallery, archive)
    assert (done.tracklets, done.kept, done.kept_out) == (len(IDS), 0, 0)
    again = import_gallery(gallery, archive)
    assert (again.tracklets, again.people, again.operations) == (0, 0, 0)
    return gallery


def people(gallery: Gallery) -> set[tuple[Any, ...]]:
    return {(p.id, p.number, p.name, p.notes, frozenset(p.tracklets)) for p in list_people(gallery)}


def decided(gallery: Gallery) -> list[tuple[Any, ...]]:
    """Everything in the log that somebody decided, in order."""
    return [
        (entry.wall, entry.author, entry.kind, entry.summary, entry.undone_by is not None) for entry in history(gallery)
    ]


def undone_to_the_first(gallery: Gallery) -> list[set[frozenset[str]]]:
    """Who is together after each undoing of the newest decision that still holds."""
    states = []
    for _ in range(3):
        Review(gallery, "eve").undo()
        states.append({frozenset(person.tracklets) for person in list_people(gallery)})
    return states


@pytest.mark.parametrize("start", ["folder", "database"])
def test_nothing_is_lost_on_the_way_there_and_back(tmp_path: Path, postgres: str, start: str) -> None:
    first, between = (tmp_path / "shop", postgres) if start == "folder" else (postgres, tmp_path / "shop")
    with opened(first) as gallery:
        stored(gallery, VISITS)
        OnlineIdentities(gallery, IdentityConfig()).catch_up()
        Review(gallery, "ana").label("1", name="Ann", notes="comes on Mondays")
        Review(gallery, "ana").merge("2", "3")
        Review(gallery, "ana").undo()
        Review(gallery, "ben").move(IDS[3], "3")
        Review(gallery, "ben").split("1", [IDS[2]])
        told, log, crops = people(gallery), decided(gallery), [gallery.crop(id) for id in IDS]
        with moved(gallery, between, tmp_path / "there") as second:
            assert (people(second), decided(second)) == (told, log)
            with moved(second, tmp_path / "back", tmp_path / "and back") as third:
                assert (people(third), decided(third)) == (told, log)
                assert [third.crop(id) for id in IDS] == crops
                for id in IDS:
                    before, after = gallery.tracklet(id), third.tracklet(id)
                    assert after.embedding.tolist() == before.embedding.tolist()
                    assert after.prototypes.tolist() == before.prototypes.tolist()
                    assert after.boxes.tolist() == before.boxes.tolist()
                    assert (after.reason, after.start_wall, after.stays) == (
                        before.reason,
                        before.start_wall,
                        before.stays,
                    )
                # What was decided in the first place is undone in the others as there.
                states = undone_to_the_first(gallery)
                assert len({frozenset(state) for state in states}) > 1
                assert undone_to_the_first(second) == states
                assert undone_to_the_first(third) == states
