from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.sources import Frame, open_source


def write_images(folder: Path, names: list[str], size: tuple[int, int] = (32, 24)) -> None:
    """Image i of ``names`` is filled with the grey 10 i."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), 10 * i, np.uint8))


def read(folder: Path, **settings: Any) -> list[Frame]:
    with open_source(SourceConfig(uri=str(folder), **settings), "cam") as source:
        return list(source)


def values(frames: list[Frame]) -> list[int]:
    return [int(frame.picture.bgr()[0, 0, 0]) for frame in frames]


@pytest.mark.setting("sources.fps")
def test_images_come_in_the_order_of_their_names_at_the_given_rate(tmp_path: Path) -> None:
    write_images(tmp_path, ["f1.png", "f2.png", "f10.png", "g.bmp"])
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    with open_source(SourceConfig(uri=str(tmp_path), fps=10), "cam") as source:
        info = source.started()
        frames = list(source)
    assert (info.size, info.fps, info.frames, info.live) == ((32, 24), 10, 4, False)
    assert values(frames) == [0, 10, 20, 30]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.media_time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("inner", ["", "img1"])
def test_motchallenge_folder_brings_its_frame_rate(tmp_path: Path, inner: str) -> None:
    write_images(tmp_path / "img1", [f"{i:06}.png" for i in range(1, 4)])
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nname=X\nimDir=img1\nframeRate=14\nseqLength=3\n")
    frames = read(tmp_path / inner)
    assert [frame.media_time for frame in frames] == pytest.approx([0, 1 / 14, 2 / 14])
    assert read(tmp_path / inner, fps=2)[1].media_time == 0.5


@pytest.mark.parametrize(
    "text", ["", "[Sequence]\nname=x\n", "[Sequence]\nframeRate=fast\n", "[Sequence]\nframeRate=0\n"]
)
def test_unusable_seqinfo_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    write_images(tmp_path / "img1", ["1.png"])
    (tmp_path / "seqinfo.ini").write_text(text)
    with pytest.raises(SourceBroken, match=r"seqinfo\.ini.*frameRate"):
        read(tmp_path)


def test_damaged_images_are_left_out_and_their_time_stays(tmp_path: Path) -> None:
    write_images(tmp_path, ["0.png", "1.png", "2.png", "3.png"])
    (tmp_path / "1.png").write_bytes(b"broken")
    (tmp_path / "2.png").write_bytes(b"")
    with open_source(SourceConfig(uri=str(tmp_path)), "cam") as source:
        frames = list(source)
    assert [frame.index for frame in frames] == [0, 3]
    assert source.skipped == 2


def test_folder_without_usable_images(tmp_path: Path) -> None:
    with pytest.raises(SourceBroken, match="holds no images"):
        read(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"broken")
    with pytest.raises(SourceBroken, match="none of its 1 images can be decoded"):
        read(tmp_path)


def test_folder_that_vanished(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    source = open_source(SourceConfig(uri=str(tmp_path / "f")), "cam")
    (tmp_path / "f").rmdir()
    with pytest.raises(SourceNotFound, match="no such folder"):
        source.started()


def test_fingerprint_follows_names_contents_and_rate(tmp_path: Path) -> None:
    def content(folder: Path, **settings: Any) -> str:
        with open_source(SourceConfig(uri=str(folder), **settings), "cam") as source:
            return source.started().content

    make: Callable[[str, list[str]], None] = lambda name, images: write_images(tmp_path / name, images)  # noqa: E731
    make("a", ["1.png", "2.png"])
    make("b", ["1.png", "2.png"])
    make("c", ["1.png", "3.png"])
    make("d", ["2.png", "1.png"])
    assert content(tmp_path / "a") == content(tmp_path / "b")
    others = {content(tmp_path / "a"), content(tmp_path / "a", fps=5), content(tmp_path / "c"), content(tmp_path / "d")}
    assert len(others) == 4


def test_closing_ends_the_iteration(tmp_path: Path) -> None:
    write_images(tmp_path, ["0.png", "1.png", "2.png"])
    source = open_source(SourceConfig(uri=str(tmp_path)), "cam")
    next(source)
    source.close()
    assert list(source) == []


def test_each_image_stands_at_its_own_time_from_the_first_one_on(tmp_path: Path) -> None:
    write_images(tmp_path, ["1.png", "2.png", "3.png"])
    (tmp_path / "1.png").write_bytes(b"damaged")
    os.utime(tmp_path / "1.png", (5000.0, 5000.0))
    with open_source(SourceConfig(uri=str(tmp_path), fps=10), "cam") as source:
        begun = source.started().wall_time
        frames = list(source)
    # The recording begins with the first image that can be read.
    assert [begun, *(frame.wall_time for frame in frames)] == pytest.approx([5000.1, 5000.1, 5000.2])
