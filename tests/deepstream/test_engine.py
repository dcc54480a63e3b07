"""The DeepStream engine as a whole, on stand-in elements that run the very files meant for NVIDIA's."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from reidstream.config import SourceConfig, load_config
from reidstream.errors import ConfigError, MissingDependency
from reidstream.types import EndReason, Observed, SourceStarted, TrackEnded, Tracklet
from tests.blobs import write_blobs
from tests.deepstream import blob_models, standins
from tests.deepstream.engine_runs import engine_for, frames_of

pytestmark = [pytest.mark.gstreamer, pytest.mark.usefixtures("elements")]

YOLOX = [
    'deepstream.pgie.preset="yolox"',
    'deepstream.pgie.parser_library="libyolox.so"',
    'deepstream.pgie.parser_function="NvDsInferParseYolox"',
    "deepstream.pgie.threshold=0.1",
    "deepstream.pgie.nms_iou=0.65",
    "deepstream.mux.timeout_us=4000000",
]


def cut(source: Path, target: Path, frames: int, square: int | None = None) -> Path:
    """The first frames of a video: its packets copied, or a square out of its middle encoded anew."""
    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        stream = reading.streams.video[0]
        if square is None:
            copy = writing.add_stream_from_template(stream)
            packets = [packet for packet in reading.demux(stream) if packet.dts is not None][:frames]
            for packet in packets:
                packet.stream = copy
                writing.mux(packet)
            return target
        # Without loss: with loss x264 gives other bytes each time, and in some of them somebody is lost sight of.
        encoded = writing.add_stream("libx264", rate=stream.average_rate, options={"qp": "0"})
        encoded.width = encoded.height = square
        for index, frame in enumerate(reading.decode(stream)):
            if index == frames:
                break
            left = (frame.width - frame.height) // 2
            pixels = np.ascontiguousarray(frame.to_ndarray(format="rgb24")[:, left : left + frame.height])
            scaled = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(square, square, "yuv420p")
            scaled.pts = None
            writing.mux(encoded.encode(scaled))
        writing.mux(encoded.encode())
    return target


def overlap(one: Tracklet, other: Tracklet) -> float:
    """Mean IoU of two paths over the frames that they share."""
    _, a, b = np.intersect1d(one.frames, other.frames, return_indices=True)
    p, q = one.boxes[a], other.boxes[b]
    shared = np.clip(np.minimum(p[:, 2:], q[:, 2:]) - np.maximum(p[:, :2], q[:, :2]), 0, None).prod(axis=1)
    total = (p[:, 2:] - p[:, :2]).prod(axis=1) + (q[:, 2:] - q[:, :2]).prod(axis=1) - shared
    return float((shared / total).mean())


@pytest.mark.shared
@pytest.mark.slow
def test_the_command_line_runs_two_real_clips(shared_data: Path, tmp_path: Path) -> None:
    """`reidstream run --engine deepstream`, unchanged, in a process of its own."""
    one = cut(shared_data / "videos" / "retail02.mp4", tmp_path / "shop.mp4", 90)
    two = shutil.copy(cut(shared_data / "videos" / "campus.mp4", tmp_path / "campus.mp4", 60), tmp_path / "yard.mp4")
    settings = [f"--set={text}" for text in (*YOLOX, standins.crops())]
    command = [sys.executable, "-m", "reidstream", "run", str(one), str(two), "--engine", "deepstream", "--json"]
    run = subprocess.run(
        [*command, "--gallery", str(tmp_path / "gallery"), *settings],
        capture_output=True,
        text=True,
        env=standins.environment(),
        check=False,
        timeout=280,
    )
    assert run.returncode == 0, run.stderr
    assert "Unknown or legacy key" not in run.stderr
    summary = json.loads(run.stdout)
    assert {source["source"]: (source["state"], source["frames"]) for source in summary["sources"]} == {
        "shop": ("complete", 90),
        "yard": ("complete", 60),
    }
    assert summary["stored"] == summary["tracklets"] >= 8
    assert (tmp_path / "gallery.deepstream" / "sgie.txt").is_file()


@pytest.mark.shared
@pytest.mark.slow
def test_both_engines_find_the_same_people(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same clip and models: the same tracks, their embeddings at a cosine of .99 or more.

    The clip is square like the detector's input: nvinfer pads with black where the model was trained on grey, which
    moves boxes and is no matter of this engine. Every crop counts on both: which few of them are chosen depends on
    thousandths of quality, and would compare different crops.
    """
    from reidstream.engines.sampling import SlotRows

    def every(slots: Any, rows: Any, quality: Any, times: Any) -> Any:
        return np.flatnonzero(quality > 0)

    monkeypatch.setattr("reidstream.engines.deepstream.running.sampling._SPACING", 0.0)
    monkeypatch.setattr(SlotRows, "wanted", every)
    monkeypatch.setattr(SlotRows, "take", every)
    from reidstream.engines.local import LocalEngine
    from reidstream.tracklets import TrackletCollector

    clip = cut(shared_data / "videos" / "retail02.mp4", tmp_path / "square.mp4", 100, square=832)
    config = load_config(
        None,
        [
            *YOLOX,
            "deepstream.mux.width=832",
            "deepstream.mux.height=832",
            "deepstream.crops=false",
            "tracker.appearance=false",
            # nvtracker's thresholds are fixed.
            "tracker.follow_scores=false",
            "tracklets.split=false",
            "embedding.per_track=64",
        ],
    )
    source = [("cam", SourceConfig(uri=str(clip)))]
    from reidstream.engines.deepstream.running.engine import DeepStreamEngine

    found = []
    for engine in (LocalEngine(config, source), DeepStreamEngine(config, source)):
        collector = TrackletCollector(config.tracklets, config.embedding.per_track)
        found.append([tracklet for event in engine.events() for tracklet in collector.take(event)])
    local, deepstream = found
    assert len(local) == len(deepstream) >= 5
    pairs = [
        (one, other)
        for one in local
        for other in deepstream
        # A score that another rounding lifts over its threshold may add a frame or a few, also some time later.
        if max(abs(one.frames[0] - other.frames[0]), abs(one.observations - other.observations)) <= 5
        and overlap(one, other) > 0.5
    ]
    assert len(pairs) == len(local) == len({id(other) for _, other in pairs})
    cosines = [float(one.embedding @ other.embedding) for one, other in pairs]
    assert min(cosines) >= 0.99, cosines


