"""What somebody is given of themselves: they can be seen in it, and nobody else can be recognised."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.clips import Clip, ClipShelf
from reidstream.config import Config
from reidstream.disclosure import Disclosed, Shown, disclose
from reidstream.disclosure.covering import FLAT, alone, padded, surroundings_of, without
from reidstream.disclosure.others import Others, Way
from reidstream.errors import GalleryError, IdentityError
from reidstream.gallery import Gallery
from reidstream.identities.people import list_people
from reidstream.identities.review import Review
from reidstream.identities.schema import members
from reidstream.pipeline import open_run
from reidstream.sources.frame import Picture, Pixels
from reidstream.types import Detections, LeftOut, LeftOutReason, SourceStarted, Tracklet
from tests.blobs import COLOURS, FPS, SIZE, BlobDetector, ColourEmbedder, write_blobs
from tests.exact import EXACT
from tests.identities.conftest import made_tracklet
from tests.relocated import relocated
from tests.slow import first_quick

RED, GREEN, BLUE = (np.array(colour) for colour in COLOURS[:3])


class BlindDetector(BlobDetector):
    """Finds nobody."""

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        return [Detections.empty() for _ in pictures]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red and a green person who walk side by side, both known."""
    place = tmp_path_factory.mktemp("made")
    read(write_blobs(place / "entrance.mp4", [0, 1]), place / "shop")
    return place


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    return relocated(made, tmp_path, "shop")


@pytest.fixture
def video(shop: Path) -> Path:
    return shop.with_name("entrance.mp4")


def read(video: Path, place: Path) -> None:
    config = Config(gallery=EXACT)
    with open_run([video], config, place, detector=BlobDetector(), embedder=ColourEmbedder()) as run:
        assert run.run().stored


def owner_of(gallery: Gallery, colour: Any) -> str:
    """The person whose picture has a colour."""
    for person in list_people(gallery):
        crop = gallery.crop(person.tracklets[0])
        assert crop is not None
        picture = cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        if share(picture, colour) > 0.3:
            return person.id
    raise AssertionError("nobody of that colour")


def share(picture: Any, colour: Any) -> float:
    """How much of a picture has a colour, or nearly."""
    return float((np.abs(picture.astype(int) - colour).max(axis=2) < 70).mean())


def frames_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def written(place: Path, colour: Any, to: Path, detector: Any = None, **how: Any) -> Disclosed:
    with Gallery.open(place) as gallery:
        return disclose(gallery, owner_of(gallery, colour), to, detector or BlobDetector(), **how)


@pytest.mark.parametrize("shown", list(Shown))
@pytest.mark.parametrize("detector", first_quick([BlobDetector, BlindDetector]))
def test_they_are_seen_and_the_other_is_in_no_frame(
    shop: Path, tmp_path: Path, shown: Shown, detector: type[BlobDetector]
) -> None:
    """By the paths that the gallery keeps alone, too, where the detector finds nobody."""
    done = written(shop, RED, tmp_path / "out", detector(), shown=shown)
    assert (done.visits, done.frames, done.clips, done.left_out) == (1, 1, 1, 0)
    clip = frames_of(tmp_path / "out" / "visit-001-clip.mp4")
    assert len(clip) > 40
    assert np.mean([share(frame, RED) > 0.01 for frame in clip]) > 0.9
    assert max(share(frame, GREEN) for frame in clip) == 0
    for name in ("visit-001-frame.jpg", "visit-001-picture.jpg"):
        picture = cv2.imread(str(tmp_path / "out" / name))
        assert share(picture, RED) > 0.01
        assert share(picture, GREEN) == 0


@pytest.mark.usefixtures("unproven")
@pytest.mark.parametrize("shown", list(Shown))
def test_whom_the_gallery_does_not_know_the_detector_finds(shop: Path, tmp_path: Path, shown: Shown) -> None:
    with Gallery.open(shop, write=True) as gallery:
        green = owner_of(gallery, GREEN)
        gallery.erase([t for p in list_people(gallery) if p.id == green for t in p.tracklets])
    written(shop, RED, tmp_path / "out", shown=shown)
    clip = frames_of(tmp_path / "out" / "visit-001-clip.mp4")
    assert max(share(frame, GREEN) for frame in clip) == 0


