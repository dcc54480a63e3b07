"""A recording that is read while it is written, and again when it is complete: nobody counts twice."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from reidstream.config import SourceConfig, load_config
from reidstream.errors import GalleryMismatch
from reidstream.gallery import Gallery
from reidstream.gallery.migrations import GALLERY_MIGRATIONS
from reidstream.pipeline import RunSummary, SourceState, open_run
from reidstream.sources import open_source
from reidstream.sources.fingerprint import file_beginning, grown
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.slow import first_quick

EXACT = load_config(None, ["gallery.index=exact"])
Read = Callable[..., RunSummary]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(*paths: Path, replace: bool = False, **settings: float) -> RunSummary:
        sources = [SourceConfig(uri=str(path), **settings) for path in paths]
        opened = open_run(
            sources, EXACT, tmp_path / "g", replace=replace, detector=BlobDetector(), embedder=ColourEmbedder()
        )
        with opened as job:
            return job.run()

    return run


def cut(path: Path, whole: Path, part: float) -> Path:
    """The first ``part`` of a file, as it is while it is being written; at whole packets of 188 bytes."""
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * part) // 188 * 188])
    return path


def spans(gallery: Path) -> list[tuple[str, int, int]]:
    with Gallery.open(gallery) as opened:
        return sorted((t.source, t.start_frame, t.end_frame) for t in opened.tracklets())


@pytest.mark.parametrize("last_name", first_quick(["cam-20260131.ts", "cam.ts"]))
def test_the_longer_version_adds_only_what_is_new(tmp_path: Path, read: Read, last_name: str) -> None:
    whole = write_blobs(tmp_path / "whole.ts", [0, 1], 90)
    path = cut(tmp_path / "cam.ts", whole, 0.6)
    first = read(path)
    assert first.stored == 2
    path = path.rename(tmp_path / last_name)
    shutil.copy(whole, path)
    second = read(path)
    (source,) = second.sources.values()
    assert (source.state, source.grown) == (SourceState.COMPLETE, True)
    fresh = tmp_path / "fresh"
    with open_run([str(whole)], EXACT, fresh, detector=BlobDetector(), embedder=ColourEmbedder()) as job:
        job.run()
    assert [(start, end) for _, start, end in spans(tmp_path / "g")] == [(start, end) for _, start, end in spans(fresh)]
    assert {name for name, _, _ in spans(tmp_path / "g")} == {path.stem}
    with Gallery.open(tmp_path / "g") as opened:
        (recording,) = opened.sources()
        assert (recording.source, recording.frames) == (path.stem, 90)
    (third,) = read(path).sources.values()
    assert third.state is SourceState.SKIPPED


def test_what_the_shorter_version_was_called_is_not_read_again(tmp_path: Path, read: Read) -> None:
    whole = write_blobs(tmp_path / "whole.ts", [0], 90)
    part = cut(tmp_path / "part.ts", whole, 0.6)
    read(part)
    read(whole)
    summary = read(part, whole)
    assert {source.state for source in summary.sources.values()} == {SourceState.SKIPPED}
    assert len(spans(tmp_path / "g")) == 1


def test_of_a_recording_and_its_beginning_in_one_run_the_whole_is_read(tmp_path: Path, read: Read) -> None:
    whole = write_blobs(tmp_path / "whole.ts", [0], 90)
    less, least = cut(tmp_path / "less.ts", whole, 0.8), cut(tmp_path / "least.ts", whole, 0.5)
    other = write_blobs(tmp_path / "other.ts", [1], 40)
    summary = read(least, whole, other, less)
    assert {name: (source.state, source.note) for name, source in summary.sources.items()} == {
        "least": (SourceState.SKIPPED, "it is the beginning of whole"),
        "less": (SourceState.SKIPPED, "it is the beginning of whole"),
        "whole": (SourceState.COMPLETE, None),
        "other": (SourceState.COMPLETE, None),
    }
    assert [name for name, _, _ in spans(tmp_path / "g")] == ["other", "whole"]


@pytest.mark.parametrize("frames", [40, 24])
def test_a_second_that_has_grown_is_known_again(tmp_path: Path, read: Read, frames: int) -> None:
    whole = write_blobs(tmp_path / "whole.ts", [0], frames)
    path = cut(tmp_path / "cam.ts", whole, 0.5)
    read(path)
    shutil.copy(whole, path)
    (source,) = read(path).sources.values()
    assert source.grown
    assert len(spans(tmp_path / "g")) == 1


def test_a_beginning_that_a_gallery_of_before_kept_is_still_known() -> None:
    packets = [bytes([n]) * 100 for n in range(60)]
    path = Path(__file__)
    beginning, length = file_beginning(path, packets)
    before = beginning.rsplit(" ", 1)[0]
    assert "~" not in before
    assert grown((before, length), (beginning, length + 1))
    assert not grown((before, length), (file_beginning(path, packets[1:])[0], length + 1))


@pytest.mark.parametrize("count", [0, 4, 5, 24, 25, 26, 60])
def test_every_beginning_of_five_packets_and_one_that_is_cut_off_is_one(count: int) -> None:
    packets = [bytes([n]) * 100 for n in range(61)]
    path = Path(__file__)
    short, whole = file_beginning(path, [*packets[:count], b"cut off"]), file_beginning(path, packets)
    assert grown(short, whole) == (count >= 5)
    assert not grown(short, file_beginning(path, packets[::-1]))


def test_a_recording_of_another_beginning_is_another(tmp_path: Path, read: Read) -> None:
    read(write_blobs(tmp_path / "a.ts", [0], 60))
    summary = read(write_blobs(tmp_path / "b.ts", [1], 90))
    assert not next(iter(summary.sources.values())).grown
    assert len(spans(tmp_path / "g")) == 2


def test_a_grown_recording_with_other_settings_is_refused(tmp_path: Path, read: Read) -> None:
    whole = write_blobs(tmp_path / "whole.ts", [0], 90)
    path = cut(tmp_path / "cam.ts", whole, 0.6)
    read(path)
    shutil.copy(whole, path)
    with pytest.raises(GalleryMismatch, match="other settings"):
        read(path, max_fps=10)


def test_a_folder_of_images_that_grows_is_the_same_recording(tmp_path: Path, read: Read) -> None:
    video = write_blobs(tmp_path / "v.mp4", [0], 80)
    folder = tmp_path / "frames"
    folder.mkdir()
    with open_source(SourceConfig(uri=str(video)), "v") as source:
        images = [frame.picture.bgr() for frame in source]
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image)
        if number == 49:
            assert read(folder, fps=20).stored == 1
    (source_summary,) = read(folder, fps=20).sources.values()
    assert source_summary.grown
    ((_, _, end),) = spans(tmp_path / "g")
    assert end > 70


def test_a_gallery_of_before_is_brought_up_to_date(tmp_path: Path, read: Read) -> None:
    whole = write_blobs(tmp_path / "whole.ts", [0], 60)
    read(whole)
    with sqlite3.connect(tmp_path / "g" / "gallery.db") as database:
        for column in ("beginning", "length"):
            database.execute(f"ALTER TABLE recordings DROP COLUMN {column}")
        version = [m.name for m in GALLERY_MIGRATIONS].index(
            "what recordings begin with, to know them again when they have grown"
        )
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema:gallery'", (str(version),))
    database.close()
    Gallery.open(tmp_path / "g", write=True).close()
    (source,) = read(whole).sources.values()
    assert source.state is SourceState.SKIPPED