def test_every_source_keeps_its_own_pixels_ids_and_rate(tmp_path: Path) -> None:
    """Boxes come back from the mux's 640x480 to the sources' 320x240."""
    config = blob_models.config(tmp_path, ["deepstream.mux.width=640", "deepstream.mux.height=480"])
    a, b = write_blobs(tmp_path / "a.mp4", [0, 1], 60), write_blobs(tmp_path / "b.mp4", [2], 45)
    engine = engine_for(config, [("a", a), ("b", b)])
    events = list(engine.events())
    started = {event.source: event for event in events if isinstance(event, SourceStarted)}
    assert {name: (event.size, event.fps, event.live) for name, event in started.items()} == {
        "a": ((320, 240), 20.0, False),
        "b": ((320, 240), 20.0, False),
    }
    last = frames_of(events, "a")[40]
    assert last.media_time == pytest.approx(2.0, abs=0.01)
    np.testing.assert_allclose(np.sort(last.boxes[:, 1]), [20, 130], atol=3)
    np.testing.assert_allclose(last.boxes[:, 0], 130, atol=4)
    assert engine.counts["embeddings"] > 0
    assert engine.status.frames == {"a": 60, "b": 45}


def scaled(source: Path, target: Path, size: tuple[int, int]) -> Path:
    """A video at another size."""
    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        stream = writing.add_stream("mpeg4", rate=reading.streams.video[0].average_rate)
        (stream.width, stream.height), stream.bit_rate = size, 8_000_000
        for frame in reading.decode(video=0):
            pixels = frame.reformat(*size, "bgr24").to_ndarray()
            writing.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        writing.mux(stream.encode())
    return target


