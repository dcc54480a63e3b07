"""What goes wrong in a running pipeline: sources that die, come and go, elements that refuse, readers that lag."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.errors import ConfigError, EngineError
from reidstream.types import EndReason, Event, Observed, SourceEnded, SourceStarted, TrackEnded
from tests.blobs import write_blobs
from tests.deepstream import blob_models
from tests.deepstream.engine_runs import by_source, end_of, engine_for, events_of, frames_of
from tests.rtsp import Server

pytestmark = [pytest.mark.gstreamer, pytest.mark.usefixtures("elements")]


def test_an_early_end_and_a_source_that_never_starts_leave_the_others_alone(tmp_path: Path) -> None:
    config = blob_models.config(tmp_path)
    short, long = write_blobs(tmp_path / "short.mp4", [0], 20), write_blobs(tmp_path / "long.mp4", [1], 90)
    dead = tmp_path / "dead.mp4"
    dead.write_bytes(b"\0" * 4000)
    events = list(engine_for(config, [("short", short), ("dead", dead), ("long", long)]).events())
    assert end_of(events, "short").frames == 20
    assert end_of(events, "short").error is None
    assert "dead.mp4" in str(end_of(events, "dead").error)
    assert (end_of(events, "long").frames, end_of(events, "long").error) == (90, None)
    assert [e.frame for e in frames_of(events, "long")] == list(range(90))
    # The short one ends in its turn, not at the end of the run.
    assert events.index(end_of(events, "short")) < events.index(frames_of(events, "long")[-1])


def test_a_camera_that_is_not_there_ends_with_the_reason(tmp_path: Path) -> None:
    from reidstream.engines.deepstream.running.engine import DeepStreamEngine

    camera = SourceConfig(uri="rtsp://user:secret@127.0.0.1:9/none", reconnect=False)
    clip = SourceConfig(uri=str(write_blobs(tmp_path / "a.mp4", [0], 40)))
    config = blob_models.config(tmp_path, ["deepstream.mux.timeout_us=20000"])
    events = list(DeepStreamEngine(config, [("cam", camera), ("a", clip)]).events())
    error = end_of(events, "cam").error
    assert error is not None
    assert "secret" not in error
    assert end_of(events, "a").frames == 40


def test_a_source_can_be_removed_in_the_middle_and_another_added(tmp_path: Path) -> None:
    config = blob_models.config(tmp_path)
    paths = {name: write_blobs(tmp_path / f"{name}.mp4", [0], 200, speed=1.0) for name in ("a", "b", "c")}
    engine = engine_for(config, [("a", paths["a"]), ("b", paths["b"])])
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and event.source == "a" and event.frame == 30:
            engine.remove_source("b")
            engine.add_source("c", SourceConfig(uri=str(paths["c"])))
            with pytest.raises(ConfigError, match="no source 'x'"):
                engine.remove_source("x")
            with pytest.raises(ConfigError, match="source 'a' already"):
                engine.add_source("a", SourceConfig(uri=str(paths["a"])))
    end = end_of(events, "b")
    assert end.stopped
    assert end.error is None
    assert 0 < end.frames < 200
    assert [e.reason for e in by_source(events)["b"] if isinstance(e, TrackEnded)] == [EndReason.SHUTDOWN]
    assert end_of(events, "a").frames == end_of(events, "c").frames == 200


def test_pads_of_the_mux_are_used_again_and_nothing_is_kept_of_the_sources_that_had_them(tmp_path: Path) -> None:
    """nvtracker knows pads below the batch only; a source comes into the place of another again and again."""
    from reidstream.engines.deepstream.running.sampling import BestSamples

    forgotten: list[int] = []
    config = blob_models.config(tmp_path)
    long = write_blobs(tmp_path / "a.mp4", [0], 700, speed=0.3)
    short = SourceConfig(uri=str(write_blobs(tmp_path / "b.mp4", [0], 20, speed=1.0)))
    engine = engine_for(config, [("a", long), ("b0", Path(short.uri))])
    forget = engine._sampling.forget
    engine._sampling.forget = lambda pad: (forgotten.append(pad), forget(pad))
    swaps, events = 0, []
    for event in engine.events():
        events.append(event)
        if isinstance(event, SourceEnded) and event.source == f"b{swaps}" and swaps < 6:
            swaps += 1
            engine.add_source(f"b{swaps}", short)
    assert [(end_of(events, f"b{n}").frames, end_of(events, f"b{n}").error) for n in range(7)] == [(20, None)] * 7
    assert (end_of(events, "a").frames, end_of(events, "a").error) == (700, None)
    # Every source has tracks of its own, and none goes on with those of the one before.
    for n in range(7):
        tracks = {int(track) for frame in frames_of(events, f"b{n}") for track in frame.track_ids}
        assert len(tracks) == 1
    assert sorted(forgotten) == list(range(8))
    assert not engine._sources
    assert isinstance(engine._sampling, BestSamples)
    assert not engine._sampling._sources


def test_a_frame_that_comes_behind_its_pad_s_end_is_nobody_s(tmp_path: Path) -> None:
    """NVIDIA's new mux says that a pad is gone while a batch with a frame of it is under way."""
    config = blob_models.config(tmp_path, ["deepstream.mux.batch=1"])
    long = write_blobs(tmp_path / "a.mp4", [0], 400, speed=0.5)
    engine = engine_for(config, [("a", long)])
    seen: list[tuple[int, int]] = []
    read = engine._reader._source
    engine._reader._source = lambda pad: (found := read(pad), seen.append((pad, -1 if found is None else found)))[0]
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and event.source == "a" and event.frame == 30:
            engine.add_source("b", SourceConfig(uri=str(write_blobs(tmp_path / "b.mp4", [1], 40, speed=1.0))))
            engine.remove_source("a")
    assert (0, -1) in seen, "one came late"
    assert (end_of(events, "b").frames, end_of(events, "b").error) == (40, None)
    assert [event.frame for event in frames_of(events, "b")] == list(range(40))


