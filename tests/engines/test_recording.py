from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine
from reidstream.engines.recording import RecordedEvents, Recorder, partial_path
from reidstream.engines.replay import ReplayEngine
from reidstream.errors import EngineError, SourceBroken, SourceNotFound
from reidstream.types import (
    EmbeddingSpace,
    EndReason,
    Event,
    Observed,
    Samples,
    SourceEnded,
    SourceStarted,
    TrackEnded,
)
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs

SPACE = EmbeddingSpace("abc123", "toy", 3)


def assert_same(left: Sequence[Event], right: Sequence[Event]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            # What is known of a file beside its events is not recorded with them.
            if field.compare:
                assert_same_value(getattr(a, field.name), getattr(b, field.name))


def assert_same_value(a: object, b: object) -> None:
    assert type(a) is type(b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    elif isinstance(a, Samples) and isinstance(b, Samples):
        for field in dataclasses.fields(a):
            assert_same_value(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, float):
        assert np.float64(a).tobytes() == np.float64(b).tobytes()
    else:
        assert a == b


def observed(frame: int, tracks: int = 2, samples: Samples | None = None, source: str = "cam") -> Observed:
    ids = np.arange(1, tracks + 1, dtype=np.uint64)
    boxes = np.arange(4 * tracks, dtype=np.float32).reshape(-1, 4)
    return Observed(source, frame, frame / 25, 1e9 + frame / 25, ids, boxes, np.ones(tracks, np.float32), samples)


STARTED = SourceStarted("cam", "rtsp://u:***@h/ö", "f" * 32, (640, 480), 25.0, 1e9, None, True)

floats = st.floats(width=32, allow_nan=True)
doubles = st.floats(allow_nan=False)


@st.composite
def observations(draw: st.DrawFn) -> Observed:
    n = draw(st.integers(0, 4))
    ids = np.array(draw(st.lists(st.integers(0, 2**64 - 1), min_size=n, max_size=n)), np.uint64)
    boxes = draw(hnp.arrays(np.float32, (n, 4), elements=floats))
    samples = None
    if n and draw(st.booleans()):
        m = draw(st.integers(0, 3))
        rows = np.array(draw(st.lists(st.integers(0, n - 1), min_size=m, max_size=m)), np.int64)
        crops = draw(st.just(()) | st.tuples(*[st.none() | st.binary(max_size=20)] * m))
        vectors = draw(hnp.arrays(np.float32, (m, 3), elements=floats))
        samples = Samples(rows, vectors, draw(hnp.arrays(np.float32, m, elements=floats)), crops)
    confidences = draw(hnp.arrays(np.float32, n, elements=floats))
    frame = draw(st.integers(0, 2**62))
    return Observed("cam", frame, draw(doubles), draw(doubles), ids, boxes, confidences, samples)


events = st.one_of(
    observations(),
    st.builds(TrackEnded, st.text(), st.integers(0, 2**64 - 1), st.sampled_from(EndReason)),
    st.builds(
        SourceStarted,
        st.text(),
        st.text(),
        st.text(),
        st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
        doubles,
        doubles,
        st.none() | st.integers(0, 2**40),
        st.booleans(),
    ),
    st.builds(
        SourceEnded, st.text(), st.integers(0, 2**40), doubles, st.none() | st.text(), st.booleans(), st.integers(0, 9)
    ),
)


@given(st.lists(events, max_size=12))
@settings(deadline=None, max_examples=60)
def test_every_event_comes_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, written: list[Event]) -> None:
    path = tmp_path_factory.mktemp("recording") / "events.parquet"
    with Recorder(path, SPACE) as recorder:
        for event in written:
            recorder.write(event)
    assert_same(list(RecordedEvents(path).events()), written)


def test_replay_of_a_real_run_gives_the_same_events(tmp_path: Path) -> None:
    a, b = write_blobs(tmp_path / "a.mp4", [0, 1], 60), write_blobs(tmp_path / "b.mp4", [2], 40)
    named = [(path.stem, SourceConfig(uri=str(path))) for path in (a, b)]
    engine = LocalEngine(Config(), named, detector=BlobDetector(), embedder=ColourEmbedder())
    written: list[Event] = []
    with Recorder(tmp_path / "events.parquet", engine.space) as recorder:
        for event in engine.events():
            recorder.write(event)
            written.append(event)
    replay = ReplayEngine(tmp_path / "events.parquet")
    assert replay.space == engine.space
    assert_same(list(replay.events()), written)
    assert any(isinstance(e, Observed) and e.samples is not None and any(e.samples.crops) for e in written)
    assert replay.status.frames == {"a": 60, "b": 40}
    assert {p.name for p in tmp_path.iterdir()} == {"a.mp4", "b.mp4", "events.parquet"}


def test_stopping_a_replay_ends_open_tracks_and_sources(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    with Recorder(path, SPACE) as recorder:
        for event in (STARTED, *(observed(i) for i in range(10)), TrackEnded("cam", 1, EndReason.LEFT)):
            recorder.write(event)
        recorder.write(SourceEnded("cam", 10, 2e9))
    engine = ReplayEngine(path)
    seen: list[Event] = []
    for event in engine.events():
        seen.append(event)
        if isinstance(event, Observed) and event.frame == 4:
            engine.stop()
    assert [e for e in seen if isinstance(e, TrackEnded)] == [
        TrackEnded("cam", 1, EndReason.SHUTDOWN),
        TrackEnded("cam", 2, EndReason.SHUTDOWN),
    ]
    assert seen[-1] == SourceEnded("cam", 5, 1e9 + 4 / 25, None, True)


def test_run_that_was_killed_leaves_a_recording_to_replay(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        import numpy as np
        from reidstream.engines.recording import Recorder
        from reidstream.types import EmbeddingSpace, Observed, SourceStarted

        recorder = Recorder(Path(sys.argv[1]), EmbeddingSpace("abc123", "toy", 3))
        recorder.write(SourceStarted("cam", "rtsp://u:***@h/ö", "f" * 32, (640, 480), 25.0, 1e9, None, True))
        ids, boxes, ones = np.arange(1, 3, dtype=np.uint64), np.arange(8, dtype=np.float32), np.ones(2, np.float32)
        for i in range(3000):
            recorder.write(Observed("cam", i, i / 25, 1e9 + i / 25, ids, boxes.reshape(-1, 4), ones))
        print("written", flush=True)
        time.sleep(60)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, env=environment)
    assert child.stdout is not None
    assert child.stdout.readline() == b"written\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with pytest.raises(SourceNotFound, match="did not finish"):
        ReplayEngine(path)
    left = partial_path(path)
    counts = []
    for cut in (0, 100):
        os.truncate(left, left.stat().st_size - cut)
        replayed = list(ReplayEngine(left).events())
        counts.append(sum(isinstance(event, Observed) for event in replayed))
        assert_same(replayed[: counts[-1] + 1], [STARTED, *(observed(i) for i in range(counts[-1]))])
        end = replayed[-1]
        assert isinstance(end, SourceEnded)
        assert end.error is not None and "interrupted" in end.error
        assert {e.track_id for e in replayed if isinstance(e, TrackEnded)} == {1, 2}
    # Only what was not yet a whole batch is lost.
    assert 2000 < counts[0] <= 3000
    assert counts[0] - 1024 <= counts[1] < counts[0]


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    with pytest.raises(SourceNotFound, match="no such recording"):
        ReplayEngine(path)
    path.write_bytes(b"")
    with pytest.raises(SourceBroken, match="not a complete recording"):
        ReplayEngine(path)
    path.write_bytes(b"PAR1 is how it begins, but it does not go on")
    with pytest.raises(SourceBroken, match="not a complete recording"):
        ReplayEngine(path)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(SourceBroken, match="not a recording of events"):
        ReplayEngine(path)


def recorded(path: Path, count: int = 3000) -> None:
    rng = np.random.default_rng(0)
    with Recorder(path, SPACE) as recorder:
        recorder.write(STARTED)
        for i in range(count):
            vectors = rng.normal(size=(1, 3)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            samples = Samples(np.zeros(1, np.int64), vectors, np.ones(1, np.float32), (rng.bytes(50),))
            recorder.write(observed(i, samples=samples))
        recorder.write(SourceEnded("cam", count, 1e9))


def test_truncated_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    recorded(path)
    size = path.stat().st_size
    for share in (0.99, 0.5, 0.01):
        os.truncate(path, int(size * share))
        with pytest.raises(SourceBroken, match=r"events\.parquet: not a complete recording"):
            ReplayEngine(path)


def test_damage_inside_a_recording_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    recorded(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    with pytest.raises(EngineError, match="damaged after"):
        list(ReplayEngine(path).events())


def test_recording_of_another_version_or_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    recorded(path, 3)
    table = pq.read_table(path)
    facts = table.schema.metadata[b"reidstream.recording"]
    newer = table.replace_schema_metadata({b"reidstream.recording": facts.replace(b'"version": 1', b'"version": 2')})
    pq.write_table(newer, path)
    with pytest.raises(SourceBroken, match="recording version 2, this program reads version 1"):
        ReplayEngine(path)
    pq.write_table(table.drop_columns(["boxes"]), path)
    with pytest.raises(SourceBroken, match="lacks boxes"):
        ReplayEngine(path)


def test_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot be written"):
        Recorder(tmp_path / "file" / "events.parquet", SPACE)


def test_frames_are_written_many_at_a_time(tmp_path: Path) -> None:
    recorded(tmp_path / "events.parquet", 5000)
    assert pq.ParquetFile(tmp_path / "events.parquet").num_row_groups < 50
