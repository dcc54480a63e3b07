from __future__ import annotations

import gc
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken, SourceError, SourceNotFound
from reidstream.sources import Frame, open_source

MakeClip = Callable[..., Path]
Shown = Callable[[Any], int]


def read(path: Path | str, **settings: Any) -> list[Frame]:
    with open_source(SourceConfig(uri=str(path), **settings), "cam") as source:
        return list(source)


def read_until_error(path: Path) -> tuple[list[Frame], SourceError]:
    frames: list[Frame] = []
    with open_source(SourceConfig(uri=str(path)), "cam") as source, pytest.raises(SourceError) as caught:
        frames.extend(source)
    return frames, caught.value


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("h264.mp4", "libx264", "yuv420p"),
        ("hevc.mp4", "libx265", "yuv420p"),
        ("ten bit.mkv", "libx265", "yuv420p10le"),
        ("mjpeg.avi", "mjpeg", "yuvj420p"),
        ("mpeg4.avi", "mpeg4", "yuv420p"),
        ("reordered.avi", "libx264", "yuv420p"),
        ("a:b %03d.mp4", "libx264", "yuv444p"),
        ("transport.ts", "libx264", "yuv420p"),
    ],
)
def test_every_frame_of_a_file_in_order_with_its_time(
    make_clip: MakeClip, shown: Shown, name: str, codec: str, pix_fmt: str
) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = make_clip(name, 30, codec, pix_fmt, codec_options=options)
    with open_source(SourceConfig(uri=str(path)), "cam") as source:
        info = source.started()
        assert (info.source, info.uri, info.size, info.live) == ("cam", str(path), (160, 96), False)
        assert info.fps == pytest.approx(25)
        assert info.frames in (30, None)
        assert source.started() is info
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(30))
    assert [shown(frame.picture.bgr()) for frame in frames] == list(range(30))
    np.testing.assert_allclose([frame.media_time for frame in frames], np.arange(30) / 25, atol=0.002)
    assert [frame.wall_time - frame.media_time for frame in frames] == pytest.approx([info.wall_time] * 30)
    assert source.skipped == 0
    assert info.wall_time == pytest.approx(path.stat().st_mtime - 30 / 25, abs=0.1)


def test_variable_frame_rate_keeps_its_times(make_clip: MakeClip) -> None:
    times = np.cumsum([0.0, *random.Random(7).choices([0.02, 0.04, 0.3, 1.5], k=29)]).tolist()
    frames = read(make_clip("variable.mkv", 30, times=times))
    np.testing.assert_allclose([frame.media_time for frame in frames], times, atol=0.0015)


def test_sound_beside_the_picture_changes_nothing(make_clip: MakeClip, shown: Shown) -> None:
    frames = read(make_clip("sound.mp4", 30, audio=True))
    assert [shown(frame.picture.bgr()) for frame in frames] == list(range(30))


def test_raw_stream_without_time_stamps_runs_at_its_nominal_rate(make_clip: MakeClip) -> None:
    frames = read(make_clip("raw.h264", 20))
    np.testing.assert_allclose([frame.media_time for frame in frames], np.arange(20) / 25)


def test_creation_time_in_the_container_is_when_the_recording_began(make_clip: MakeClip) -> None:
    path = make_clip("dated.mp4", 5, metadata={"creation_time": "2024-05-06T07:08:09.000000Z"})
    assert read(path)[0].wall_time == 1714979289.0


@pytest.mark.setting("sources.max_fps")
def test_thinning_keeps_the_indices_of_the_source(make_clip: MakeClip, shown: Shown) -> None:
    frames = read(make_clip("clip.mp4", 50), max_fps=10)
    assert [frame.index for frame in frames] == [shown(frame.picture.bgr()) for frame in frames]
    assert len(frames) == 20
    assert read(make_clip("clip.mp4", 50), max_fps=100)[-1].index == 49