def with_the_new_mux(code: str, *arguments: Path) -> Any:
    """What a script prints, in a process of its own: NVIDIA's plugin decides once which of its two muxes it is."""
    environment = standins.environment() | {"USE_NEW_NVSTREAMMUX": "yes"}
    environment["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_new_mux_keeps_mixed_sizes_apart(tmp_path: Path) -> None:
    """It scales nothing: each source's boxes are in its own pixels as they come."""
    code = """
import json, sys
from pathlib import Path
from reidstream.config import SourceConfig
from reidstream.engines.deepstream.running.engine import DeepStreamEngine
from reidstream.types import Observed
from tests.deepstream import blob_models
config = blob_models.config(Path(sys.argv[1]), ["deepstream.mux.new_mux=true"])
engine = DeepStreamEngine(config, [(name, SourceConfig(uri=name)) for name in sys.argv[2:]])
events = [event for event in engine.events() if isinstance(event, Observed)]
frames = [[event for event in events if event.source == name] for name in sys.argv[2:]]
print(json.dumps([(len(seen), seen[40].boxes.tolist()) for seen in frames]))
"""
    small = write_blobs(tmp_path / "a.mp4", [0], 50)
    one, two = with_the_new_mux(code, tmp_path, small, scaled(small, tmp_path / "b.mp4", (640, 480)))
    assert one[0] == two[0] == 50
    np.testing.assert_allclose(one[1], [[130, 20, 161, 101]], atol=4)
    np.testing.assert_allclose(two[1], [[260, 40, 322, 202]], atol=8)


def test_the_new_mux_waits_for_no_source_that_was_taken_out(tmp_path: Path) -> None:
    """That of 8.0 counts wrongly when a pad goes that was not told of the end of its stream, and sends every batch by
    time-out then: here a minute each."""
    code = """
import json, sys
from pathlib import Path
from reidstream.config import SourceConfig
from reidstream.engines.deepstream.running.engine import DeepStreamEngine
from reidstream.types import Observed, SourceEnded
from tests.deepstream import blob_models
config = blob_models.config(Path(sys.argv[1]), ["deepstream.mux.new_mux=true", "deepstream.mux.timeout_us=60000000"])
camera = SourceConfig(uri=sys.argv[2])
engine = DeepStreamEngine(config, [("a", camera), ("b", camera)])
ends = {}
for event in engine.events():
    if isinstance(event, Observed) and event.source == "a" and event.frame == 30:
        engine.remove_source("b")
    if isinstance(event, SourceEnded):
        ends[event.source] = (event.frames, event.stopped)
print(json.dumps(ends))
"""
    ends = with_the_new_mux(code, tmp_path, write_blobs(tmp_path / "a.mp4", [0], 200, speed=0.5))
    assert ends["a"] == [200, False]
    assert ends["b"][1]


def test_the_legacy_mux_scales_mixed_sizes_and_boxes_come_back(tmp_path: Path) -> None:
    small = write_blobs(tmp_path / "a.mp4", [0], 50)
    large = scaled(small, tmp_path / "b.mp4", (640, 480))
    events = list(engine_for(blob_models.config(tmp_path), [("a", small), ("b", large)]).events())
    np.testing.assert_allclose(frames_of(events, "a")[40].boxes, [[130, 20, 161, 101]], atol=4)
    np.testing.assert_allclose(frames_of(events, "b")[40].boxes, [[260, 40, 322, 202]], atol=8)


@pytest.mark.skipif(standins.real_pyds_file() is not None, reason="the real object encoder needs a GPU")
@pytest.mark.setting("deepstream.crops")
def test_crops_are_jpeg_files_of_the_people(tmp_path: Path) -> None:
    import cv2

    engine = engine_for(blob_models.config(tmp_path), [("a", write_blobs(tmp_path / "a.mp4", [0], 40))])
    crops = [
        crop
        for event in engine.events()
        if isinstance(event, Observed) and event.samples is not None
        for crop in event.samples.crops
    ]
    assert crops
    for crop in crops:
        assert crop is not None
        pixels = cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_COLOR)
        assert pixels.shape[0] > pixels.shape[1]
        assert pixels.reshape(-1, 3).mean(axis=0).argmax() == 2


