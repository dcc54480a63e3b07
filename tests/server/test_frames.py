"""The frame of a recording at a visit's best picture, and what is said where there is none."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from reidstream.clips import Clip, ClipShelf
from reidstream.config.gallery import GalleryConfig
from reidstream.encoders import video_encoder
from reidstream.gallery import Gallery
from reidstream.server.access.roles import Role
from reidstream.server.desk import Desk
from reidstream.sources.fingerprint import file_fingerprint
from reidstream.types import SourceStarted
from tests.alerts.conftest import sighting
from tests.blobs import COLOURS, FPS, SIZE, write_blobs
from tests.identities.conftest import SPACE, made_tracklet
from tests.server.conftest import Asking, Client

FRAME, SPEED = 31, 3.0
# Where the first blob is in that frame; see ``write_blobs``.
X, Y = round(10 + FRAME * SPEED), 20
BOX = (float(X), float(Y), X + 30.0, Y + 80.0)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "entrance.mp4", frames=60, speed=SPEED)


@pytest.fixture
def gallery(tmp_path: Path, video: Path) -> Iterator[Gallery]:
    """One visit that a recording shows, and one to a live camera."""
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "gallery", write=True, create=True, space=SPACE, config=config) as opened:
        recorded = SourceStarted("door", str(video), file_fingerprint(video), SIZE, FPS, 0.0)
        live = SourceStarted("yard", "rtsp://camera/1", "live content", SIZE, FPS, 0.0, live=True)
        for started in (recorded, live):
            opened.begin_source(started, "settings")
        seen = replace(
            made_tracklet(1, "door", 0.0, 2.95),
            content=recorded.content,
            start_frame=0,
            end_frame=59,
            crop_frame=FRAME,
            crop_box=BOX,
        )
        opened.add([seen, replace(made_tracklet(2, "yard", 10, 15), content=live.content)])
        yield opened


def frame_of(owner: Asking, camera: str) -> dict[str, Any]:
    (tracklet,) = owner.get("/tracklets", camera=camera)["tracklets"]
    found: dict[str, Any] = owner.get(f"/tracklets/{tracklet['id']}/frame")
    return found


def test_the_frame_is_the_one_of_the_best_picture_with_its_box(owner: Asking) -> None:
    found = frame_of(owner, "door")
    assert found["why"] == ""
    data = np.frombuffer(base64.b64decode(found["picture"]), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[:2] == (SIZE[1], SIZE[0])
    # The blob is inside the box, and the box's own colour on its border.
    assert np.abs(picture[Y + 60, X + 15].astype(int) - COLOURS[0]).max() < 60
    assert np.abs(picture[Y + 60, X + 40].astype(int) - 128).max() < 40
    blob = np.abs(picture[Y + 60].astype(int) - COLOURS[0]).max(axis=1) < 70
    assert abs(float(np.flatnonzero(blob).mean()) - (X + 15)) < SPEED / 2


def test_of_a_live_camera_nothing_is_kept_and_words_say_so(owner: Asking) -> None:
    found = frame_of(owner, "yard")
    assert found["picture"] is None
    assert "live camera" in found["why"]


def test_a_recording_that_went_or_changed_is_said_to_have_without_its_folder(owner: Asking, video: Path) -> None:
    content = video.read_bytes()
    video.write_bytes(content + b"more")
    assert "has changed" in frame_of(owner, "door")["why"]
    video.unlink()
    why = frame_of(owner, "door")["why"]
    assert "entrance.mp4" in why
    assert str(video.parent) not in why
    video.write_bytes(b"no video at all")
    assert frame_of(owner, "door")["picture"] is None


def test_who_may_not_see_a_camera_sees_no_frame_of_it(owner: Asking, user: Client) -> None:
    (tracklet,) = owner.get("/tracklets", camera="door")["tracklets"]
    other = user(Role.VIEWER, ["yard"])
    other.get(f"/tracklets/{tracklet['id']}/frame", 404)
    assert user(Role.VIEWER, ["door"]).get(f"/tracklets/{tracklet['id']}/frame")["picture"]


def test_a_clip_is_played_in_parts_and_only_by_who_may_see_the_camera(
    gallery: Gallery, owner: Asking, user: Client
) -> None:
    (door,) = owner.get("/tracklets", camera="door")["tracklets"]
    (yard,) = owner.get("/tracklets", camera="yard")["tracklets"]
    assert frame_of(owner, "yard")["clip"] is False
    owner.get(f"/tracklets/{yard['id']}/clip", 404)
    shelf = ClipShelf(gallery)
    clip = Clip(door["id"], gallery.tracklet(door["id"]).content, f"{door['id']}.mp4", 0.0, 3.0, 0.0)
    assert shelf.begin(clip)
    written = shelf.folder / f".{door['id']}.partial.mp4"
    written.write_bytes(bytes(range(256)) * 40)
    assert shelf.finish(clip, written)
    assert frame_of(owner, "door")["clip"] is True
    raw = owner.client.get(f"/api/v1/tracklets/{door['id']}/clip", headers={"Range": "bytes=256-511"})
    assert (raw.status_code, raw.content) == (206, bytes(range(256)))
    assert raw.headers["content-type"] == "video/mp4"
    assert "no-store" in raw.headers["cache-control"]
    user(Role.VIEWER, ["yard"]).get(f"/tracklets/{door['id']}/clip", 404)


def test_where_none_was_kept_a_clip_is_cut_out_of_the_recording(owner: Asking, user: Client, tmp_path: Path) -> None:
    (door,) = owner.get("/tracklets", camera="door")["tracklets"]
    assert frame_of(owner, "door")["clip"] is True
    before = set(Path(tempfile.gettempdir()).glob("reidstream-clip-*"))
    raw = owner.client.get(f"/api/v1/tracklets/{door['id']}/clip")
    assert (raw.status_code, raw.headers["content-type"]) == (200, "video/mp4")
    assert set(Path(tempfile.gettempdir()).glob("reidstream-clip-*")) <= before
    (tmp_path / "clip.mp4").write_bytes(raw.content)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        # The recording is MPEG-4, which no browser plays.
        assert container.streams.video[0].codec_context.name != "mpeg4" or video_encoder() == "mpeg4"
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) == 60
    x = round(10 + FRAME * SPEED)
    assert np.abs(frames[FRAME][Y + 60, x + 15].astype(int) - COLOURS[0]).max() < 60
    user(Role.VIEWER, ["yard"]).get(f"/tracklets/{door['id']}/clip", 404)


def test_a_recording_that_changed_gives_no_clip_and_says_so(owner: Asking, video: Path) -> None:
    (door,) = owner.get("/tracklets", camera="door")["tracklets"]
    video.write_bytes(video.read_bytes() + b"more")
    said = owner.client.get(f"/api/v1/tracklets/{door['id']}/clip").json()["detail"]
    assert "has changed since" in said
    assert str(video.parent) not in said


def test_an_alert_has_the_clip_of_its_moment(owner: Asking, desk: Desk, user: Client, tmp_path: Path) -> None:
    rule = {"name": "seen", "purpose": "to be greeted", "who": "anybody", "cooldown": 0}
    owner.post("/watch/rules", rule, 201)
    (recorded, live) = sorted(desk.gallery.sources(), key=lambda one: one.live)
    for recording in (recorded, live):
        there = {"source": recording.source, "content": recording.content, "start_media": 1.0, "media": 2.0}
        desk.watching.put([replace(sighting(7, 500.0, 2.0), **there)])
        desk.watching.wait()
    found = {alert["source"]: alert for alert in owner.get("/alerts")["alerts"]}
    assert {source: alert["clip"] for source, alert in found.items()} == {"door": True, "yard": False}
    raw = owner.client.get(f"/api/v1/alerts/{found['door']['id']}/clip")
    (tmp_path / "clip.mp4").write_bytes(raw.content)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        # From a second before they came into view to the end of the recording.
        assert len(list(container.decode(video=0))) == 60
    owner.get(f"/alerts/{found['yard']['id']}/clip", 404)
    user(Role.VIEWER, ["yard"]).get(f"/alerts/{found['door']['id']}/clip", 404)
    assert any(entry["action"] == "looked at a clip of an alert" for entry in owner.get("/log")["entries"])