@pytest.mark.setting("deepstream.mux.batch")
def test_more_sources_than_the_mux_has_places_are_read_one_after_the_other(tmp_path: Path) -> None:
    config = blob_models.config(tmp_path, ["deepstream.mux.batch=2"])
    clip = write_blobs(tmp_path / "a.mp4", [0], 30, speed=1.0)
    engine = engine_for(config, [(name, clip) for name in "abcde"])
    events = list(engine.events())
    assert {name: end_of(events, name).frames for name in "abcde"} == dict.fromkeys("abcde", 30)
    assert any("deepstream.mux.batch" in text and "waits" in text for text in engine.status.warnings)


def test_a_source_that_has_ended_is_taken_up_again_under_its_own_name(tmp_path: Path) -> None:
    config = blob_models.config(tmp_path)
    long = write_blobs(tmp_path / "a.mp4", [0], 200, speed=1.0)
    short = write_blobs(tmp_path / "b.mp4", [0], 20, speed=1.0)
    engine = engine_for(config, [("a", long), ("b", short)])
    ends: list[SourceEnded] = []
    for event in engine.events():
        if isinstance(event, SourceEnded):
            ends.append(event)
            if event.source == "b" and len(ends) == 1:
                engine.add_source("b", SourceConfig(uri=str(short)))
    assert sorted((end.source, end.frames) for end in ends) == [("a", 200), ("b", 20), ("b", 20)]


@pytest.mark.setting("deepstream.watch")
def test_the_camera_list_adds_and_removes_while_running(tmp_path: Path) -> None:
    config = blob_models.config(tmp_path)
    for name in ("a", "b"):
        write_blobs(tmp_path / f"{name}.mp4", [0], 700, speed=0.3)
    listed = tmp_path / "cameras.toml"
    listed.write_text('[[sources]]\nuri = "a.mp4"\n')
    from reidstream.engines.deepstream.running.engine import DeepStreamEngine
    from reidstream.sources import expand_sources

    engine = DeepStreamEngine(config, [("a", expand_sources([str(listed)])[0])], camera_list=listed)
    seen: set[str] = set()
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if event.source not in seen:
            seen.add(event.source)
            if event.source == "a":
                listed.write_text("[[sources]\nbroken")
                listed.write_text('[[sources]]\nuri = "b.mp4"\n')
            else:
                engine.stop()
    assert seen == {"a", "b"}
    assert end_of(events, "a").frames <= 700
    assert end_of(events, "b").stopped


