"""Settings of the tracker, of sampling, of tracklets and of the local engine: each makes a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.config import Config, EmbeddingConfig, SourceConfig, TrackerConfig, TrackletConfig
from reidstream.engines.local import LocalEngine, detecting, engine
from reidstream.engines.local.sampling import CropSampler, FrameCrops
from reidstream.sources.connection import ConnectionLost, ConnectionRefused
from reidstream.sources.frame import ArrayPicture
from reidstream.sources.rtsp import RtspConnection
from reidstream.tracking import Tracker, Tracks
from reidstream.types import Detections, EndReason, Observed, Samples, TrackEnded, Tracklet
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.tracklets.test_collector import appearance, placed, run, seen, started

BOX = np.array([[100, 100, 140, 200]], np.float32)


def followed(config: TrackerConfig, scores: list[float]) -> list[int]:
    """How many tracks are reported, frame by frame, of somebody who stands still, detected with these scores."""
    tracker = Tracker(config, (640, 480))
    frames = [Detections(BOX, np.array([score], np.float32)) for score in scores]
    reported = [tracker.update(found, n / 10) for n, found in enumerate(frames)]
    return [int((tracks.rows >= 0).sum()) for tracks in reported]


@pytest.mark.setting("tracker.start")
def test_a_track_starts_with_detections_as_sure_as_is_said() -> None:
    scores = [0.6] * 10
    assert sum(followed(TrackerConfig(start=0.55), scores)) > 0 == sum(followed(TrackerConfig(start=0.7), scores))


@pytest.mark.setting("tracker.low")
def test_a_track_goes_on_with_detections_as_unsure_as_is_said() -> None:
    scores = [0.9] * 10 + [0.3] * 10
    assert followed(TrackerConfig(low=0.2), scores)[-1] == 1
    assert followed(TrackerConfig(low=0.4), scores)[-1] == 0


@pytest.mark.setting("tracker.high")
def test_only_sure_detections_find_a_track_again_that_was_gone() -> None:
    def found_again(config: TrackerConfig) -> set[int]:
        tracker = Tracker(config, (640, 480))
        ids: set[int] = set()
        for n in range(40):
            gone = 10 <= n < 20
            score = 0.9 if n < 10 else 0.6
            boxes, scores = (BOX[:0], []) if gone else (BOX, [score])
            tracks = tracker.update(Detections(boxes, np.array(scores, np.float32)), n / 10)
            ids |= {int(i) for i in tracks.track_ids[tracks.rows >= 0]} if n >= 20 else set()
        return ids

    assert found_again(TrackerConfig(high=0.5, start=0.85)) == {1}
    assert found_again(TrackerConfig(high=0.7, start=0.85)) == set()


class _Counting(ColourEmbedder):
    def __init__(self) -> None:
        self.sizes: list[int] = []

    def embed(self, crops: Any) -> Any:
        self.sizes.append(len(crops))
        return super().embed(crops)


def run_local(folder: Path, config: Config, sources: int = 1) -> tuple[list[Any], _Counting]:
    embedder = _Counting()
    named = [
        (f"s{n}", SourceConfig(uri=str(write_blobs(folder / f"s{n}.mp4", people=(0, 2), frames=40))))
        for n in range(sources)
    ]
    local = LocalEngine(config, named, detector=BlobDetector(), embedder=embedder)
    return list(local.events()), embedder


@pytest.mark.setting("tracker.appearance")
def test_without_appearance_the_tracker_asks_for_no_embeddings(tmp_path: Path) -> None:
    def embedded(appearance: bool) -> int:
        config = Config(tracker=TrackerConfig(appearance=appearance), embedding=EmbeddingConfig(min_height=200))
        return sum(run_local(tmp_path, config)[1].sizes)

    # Nobody is tall enough to be sampled, so that only the tracker asks.
    assert embedded(True) > 0 == embedded(False)


@pytest.mark.setting("tracker.follow_scores")
def test_people_of_whom_a_detector_is_less_sure_are_tracked_where_scores_are_followed(tmp_path: Path) -> None:
    class Unsure(BlobDetector):
        """Gives people .55 and adds a faint thing to every frame."""

        def detect(self, pictures: Any) -> list[Detections]:
            thing = np.array([[5, 5, 15, 25]], np.float32)
            found = super().detect(pictures)
            return [
                Detections(
                    np.concatenate([one.boxes, thing]),
                    np.array([0.55] * len(one) + [0.12], np.float32),
                )
                for one in found
            ]

    path = write_blobs(tmp_path / "door.mp4", people=(0, 2), frames=120)

    def tracked(follow: bool) -> int:
        config = Config(tracker=TrackerConfig(follow_scores=follow))
        local = LocalEngine(
            config, [("door", SourceConfig(uri=str(path)))], detector=Unsure(), embedder=ColourEmbedder()
        )
        return sum(len(event.track_ids) for event in local.events() if isinstance(event, Observed))

    assert tracked(True) > 0 == tracked(False)


@pytest.mark.setting("detector.batch")
def test_so_many_frames_are_detected_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together: list[int] = []
    detect = BlobDetector.detect

    def counted(detector: BlobDetector, pictures: Any) -> list[Detections]:
        together.append(len(pictures))
        return detect(detector, pictures)

    monkeypatch.setattr(BlobDetector, "detect", counted)
    config = Config()
    run_local(tmp_path, config.model_copy(update={"detector": config.detector.model_copy(update={"batch": 8})}))
    assert max(together) == 8


@pytest.mark.setting("local.threads", "local.queue")
def test_threads_and_frames_waiting_are_as_many_as_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[int] = []
    queues: list[int] = []
    pool, inbox = detecting.ThreadPoolExecutor, engine.Inbox
    monkeypatch.setattr(detecting, "ThreadPoolExecutor", lambda n, **more: pools.append(n) or pool(n, **more))
    monkeypatch.setattr(engine, "Inbox", lambda sources, n, ready: queues.append(n) or inbox(sources, n, ready))
    config = Config()
    run_local(tmp_path, config.model_copy(update={"local": config.local.model_copy(update={"threads": 3, "queue": 5})}))
    assert (pools, queues) == ([3], [5])


def sampled(config: EmbeddingConfig, heights: list[int]) -> int:
    """How many crops are taken of somebody who is so many pixels high in each frame."""
    sampler = CropSampler(config, (640, 480))
    picture = ArrayPicture(np.random.default_rng(1).integers(0, 255, (480, 640, 3), dtype=np.uint8))
    taken = 0
    for n, height in enumerate(heights):
        boxes = np.array([[100, 100, 100 + height / 2.4, 100 + height]], np.float32)
        found = Detections(boxes, np.array([0.9], np.float32))
        tracks = Tracks(np.array([1], np.uint64), boxes, found.scores, np.array([0]))
        samples = sampler.sample(FrameCrops(picture, found, ColourEmbedder()), tracks, n / 2)
        taken += len(samples) if samples is not None else 0
    return taken


@pytest.mark.setting("embedding.min_height")
def test_nobody_lower_than_the_least_height_is_embedded() -> None:
    assert sampled(EmbeddingConfig(min_height=80), [79] * 5) == 0
    assert sampled(EmbeddingConfig(min_height=79), [79] * 5) > 0


@pytest.mark.setting("embedding.per_track")
def test_more_crops_of_a_track_are_taken_when_more_are_kept() -> None:
    heights = [160] * 60
    assert sampled(EmbeddingConfig(per_track=2), heights) < sampled(EmbeddingConfig(per_track=16), heights)


def visit(frames: int, **settings: Any) -> list[Tracklet]:
    events = [started(), *(seen(n, {1: 1}) for n in range(frames)), TrackEnded("gate", 1, EndReason.LEFT)]
    return run(events, TrackletConfig(**settings))


@pytest.mark.setting("tracklets.min_observations", "tracklets.min_seconds")
def test_short_tracks_are_stored_only_if_they_are_long_enough_as_said() -> None:
    assert len(visit(5, min_observations=5)) == 1
    assert len(visit(5, min_observations=6)) == 0
    assert len(visit(11, min_seconds=1.0)) == 1
    assert len(visit(10, min_seconds=1.0)) == 0


@pytest.mark.setting("tracklets.min_quality")
def test_tracks_with_poor_crops_only_are_stored_down_to_the_quality_that_is_said() -> None:
    events = [
        started(),
        *(placed(n, {1: 10.0 + n}, quality=0.3) for n in range(10)),
        TrackEnded("gate", 1, EndReason.LEFT),
    ]
    assert len(run(events, TrackletConfig(min_quality=0.29))) == 1
    assert len(run(events, TrackletConfig(min_quality=0.31))) == 0


@pytest.mark.setting("tracklets.still_seconds")
def test_what_never_moves_is_a_thing_after_the_time_that_is_said() -> None:
    events = [started(), *(placed(n, {1: 10.0}) for n in range(60)), TrackEnded("gate", 1, EndReason.LEFT)]
    assert len(run(events, TrackletConfig(still_seconds=100.0))) == 1
    assert len(run(events, TrackletConfig(still_seconds=3.0))) == 0


def two_looks(frame: int, look: int) -> Observed:
    plain = placed(frame, {1: 10.0 + frame})
    samples = Samples(np.zeros(1, np.int64), appearance(look)[None], np.array([0.8], np.float32))
    return Observed(
        "gate", frame, plain.media_time, plain.wall_time, plain.track_ids, plain.boxes, plain.confidences, samples
    )


@pytest.mark.setting("tracklets.split")
def test_a_track_of_two_people_is_split_unless_it_is_said_otherwise() -> None:
    events = [started(), *(two_looks(n, 1 if n < 30 else 2) for n in range(60)), TrackEnded("gate", 1, EndReason.LEFT)]
    assert len(run(events, TrackletConfig(split=True))) == 2
    assert len(run(events, TrackletConfig(split=False))) == 1


@pytest.mark.setting("tracklets.prototypes")
def test_no_more_typical_looks_are_kept_than_is_said() -> None:
    events = [started(), *(two_looks(n, n % 3) for n in range(60)), TrackEnded("gate", 1, EndReason.LEFT)]
    (one,) = run(events, TrackletConfig(split=False, prototypes=1))
    (more,) = run(events, TrackletConfig(split=False, prototypes=4))
    assert len(one.prototypes) == 1 < len(more.prototypes) <= 4


@pytest.mark.setting("sources.rtsp_transport")
def test_a_camera_is_asked_for_the_transport_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    asked: list[dict[str, str]] = []

    def opened(*_: Any, options: dict[str, str], **__: Any) -> Any:
        asked.append(options)
        raise av.error.OSError(5, "no")

    monkeypatch.setattr(av, "open", opened)
    for transport in ("tcp", "udp"):
        with pytest.raises((ConnectionLost, ConnectionRefused)):
            RtspConnection(SourceConfig.model_validate({"uri": "rtsp://127.0.0.1:1/x", "rtsp_transport": transport}))
    assert [options["rtsp_transport"] for options in asked] == ["tcp", "udp"]