def test_same_content_has_the_same_fingerprint_wherever_it_lies(make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip()
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    other = make_clip("other.mp4", 29)
    contents = []
    for clip in (path, copy, other):
        with open_source(SourceConfig(uri=str(clip)), "cam") as source:
            contents.append(source.started().content)
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize("name", ["cut.mp4", "fragments.mp4", "cut.mkv", "cut.avi"])
@pytest.mark.parametrize("share", [0.55, 0.9])
def test_truncated_file_gives_what_it_holds_and_then_an_error(
    make_clip: MakeClip, shown: Shown, name: str, share: float
) -> None:
    options = {"cut.mp4": {"movflags": "faststart"}, "fragments.mp4": {"movflags": "frag_keyframe+empty_moov"}}
    codec = {"codec": "mpeg4"} if name.endswith(".avi") else {}
    path = make_clip(name, 60, container_options=options.get(name), **codec)
    size = path.stat().st_size
    os.truncate(path, int(size * share))
    frames, error = read_until_error(path)
    assert isinstance(error, SourceBroken)
    assert "bytes are missing at its end" in str(error)
    assert str(path) in str(error)
    indices = [shown(frame.picture.bgr()) for frame in frames]
    assert indices == sorted(set(indices))
    assert 60 * (share - 0.4) < len(frames) < 60


def test_file_cut_before_its_index_says_so(make_clip: MakeClip) -> None:
    path = make_clip()
    os.truncate(path, path.stat().st_size // 2)
    frames, error = read_until_error(path)
    assert frames == []
    assert "cut off" in str(error)


def test_complete_files_are_not_taken_for_truncated_ones(make_clip: MakeClip) -> None:
    for name in ("a.mp4", "a.mkv", "a.webm", "a.mov"):
        codec = {"codec": "libvpx"} if name.endswith("webm") else {}
        assert len(read(make_clip(name, 10, **codec))) == 10


def test_damage_in_the_middle_is_skipped_and_counted(make_clip: MakeClip, shown: Shown) -> None:
    path = make_clip("damaged.mp4", 60, codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = random.Random(1).randbytes(6000)
    path.write_bytes(data)
    with open_source(SourceConfig(uri=str(path)), "cam") as source:
        frames = list(source)
    assert source.skipped >= 1
    assert len(frames) + source.skipped == 60
    assert shown(frames[0].picture.bgr()) == 0
    assert shown(frames[-1].picture.bgr()) == 59


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts"])
def test_any_damage_ends_in_frames_or_a_clear_error(make_clip: MakeClip, name: str) -> None:
    whole = make_clip(name, 12, codec="mpeg4").read_bytes()
    path = make_clip(name, 1, codec="mpeg4")
    chance = random.Random(5)
    for _ in range(25):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            start = chance.randrange(len(data))
            data[start : start + chance.choice([1, 4, 200])] = chance.randbytes(chance.choice([1, 4, 200]))
        path.write_bytes(data[: chance.randint(1, len(data))] if chance.random() < 0.5 else data)
        frames: list[Frame] = []
        try:
            with open_source(SourceConfig(uri=str(path)), "cam") as source:
                frames.extend(source)
        except SourceError as error:
            assert str(path) in str(error)
        else:
            assert frames
        assert all(frame.picture.bgr().shape[2] == 3 for frame in frames)
        times = [frame.media_time for frame in frames]
        assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("garbage.mp4", random.Random(2).randbytes(50_000), "not a video that can be read"),
        ("text.avi", b"hello world\n" * 100, "not a video that can be read"),
        ("head.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42mp41", "not a video that can be read"),
    ],
)
def test_files_that_are_no_videos(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    frames, error = read_until_error(path)
    assert frames == []
    assert isinstance(error, SourceBroken)
    assert expected in str(error)
    assert str(path) in str(error)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import wave

    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    _, error = read_until_error(path)
    assert "holds no video stream (streams found: audio)" in str(error)


def test_missing_file_and_special_files(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no such file"):
        read(tmp_path / "missing.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceNotFound, match="not a regular file"):
        read(tmp_path / "pipe.mp4")


def test_closing_from_another_thread_ends_the_iteration(make_clip: MakeClip) -> None:
    source = open_source(SourceConfig(uri=str(make_clip("long.mp4", 70))), "cam")
    first = next(source)
    closer = threading.Thread(target=source.close)
    closer.start()
    closer.join()
    assert list(source) == []
    source.close()
    # A frame outlives its source.
    assert first.picture.bgr().shape == (96, 160, 3)


def test_closing_before_the_first_frame_is_reported(make_clip: MakeClip) -> None:
    source = open_source(SourceConfig(uri=str(make_clip())), "cam")
    source.close()
    with pytest.raises(SourceBroken, match="closed before its first frame"):
        source.started()


def test_open_files_do_not_grow(make_clip: MakeClip) -> None:
    path = make_clip()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with open_source(SourceConfig(uri=str(path)), "cam") as source:
            next(source)
        read(path)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_frames_that_were_read_are_given_back_at_once(make_clip: MakeClip) -> None:
    """Not when the garbage collector comes by: until then a gigabyte of them could pile up."""
    path = make_clip("long.mp4", 60)

    def frames() -> int:
        return sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    # Threads of tests before this one may hold some still.
    before = frames()
    try:
        with open_source(SourceConfig(uri=str(path)), "cam") as source:
            for frame in source:
                frame.picture.bgr()
        del frame
        assert frames() <= before + 2
    finally:
        gc.enable()


def test_a_picture_size_that_changes_is_fitted_into_the_first(
    make_clip: MakeClip, shown: Shown, tmp_path: Path
) -> None:
    parts = [make_clip(f"{number}.ts", 30, size=size) for number, size in enumerate([(160, 96), (320, 192), (96, 160)])]
    path = tmp_path / "changing.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_source(SourceConfig(uri=str(path)), "cam") as source:
        frames = list(source)
        fitted = source.fitted
    assert len(frames) >= 85
    assert fitted >= 55
    assert {frame.picture.size for frame in frames} == {(160, 96)}
    assert [shown(frame.picture.bgr()) for frame in frames[:58]] == [*range(30), *range(28)]
    upright = frames[-1].picture
    assert upright.bgr().shape == (96, 160, 3)
    # Not stretched: 96x160 becomes 58x96, between grey margins.
    assert np.abs(upright.bgr()[:, [5, 154]].astype(int) - 114).max() == 0
    assert upright.crop(60, 10, 90, 50).shape == (40, 30, 3)
    assert upright.scaled(80, 48).shape == (48, 80, 3)
