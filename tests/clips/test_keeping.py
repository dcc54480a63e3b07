"""A run keeps a clip of every visit, and no clip shows anybody who was erased."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from reidstream.clips import Clip, ClipShelf, clip_of, clips_of
from reidstream.clips.schema import clips
from reidstream.clips.span import Span, span_of
from reidstream.config import ClipConfig, Config, SourceConfig, TrackletConfig
from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.pipeline import RunSummary, open_run
from reidstream.sources import live
from reidstream.sources.connection import Arrival
from reidstream.sources.decoding import Pictures
from reidstream.sources.packet_ring import PacketRing
from reidstream.types import SourceStarted
from tests.blobs import FPS, BlobDetector, ColourEmbedder, write_blobs
from tests.exact import EXACT
from tests.identities.conftest import SPACE, made_tracklet

KEEP = Config(gallery=EXACT, clips=ClipConfig(keep=True))


def read(sources: list[Any], gallery: Path, config: Config = KEEP, **how: Any) -> RunSummary:
    with open_run(sources, config, gallery, detector=BlobDetector(), embedder=ColourEmbedder(), **how) as run:
        return run.run()


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def kept(gallery: Path) -> dict[str, Path]:
    with Gallery.open(gallery) as opened:
        return clips_of(opened, opened.rows().id.tolist())


def rows(gallery: Gallery) -> list[Any]:
    with gallery.read() as connection:
        return list(connection.execute(clips.select().order_by(clips.c.start_media)))


@pytest.mark.setting("clips.keep")
def test_a_run_with_clips_keeps_one_of_every_visit(tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "entrance.mp4", [0, 1])
    assert read([video], tmp_path / "none", Config(gallery=EXACT)).clips == 0
    assert not (tmp_path / "none" / "clips").exists()
    summary = read([video], tmp_path / "shop")
    found = kept(tmp_path / "shop")
    assert summary.clips == len(found) == summary.stored == 2
    assert summary.warnings == {}
    for path in found.values():
        assert path.stat().st_mode & 0o777 == 0o600
        times = times_of(path)
        # All of it: the visit takes nearly the whole video, and a second is added on either side.
        assert len(times) == 60
        assert times[-1] - times[0] == pytest.approx(59 / FPS, abs=0.01)
    assert {path.name for path in (tmp_path / "shop" / "clips").iterdir()} == {path.name for path in found.values()}
    # What the gallery holds already is not read, and keeps its clips.
    assert read([video], tmp_path / "shop").clips == 0
    assert kept(tmp_path / "shop") == found


@pytest.mark.setting("clips.seconds", "clips.margin")
def test_a_clip_shows_the_visit_with_a_margin_or_the_time_around_its_best_picture() -> None:
    visit = replace(made_tracklet(1, "a", 10.0, 14.0), crop_frame=130)
    assert span_of(visit, ClipConfig()) == Span(9.0, 15.0)
    assert span_of(visit, ClipConfig(margin=3)) == Span(7.0, 17.0)
    assert span_of(replace(visit, start_media=0.5), ClipConfig()).start == 0.0
    short = ClipConfig(seconds=3, margin=0.5)
    # Frame 130 of 100 to 140 is at 13 s.
    assert span_of(visit, short) == Span(11.5, 14.5)
    assert span_of(replace(visit, crop_frame=100), short) == Span(9.5, 12.5)
    assert span_of(replace(visit, crop_frame=None), short) == Span(9.5, 12.5)


def test_a_clip_begins_at_the_last_key_frame_before(tmp_path: Path) -> None:
    # Key frames every twelve pictures, of twenty a second.
    video = write_blobs(tmp_path / "entrance.mp4", [0], frames=100, speed=2.0)
    config = Config(gallery=EXACT, clips=ClipConfig(keep=True, seconds=1.0, margin=0.0))
    read([video], tmp_path / "shop", config)
    with Gallery.open(tmp_path / "shop") as gallery:
        (row,) = rows(gallery)
        (tracklet,) = gallery.tracklets()
    wanted = span_of(tracklet, config.clips)
    assert row.start_media == pytest.approx(int(wanted.start * FPS / 12 + 1e-6) * 12 / FPS, abs=0.01)
    assert wanted.end - 1.5 / FPS <= row.end_media <= wanted.end + 0.01
    assert row.size == (tmp_path / "shop" / "clips" / row.file).stat().st_size


@pytest.mark.slow
@pytest.mark.setting("clips.days", "clips.gib")
def test_old_clips_and_too_many_clips_go_the_oldest_first(tmp_path: Path) -> None:
    for name, people in (("first.mp4", [0]), ("second.mp4", [1]), ("third.mp4", [2])):
        write_blobs(tmp_path / name, people)
    videos = [tmp_path / name for name in ("first.mp4", "second.mp4", "third.mp4")]
    read(videos, tmp_path / "shop", Config(gallery=EXACT, clips=ClipConfig(keep=True, days=None)))
    assert len(kept(tmp_path / "shop")) == 3
    with Gallery.open(tmp_path / "shop", write=True) as gallery:
        oldest, middle, newest = sorted(rows(gallery), key=lambda row: row.made_wall)
        shelf = ClipShelf(gallery)
        assert shelf.sweep(most_bytes=float(middle.size + newest.size)) == 1
        assert set(clips_of(gallery, gallery.rows().id.tolist())) == {middle.tracklet, newest.tracklet}
        assert not (shelf.folder / oldest.file).exists()
        assert shelf.sweep(older_than=newest.made_wall) == 1
        assert shelf.sweep(older_than=newest.made_wall) == 0
    # A run sees to it by itself: a kilobyte is less than any clip.
    tiny = Config(gallery=EXACT, clips=ClipConfig(keep=True, gib=1e-6))
    read([write_blobs(tmp_path / "fourth.mp4", [3])], tmp_path / "shop", tiny)
    assert kept(tmp_path / "shop") == {}
    # And so it does with days: these videos are from now.
    config = Config(gallery=EXACT, clips=ClipConfig(keep=True, days=1e-9))
    read([write_blobs(tmp_path / "fifth.mp4", [4])], tmp_path / "shop", config)
    assert kept(tmp_path / "shop") == {}
    assert list((tmp_path / "shop" / "clips").iterdir()) == []


@pytest.mark.usefixtures("unproven")
def test_erasing_somebody_erases_every_clip_that_shows_them(tmp_path: Path) -> None:
    together = write_blobs(tmp_path / "together.mp4", [0, 1])
    alone = write_blobs(tmp_path / "alone.mp4", [2])
    read([together, alone], tmp_path / "shop")
    assert len(kept(tmp_path / "shop")) == 3
    with Gallery.open(tmp_path / "shop", write=True, config=EXACT) as gallery:
        gone, other = gallery.rows().id[gallery.rows().source == "together"].tolist()
        files = clips_of(gallery, [gone, other])
        erasure = gallery.erase([gone])
        assert erasure.after is not None
        assert not erasure.after.found
        # The other one was beside them: a clip of theirs shows whoever was erased.
        assert not any(path.exists() for path in files.values())
        assert clip_of(gallery, other) is None
        assert [row.tracklet for row in rows(gallery)] == gallery.rows().id[gallery.rows().source == "alone"].tolist()
    # When the recording is read again, no clip shows them either; the visit of the other one stays without one.
    summary = read([together], tmp_path / "shop", replace=True)
    assert summary.kept_out == 1
    with Gallery.open(tmp_path / "shop") as gallery:
        assert {row.content for row in rows(gallery)} == {gallery.tracklet(i).content for i in kept(tmp_path / "shop")}
        assert [gallery.tracklet(i).source for i in kept(tmp_path / "shop")] == ["alone"]
    assert len(list((tmp_path / "shop" / "clips").iterdir())) == 1


@pytest.mark.usefixtures("unproven")
def test_a_clip_that_is_erased_while_it_is_written_does_not_appear(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "shop", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        gallery.begin_source(SourceStarted("a", "a.mp4", "content of a", (640, 480), 10, 0.0), "settings")
        visit = made_tracklet(1, "a", 0, 5)
        gallery.add([visit])
        shelf = ClipShelf(gallery)
        clip = Clip(visit.id, visit.content, f"{visit.id}.mp4", 0.0, 5.0, 0.0)
        assert shelf.begin(clip)
        assert not shelf.begin(clip)
        written = shelf.folder / f".{visit.id}.partial.mp4"
        written.write_bytes(b"somebody")
        assert clip_of(gallery, visit.id) is None
        gallery.erase([visit.id])
        assert not written.exists()
        assert not shelf.finish(clip, written)
        # Nor when its writer makes it anew.
        written.write_bytes(b"somebody")
        assert not shelf.finish(clip, written)
        assert list(shelf.folder.iterdir()) == []


def test_what_a_killed_run_left_and_what_was_replaced_is_swept(tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "entrance.mp4", [0])
    read([video], tmp_path / "shop")
    folder = tmp_path / "shop" / "clips"
    (folder / f".{'a' * 32}.4194305.partial.mp4").write_bytes(b"half")
    other = Config.model_validate({**KEEP.model_dump(), "tracker": {"timeout": 3.0}})
    read([video], tmp_path / "shop", other, replace=True)
    found = kept(tmp_path / "shop")
    assert len(found) == 1
    assert {path.name for path in folder.iterdir()} == {path.name for path in found.values()}


def test_a_full_disk_costs_clips_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ClipShelf, "finish", full)
    summary = read([write_blobs(tmp_path / "entrance.mp4", [0, 1])], tmp_path / "shop")
    assert (summary.stored, summary.clips, summary.failed) == (2, 0, [])
    ((text, count),) = summary.warnings.items()
    assert count == 1
    assert "no more clips are kept in this run: No space left on device" in text
    assert list((tmp_path / "shop" / "clips").iterdir()) == []


def test_a_folder_of_images_has_no_clips_and_that_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    with av.open(str(write_blobs(tmp_path / "v.mp4", [0]))) as container:
        for frame in container.decode(video=0):
            cv2.imwrite(str(folder / f"{frame.pts:09}.png"), frame.to_ndarray(format="bgr24"))
    summary = read([folder], tmp_path / "shop")
    assert (summary.stored, summary.clips) == (1, 0)
    assert summary.warnings == {"no clip: images delivers pictures and no packets, or is a folder of images": 1}


class FileCamera:
    """A connection to a camera that is a file; time goes on with its pictures."""

    now = 0.0

    def __init__(self, config: SourceConfig, _decoding: object) -> None:
        self._container = av.open(config.uri.removeprefix("rtsp://camera"))
        self._ring: Any = None
        self.fps = float(FPS)

    def take_skipped(self) -> int:
        return 0

    def record(self, ring: Any) -> None:
        self._ring = ring

    def arrivals(self, _closed: threading.Event) -> Iterator[Arrival]:
        stream = self._container.streams.video[0]
        pictures = Pictures()
        for packet in self._container.demux(stream):
            if self._ring is not None and packet.size:
                self._ring.take(packet, stream)
            for frame in packet.decode():
                FileCamera.now += 1 / FPS
                yield Arrival(pictures.of(frame), float(frame.pts * frame.time_base))

    def __enter__(self) -> FileCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "connect", FileCamera)
    monkeypatch.setattr(live.time, "monotonic", lambda: FileCamera.now)
    # The test's reader must not drop what arrives faster than ever in life.
    monkeypatch.setattr(live, "BUFFER", 10_000)


@pytest.mark.setting("clips.ring_seconds", "clips.ring_mib", "sources.ring_seconds", "sources.ring_mib")
@pytest.mark.parametrize(
    ("bounds", "own", "clip"),
    [
        ({}, {}, True),
        ({"ring_seconds": 0.1}, {}, False),
        ({"ring_mib": 0.0001}, {}, False),
        ({"ring_seconds": 0.1}, {"ring_seconds": 60.0}, True),
        ({"ring_mib": 0.0001}, {"ring_mib": 64.0}, True),
    ],
)
def test_a_camera_has_clips_as_far_as_its_ring_reaches(
    tmp_path: Path, camera: None, bounds: dict[str, float], own: dict[str, float], clip: bool
) -> None:
    # Whoever comes has gone long before the camera ends: only the ring can show them.
    video = write_blobs(tmp_path / "camera.mp4", [0], frames=120, speed=6.0)
    config = Config(gallery=EXACT, clips=ClipConfig(keep=True, margin=0.2, **bounds))
    source = SourceConfig(uri=f"rtsp://camera{video}", name="door", reconnect=False, **own)
    summary = read([source], tmp_path / "shop", config)
    assert summary.stored == 1
    assert summary.clips == int(clip)
    if clip:
        with Gallery.open(tmp_path / "shop") as gallery:
            (row,) = rows(gallery)
            (tracklet,) = gallery.tracklets()
        wanted = span_of(tracklet, config.clips)
        assert row.start_media <= wanted.start + 0.01
        assert row.end_media >= wanted.end - 1.5 / FPS
        assert len(times_of(tmp_path / "shop" / "clips" / row.file)) < 110
    else:
        assert [text.partition(";")[0] for text in summary.warnings if "no clip" in text] == [
            "no clip: the camera's packets of that time are not in memory any more"
        ]


@pytest.mark.parametrize("reaches", [True, False])
def test_who_only_stood_there_has_a_clip_if_the_ring_reaches_as_far_as_they_wait(
    tmp_path: Path, camera: None, reaches: bool
) -> None:
    # Three times as long as it takes to know a thing, from when they have gone.
    video = write_blobs(tmp_path / "camera.mp4", [], frames=220, stands=34)
    config = Config(
        gallery=EXACT,
        clips=ClipConfig(keep=True, margin=0, ring_seconds=60 if reaches else 4),
        tracklets=TrackletConfig(still_seconds=2),
    )
    source = SourceConfig(uri=f"rtsp://camera{video}", name="door", reconnect=False)
    summary = read([source], tmp_path / "shop", config)
    assert (summary.stored, summary.clips) == (1, int(reaches))
    said = [text.partition(";")[0] for text in summary.warnings if "clip" in text]
    assert bool(said) is not reaches
    if said:
        assert "clips.ring_seconds is 4, but somebody who only stood or sat there" in said[0]
        assert "no clip: the camera's packets of that time are not in memory any more" in said


def test_a_camera_without_clips_remembers_nothing(tmp_path: Path, camera: None) -> None:
    video = write_blobs(tmp_path / "camera.mp4", [0])
    source = SourceConfig(uri=f"rtsp://camera{video}", name="door", reconnect=False, ring_seconds=5, ring_mib=5)
    made: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileCamera, "record", lambda self, ring: made.append(ring))
        read([source], tmp_path / "shop", Config(gallery=EXACT))
    assert not [taker for taker in made if isinstance(taker, PacketRing)]


def test_where_clips_cannot_be_kept_it_is_said_before_anything_is_read(tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "entrance.mp4", [0])
    with (
        pytest.raises(ConfigError, match="gallery on a server keeps none"),
        open_run([video], KEEP, "postgresql://nobody@localhost/none"),
    ):
        pass
    with (
        pytest.raises(ConfigError, match=r"cameras \(clips\.keep\) need the local engine"),
        open_run(["rtsp://127.0.0.1:9/door"], KEEP, tmp_path / "shop", engine="deepstream"),
    ):
        pass


def test_a_recording_of_years_ago_keeps_its_clips(tmp_path: Path) -> None:
    summary = read([write_blobs(tmp_path / "2020-01-02_03-04-05.mp4", [0])], tmp_path / "shop")
    assert next(iter(summary.sources.values())).begun < 1.6e9
    assert len(kept(tmp_path / "shop")) == 1