def test_ids_that_come_again_are_other_tracks(tmp_path: Path) -> None:
    """After a reset a tracker may count from the start; nobody is taken for somebody who was there before."""
    from reidstream.engines.deepstream.metadata.arrays import FrameArrays
    from reidstream.engines.deepstream.running.source_events import SourceEvents

    started = SourceStarted("cam", "rtsp://x", "c", (100, 100), 10.0, 0.0, live=True)
    source = SourceEvents(started, timeout=1.0, shadow=10)

    def frame(number: int, ids: list[int]) -> list[Event]:
        n = len(ids)
        boxes = np.tile(np.array([40, 40, 60, 90], np.float32), (n, 1))
        none = np.zeros(0, np.int64)
        arrays = FrameArrays(
            0, number, number * 100_000_000, None, (100, 100), np.array(ids, np.uint64), boxes,
            np.ones(n, np.float32), none, np.zeros((0, 8), np.float32), np.zeros(0, np.float32),
        )  # fmt: skip
        return source.frame(arrays)

    events = [*frame(0, [1, 2]), *frame(1, [1, 2]), *source.terminated(np.array([1, 99], np.uint64))]
    events += [*frame(2, [2]), *frame(3, [1, 2])]
    for number in range(4, 30):
        events += frame(number, [2])
    events += [*frame(0, [2]), *source.end(None, False, 0), *source.end(None, False, 0)]
    ended = [event.track_id for event in events if isinstance(event, TrackEnded)]
    reused = [event for event in events if isinstance(event, Observed)][3].track_ids.tolist()
    assert ended[0] == 1
    assert 1 not in reused
    assert sorted(ended) == sorted({1, 2, *reused})
    numbers = [event.frame for event in events if isinstance(event, Observed)]
    assert numbers == sorted(set(numbers))


def test_a_reset_of_the_stream_starts_new_tracks(tmp_path: Path) -> None:
    import nvds

    config = blob_models.config(tmp_path, ["tracker.timeout=0.5"])
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 120, speed=1.0))])
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and event.frame == 30:
            libs = nvds.libraries()
            pad = engine._pipeline._branches[0].sink.get_peer()
            libs.gstreamer.gst_pad_push_event(hash(pad), libs.helper.gst_nvevent_new_stream_reset(0))
    ids = {int(i) for e in frames_of(events, "a") for i in e.track_ids}
    assert len(ids) == 2
    assert {e.track_id for e in events if isinstance(e, TrackEnded)} == ids


@pytest.mark.setting("deepstream.patience")
def test_without_any_embedding_the_run_stops_with_the_likely_causes(tmp_path: Path) -> None:
    config = blob_models.config(
        tmp_path, ["deepstream.patience=20", 'deepstream.sgie.keys={"output-tensor-meta"=0}', "deepstream.crops=false"]
    )
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 100))])
    events: list[Event] = []
    with pytest.raises(EngineError, match=r"not one carried an embedding.*sgie\.txt.*output-tensor-meta"):
        events.extend(engine.events())


@pytest.mark.parametrize("says", ["at once", "late", "never"])
def test_what_nvinfer_refuses_is_an_error_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """Whether the element gives it before the state change fails, on another thread afterwards, or not at all."""
    from element_nvinfer import NvInfer

    post = NvInfer.post_message
    if says == "late":
        # However long the other thread takes on a busy machine: there is always time for a reason that comes.
        monkeypatch.setattr("reidstream.engines.deepstream.running.bus._LATE_REASON", 60.0)
        monkeypatch.setattr(NvInfer, "post_message", lambda *given: threading.Timer(0.5, post, given).start())
    elif says == "never":
        monkeypatch.setattr(NvInfer, "post_message", lambda *_: True)
    config = blob_models.config(tmp_path)
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 40))])
    text = engine.configs.sgie.read_text()
    engine.configs.sgie.write_text(text.replace("gie-unique-id=2", "gie-unique-id=0"))
    reason = "no element said why" if says == "never" else "sgie: Unique ID not set"
    events: list[Event] = []
    with pytest.raises(EngineError, match=reason):
        events.extend(engine.events())


