"""What only the local engine promises."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reidstream.config import Config, DetectorConfig, SourceConfig
from reidstream.config.local import LocalEngineConfig
from reidstream.engines.local import LocalEngine
from reidstream.engines.local.tracking_group import TrackingGroup
from reidstream.errors import EngineError, ModelNotFound
from reidstream.sources.frame import Frame, Picture
from reidstream.sources.video_file import VideoFileSource
from reidstream.types import Detections, Event, Observed, SourceEnded, SourceStarted
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs


def engine_for(
    path: Path,
    config: Config | None = None,
    detector: BlobDetector | None = None,
    observer: Callable[[Frame, Observed], None] | None = None,
) -> LocalEngine:
    sources = [("a", SourceConfig(uri=str(path)))]
    return LocalEngine(
        config or Config(), sources, observer, detector=detector or BlobDetector(), embedder=ColourEmbedder()
    )


def test_a_detector_that_fails_ends_the_run_with_what_was_seen(tmp_path: Path) -> None:
    class Failing(BlobDetector):
        calls = 0

        def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
            self.calls += 1
            if self.calls > 30:
                raise RuntimeError("the device is gone")
            return super().detect(pictures)

    seen: list[Event] = []
    with pytest.raises(EngineError, match="the device is gone"):
        seen.extend(engine_for(write_blobs(tmp_path / "a.mp4", [0], 100), detector=Failing()).events())
    assert isinstance(seen[-1], SourceEnded)
    assert "the device is gone" in (seen[-1].error or "")
    assert sum(isinstance(e, Observed) for e in seen) >= 25


@pytest.mark.timeout(90)
def test_what_goes_wrong_before_a_source_is_read_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(group: TrackingGroup) -> None:
        raise RuntimeError("nothing can be tracked")

    start = TrackingGroup.start

    def at_once(group: TrackingGroup) -> None:
        start(group)
        group.join()

    monkeypatch.setattr(TrackingGroup, "_track", failing)
    monkeypatch.setattr(TrackingGroup, "start", at_once)
    seen: list[Event] = []
    with pytest.raises(EngineError, match="nothing can be tracked"):
        seen.extend(engine_for(write_blobs(tmp_path / "a.mp4", [0], 20)).events())
    assert [type(event) for event in seen] == [SourceEnded]


def test_waiting_for_a_camera_is_not_counted_as_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_blobs(tmp_path / "a.mp4", [0], 20)

    class Camera(VideoFileSource):
        def started(self) -> SourceStarted:
            return replace(super().started(), live=True)

    def stages() -> set[str]:
        engine = engine_for(path)
        assert any(isinstance(event, Observed) for event in engine.events())
        return set(engine.status.stage_seconds)

    assert "decode" in stages()
    monkeypatch.setattr("reidstream.engines.local.source_reader.open_source", Camera)
    assert "decode" not in stages()


@pytest.mark.timeout(90)
def test_frames_detected_together_change_nothing_and_may_be_more_than_wait(tmp_path: Path) -> None:
    path = write_blobs(tmp_path / "a.mp4", [0, 1], 50)

    def boxes(batch: int, queue: int = 8) -> list[bytes]:
        config = Config(detector=DetectorConfig(batch=batch), local=LocalEngineConfig(queue=queue))
        return [e.boxes.tobytes() for e in engine_for(path, config).events() if isinstance(e, Observed)]

    assert boxes(1) == boxes(7) == boxes(7, queue=2)


@pytest.mark.setting("detector.every")
def test_detecting_every_third_frame_keeps_the_tracks_and_predicts_between(tmp_path: Path) -> None:
    path = write_blobs(tmp_path / "a.mp4", [0, 1], 60)
    config = Config(detector=DetectorConfig(every=3))
    observed = [e for e in engine_for(path, config).events() if isinstance(e, Observed)]
    assert len(observed) == 60
    assert len({int(i) for e in observed for i in e.track_ids}) == 2
    between = [e for e in observed if e.frame % 3 and e.frame > 20 and len(e.track_ids)]
    assert between
    assert all((e.confidences < 0).all() for e in between)
    assert all(abs(float(e.boxes[0, 0]) - (10 + 3 * e.frame)) < 6 for e in between)


def test_the_observer_sees_every_frame_with_its_tracks(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def observer(frame: Frame, observed: Observed) -> None:
        seen.append((frame.index, observed.frame))

    list(engine_for(write_blobs(tmp_path / "a.mp4", [0], 30), observer=observer).events())
    assert seen == [(i, i) for i in range(30)]


@pytest.mark.setting("detector.model")
def test_a_missing_model_fails_before_any_source_is_touched() -> None:
    config = Config(detector=DetectorConfig(model="no-such-model.onnx"))
    with pytest.raises(ModelNotFound, match=r"no-such-model\.onnx"):
        LocalEngine(config, [("a", SourceConfig(uri="nothing.mp4"))])


def test_where_time_went_and_how_many_frames_is_known(tmp_path: Path) -> None:
    engine = engine_for(write_blobs(tmp_path / "a.mp4", [0], 30))
    list(engine.events())
    assert engine.status.frames == {"a": 30}
    assert {"decode", "detect", "track", "embed"} <= set(engine.status.stage_seconds)


def test_an_engine_that_is_through_is_freed_at_once(tmp_path: Path) -> None:
    """Not when the garbage collector comes by: until then models of former runs would pile up."""
    video = write_blobs(tmp_path / "cam.mp4", [0, 1], 20)
    gc.collect()
    gc.disable()
    try:
        engine = engine_for(video)
        for _ in engine.events():
            pass
        gone = weakref.ref(engine)
        del engine
        assert gone() is None
    finally:
        gc.enable()
