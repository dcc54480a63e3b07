"""A person's own pictures through the server: a job in a process of its own, by rights, noted, gone with an erasure."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.server.access.roles import Role
from reidstream.server.desk import Desk
from reidstream.sources.fingerprint import file_fingerprint
from reidstream.types import SourceStarted
from tests.blobs import FPS, SIZE, write_blobs
from tests.identities.conftest import SPACE, made_tracklet
from tests.server.conftest import Asking, Client, picture


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "entrance.mp4")


@pytest.fixture
def gallery(tmp_path: Path, video: Path) -> Iterator[Gallery]:
    """Ann (1) was seen by a recording and by a camera, Ben (2) by the recording alone."""
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "gallery", write=True, create=True, space=SPACE, config=config) as opened:
        recorded = SourceStarted("door", str(video), file_fingerprint(video), SIZE, FPS, 0.0)
        live = SourceStarted("yard", "rtsp://camera/1", "live content", SIZE, FPS, 0.0, live=True)
        for started in (recorded, live):
            opened.begin_source(started, "settings")
        kept = {"crop": picture(1), "crop_frame": 5, "crop_box": (25.0, 20.0, 55.0, 100.0)}
        opened.add(
            [
                replace(made_tracklet(1, "door", 0.0, 2.9), content=recorded.content, **kept),
                replace(made_tracklet(2, "door", 0.0, 2.9), content=recorded.content),
                replace(made_tracklet(1, "yard", 10, 15), content=live.content, **kept, more_crops=()),
            ]
        )
        yield opened


def ann(owner: Asking) -> str:
    return str(next(p["id"] for p in owner.get("/people")["people"] if len(p["tracklets"]) == 2))


def made(asking: Asking, desk: Desk, person: str, **wanted: object) -> dict[str, object]:
    job = asking.post(f"/people/{person}/disclosures", {"sure": 0.0, **wanted}, 202)
    desk.jobs.wait(job["id"])
    found: dict[str, object] = asking.get(f"/jobs/{job['id']}")
    assert found["state"] == "done", found["error"]
    return found


def archive(asking: Asking, job: dict[str, object]) -> dict[str, bytes]:
    raw = asking.client.get(f"/api/v1/exports/{job['id']}/file")
    assert raw.status_code == 200, raw.text
    with zipfile.ZipFile(io.BytesIO(raw.content)) as inside:
        return {name: inside.read(name) for name in inside.namelist()}


def test_it_is_made_by_a_job_and_fetched_like_an_export(owner: Asking, desk: Desk) -> None:
    job = made(owner, desk, ann(owner))
    assert job["kind"] == "disclosure"
    files = archive(owner, job)
    cameras = [visit["camera"] for visit in json.loads(files["visits.json"])["visits"]]
    assert cameras == ["door", "yard"]
    assert {"visit-001-clip.mp4", "visit-001-frame.jpg", "visit-002-picture.jpg"} <= set(files)
    log = owner.get("/log")["entries"]
    noted = next(entry for entry in log if entry["action"] == "had somebody's own pictures made")
    assert noted["person"] == ann(owner)
    assert any(entry["action"] == "fetched an export" for entry in log)


def test_whoever_sees_some_cameras_gets_what_these_saw(owner: Asking, desk: Desk, user: Client) -> None:
    operator = user(Role.OPERATOR, ["yard"])
    files = archive(operator, made(operator, desk, ann(owner), clips=False))
    assert [visit["camera"] for visit in json.loads(files["visits.json"])["visits"]] == ["yard"]
    assert not [name for name in files if name.endswith(".mp4")]
    user(Role.REVIEWER).post(f"/people/{ann(owner)}/disclosures", {}, 403)
    user(Role.OPERATOR, ["nowhere"]).post(f"/people/{ann(owner)}/disclosures", {}, 404)


@pytest.mark.slow
def test_an_erasure_takes_away_what_waits_to_be_fetched(owner: Asking, desk: Desk) -> None:
    job = made(owner, desk, ann(owner))
    assert list(desk.jobs.folder.iterdir())
    erased = owner.post("/erasures", {"people": [ann(owner)]}, 202)
    desk.jobs.wait(erased["id"])
    assert owner.get(f"/jobs/{erased['id']}")["result"]["proven"]
    assert list(desk.jobs.folder.iterdir()) == []
    owner.get(f"/exports/{job['id']}/file", 404)


def test_a_process_that_dies_fails_the_job_in_words_and_leaves_nothing(
    owner: Asking, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reidstream.server import disclosing

    real = disclosing.conversing_child

    def killed(module: str) -> object:
        child, requests, answers = real(module)
        (desk.jobs.folder / f".{desk.jobs.newest(1)[0].id}.77.partial.zip").write_bytes(b"half")
        child.kill()
        return child, requests, answers

    monkeypatch.setattr(disclosing, "conversing_child", killed)
    job = owner.post(f"/people/{ann(owner)}/disclosures", {"sure": 0.0}, 202)
    desk.jobs.wait(job["id"])
    found = owner.get(f"/jobs/{job['id']}")
    assert found["state"] == "failed"
    assert "nothing was written" in found["error"]
    assert list(desk.jobs.folder.iterdir()) == []
    owner.get(f"/exports/{job['id']}/file", 404)