def test_a_camera_whose_element_refuses_to_start_ends_alone(tmp_path: Path) -> None:
    """A state change that fails at once, before there is any stream; at the start, and while others run."""
    config = blob_models.config(tmp_path, ["deepstream.mux.batch=2"])
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 120, speed=1.0))])
    engine._given.insert(0, ("first", SourceConfig(uri="/dev/video93")))
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and event.frame == 20:
            engine.add_source("second", SourceConfig(uri="/dev/video94"))
    assert "/dev/video93" in str(end_of(events, "first").error)
    assert "/dev/video94" in str(end_of(events, "second").error)
    assert (end_of(events, "a").frames, end_of(events, "a").error) == (120, None)


def cameras(tmp_path: Path, **sources: SourceConfig) -> Any:
    from reidstream.engines.deepstream.running.engine import DeepStreamEngine

    config = blob_models.config(tmp_path, ["deepstream.mux.timeout_us=40000"])
    return DeepStreamEngine(config, list(sources.items()))


def test_a_camera_that_comes_back_goes_on_where_it_was(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVIDIA's reconnecting is a GLib time-out: it works because a main loop runs. It alone brings the camera back."""
    monkeypatch.setattr("reidstream.engines.deepstream.running.source._SLOW", 1000)
    engine = cameras(tmp_path, cam=SourceConfig(uri=server.url, timeout=1))
    events: list[Event] = []
    behind = 0
    for event in events_of(engine):
        events.append(event)
        if isinstance(event, Observed) and event.frame == 20:
            server.kill()
            server.start()
        if isinstance(event, Observed) and any("Trying reconnection" in text for text in engine.status.warnings):
            behind += 1
            if behind == 20:
                engine.stop()
    (started,) = [event for event in events if isinstance(event, SourceStarted)]
    assert (started.size, started.live) == ((160, 96), True)
    numbers = [event.frame for event in frames_of(events, "cam")]
    assert numbers == sorted(set(numbers))
    times = [event.media_time for event in frames_of(events, "cam")]
    assert times == sorted(times)
    assert (end_of(events, "cam").error, end_of(events, "cam").stopped) == (None, True)
    assert any("Trying reconnection" in text for text in engine.status.warnings)
    assert not any("hunter2" in text for text in engine.status.warnings)


def test_a_camera_that_stays_away_is_given_up_alone(tmp_path: Path, server: Server) -> None:
    clip = write_blobs(tmp_path / "a.mp4", [0], 40)
    camera = SourceConfig(uri=server.url, timeout=1, reconnect_limit=2)
    engine = cameras(tmp_path, cam=camera, a=SourceConfig(uri=str(clip)))
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and event.source == "cam" and event.frame == 10:
            server.kill()
    assert "no connection for 2 seconds" in str(end_of(events, "cam").error)
    assert end_of(events, "cam").frames >= 10
    assert (end_of(events, "a").frames, end_of(events, "a").error) == (40, None)


def test_a_camera_that_must_not_reconnect_ends_when_it_breaks_off(tmp_path: Path, server: Server) -> None:
    engine = cameras(tmp_path, cam=SourceConfig(uri=server.url, reconnect=False))
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and event.frame == 10:
            server.kill()
    end = end_of(events, "cam")
    assert end.error
    assert not end.stopped


@pytest.mark.parametrize("force", [True, False])
def test_the_pipeline_ends_when_an_element_asks_for_it(tmp_path: Path, force: bool) -> None:
    """NVIDIA's message force-pipeline-eos; its field can also say no."""
    from gi.repository import Gst

    engine = engine_for(blob_models.config(tmp_path), [("a", write_blobs(tmp_path / "a.mp4", [0], 400, speed=0.5))])
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and event.frame == 20:
            structure = Gst.Structure.new_empty("force-pipeline-eos")
            structure.set_value("force_eos", force)
            mux = engine._pipeline._mux
            mux.post_message(Gst.Message.new_element(mux, structure))
    end = end_of(events, "a")
    assert end.error is None
    assert 20 < end.frames < 400 if force else end.frames == 400
    assert [event.reason for event in events if isinstance(event, TrackEnded)] == [EndReason.SOURCE_ENDED]


@pytest.mark.setting("deepstream.queue")
def test_a_camera_loses_its_oldest_frames_when_the_reader_lags_and_says_how_many(
    tmp_path: Path, server: Server
) -> None:
    from reidstream.engines.deepstream.running.engine import DeepStreamEngine

    config = blob_models.config(tmp_path, ["deepstream.mux.timeout_us=40000", "deepstream.queue=3"])
    engine = DeepStreamEngine(config, [("cam", SourceConfig(uri=server.url))])
    lost_five, dropped = threading.Event(), engine._handover._dropped

    def count(index: int) -> None:
        dropped(index)
        if engine.status.dropped["cam"] >= 5:
            lost_five.set()

    engine._handover._dropped = count
    events: list[Event] = []
    for event in engine.events():
        events.append(event)
        if isinstance(event, Observed) and event.frame == 5:
            # The reader lags until five frames have given way, however long they take to come.
            assert lost_five.wait(60)
        if isinstance(event, Observed) and event.frame > 20:
            engine.stop()
    numbers = [event.frame for event in frames_of(events, "cam")]
    lost = numbers[-1] + 1 - len(numbers)
    assert 5 <= lost <= end_of(events, "cam").dropped == engine.status.dropped["cam"]
    # Three that had waited come first; the gap is before them, where the oldest were.
    gap = int(np.diff(numbers).argmax())
    assert numbers[gap] == 5
    assert np.diff(numbers)[gap + 1 : gap + 3].tolist() == [1, 1]


def test_the_bus_message_alone_ends_a_stream_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no event comes down the stream, stream-eos on the bus and a while without frames decide."""
    monkeypatch.setattr("reidstream.engines.deepstream.running.probe._OVER", "no-such-event")
    monkeypatch.setattr("reidstream.engines.deepstream.running.engine._GRACE", 0.3)
    short, long = write_blobs(tmp_path / "short.mp4", [0], 20), write_blobs(tmp_path / "long.mp4", [1], 700, speed=0.3)
    events = list(engine_for(blob_models.config(tmp_path), [("short", short), ("long", long)]).events())
    end = end_of(events, "short")
    assert (end.frames, end.error, end.stopped) == (20, None, False)
    assert events.index(end) < events.index(frames_of(events, "long")[-1])
    assert end_of(events, "long").frames == 700


@pytest.mark.slow
def test_ten_thousand_frames_through_the_pipeline_leave_nothing_behind(tmp_path: Path) -> None:
    """Every payload that was attached is released by its callback while the run goes on, and memory does not grow."""
    import nvds
    import psutil

    clip = write_blobs(tmp_path / "a.mp4", [0, 1], 2500, speed=0.1)
    config = blob_models.config(tmp_path, ["deepstream.crops=false"])
    engine = engine_for(config, [(name, clip) for name in "abcd"])
    process, frames, resident, released, alive = psutil.Process(), 0, 0, nvds.ledger.released, 0
    for event in engine.events():
        if isinstance(event, Observed):
            frames += 1
            alive = max(alive, nvds.ledger.alive)
            if frames == 2000:
                resident = process.memory_info().rss
    grown = process.memory_info().rss - resident
    assert frames == 10_000
    # Two people with a tensor each; beside them every batch has the tracker's list.
    assert nvds.ledger.released - released >= 2 * frames
    # What a few batches in the queues hold, and no more.
    assert alive < 400
    assert grown < 16 << 20
