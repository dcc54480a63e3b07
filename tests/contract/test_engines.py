"""What every engine promises, whatever it is made of."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.config import Config, SourceConfig
from reidstream.engines import Engine
from reidstream.engines.local import LocalEngine, LocalProcesses, source_reader
from reidstream.engines.recording import Recorder
from reidstream.engines.replay import ReplayEngine
from reidstream.gpu.cuts import Box
from reidstream.inference.network import Answer
from reidstream.sources.frame import Picture
from reidstream.types import EndReason, Event, Observed, SourceEnded, SourceStarted, TrackEnded
from tests.blobs import FPS, BlobDetector, ColourEmbedder, write_blobs
from tests.deepstream import blob_models, standins
from tests.gpu.standin import DecodingOnHost, HostGpu

Open = Callable[[Sequence[tuple[str, str]]], Engine]


def local(sources: Sequence[tuple[str, str]], folder: Path) -> Engine:
    named = [(name, SourceConfig(uri=uri)) for name, uri in sources]
    return LocalEngine(Config(), named, detector=BlobDetector(), embedder=ColourEmbedder())


def processes(sources: Sequence[tuple[str, str]], folder: Path) -> Engine:
    named = [(name, SourceConfig(uri=uri)) for name, uri in sources]
    return LocalProcesses(Config(), named, 2, BlobDetector(), ColourEmbedder())


def apart(sources: Sequence[tuple[str, str]], folder: Path) -> Engine:
    """Read by one process that runs the models, tracked by others."""
    named = [(name, SourceConfig(uri=uri)) for name, uri in sources]
    return LocalProcesses(Config(), named, 2, BlobDetector(), ColourEmbedder(), apart=True)


class ColoursThere(ColourEmbedder):
    """Asked for boxes of pictures, so that all sources are tracked together."""

    def start(self, pictures: Sequence[Picture], boxes: Sequence[Box]) -> Answer:
        vectors = self.embed([picture.crop(*box) for picture, box in zip(pictures, boxes, strict=True)])
        return Answer(lambda: vectors)


def on_gpu(sources: Sequence[tuple[str, str]], folder: Path) -> Engine:
    """Decoded on an NVIDIA GPU, tracked there in steps of all sources."""
    from reidstream.gpu.driver import Gpu

    named = [(name, SourceConfig(uri=uri)) for name, uri in sources]
    return LocalEngine(Config(), named, None, BlobDetector(), ColoursThere(), gpu=Gpu())


def in_gpu_steps(sources: Sequence[tuple[str, str]], folder: Path) -> Engine:
    """The same on a stand-in for the GPU in the processor's memory."""
    named = [(name, SourceConfig(uri=uri)) for name, uri in sources]
    return LocalEngine(Config(), named, None, BlobDetector(), ColoursThere(), gpu=HostGpu())


def replay(sources: Sequence[tuple[str, str]], folder: Path) -> Engine:
    engine = local(sources, folder)
    path = folder / "events.parquet"
    with Recorder(path, engine.space) as recorder:
        for event in engine.events():
            recorder.write(event)
    return ReplayEngine(path)


def deepstream(sources: Sequence[tuple[str, str]], folder: Path) -> Engine:
    """On test-only elements in the place of NVIDIA's, from the configuration files that are meant for those."""
    standins.register()
    from reidstream.engines.deepstream.running.engine import DeepStreamEngine

    named = [(name, SourceConfig(uri=uri)) for name, uri in sources]
    return DeepStreamEngine(blob_models.config(folder), named, folder / "configs")


@pytest.fixture(
    params=[
        local,
        processes,
        apart,
        replay,
        in_gpu_steps,
        pytest.param(on_gpu, marks=pytest.mark.gpu),
        pytest.param(deepstream, marks=pytest.mark.gstreamer),
    ],
    ids=lambda make: make.__name__,
)
def open_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Open:
    # Other processes find the blobs' models, too.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    make: Callable[[Sequence[tuple[str, str]], Path], Engine] = request.param
    if make is in_gpu_steps:
        monkeypatch.setattr(source_reader, "OnGpu", DecodingOnHost)
    return lambda sources: make(sources, tmp_path_factory.mktemp("engine"))


def each_engine_with(values: Sequence[object]) -> list[Any]:
    """Every engine with every value; those that read as the local engine does mostly in the slow suite, and the one
    whose networks are apart there alone: what it reads is what the others do (``test_local_processes.py``)."""
    found = []
    engines = (local, processes, apart, replay, in_gpu_steps, on_gpu, deepstream)
    for engine, (number, value) in itertools.product(engines, enumerate(values)):
        marks = [pytest.mark.gstreamer] if engine is deepstream else [pytest.mark.gpu] if engine is on_gpu else []
        marks += [pytest.mark.slow] if engine is apart or (engine in (processes, in_gpu_steps) and number) else []
        found.append(pytest.param(engine, value, marks=marks, id=f"{engine.__name__}-{number}"))
    return found


