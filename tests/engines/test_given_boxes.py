"""Detections and tracks that others have found, as input of a gallery: from a file in MOTChallenge's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config, GalleryConfig, SourceConfig
from reidstream.errors import ConfigError, GalleryMismatch, ReIDStreamError
from reidstream.gallery import Gallery
from reidstream.pipeline import RunSummary, build_gallery
from reidstream.sources import expand_sources
from reidstream.sources.frame import Picture
from reidstream.tracking.given import GivenTracks, read_boxes
from reidstream.types import Detections, EndReason, Tracklet
from tests.blobs import ColourEmbedder, write_blobs

FRAMES = 40
EXACT = Config(gallery=GalleryConfig(index="exact"))


class NeverAsked:
    """A detector for sources that need none."""

    input_size = (320, 240)

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        raise AssertionError("the boxes are in the file")


def lines(people: Sequence[int], ids: Sequence[int], frames: range = range(FRAMES), score: str = "0.9") -> str:
    """The boxes of ``write_blobs``, whose people walk on lanes of their own."""
    return "".join(
        f"{frame + 1},{track},{10 + 3 * frame},{20 + 110 * (lane % 2)},30,80,{score},-1,-1,-1\n"
        for frame in frames
        for lane, track in zip(people, ids, strict=True)
    )


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "a.mp4", [0, 1], FRAMES)


def run(source: SourceConfig, gallery: Path, replace: bool = False) -> RunSummary:
    return build_gallery([source], EXACT, gallery, detector=NeverAsked(), embedder=ColourEmbedder(), replace=replace)


def stored(gallery: Path) -> dict[int, Tracklet]:
    with Gallery.open(gallery) as opened:
        return {tracklet.track_id: tracklet for tracklet in opened.tracklets()}


@pytest.mark.setting("sources.tracks")
def test_tracks_from_a_file_replace_detector_and_tracker(video: Path, tmp_path: Path) -> None:
    file = tmp_path / "tracks.txt"
    file.write_text(lines([0, 1], [7, 0]))
    summary = run(SourceConfig(uri=str(video), tracks=str(file)), tmp_path / "g")
    assert (summary.frames, summary.tracklets) == (FRAMES, 2)
    found = stored(tmp_path / "g")
    assert sorted(found) == [0, 7]
    assert (found[7].start_frame, found[7].end_frame, found[7].observations) == (0, FRAMES - 1, FRAMES)
    np.testing.assert_allclose(found[7].boxes[0], [10, 20, 40, 100])
    # Crops and vectors are made as always: the two wear different colours.
    assert found[7].crop is not None
    assert found[7].embeddings_used > 0
    assert float(found[7].embedding @ found[0].embedding) < 0.5


def test_whom_the_file_leaves_out_is_not_seen_and_whom_it_takes_apart_is_two(video: Path, tmp_path: Path) -> None:
    file = tmp_path / "tracks.txt"
    half = FRAMES // 2
    file.write_text(lines([0], [1], range(half)) + lines([0], [2], range(half, FRAMES)))
    run(SourceConfig(uri=str(video), tracks=str(file)), tmp_path / "g")
    found = stored(tmp_path / "g")
    assert {track: (t.start_frame, t.end_frame) for track, t in found.items()} == {
        1: (0, half - 1),
        2: (half, FRAMES - 1),
    }
    assert found[1].reason is not EndReason.SOURCE_ENDED
    assert found[2].reason is EndReason.SOURCE_ENDED


@pytest.mark.setting("sources.detections")
def test_detections_from_a_file_replace_the_detector_and_are_tracked(video: Path, tmp_path: Path) -> None:
    file = tmp_path / "detections.txt"
    # In any order of lines, and without numbers of tracks.
    file.write_text("".join(reversed(lines([0, 1], [-1, -1]).splitlines(keepends=True))))
    run(SourceConfig(uri=str(video), detections=str(file)), tmp_path / "g")
    found = stored(tmp_path / "g")
    assert sorted(found) == [1, 2]
    file.write_text(lines([0, 1], [-1, -1], score="0.01"))
    summary = run(SourceConfig(uri=str(video), detections=str(file)), tmp_path / "unsure")
    assert summary.tracklets == 0


def test_regions_that_do_not_count_hold_for_given_boxes_and_so_do_the_picture_s_borders(
    video: Path, tmp_path: Path
) -> None:
    file = tmp_path / "tracks.txt"
    outside = "".join(f"{frame + 1},5,400,20,30,80,1,-1,-1,-1\n" for frame in range(FRAMES))
    file.write_text(lines([0, 1], [1, 2]) + outside)
    above = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5))
    run(SourceConfig(uri=str(video), tracks=str(file), ignore=(above,)), tmp_path / "g")
    assert sorted(stored(tmp_path / "g")) == [2]


def test_another_file_for_the_same_video_is_another_setting(video: Path, tmp_path: Path) -> None:
    file = tmp_path / "tracks.txt"
    source = SourceConfig(uri=str(video), tracks=str(file))
    file.write_text(lines([0, 1], [1, 2]))
    run(source, tmp_path / "g")
    # Written otherwise, but the same boxes.
    file.write_text(lines([0, 1], [1, 2]).replace(",", " "))
    assert run(source, tmp_path / "g").sources["a"].state == "skipped"
    file.write_text(lines([0], [1]))
    with pytest.raises(GalleryMismatch, match="--replace"):
        run(source, tmp_path / "g")
    with pytest.raises(GalleryMismatch, match="--replace"):
        run(SourceConfig(uri=str(video), detections=str(file)), tmp_path / "g")
    run(source, tmp_path / "g", replace=True)
    assert sorted(stored(tmp_path / "g")) == [1]


def test_boxes_behind_the_last_frame_are_told(video: Path, tmp_path: Path) -> None:
    file = tmp_path / "tracks.txt"
    file.write_text(lines([0, 1], [1, 2], range(FRAMES + 3)))
    summary = run(SourceConfig(uri=str(video), tracks=str(file)), tmp_path / "g")
    assert [f"6 boxes of {file} lie behind the last frame, {FRAMES}" in text for text in summary.warnings] == [True]


@pytest.mark.parametrize(
    ("text", "tracks", "message"),
    [
        ("1,1,0,0,10\n", True, "line 1: expected at least 6 columns"),
        ("1,1,0,0,10,20,1\n2,1,0,0,10,20\n", True, "line 2: expected 7 columns"),
        ("frame,id,x\n", True, "line 1: expected numbers"),
        ("1,1,nan,0,10,20\n", True, "line 1: .*finite"),
        ("0,1,0,0,10,20\n", True, "whole numbers from 1; found 0"),
        ("1.5,1,0,0,10,20\n", True, "whole numbers from 1; found 1.5"),
        ("1,1,0,0,10,0\n", True, "height must be more than 0; found 0 in frame 1"),
        ("1,1,0,0,-3,20\n", False, "width must be more than 0; found -3"),
        ("1,1,1e300,0,3,20\n", False, "left is in pixels, 1,000,000 at most"),
        ("4,1,0,0,10,20,37.5\n", False, "confidences must be 0 to 1.*found 37.5 in frame 4"),
        ("1,1,0,0,10,20,nan\n", False, "confidences must be 0 to 1"),
        ("1,-1,0,0,10,20\n", True, "ids of tracks are whole numbers from 0; found -1"),
        ("2,3,0,0,10,20\n2,3,5,5,10,20\n", True, "once in a frame; found 3 in frame 2"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str, tracks: bool, message: str) -> None:
    path = tmp_path / "boxes.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        read_boxes(path, tracks)
    assert str(path) in str(raised.value)


def test_what_is_optional_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "boxes.txt"
    path.write_text("\ufeff2 -1 1 2 3 4\n\n1 -1 1 2 3 4\n")
    boxes = read_boxes(path, tracks=False)
    assert boxes.frames.tolist() == [0, 1]
    assert boxes.scores.tolist() == [1, 1]
    assert boxes.boxes.tolist() == [[1, 2, 4, 6]] * 2
    path.write_text("")
    assert len(read_boxes(path, tracks=True).frames) == 0
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as a file of tracks"):
        read_boxes(path, tracks=True)


def test_a_track_ends_with_the_first_frame_behind_its_last_box(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    path.write_text("1,1,50,50,9,20\n5,1,50,50,9,20\n2,2,0,50,9,20\n3,3,50,50,9,20\n9,4,50,50,9,20\n")
    tracks = GivenTracks(read_boxes(path, tracks=True), (200, 100))

    def seen(frame: int, count: int) -> tuple[list[int], list[tuple[int, EndReason]]]:
        found = tracks.update(frame, np.ones(count, bool))
        return found.track_ids.tolist(), found.ended

    # A gap in a track does not end it: the file says that it goes on.
    assert [seen(0, 1), seen(1, 1)] == [([1], []), ([2], [])]
    # Frame 2, with track 3, is left out; nobody hears of it, nor of its end.
    assert seen(3, 0) == ([], [(2, EndReason.LEFT)])
    assert seen(4, 1) == ([1], [])
    assert seen(5, 0) == ([], [(1, EndReason.LOST)])
    assert seen(8, 1) == ([4], [])
    assert tracks.finish(EndReason.SOURCE_ENDED) == [(4, EndReason.SOURCE_ENDED)]
    assert tracks.finish(EndReason.SOURCE_ENDED) == []


def test_paths_in_a_list_of_cameras_count_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "list").mkdir()
    listed = tmp_path / "list" / "cameras.toml"
    listed.write_text('[[sources]]\nuri = "a.mp4"\ntracks = "a.txt"\n')
    (source,) = expand_sources([str(listed)])
    assert source.tracks == str(tmp_path / "list" / "a.txt")


def test_either_detections_or_tracks() -> None:
    with pytest.raises(ValueError, match="either detections or tracks"):
        SourceConfig(uri="a.mp4", detections="d.txt", tracks="t.txt")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.mp4", "--tracks", "none.txt"], "no file of tracks at none.txt"),
        (["a.mp4", "--tracks", "t.txt", "--detections", "t.txt"], "given together"),
        (["a.mp4", "b.mp4", "--detections", "t.txt"], "one video or folder, 2 are given"),
        (["rtsp://127.0.0.1:1/x", "--tracks", "t.txt"], "a camera shows something else each time"),
        (["a.mp4", "--tracks", "t.txt", "--engine", "deepstream"], "need the local engine"),
        (["--replay", "r.parquet", "--tracks", "t.txt"], "give it nothing else"),
    ],
)
def test_options_that_cannot_be_meant_so(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_blobs(tmp_path / "b.mp4", [0], 5)
    (tmp_path / "t.txt").write_text(lines([0], [1]))
    done = CliRunner().invoke(app, ["run", *words, "--gallery", "g"])
    assert isinstance(done.exception, ReIDStreamError)
    assert message in str(done.exception)
    assert not (tmp_path / "g").exists()


def test_tracks_on_the_command_line(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text(lines([0, 1], [3, 4]))
    # The detection model is not even looked for.
    settings = ["--set", "gallery.index=exact", "--set", "detector.model=none.onnx"]
    done = CliRunner().invoke(app, ["run", "a.mp4", "--tracks", "t.txt", "--gallery", "g", "--quiet", *settings])
    assert done.exit_code == 0, done.exception
    assert sorted(stored(tmp_path / "g")) == [3, 4]


@pytest.mark.parametrize("line", ["1,-1,0,0,10,20,0\n2,-1,0,0,10,20,1\n", "1,-1,0,0,10,20,-1\n2,-1,0,0,10,20,-1\n"])
def test_confidences_are_nought_to_one_or_none_at_all(tmp_path: Path, line: str) -> None:
    path = tmp_path / "boxes.txt"
    path.write_text(line)
    assert read_boxes(path, tracks=False).scores.tolist() == ([1, 1] if line.endswith("-1\n") else [0, 1])