@pytest.mark.usefixtures("unproven")
def test_who_can_be_placed_by_nobody_is_behind_a_mosaic_and_it_is_said(shop: Path, tmp_path: Path) -> None:
    with Gallery.open(shop, write=True) as gallery:
        green = owner_of(gallery, GREEN)
        (known,) = [p for p in list_people(gallery) if p.id == green]
        there = gallery.tracklet(known.tracklets[0])
        gallery.erase(list(known.tracklets))
        gallery.leave_out([left_out(there)])
    blind = written(shop, RED, tmp_path / "blind", BlindDetector(), shown=Shown.SCENE)
    assert blind.unsure > 40
    clip = frames_of(tmp_path / "blind" / "visit-001-clip.mp4")
    # One moment's blocks at most: nobody walks.
    elsewhere = [frame[125:220] for frame in clip[3:]]
    assert max(np.abs(a.astype(int) - elsewhere[0]).max() for a in elsewhere) < 40
    seeing = written(shop, RED, tmp_path / "seeing", shown=Shown.SCENE)
    assert seeing.unsure < 5
    (visit,) = json.loads((tmp_path / "blind" / "visits.json").read_text())["visits"]
    assert visit["frames_with_somebody_who_cannot_be_placed"] == blind.unsure


def left_out(one: Tracklet) -> LeftOut:
    return LeftOut(
        id="ab" * 16,
        source=one.source,
        content=one.content,
        track_id=one.track_id,
        part=0,
        why=LeftOutReason.TOO_SHORT,
        start_frame=one.start_frame,
        end_frame=one.end_frame,
        start_media=one.start_media,
        end_media=one.end_media,
        start_wall=one.start_wall,
        end_wall=one.end_wall,
        observations=one.observations,
        confidence=one.confidence,
        quality=None,
        box=(0.0, 0.0, 1.0, 1.0),
    )


def test_no_file_names_anybody_else(shop: Path, tmp_path: Path) -> None:
    with Gallery.open(shop, write=True) as gallery:
        green = owner_of(gallery, GREEN)
        Review(gallery, "test").label(green, "Mallory Greenfield", "comes on Mondays")
        (other,) = [p for p in list_people(gallery) if p.id == green]
        red = owner_of(gallery, RED)
        (asked,) = [p for p in list_people(gallery) if p.id == red]
        content = gallery.tracklet(asked.tracklets[0]).content
    written(shop, RED, tmp_path / "out.zip")
    foreign = [green, "Mallory", "Mondays", *other.tracklets, content, str(tmp_path)]
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = set(archive.namelist())
        for name in names:
            data = archive.read(name)
            assert not [word for word in foreign if word.encode() in data or word in name], name
            assert b"Exif" not in data
    assert names == {
        *("index.html", "visits.json"),
        *("visit-001-picture.jpg", "visit-001-frame.jpg", "visit-001-clip.mp4"),
    }