def test_without_pyds_the_same_is_read_out_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that a missing encoder is said before any source is opened."""
    clip = write_blobs(tmp_path / "a.mp4", [0], 60)
    config = blob_models.config(tmp_path, ["deepstream.crops=false"])
    through_pyds = frames_of(list(engine_for(config, [("a", clip)]).events()), "a")
    monkeypatch.setitem(sys.modules, "pyds", None)
    in_memory = frames_of(list(engine_for(config, [("a", clip)]).events()), "a")
    assert len(in_memory) == len(through_pyds) == 60
    for one, other in zip(in_memory, through_pyds, strict=True):
        np.testing.assert_array_equal(one.track_ids, other.track_ids)
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert (one.samples is None) == (other.samples is None)
        if one.samples is not None and other.samples is not None:
            np.testing.assert_array_equal(one.samples.embeddings, other.samples.embeddings)
    assert any(frame.samples is not None for frame in in_memory)
    with pytest.raises(MissingDependency, match=r"libnvds_batch_jpegenc.so.*deepstream.crops=false"):
        engine_for(blob_models.config(tmp_path, ["deepstream.crops=true"]), [("a", clip)])


def test_type_1_embeds_now_and_then_and_every_embedding_counts(tmp_path: Path) -> None:
    config = blob_models.config(
        tmp_path, ["deepstream.sgie.network_type=1", "deepstream.sgie.reinfer_interval=9", "deepstream.crops=false"]
    )
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 60))])
    with_samples = [event.frame for event in engine.events() if isinstance(event, Observed) and event.samples]
    assert 5 <= len(with_samples) <= 7
    assert np.diff(with_samples).min() == 10


def test_the_trackers_own_vectors_replace_the_second_nvinfer(tmp_path: Path) -> None:
    config = blob_models.config(tmp_path, ['deepstream.embeddings="tracker"', "embedding.batch=4"])
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 40))])
    assert engine.configs.sgie is None
    samples = [event.samples for event in engine.events() if isinstance(event, Observed) and event.samples]
    assert samples
    assert samples[0].embeddings.shape == (1, 8)


def test_tracks_end_without_terminated_lists_too(tmp_path: Path) -> None:
    path = write_blobs(tmp_path / "a.mp4", [0], 150, speed=6.0)  # it has left the picture after a third of the time
    for terminated in ("true", "false"):
        config = blob_models.config(
            tmp_path, ["tracker.timeout=1.0", f"deepstream.tracker.terminated_tracks={terminated}"]
        )
        events = list(engine_for(config, [("a", path)]).events())
        (ended,) = [event for event in events if isinstance(event, TrackEnded)]
        assert ended.reason == EndReason.LEFT
        after = frames_of(events[: events.index(ended)], "a")[-1].frame
        assert 60 < after < 100


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('deepstream.mux.properties={"batched-push-timout"=1}', r"nvstreammux has no property.*Did you mean 'batched"),
        ('deepstream.pgie.properties={"nonsense"=1}', r"deepstream.pgie.properties: nvinfer .*It has: .*unique-id"),
        ('deepstream.tracker.properties={"tracker-width"=-1}', r"nvtracker.tracker-width takes uint from 0"),
        ('deepstream.mux.properties={"sync-inputs"="yes"}', r"takes true or false, got 'yes'"),
        ('deepstream.mux.properties={"enable-padding"=true}', r"enable-padding cannot be used"),
    ],
)
def test_properties_are_refused_by_name(tmp_path: Path, setting: str, message: str) -> None:
    config = blob_models.config(tmp_path, [setting])
    with pytest.raises(ConfigError, match=message):
        engine_for(config, [("a", tmp_path / "a.mp4")])


def test_a_wrong_source_property_is_refused_before_anything_runs(tmp_path: Path) -> None:
    config = blob_models.config(tmp_path, ['deepstream.source.properties={"num-buffers"=10}'])
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 10))])
    with pytest.raises(ConfigError, match="nvurisrcbin has no property 'num-buffers'"):
        list(engine.events())


def test_an_element_that_is_not_there_is_named() -> None:
    from reidstream.engines.deepstream.running.gst_properties import load_gst, make_element

    with pytest.raises(MissingDependency, match="no element 'nvnothing'"):
        make_element(load_gst(), "nvnothing")


def test_ten_runs_leave_no_threads_and_no_files_behind(tmp_path: Path) -> None:
    import psutil

    config = blob_models.config(tmp_path)
    clip = write_blobs(tmp_path / "a.mp4", [0], 20)
    process = psutil.Process()
    list(engine_for(config, [("a", clip)]).events())
    before, threads = process.num_fds(), set(threading.enumerate())
    for _ in range(10):
        list(engine_for(config, [("a", clip)]).events())
    gc.collect()
    assert set(threading.enumerate()) <= threads
    assert process.num_fds() <= before + 2


@pytest.mark.setting("deepstream.folder")
def test_the_files_lie_in_the_folder_that_is_said(tmp_path: Path) -> None:
    config = blob_models.config(tmp_path, [f"deepstream.folder={tmp_path / 'kept'}"])
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 5))])
    assert engine.configs.pgie.parent == tmp_path / "kept"
    assert engine.configs.pgie.is_file()
    list(engine.events())


def test_a_run_shows_that_it_is_alive_while_it_lasts(tmp_path: Path) -> None:
    """What the container's health check looks at."""
    import socket

    config = blob_models.config(tmp_path, [f"deepstream.folder={tmp_path / 'kept'}"])
    engine = engine_for(config, [("a", write_blobs(tmp_path / "a.mp4", [0], 700, speed=0.3))])
    said: set[str] = set()
    alive = tmp_path / "kept" / "alive"
    for event in engine.events():
        if isinstance(event, Observed) and event.frame % 20 == 0 and alive.is_file():
            said.add(alive.read_text())
            engine.stop()
    assert said == {f"{socket.gethostname()}\n"}
    assert not alive.exists()
