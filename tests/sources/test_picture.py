from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.config import SourceConfig
from reidstream.sources import open_source
from reidstream.sources.picture import VideoPicture

MakeClip = Callable[..., Path]

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12"]
TEN_BITS = ["yuv420p10le", "yuv422p10le", "yuv444p10le"]
SUBSAMPLING = {"yuv420p": (2, 2), "yuv422p": (2, 1), "yuv444p": (1, 1), "nv12": (2, 2)}
WEIGHTS = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}


def random_frame(pix_fmt: str, width: int = 66, height: int = 38, seed: int = 0) -> Any:
    """An av.VideoFrame whose planes hold independent noise, chroma kept moderate so that little is clipped."""
    rng = np.random.default_rng(seed)
    frame = av.VideoFrame(width, height, pix_fmt)
    for i, plane in enumerate(frame.planes):
        low, high = (16, 236) if i == 0 else (90, 166)
        if pix_fmt in TEN_BITS:
            plane.update(rng.integers(4 * low, 4 * high, plane.buffer_size // 2, dtype=np.uint16).tobytes())
        else:
            plane.update(rng.integers(low, high, plane.buffer_size, dtype=np.uint8).tobytes())
    return frame


def exact_bgr(frame: Any) -> npt.NDArray[np.float64]:
    """The standards' formulas in double precision, each chroma sample shared by its pixels."""
    width, height, name = frame.width, frame.height, frame.format.name
    rows = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size).astype(float) for p in frame.planes]
    if name in TEN_BITS:
        rows = [np.frombuffer(p, np.uint16).reshape(-1, p.line_size // 2) / 4 for p in frame.planes]
    sx, sy = SUBSAMPLING[name.replace("j", "").replace("10le", "")]
    luma = rows[0][:height, :width]
    u, v = (rows[1][:, 0::2], rows[1][:, 1::2]) if name == "nv12" else rows[1:]
    u, v = (c.repeat(sy, 0).repeat(sx, 1)[:height, :width] - 128 for c in (u, v))
    if "j" in name or frame.color_range == 2:
        luma, scale = luma / 255, 1 / 255
    else:
        luma, scale = (luma - 16) / 219, 1 / 224
    kr, kb = WEIGHTS[frame.colorspace]
    red, blue = luma + 2 * (1 - kr) * v * scale, luma + 2 * (1 - kb) * u * scale
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(255 * np.stack([blue, green, red], -1), 0, 255)


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("colorspace", [1, 2, 5, 9])
@pytest.mark.parametrize("size", [(66, 38), (67, 39), (64, 200)])
def test_conversion_agrees_with_the_standards(pix_fmt: str, colorspace: int, size: tuple[int, int]) -> None:
    frame = random_frame(pix_fmt, *size)
    frame.colorspace = colorspace
    assert np.abs(VideoPicture(frame).bgr() - exact_bgr(frame)).max() <= 1.0


@pytest.mark.parametrize("pix_fmt", TEN_BITS)
def test_ten_bits_are_rounded_and_no_more(pix_fmt: str) -> None:
    frame = random_frame(pix_fmt, 67, 39)
    difference = np.abs(VideoPicture(frame).bgr() - exact_bgr(frame))
    # Half a level of each plane, weighted by the matrix (1.16 + 2.02 at most), and the final rounding.
    assert difference.max() <= 0.5 * (1.17 + 2.02) + 1
    assert difference.mean() < 0.7


@pytest.mark.parametrize("color_range", [1, 2])
def test_range_flag_is_respected(color_range: int) -> None:
    frame = random_frame("yuv420p")
    frame.color_range = color_range
    assert np.abs(VideoPicture(frame).bgr() - exact_bgr(frame)).max() <= 1.0


@pytest.mark.parametrize("pix_fmt", [*FORMATS, *TEN_BITS, "yuv420p12le", "rgb24", "gray"])
@pytest.mark.parametrize("colorspace", [1, 5])
def test_conversion_agrees_with_swscale(pix_fmt: str, colorspace: int) -> None:
    # Smooth pictures: swscale's fast path rounds coarsely, and interpolates the chroma of some formats.
    ramp = np.linspace(30, 220, 128).astype(np.uint8)
    image = np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[::-1], (64, 1)), np.full((64, 128), 120, np.uint8)], -1)
    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pix_fmt, dst_colorspace=colorspace)
    frame.colorspace = colorspace
    expected = frame.to_ndarray(format="bgr24").astype(int)
    assert np.abs(VideoPicture(frame).bgr() - expected).max() <= 4
    assert np.abs(VideoPicture(frame).bgr() - expected).mean() <= 1.6