def test_visits_that_are_not_surely_theirs_stay_out(shop: Path, tmp_path: Path) -> None:
    with Gallery.open(shop, write=True) as gallery:
        red = owner_of(gallery, RED)
        (asked,) = [p for p in list_people(gallery) if p.id == red]
        joined(gallery, asked.tracklets[0], red)
        with gallery.write() as connection:
            connection.execute(members.update().where(members.c.tracklet != "cd" * 16).values(probability=0.9))
    sure = written(shop, RED, tmp_path / "sure")
    assert (sure.visits, sure.left_out, sure.frames) == (1, 1, 0)
    assert written(shop, RED, tmp_path / "less", sure=0.9).visits == 2
    with Gallery.open(shop, write=True) as gallery, gallery.write() as connection:
        connection.execute(members.update().values(probability=0.9))
    with pytest.raises(IdentityError, match="none of 2 visits is so surely of this person"):
        written(shop, RED, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    # Green was seen once: nothing was joined that could be wrong.
    assert written(shop, GREEN, tmp_path / "green").visits == 1


def joined(gallery: Gallery, like: str, person: str) -> None:
    """A second visit of a person, to a live camera."""
    gallery.begin_source(SourceStarted("yard", "rtsp://yard", "live", SIZE, FPS, 0.0, live=True), "settings")
    seen = gallery.tracklet(like)
    gallery.add([replace(seen, id="cd" * 16, source="yard", content="live", start_wall=1e6, end_wall=1e6 + 3)])
    Review(gallery, "test").move("cd" * 16, person)


def test_where_the_recording_is_gone_the_gallery_s_own_picture_is_given_without_others(
    shop: Path, tmp_path: Path, video: Path
) -> None:
    video.unlink()
    with Gallery.open(shop) as gallery:
        red = owner_of(gallery, RED)
        (asked,) = [p for p in list_people(gallery) if p.id == red]
        seen = gallery.tracklet(asked.tracklets[0])
    done = written(shop, RED, tmp_path / "out")
    assert (done.visits, done.frames, done.clips) == (1, 0, 0)
    (visit,) = json.loads((tmp_path / "out" / "visits.json").read_text())["visits"]
    assert visit["missing"] == "the recording is not kept any more"
    assert visit["frame"] is None
    picture = cv2.imread(str(tmp_path / "out" / visit["picture"]))
    assert share(picture, RED) > 0.3
    # Somebody stood before them when the picture was taken.
    assert seen.crop_box is not None
    x1, y1, x2, y2 = seen.crop_box
    before = replace(
        made_tracklet(7, seen.source, seen.start_media, seen.end_media),
        content=seen.content,
        start_frame=seen.start_frame,
        end_frame=seen.end_frame,
        frames=np.array([seen.start_frame, seen.end_frame]),
        boxes=np.array([[x1, y1, x2, (y1 + y2) / 2]] * 2, np.float32),
        embedding=seen.embedding,
        prototypes=seen.prototypes,
        prototype_weights=seen.prototype_weights,
    )
    with Gallery.open(shop, write=True) as gallery:
        (read_before,) = gallery.sources()
        started = SourceStarted(seen.source, str(video), seen.content, SIZE, FPS, 0.0)
        gallery.begin_source(started, read_before.settings)
        gallery.add([before])
    written(shop, RED, tmp_path / "covered")
    covered = cv2.imread(str(tmp_path / "covered" / visit["picture"]))
    assert share(covered[: len(covered) // 2], RED) == 0
    assert share(covered, RED) > 0.1


def test_of_a_live_camera_the_clip_that_was_kept_is_given(shop: Path, tmp_path: Path, video: Path) -> None:
    kept = video.rename(tmp_path / "kept.mp4")
    with Gallery.open(shop, write=True) as gallery:
        shelf = ClipShelf(gallery)
        for person in list_people(gallery):
            for id in person.tracklets:
                clip = Clip(id, gallery.tracklet(id).content, f"{id}.mp4", 0.0, 3.0, 0.0)
                assert shelf.begin(clip)
                copy = shelf.folder / f".{id}.partial.mp4"
                copy.write_bytes(kept.read_bytes())
                assert shelf.finish(clip, copy)
    done = written(shop, RED, tmp_path / "out")
    assert (done.frames, done.clips) == (0, 1)
    clip_frames = frames_of(tmp_path / "out" / "visit-001-clip.mp4")
    assert np.mean([share(frame, RED) > 0.01 for frame in clip_frames]) > 0.9
    assert max(share(frame, GREEN) for frame in clip_frames) == 0
    # Its frames are known by their times alone: nobody is shown whom the detector does not find there.
    assert written(shop, RED, tmp_path / "blind", BlindDetector()).unseen == len(clip_frames)
    assert max(share(f, RED) for f in frames_of(tmp_path / "blind" / "visit-001-clip.mp4")) == 0


def test_what_fails_leaves_nothing_behind(shop: Path, tmp_path: Path) -> None:
    class Broken(BlobDetector):
        def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
            raise GalleryError("no detector any more")

    for name in ("out", "out.zip"):
        with pytest.raises(GalleryError, match="no detector any more"):
            written(shop, RED, tmp_path / "made" / name, Broken())
        assert list((tmp_path / "made").iterdir()) == []


def test_who_sees_some_cameras_gives_what_these_saw(shop: Path, tmp_path: Path) -> None:
    with Gallery.open(shop, write=True) as gallery:
        red = owner_of(gallery, RED)
        (asked,) = [p for p in list_people(gallery) if p.id == red]
        joined(gallery, asked.tracklets[0], red)
    assert written(shop, RED, tmp_path / "all").visits == 2
    assert written(shop, RED, tmp_path / "some", cameras={"yard"}).visits == 1
    (visit,) = json.loads((tmp_path / "some" / "visits.json").read_text())["visits"]
    assert (visit["camera"], visit["clip"]) == ("yard", None)


# -- pixels

SIDE = 64
boxes = st.lists(
    st.tuples(st.integers(-10, 60), st.integers(-10, 60), st.integers(1, 40), st.integers(1, 40)),
    min_size=1,
    max_size=4,
)


def noise(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@given(places=boxes, own=st.tuples(st.integers(0, 40), st.integers(0, 40)), seed=st.integers(0, 99))
def test_nothing_of_others_is_in_the_picture(
    places: list[tuple[int, int, int, int]], own: tuple[int, int], seed: int
) -> None:
    """Two pictures that differ only where others are become the same: what is drawn over cannot be brought back."""
    others = np.array([(x, y, x + w, y + h) for x, y, w, h in places], np.float32)
    one, other = noise(seed), noise(seed)
    for x1, y1, x2, y2 in padded(others, one).tolist():
        other[y1:y2, x1:x2] = noise(seed + 1)[y1:y2, x1:x2]
    box = float(own[0]), float(own[1]), own[0] + 20.0, own[1] + 20.0
    assert np.array_equal(without(one, others), without(other, others))
    shown = [alone(picture, box, others, surroundings_of(picture, others)) for picture in (one, other)]
    assert np.array_equal(*shown)


@given(seed=st.integers(0, 99))
def test_around_the_person_everything_is_the_mosaic(seed: int) -> None:
    picture, mosaic = noise(seed), surroundings_of(noise(seed), np.zeros((0, 4), np.float32))
    shown = alone(picture, (10.2, 20.0, 30.7, 50.0), np.zeros((0, 4), np.float32), mosaic)
    assert np.array_equal(shown[20:50, 11:30], picture[20:50, 11:30])
    shown[20:50, 11:30] = mosaic[20:50, 11:30]
    assert np.array_equal(shown, mosaic)
    blocks = {tuple(block) for block in mosaic.reshape(-1, 3).tolist()}
    assert len(blocks) <= 24 * 24


def test_somebody_before_the_person_is_drawn_over() -> None:
    picture = noise(1)
    others = np.array([[20, 20, 30, 30]], np.float32)
    shown = alone(picture, (10.0, 10.0, 40.0, 40.0), others, surroundings_of(picture, others))
    assert (shown[18:32, 18:32] == FLAT).all()
    assert np.array_equal(shown[10:15, 10:15], picture[10:15, 10:15])


# -- places


def walking(frames: list[int], boxes: list[list[float]]) -> Tracklet:
    return replace(made_tracklet(1, "a", 0, 5), frames=np.array(frames), boxes=np.array(boxes, np.float32))


def test_who_is_lost_for_a_while_may_be_anywhere_between() -> None:
    steps = [0, 1, 2, 3, 20, 21, 22, 23]
    places = [[10.0 * n, 0, 10.0 * n + 5, 20] for n in steps]
    way = Way(walking(steps, places))
    # Nothing is shown of the person themselves then, and all of it is covered of others.
    assert way.at(10) is None
    assert way.reach(10, held=5) == (30, 0, 205, 20)
    assert way.at(2) == way.reach(2, held=5) == (20, 0, 25, 20)
    assert way.reach(27, held=5) == way.reach(23, held=5)
    assert way.reach(29, held=5) is None


def test_somebody_without_a_path_is_placed_by_a_detection_that_is_nobody_else_s() -> None:
    known = walking([0, 10], [[0, 0, 10, 20], [0, 0, 10, 20]])
    pathless = replace(walking([0], [[0, 0, 1, 1]]), frames=np.zeros(0, int), boxes=np.zeros((0, 4), np.float32))
    others = Others([known, replace(pathless, start_frame=0, end_frame=10)], [], FPS)
    own = (50.0, 0.0, 60.0, 20.0)
    the_known, the_own, somebody = [1, 0, 11, 20], [50, 1, 60, 21], [30, 0, 40, 20]
    assert not others.found(5, own, np.array([the_known, the_own], np.float32)).sure
    found = others.found(5, own, np.array([the_known, the_own, somebody], np.float32))
    assert found.sure
    assert [30, 0, 40, 20] in found.others.tolist()
    assert the_own not in found.others.tolist()
    assert others.found(11, own, np.zeros((0, 4), np.float32)).sure
