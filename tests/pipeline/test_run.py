"""The one path of the data, from video to gallery."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from reidstream.config import Config, GalleryConfig, SourceConfig, TrackletConfig
from reidstream.engines.replay import ReplayEngine
from reidstream.errors import GalleryError, GalleryMismatch
from reidstream.gallery import Gallery, State
from reidstream.pipeline import GalleryRun, build_gallery, settings_fingerprint
from reidstream.pipeline.summary import SourceState
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.exact import EXACT
from tests.killed import Job
from tests.pipeline.job import bring_in, told
from tests.slow import first_quick

Content = dict[str, tuple[object, ...]]


def content(gallery: Path) -> Content:
    """Everything that matters of each tracklet, and that the index holds the same."""
    with Gallery.open(gallery) as opened:
        held = {
            t.id: (t.source, t.track_id, t.start_frame, t.end_frame, t.reason, t.observations, t.embedding.tobytes())
            for t in opened.tracklets()
        }
        for tracklet in opened.tracklets():
            (matches,) = opened.search(tracklet.embedding[None], k=1)
            assert matches[0].similarity == pytest.approx(1, abs=1e-3)
        return held


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    return [write_blobs(tmp_path / "east.mp4", [0, 1], 110), write_blobs(tmp_path / "west.mp4", [2, 3], 90)]


def test_every_person_becomes_one_tracklet_and_is_found_by_appearance(videos: list[Path], tmp_path: Path) -> None:
    summary = bring_in(videos, tmp_path / "g")
    assert (summary.frames, summary.tracklets, summary.stored) == (200, 4, 4)
    assert {s.source: s.state for s in summary.sources.values()} == {"east": "complete", "west": "complete"}
    assert len(content(tmp_path / "g")) == 4


def test_the_same_videos_again_add_nothing(videos: list[Path], tmp_path: Path) -> None:
    bring_in(videos, tmp_path / "g")
    before = content(tmp_path / "g")
    summary = bring_in(videos, tmp_path / "g")
    assert summary.stored == 0
    assert {s.state for s in summary.sources.values()} == {"skipped"}
    assert content(tmp_path / "g") == before


def test_other_settings_for_the_same_video_are_refused_with_advice(videos: list[Path], tmp_path: Path) -> None:
    bring_in(videos[:1], tmp_path / "g")
    with pytest.raises(GalleryMismatch, match="--replace"):
        bring_in(videos[:1], tmp_path / "g", Config(tracklets=TrackletConfig(min_observations=5)))


@pytest.mark.slow
def test_the_same_video_at_another_frame_rate_is_not_taken_for_complete(tmp_path: Path) -> None:
    video, gallery = write_blobs(tmp_path / "a.mp4", [0], 20), tmp_path / "g"
    thinned, whole = SourceConfig(uri=str(video), max_fps=5), SourceConfig(uri=str(video))
    assert build_gallery([thinned], gallery=gallery).sources["a"].frames == 5
    assert build_gallery([thinned], gallery=gallery).sources["a"].state == "skipped"
    with pytest.raises(GalleryMismatch, match="--replace"):
        build_gallery([whole], gallery=gallery)
    assert build_gallery([whole], gallery=gallery, replace=True).sources["a"].frames == 20


def test_the_summary_says_why_something_was_skipped_and_where_nobody_was_found(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    write_blobs(folder / "a.mp4", [0], 30)
    write_blobs(folder / "quiet.mp4", [], 10)
    config = Config(gallery=GalleryConfig(index="exact"))

    def notes(*sources: Path) -> dict[str, tuple[str, int, str | None]]:
        built = build_gallery(sources, config, tmp_path / "g", detector=BlobDetector(), embedder=ColourEmbedder())
        return {s.source: (s.state.value, s.tracklets, s.note) for s in built.sources.values()}

    assert notes(folder) == {"a": ("complete", 1, None), "quiet": ("complete", 0, "nobody was found in it")}
    (folder / "copy.mp4").write_bytes((folder / "a.mp4").read_bytes())
    assert notes(folder / "a.mp4", folder / "copy.mp4") == {
        "a": ("skipped", 0, "it is in the gallery already"),
        "copy": ("skipped", 0, "same content as a"),
    }


def test_the_same_content_twice_in_one_run_is_named(tmp_path: Path) -> None:
    write_blobs(tmp_path / "a.mp4", [0], 30)
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    summary = bring_in([tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "g")
    skipped = {s.source: s.note for s in summary.sources.values() if s.state is SourceState.SKIPPED}
    assert skipped in ({"b": "same content as a"}, {"a": "same content as b"})


def test_a_recorded_run_replays_to_the_same_gallery(videos: list[Path], tmp_path: Path) -> None:
    bring_in(videos, tmp_path / "g", record=tmp_path / "events.parquet")
    engine = ReplayEngine(tmp_path / "events.parquet")
    with Gallery.open(tmp_path / "again", write=True, create=True, space=engine.space, config=EXACT) as opened:
        GalleryRun(engine, opened, Config(), settings=settings_fingerprint(Config(), "replay")).run()
    assert content(tmp_path / "again") == content(tmp_path / "g")


def test_a_source_that_fails_keeps_its_finished_tracks_and_is_told(videos: list[Path], tmp_path: Path) -> None:
    cut = write_blobs(tmp_path / "cut.avi", [0, 1], 110)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    summary = bring_in([cut, tmp_path / "missing.mp4", videos[1]], tmp_path / "g")
    states = {s.source: s.state for s in summary.sources.values()}
    assert states == {"cut": "failed", "missing": "failed", "west": "complete"}
    assert all(s.error for s in summary.failed)
    with Gallery.open(tmp_path / "g") as opened:
        assert {r.source: r.state for r in opened.sources()} == {"cut": State.FAILED, "west": State.COMPLETE}
        assert {r.source: r.tracklets for r in opened.sources()} == {"cut": 2, "west": 2}


def test_one_interrupt_stores_what_was_seen_and_running_again_completes_it(videos: list[Path], tmp_path: Path) -> None:
    bring_in(videos, tmp_path / "whole")
    process = start(tmp_path / "g", videos, seconds=0.05)
    # Fifty frames of two videos: everybody has been in view for more than a second.
    wait_for_frames(process.stdout, 50)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 0
    with Gallery.open(tmp_path / "g") as opened:
        assert {r.state for r in opened.sources()} == {State.STOPPED}
        assert len(opened) > 0
    bring_in(videos, tmp_path / "g")
    assert content(tmp_path / "g") == content(tmp_path / "whole")


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once_without_damage(videos: list[Path], tmp_path: Path) -> None:
    bring_in(videos, tmp_path / "whole")
    process = start(tmp_path / "g", videos, seconds=600.0)
    wait_for_frames(process.stdout, 1)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while process.poll() is None and "finishing" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    bring_in(videos, tmp_path / "g")
    assert content(tmp_path / "g") == content(tmp_path / "whole")


@pytest.mark.parametrize("seed", first_quick(range(3)))
def test_killed_at_any_moment_and_run_again_the_gallery_is_the_same(
    seed: int, videos: list[Path], tmp_path: Path
) -> None:
    bring_in(videos, tmp_path / "whole")
    moments = random.Random(seed)
    for _ in range(2):
        job = Job(told, tmp_path / "g", 0.004, videos)
        wait_for_frames(job.lines, moments.randrange(200))
        job.kill()
    summary = bring_in(videos, tmp_path / "g")
    assert not summary.failed
    assert content(tmp_path / "g") == content(tmp_path / "whole")


def test_who_waits_for_what_comes_to_their_place_when_a_run_is_killed_is_stored_by_the_next_one(tmp_path: Path) -> None:
    """Somebody who stood there is stored later than who walked by; until then nothing says that they are."""
    video = write_blobs(tmp_path / "hall.mp4", [0], 300, stands=50)
    bring_in([video], tmp_path / "whole")
    whole = content(tmp_path / "whole")
    job = Job(told, tmp_path / "g", 0.02, [video])
    # Who walked has left the picture; who stood was gone long before.
    wait_for_frames(job.lines, 150)
    with Gallery.open(tmp_path / "g") as opened:
        while len(opened) == 0 and job.lines.readline():
            pass
    job.kill()
    stored = content(tmp_path / "g")
    (stood,) = whole.keys() - stored.keys()
    (walked,) = stored.keys()
    assert stored[walked] == whole[walked]
    assert whole[stood][3] < whole[walked][3]
    with Gallery.open(tmp_path / "g") as opened:
        assert {recording.state for recording in opened.sources()} == {State.STOPPED}
    assert bring_in([video], tmp_path / "g").stored == 1
    assert content(tmp_path / "g") == whole


def start(gallery: Path, videos: list[Path], seconds: float) -> subprocess.Popen[str]:
    """The run as a process of its own; seconds: what the detection of a batch takes."""
    words = [sys.executable, "-m", "tests.pipeline.job", str(gallery), str(seconds), *map(str, videos)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_frames(lines: IO[str] | None, frames: int) -> None:
    """Wait until a run has been given so many frames to detect in, or has ended. lines: what it says."""
    assert lines is not None
    while frames > 0 and (line := lines.readline()):
        frames -= int(line)


def test_a_gallery_that_cannot_be_written_stops_the_run_with_its_error(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise GalleryError("the disk is full")

    monkeypatch.setattr(Gallery, "add", full)
    with pytest.raises(GalleryError, match="the disk is full"):
        bring_in(videos, tmp_path / "g")