@given(
    pix_fmt=st.sampled_from([*FORMATS, *TEN_BITS, "rgb24"]),
    x=st.tuples(st.integers(0, 66), st.integers(0, 66)).filter(lambda p: p[0] != p[1]),
    y=st.tuples(st.integers(0, 70), st.integers(0, 70)).filter(lambda p: p[0] != p[1]),
    matrix=st.sampled_from(
        [None, (0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]
    ),
)
@settings(deadline=None, max_examples=150)
def test_crop_is_that_part_of_the_whole(
    pix_fmt: str, x: tuple[int, int], y: tuple[int, int], matrix: tuple[int, int, int, int] | None
) -> None:
    from reidstream.sources import picture as module

    frame = random_frame(pix_fmt, 67, 71)
    orientation = module.Orientation()
    if matrix is not None:
        orientation = module.Orientation.from_matrix(*matrix)
    whole = VideoPicture(frame, orientation).bgr()
    picture = VideoPicture(frame, orientation)
    width, height = picture.size
    assert whole.shape == (height, width, 3)
    (x1, x2), (y1, y2) = sorted(min(v, width) for v in x), sorted(min(v, height) for v in y)
    if x1 < x2 and y1 < y2:
        np.testing.assert_array_equal(picture.crop(x1, y1, x2, y2), whole[y1:y2, x1:x2])


@pytest.mark.parametrize("pix_fmt", [*FORMATS, *TEN_BITS, "yuv420p12le"])
def test_scaled_is_close_to_the_scaled_whole(pix_fmt: str) -> None:
    image = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 255, (240, 320, 3), dtype=np.uint8), (0, 0), 6)
    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pix_fmt)
    picture = VideoPicture(frame)
    for size in ((104, 78), (33, 57), (416, 312)):
        expected = cv2.resize(picture.bgr(), size, interpolation=cv2.INTER_LINEAR).astype(int)
        scaled = picture.scaled(*size)
        assert scaled.shape == (size[1], size[0], 3)
        assert np.abs(scaled - expected).mean() < 1.0
        assert np.abs(scaled - expected).max() <= 6
    np.testing.assert_array_equal(picture.scaled(320, 240), picture.bgr())


# Display matrices (16.16 fixed point, last column 2.30) and what a viewer does with them.
ONE, UNIT = 1 << 16, 1 << 30
TURNS: list[tuple[tuple[int, int, int, int], Callable[[Any], Any]]] = [
    ((ONE, 0, 0, ONE), lambda a: a),
    ((0, ONE, -ONE, 0), lambda a: np.rot90(a, -1)),
    ((-ONE, 0, 0, -ONE), lambda a: np.rot90(a, 2)),
    ((0, -ONE, ONE, 0), lambda a: np.rot90(a, 1)),
    ((-ONE, 0, 0, ONE), lambda a: a[:, ::-1]),
    ((ONE, 0, 0, -ONE), lambda a: a[::-1]),
]


@pytest.mark.parametrize(("turn", "viewed"), TURNS)
def test_recorded_rotation_is_undone_everywhere(make_clip: MakeClip, turn: Any, viewed: Callable[[Any], Any]) -> None:
    a, b, c, d = turn
    upright = VideoPicture(next(av.open(str(make_clip("plain.mp4", 2))).decode(video=0))).bgr()
    expected = viewed(upright)
    height, width = expected.shape[:2]
    path = make_clip("turned.mp4", 2, matrix=[a, b, 0, c, d, 0, 0, 0, UNIT])
    with open_source(SourceConfig(uri=str(path)), "cam") as source:
        assert source.started().size == (width, height)
        picture = next(source).picture
    assert picture.size == (width, height)
    np.testing.assert_array_equal(picture.crop(10, 20, 50, 70), expected[20:70, 10:50])
    np.testing.assert_array_equal(picture.bgr(), expected)
    small = cv2.resize(np.ascontiguousarray(expected), (40, 30), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(picture.scaled(40, 30) - small).mean() < 8


def test_boxes_outside_the_picture_are_refused() -> None:
    picture = VideoPicture(random_frame("yuv420p"))
    for box in ((-1, 0, 5, 5), (0, 0, 67, 5), (5, 5, 5, 9), (0, 9, 9, 5)):
        with pytest.raises(ValueError, match="inside the picture of 66x38"):
            picture.crop(*box)


def test_pictures_can_be_used_by_many_threads_at_once(make_clip: MakeClip) -> None:
    with open_source(SourceConfig(uri=str(make_clip("wide.mkv", 12, "libx265", "yuv422p12le"))), "cam") as source:
        frames = list(source)
    expected = [VideoPicture(frame.picture._frame).bgr().copy() for frame in frames]  # type: ignore[attr-defined]
    wrong: list[int] = []

    def use(order: int) -> None:
        for i in range(len(frames)):
            k = (i * order) % len(frames)
            if not np.array_equal(frames[k].picture.crop(0, 0, 90, 80), expected[k][:80, :90]):
                wrong.append(k)
            frames[k].picture.scaled(64, 64)

    threads = [threading.Thread(target=use, args=(order,)) for order in (1, 5, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(st.lists(st.sampled_from([-3, 0, 5]), min_size=4, max_size=4))
def test_only_quarter_turns_and_mirrorings_turn_a_picture(matrix: list[int]) -> None:
    """Each axis becomes one axis, whole: then a point goes where the matrix says; all else is left as it is."""
    from reidstream.sources.picture import Orientation

    a, b, c, d = matrix
    turn = Orientation.from_matrix(a, b, c, d)
    if not ((b == c == 0 and a and d) or (a == d == 0 and b and c)):
        assert turn == Orientation()
        return
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    shown = turn.upright(pixels)
    width, height = turn.size(3, 2)
    assert shown.shape == (height, width, 3)
    for y in range(2):
        for x in range(3):
            right, down = np.sign(a) * x + np.sign(c) * y, np.sign(b) * x + np.sign(d) * y
            # Axes that point left or up begin at the other side.
            place = (down if min(b, d) >= 0 else height - 1 + down, right if min(a, c) >= 0 else width - 1 + right)
            np.testing.assert_array_equal(shown[place], pixels[y, x])
