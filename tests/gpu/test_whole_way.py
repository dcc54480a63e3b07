"""From the decoder to events with pictures in a GPU's memory, on a stand-in that is the processor's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine, source_reader
from reidstream.errors import DeviceError
from reidstream.gpu.decoding import OnGpu
from reidstream.gpu.picture import DevicePicture
from reidstream.inference import Detector, Embedder, factory, fixed_session, open_detector, open_embedder
from reidstream.inference.fixed_session import FixedSession
from reidstream.inference.network import Answer
from reidstream.models import resolve_model
from reidstream.sources import open_source
from reidstream.sources.picture import VideoPicture
from reidstream.sources.video_file import VideoFileSource
from reidstream.types import Event, Observed, SourceEnded, TrackEnded
from tests.gpu.standin import DecodingOnHost, HostGpu


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> HostGpu:
    """Models and decoders take all of the way to a GPU; sessions are on the processor in the end.

    Their batches have one size, which a processor computes in vain where there is less: they are small here.
    """
    monkeypatch.setattr(factory, "DETECTED_TOGETHER", 1)
    monkeypatch.setattr(
        factory, "FixedSession", lambda fixed, device, gpu, urgent=False: FixedSession(fixed, "cpu", gpu)
    )
    monkeypatch.setattr(source_reader, "OnGpu", DecodingOnHost)
    return HostGpu()


CONFIG = Config.model_validate({"embedding": {"batch": 2}})


def _models(gpu: HostGpu | None, config: Config = CONFIG) -> tuple[Detector, Embedder]:
    return (
        open_detector(resolve_model("person-detector", "detector"), config.detector, "cuda", gpu=gpu),
        open_embedder(resolve_model("person-reid", "reid"), config.embedding, "cuda", gpu=gpu),
    )


def _events(video: Path, gpu: HostGpu | None) -> tuple[list[Event], LocalEngine]:
    detector, embedder = _models(gpu)
    engine = LocalEngine(Config(), [("a", SourceConfig(uri=str(video)))], None, detector, embedder, gpu=gpu)
    return list(engine.events()), engine


@pytest.mark.slow
def test_events_are_those_of_the_processor_to_the_bit(prepared: Path, gpu: HostGpu) -> None:
    expected, _ = _events(prepared / "entrance.mp4", None)
    found, engine = _events(prepared / "entrance.mp4", gpu)
    ours, theirs = ([e for e in events if isinstance(e, Observed)] for events in (found, expected))
    assert len(ours) == len(theirs) == 60
    samples = 0
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.track_ids, other.track_ids)
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert (one.samples is None) == (other.samples is None)
        if one.samples is not None and other.samples is not None:
            np.testing.assert_array_equal(one.samples.embeddings, other.samples.embeddings)
            assert one.samples.crops == other.samples.crops
            samples += len(one.samples)
    assert samples > 5
    # Every picture and every crop was cut out there, and of all pixels only a few came back.
    assert gpu.cuts > 60 + samples
    assert gpu.copied < 60 * 960 * 540 * 1.5 / 4
    assert not engine.status.warnings


@pytest.mark.slow
def test_what_the_decoder_does_not_take_is_brought_there_and_said(tmp_path: Path, gpu: HostGpu) -> None:
    video = _noise(tmp_path / "a.mkv", "yuv444p")
    found, engine = _events(video, gpu)
    expected, _ = _events(video, None)
    assert sum(isinstance(event, Observed) for event in found) == 8
    assert [e.error for e in found if isinstance(e, SourceEnded)] == [None]
    assert [type(event) for event in found] == [type(event) for event in expected]
    (warning,) = engine.status.warnings
    assert warning == "a: decoded on the processor, since the GPU does not decode it (yuv444p)"
    assert gpu.cuts == 0


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_a_picture_there_gives_what_one_here_gives(tmp_path: Path, pixels: str) -> None:
    video = SourceConfig(uri=str(_noise(tmp_path / "a.mkv", pixels)))
    gpu = HostGpu()
    there = open_source(video, "a", DecodingOnHost(gpu))
    for ours, theirs in zip(there, open_source(video, "a"), strict=True):
        one, other = ours.picture, theirs.picture
        assert isinstance(one, DevicePicture) and isinstance(other, VideoPicture)
        assert one.size == other.size
        np.testing.assert_array_equal(one.crop(11, 7, 60, 41), other.crop(11, 7, 60, 41))
        np.testing.assert_array_equal(one.scaled(64, 48), other.scaled(64, 48))
        np.testing.assert_array_equal(one.bgr(), other.bgr())
        np.testing.assert_array_equal(one.crop(1, 2, 3, 5), other.crop(1, 2, 3, 5))
        with pytest.raises(ValueError, match="must lie inside the picture"):
            one.crop(0, 0, one.size[0] + 1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.usefixtures("gpu")
def test_a_cameras_events_do_not_wait_for_its_next_frame(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    """A file's may, so that the GPU is kept busy; and all of them come in order."""
    started = VideoFileSource.started
    monkeypatch.setattr(VideoFileSource, "started", lambda source: replace(started(source), live=live))
    sent: list[str] = []

    class Later:
        space = _models(None)[1].space

        def embed(self, crops: Any) -> Any:
            raise AssertionError("crops are cut out there")

        def start(self, picture: Any, boxes: Any) -> Any:
            sent.append("asked")

            def answer() -> Any:
                sent.append("waited")
                return np.full((len(boxes), self.space.size), self.space.size**-0.5, np.float32)

            return Answer(answer)

    config = Config.model_validate({"tracker": {"appearance": False}})
    source = [("a", SourceConfig(uri=str(prepared / "entrance.mp4")))]
    engine = LocalEngine(config, source, None, _models(None)[0], Later())
    frames = [event.frame for event in engine.events() if isinstance(event, Observed)]
    assert frames == list(range(60))
    assert sent.count("asked") == sent.count("waited") > 5
    longest = max(len(run) for run in "".join(word[0] for word in sent).split("w"))
    assert (longest > 1) == (not live)


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_fails_ends_the_run_with_what_was_seen(prepared: Path) -> None:
    class Failing:
        """Answers for a while; what is under way when it fails, fails as well."""

        space = _models(None)[1].space
        asked = 0

        def embed(self, crops: Any) -> Any:
            raise AssertionError("crops are cut out there")

        def start(self, picture: Any, boxes: Any) -> Any:
            self.asked += 1
            asked = self.asked

            def answer() -> Any:
                if asked > 3:
                    raise DeviceError("the device is gone")
                return np.full((len(boxes), self.space.size), self.space.size**-0.5, np.float32)

            return Answer(answer)

    config = Config.model_validate({"tracker": {"appearance": False}})
    source = [("a", SourceConfig(uri=str(prepared / "entrance.mp4")))]
    engine = LocalEngine(config, source, None, _models(None)[0], Failing())
    seen: list[Event] = []
    with pytest.raises(DeviceError, match="the device is gone"):
        seen.extend(engine.events())
    ended = seen[-1]
    assert isinstance(ended, SourceEnded) and "the device is gone" in (ended.error or "")
    frames = [event.frame for event in seen if isinstance(event, Observed)]
    assert frames == list(range(len(frames))) and len(frames) > 3
    # All tracks have ended before the source does.
    tracks = {track for event in seen if isinstance(event, Observed) for track in event.track_ids.tolist()}
    assert {event.track_id for event in seen if isinstance(event, TrackEnded)} == tracks