def spread_in_the_slow_suite() -> Any:
    """All engines, those of several processes in the slow suite: for what follows from the local engine's own answer,
    because they give bit for bit what it gives (``test_each_source_gives_the_events_of_a_single_process``)."""
    found = []
    for param in each_engine_with([None]):
        marks = [*param.marks, *([pytest.mark.slow] if param.values[0] in (processes, apart) else [])]
        found.append(pytest.param(param.values[0], marks=marks, id=param.values[0].__name__))
    return pytest.mark.parametrize("open_engine", found, indirect=True)


def by_source(events: Sequence[Event]) -> dict[str, list[Event]]:
    grouped: dict[str, list[Event]] = {}
    for event in events:
        grouped.setdefault(event.source, []).append(event)
    return grouped


def check_order(events: list[Event], frames: int) -> None:
    """One source's events are in the order that the contract states."""
    assert isinstance(events[0], SourceStarted)
    assert isinstance(events[-1], SourceEnded)
    assert not any(isinstance(e, SourceStarted | SourceEnded) for e in events[1:-1])
    observed = [e for e in events if isinstance(e, Observed)]
    assert [e.frame for e in observed] == list(range(frames))
    assert all(a.media_time < b.media_time for a, b in itertools.pairwise(observed))
    seen: set[int] = set()
    ended: set[int] = set()
    for event in events:
        if isinstance(event, Observed):
            assert len(set(event.track_ids.tolist())) == len(event.track_ids)
            assert not ended & set(event.track_ids.tolist())
            seen |= set(event.track_ids.tolist())
        elif isinstance(event, TrackEnded):
            assert event.track_id not in ended
            ended.add(event.track_id)
    assert seen <= ended


@spread_in_the_slow_suite()
def test_sources_run_side_by_side_each_in_order(open_engine: Open, tmp_path: Path) -> None:
    a, b = write_blobs(tmp_path / "a.mp4", [0, 1], 60), write_blobs(tmp_path / "b.mp4", [2], 40)
    events = by_source(list(open_engine([("a", str(a)), ("b", str(b))]).events()))
    assert set(events) == {"a", "b"}
    check_order(events["a"], 60)
    check_order(events["b"], 40)
    tracks = {int(i) for e in events["a"] if isinstance(e, Observed) for i in e.track_ids}
    assert len(tracks) == 2


@pytest.mark.parametrize(("open_engine", "gap"), each_engine_with([36_000.0, 5.0, 4900.0]), indirect=["open_engine"])
def test_nobody_goes_on_over_a_gap_without_frames(open_engine: Open, tmp_path: Path, gap: float) -> None:
    """As recorders make it that run on motion: whoever stands there behind the gap is stored for themselves."""
    times = [frame / FPS + gap * (frame >= 40) for frame in range(80)]
    path = write_blobs(tmp_path / "a.mkv", [0, 1], 80, speed=0, times=times)
    events = list(open_engine([("a", str(path))]).events())
    check_order(events, 80)
    observed = [e for e in events if isinstance(e, Observed)]
    assert observed[-1].media_time - observed[0].media_time == pytest.approx(times[-1], abs=0.01)
    before = {int(i) for e in observed[:40] for i in e.track_ids}
    after = {int(i) for e in observed[40:] for i in e.track_ids}
    assert len(before) == len(after) == 2
    assert not before & after
    ends = {e.track_id: place for place, e in enumerate(events) if isinstance(e, TrackEnded)}
    behind = next(place for place, e in enumerate(events) if isinstance(e, Observed) and e.frame == 41)
    assert all(ends[i] < behind for i in before)
    sampled = {int(e.track_ids[row]) for e in observed if e.samples is not None for row in e.samples.rows}
    assert sampled == before | after


@pytest.mark.parametrize(
    ("open_engine", "odd"),
    each_engine_with([{20: 36_000.0}, {0: 36_000.0}, {39: 36_000.0}, {9: 70.0, 10: 5.0}]),
    indirect=["open_engine"],
)
def test_a_time_stamp_that_is_odd_moves_nobody(open_engine: Open, tmp_path: Path, odd: dict[int, float]) -> None:
    times = [100 + frame / FPS for frame in range(40)]
    right = write_blobs(tmp_path / "right.mkv", [0, 1], 40, times=times)
    for frame, seconds in odd.items():
        times[frame] = max(0.0, times[frame] + seconds)
    wrong = write_blobs(tmp_path / "wrong.mkv", [0, 1], 40, times=times)
    engines = [open_engine([("a", str(path))]) for path in (right, wrong)]
    expected, found = ([e for e in engine.events() if isinstance(e, Observed)] for engine in engines)
    np.testing.assert_allclose(
        [e.media_time for e in found], [e.media_time for e in expected], atol=0.05 if 0 in odd else 0.002
    )
    assert [e.track_ids.tolist() for e in found] == [e.track_ids.tolist() for e in expected]
    if not isinstance(engines[1], ReplayEngine):
        assert any("time stamp" in text for text in engines[1].status.warnings)


