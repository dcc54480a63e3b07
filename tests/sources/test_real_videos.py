from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.sources import open_source

pytestmark = pytest.mark.shared

VIDEOS = [
    ("videos/retail02.mp4", (1920, 1080), 30, 603),
    ("videos/one-by-one.mp4", (768, 432), 10, 1394),
    ("videos/campus.mp4", (640, 480), 25, 501),
    ("videos/plaza.avi", (1280, 720), 25, 341),
    ("mot/PETS09-S2L1/video.mp4", (480, 360), 7, 795),
    ("mot/TUD-Campus/video.mp4", (640, 480), 25, 71),
]


@pytest.mark.parametrize(("name", "size", "fps", "count"), VIDEOS)
def test_real_video_is_read_completely(
    shared_data: Path, name: str, size: tuple[int, int], fps: float, count: int
) -> None:
    with open_source(SourceConfig(uri=str(shared_data / name)), "cam") as source:
        info = source.started()
        times = [frame.media_time for frame in source]
    assert info.size == size
    assert info.fps == pytest.approx(fps)
    assert info.frames in (count, None)
    assert len(times) == count
    assert source.skipped == 0
    np.testing.assert_allclose(np.diff(times), 1 / fps, rtol=0.02)


@pytest.mark.parametrize("name", ["videos/retail02.mp4", "videos/one-by-one.mp4"])
def test_colours_of_real_video_agree_with_swscale(shared_data: Path, name: str) -> None:
    with (
        open_source(SourceConfig(uri=str(shared_data / name)), "cam") as source,
        av.open(str(shared_data / name)) as container,
    ):
        for frame, decoded, _ in zip(source, container.decode(video=0), range(20), strict=False):
            expected = decoded.to_ndarray(format="bgr24").astype(np.int16)
            difference = np.abs(frame.picture.bgr() - expected)
            # swscale's fast path rounds each channel down; it is up to three levels off the exact value.
            assert difference.mean() < 1.3
            assert np.percentile(difference, 99.9) <= 3
            np.testing.assert_array_equal(frame.picture.crop(101, 51, 340, 333), frame.picture.bgr()[51:333, 101:340])
