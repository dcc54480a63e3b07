"""Video is written with whatever encoder is there."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from reidstream.encoders import PREFERRED, add_video, video_encoder
from reidstream.errors import MissingDependency


@pytest.mark.parametrize("there", [("libx264", "mpeg4"), ("mpeg4",)])
def test_the_first_encoder_that_is_there_writes_a_video_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...]
) -> None:
    monkeypatch.setattr(av, "codecs_available", set(there))
    assert video_encoder() == there[0]
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = add_video(container, (321, 241), 10)
        for value in range(20):
            image = np.full((240, 320, 3), 5 * value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert sizes == [(320, 240)] * 20


def test_without_any_encoder_the_ones_looked_for_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"h264"})
    with pytest.raises(MissingDependency, match=", ".join(PREFERRED)):
        video_encoder()