@spread_in_the_slow_suite()
def test_samples_are_unit_vectors_that_belong_to_their_tracks(open_engine: Open, tmp_path: Path) -> None:
    path = write_blobs(tmp_path / "a.mp4", [0, 1], 60)
    engine = open_engine([("a", str(path))])
    by_track: dict[int, list[np.ndarray]] = {}
    for event in engine.events():
        if isinstance(event, Observed) and event.samples is not None:
            samples = event.samples
            assert samples.embeddings.shape[1] == engine.space.size
            assert np.allclose(np.linalg.norm(samples.embeddings, axis=1), 1, atol=1e-4)
            for row, vector in zip(samples.rows, samples.embeddings, strict=True):
                by_track.setdefault(int(event.track_ids[row]), []).append(vector)
    first, second = (np.stack(v).mean(axis=0) for v in by_track.values())
    assert all((np.stack(v) @ v[0] > 0.9).all() for v in by_track.values())
    assert first @ second < 0.6


@spread_in_the_slow_suite()
def test_the_same_file_gives_the_same_events_twice(open_engine: Open, tmp_path: Path) -> None:
    path = write_blobs(tmp_path / "a.mp4", [0, 1], 40)

    def once() -> list[tuple[object, ...]]:
        return [
            (e.frame, e.track_ids.tolist(), e.boxes.tobytes(), e.samples and e.samples.embeddings.tobytes())
            for e in open_engine([("a", str(path))]).events()
            if isinstance(e, Observed)
        ]

    assert once() == once()


def test_a_source_that_fails_ends_alone(open_engine: Open, tmp_path: Path) -> None:
    good = write_blobs(tmp_path / "good.mp4", [0], 40)
    cut = tmp_path / "cut.mp4"
    write_blobs(cut, [1], 60)
    data = cut.read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video at all")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    cut.write_bytes(data[: len(data) // 2])
    sources = [
        ("missing", str(tmp_path / "nothing.mp4")),
        ("broken", str(broken)),
        ("empty", str(empty)),
        ("cut", str(cut)),
        ("good", str(good)),
    ]
    events = by_source(list(open_engine(sources).events()))
    for name in ("missing", "broken", "empty"):
        (end,) = events[name]
        assert isinstance(end, SourceEnded)
        assert end.error
    last = events["cut"][-1]
    assert isinstance(last, SourceEnded) and last.error
    check_order(events["good"], 40)
    end = events["good"][-1]
    assert isinstance(end, SourceEnded)
    assert (end.error, end.stopped, end.frames) == (None, False, 40)


def test_stopping_ends_open_tracks_and_finishes_by_itself(open_engine: Open, tmp_path: Path) -> None:
    engine = open_engine([("a", str(write_blobs(tmp_path / "a.mp4", [0], 300, speed=0.8)))])
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and len(event.track_ids) and event.frame >= 20:
            engine.stop()
            engine.stop()
    end = events[-1]
    assert isinstance(end, SourceEnded)
    assert end.stopped and end.error is None and end.frames < 300
    assert [e.reason for e in events if isinstance(e, TrackEnded)] == [EndReason.SHUTDOWN]


def test_an_engine_stopped_before_it_runs_ends_at_once(open_engine: Open, tmp_path: Path) -> None:
    engine = open_engine([("a", str(write_blobs(tmp_path / "a.mp4", [0], 60)))])
    engine.stop()
    ends = [e for e in engine.events() if isinstance(e, SourceEnded)]
    assert len(ends) == 1
    assert ends[0].stopped


def test_giving_up_on_the_events_leaves_no_thread_behind(open_engine: Open, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    events = open_engine([("a", str(write_blobs(tmp_path / "a.mp4", [0], 200)))]).events()
    next(iter(events))
    close = getattr(events, "close", None)
    assert close is not None
    close()
    assert set(threading.enumerate()) <= before


def test_no_sources_give_no_events(open_engine: Open) -> None:
    assert list(open_engine([]).events()) == []


def test_a_source_that_is_skipped_ends_soon_and_the_others_go_on(open_engine: Open, tmp_path: Path) -> None:
    long, short = write_blobs(tmp_path / "long.mp4", frames=400, speed=0.5), write_blobs(tmp_path / "short.mp4")
    engine = open_engine([("long", str(long)), ("short", str(short))])
    events = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, SourceStarted) and event.source == "long":
            engine.skip("long")
    grouped = by_source(events)
    assert sum(isinstance(event, Observed) for event in grouped["long"]) < 200
    assert isinstance(grouped["long"][-1], SourceEnded)
    check_order(grouped["short"], 60)
    engine.skip("nobody")