def test_planes_that_nobody_here_reads_are_an_error() -> None:
    class Plane:
        buffer_ptr = 4096

        def __init__(self, line_size: int) -> None:
            self.line_size = line_size

    class Format:
        def __init__(self, name: str) -> None:
            self.name = name

    class Decoded:
        width = height = 64
        colorspace = color_range = 1
        format = Format("cuda")

        def __init__(self, stored: str, *lines: int) -> None:
            self.sw_format = Format(stored)
            self.planes = tuple(Plane(line) for line in lines)

    reading = partial(OnGpu(HostGpu()).picture, orientation=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a picture in yuv444p, which nobody here reads"):
        reading(Decoded("yuv444p", 64, 64))
    with pytest.raises(ValueError, match="lines of different length"):
        reading(Decoded("nv12", 64, 128))


def test_no_gpu_is_an_error_and_no_decoder_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from reidstream.gpu import decoding
    from reidstream.runtime import Missing

    monkeypatch.setattr(decoding, "missing_for_cuda", lambda: (Missing("there is no NVIDIA driver", "install it"),))
    with pytest.raises(DeviceError, match="cannot be used: there is no NVIDIA driver: install it"):
        decoding.open_gpu()
    monkeypatch.setattr(decoding, "missing_for_cuda", tuple)
    monkeypatch.setattr(decoding, "missing_for_decoding", lambda: Missing("no decoder", "add video"))
    assert decoding.open_gpu() is None
    assert "video is decoded on the processor: no decoder: add video" in caplog.text


@pytest.mark.setting("local.decode")
@pytest.mark.parametrize(("decode", "asked"), [("auto", True), pytest.param("cpu", False, marks=pytest.mark.slow)])
def test_where_video_is_decoded(
    prepared: Path, gpu: HostGpu, monkeypatch: pytest.MonkeyPatch, decode: str, asked: bool
) -> None:
    from reidstream.engines.local import models

    monkeypatch.setattr(models, "open_gpu", lambda: gpu)
    monkeypatch.setattr(fixed_session, "missing_for_cuda", tuple)
    config = Config.model_validate({"local": {"device": "cuda", "decode": decode}})
    engine = LocalEngine(config, [("a", SourceConfig(uri=str(prepared / "entrance.mp4")))])
    for event in engine.events():
        if isinstance(event, Observed):
            engine.stop()
    assert (gpu.cuts > 0) == asked


def _noise(path: Path, pixels: str) -> Path:
    random = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 98, 66, pixels
        for _ in range(8):
            image = np.kron(random.integers(0, 256, (11, 14, 3), np.uint8), np.ones((6, 7, 1), np.uint8))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path
