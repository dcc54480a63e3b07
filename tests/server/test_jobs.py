"""What takes long and changes the gallery runs as a job of the server: imports, a new index."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.gallery.archive import Archive
from reidstream.identities.archive import Imported, export_gallery, import_gallery
from reidstream.server.access.roles import Role
from reidstream.server.desk import Desk
from tests.identities.conftest import SPACE
from tests.server.conftest import IDS, Asking, Client, stored, with_pictures


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Two visits of Ann to a camera that the server's gallery has never heard of."""
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "other", write=True, create=True, space=SPACE, config=config) as other:
        stored(other, [(1, "c", 100, 105), (1, "c", 110, 115)])
        export_gallery(other, tmp_path / "exported")
    return tmp_path / "exported"


def ended(owner: Asking, desk: Desk, path: str, sent: Any = None) -> dict[str, Any]:
    job = owner.post(path, sent, status=202)
    desk.jobs.wait(job["id"])
    found: dict[str, Any] = owner.get(f"/jobs/{job['id']}")
    return found


def test_an_import_is_a_job_after_which_everybody_of_it_has_a_person(owner: Asking, desk: Desk, exported: Path) -> None:
    done = ended(owner, desk, "/imports", {"folder": str(exported)})
    assert (done["state"], done["result"]["tracklets"]) == ("done", 2)
    desk.settle()
    assert owner.get("/facts")["tracklets"] == len(IDS) + 2
    assert owner.get("/people", camera="c")["people"]
    assert owner.get("/people")["tracklets_without_person"] == 0
    assert ended(owner, desk, "/imports", {"folder": str(exported)})["result"]["tracklets"] == 0


def test_an_import_that_is_not_whole_fails_in_words_and_adds_nothing(owner: Asking, desk: Desk, exported: Path) -> None:
    before = owner.people()
    largest = max((path for path in exported.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-20])
    done = ended(owner, desk, "/imports", {"folder": str(exported)})
    assert (done["state"], bool(done["error"])) == ("failed", True)
    assert owner.people() == before
    assert ended(owner, desk, "/imports", {"folder": str(exported / "nowhere")})["state"] == "failed"
    owner.post("/imports", {"folder": "exported"}, status=422)


def test_a_new_index_is_a_job(owner: Asking, desk: Desk) -> None:
    done = ended(owner, desk, "/rebuilds")
    assert (done["state"], done["result"]["tracklets"]) == ("done", len(IDS))


@pytest.mark.parametrize("path", ["/imports", "/rebuilds"])
def test_only_admins_begin_them(user: Client, path: str, exported: Path) -> None:
    sent = {"folder": str(exported)} if path == "/imports" else None
    user(Role.OPERATOR).post(path, sent, status=403)
    user(Role.ADMIN, ["a"]).post(path, sent, status=403)


def test_storing_waits_for_an_import_however_long_it_takes(
    owner: Asking, desk: Desk, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def slow(gallery: Gallery, archive: Archive) -> Imported:
        with gallery.write():
            begun.set()
            goes_on.wait(60)
        return import_gallery(gallery, archive)

    monkeypatch.setattr("reidstream.server.desk.import_gallery", slow)
    monkeypatch.setattr("reidstream.gallery.database.BUSY_SECONDS", 0.01)
    new: list[int] = []
    job = owner.post("/imports", {"folder": str(exported)}, status=202)
    assert begun.wait(60)
    storing = threading.Thread(target=lambda: new.append(desk.store(with_pictures([(9, "a", 50, 55)]))))
    storing.start()
    # As long as whoever stores is not turned away, they wait here.
    storing.join(0.5)
    assert storing.is_alive()
    # Others who write for a moment are waited for as ever.
    monkeypatch.setattr("reidstream.gallery.database.BUSY_SECONDS", 60.0)
    goes_on.set()
    storing.join(60)
    desk.jobs.wait(job["id"])
    assert new == [1]
