"""What the local engine promises when its sources are spread over processes; the contract tests run on it, too."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reidstream.config import Config, SourceConfig, load_config
from reidstream.engines import local
from reidstream.engines.local import LocalEngine, LocalProcesses, open_local_engine, processes
from reidstream.engines.local.processes import processes_for
from reidstream.errors import DeviceError, EngineError, ModelNotFound
from reidstream.runtime import cuda, see_only, seeing
from reidstream.sources.frame import Picture
from reidstream.types import Detections, EmbeddingSpace, EndReason, Event, Observed, SourceEnded, TrackEnded
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.slow import first_quick


class Fatal(BlobDetector):
    """Kills the process of a picture that holds nobody; fails where there are two people."""

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        found = super().detect(pictures)
        if len(found[0]) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(found[0]) == 2:
            raise RuntimeError("the device is gone")
        return found


@pytest.fixture(autouse=True)
def _blobs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def _engine(paths: Sequence[Path], detector: BlobDetector | None = None, apart: bool = False) -> LocalProcesses:
    named = [(path.stem, SourceConfig(uri=str(path))) for path in paths]
    return LocalProcesses(Config(), named, 2, detector or BlobDetector(), ColourEmbedder(), apart)


def _of(events: Sequence[Event], source: str) -> list[Event]:
    return [event for event in events if event.source == source]


def _samples(event: Observed) -> object:
    samples = event.samples
    return samples and (samples.embeddings.tobytes(), samples.quality.tobytes(), samples.crops)


@pytest.mark.parametrize("apart", first_quick([True, False]))
def test_each_source_gives_the_events_of_a_single_process(tmp_path: Path, apart: bool) -> None:
    paths = [write_blobs(tmp_path / f"{name}.mp4", people, 40) for name, people in (("a", [0]), ("b", [1, 2]))]
    named = [(path.stem, SourceConfig(uri=str(path))) for path in paths]
    alone = list(LocalEngine(Config(), named, detector=BlobDetector(), embedder=ColourEmbedder()).events())
    engine = _engine(paths, apart=apart)
    spread = list(engine.events())
    for source in ("a", "b"):
        ours, theirs = ([e for e in _of(events, source) if isinstance(e, Observed)] for events in (spread, alone))
        assert [(e.frame, e.boxes.tobytes(), e.track_ids.tobytes(), _samples(e)) for e in ours] == [
            (e.frame, e.boxes.tobytes(), e.track_ids.tobytes(), _samples(e)) for e in theirs
        ]
        assert any(e.samples is not None for e in ours)
    assert engine.status.frames == {"a": 40, "b": 40}
    assert {"decode", "detect", "track", "embed"} <= set(engine.status.stage_seconds)


def test_given_tracks_of_which_some_do_not_count_keep_their_numbers_in_other_processes(tmp_path: Path) -> None:
    """The second row of each frame lies outside of the picture: who comes behind it must not get its number."""
    rows = [
        f"{frame},{track},{left},60,40,100,0.9,1,1,1\n"
        for frame in range(1, 21)
        for track, left in ((7, 30 + frame), (8, 4000), (9, 200 + frame))
    ]
    (tmp_path / "tracks.txt").write_text("".join(rows))
    sources = [
        (
            name,
            SourceConfig(uri=str(write_blobs(tmp_path / f"{name}.mp4", [0], 20)), tracks=str(tmp_path / "tracks.txt")),
        )
        for name in ("a", "b")
    ]
    alone = list(LocalEngine(Config(), sources, detector=BlobDetector(), embedder=ColourEmbedder()).events())
    spread = list(LocalProcesses(Config(), sources, 2, BlobDetector(), ColourEmbedder(), apart=True).events())
    for source, _ in sources:
        ours, theirs = (
            [
                (e.frame, e.track_ids.tolist(), e.boxes.tolist(), _samples(e))
                for e in _of(events, source)
                if isinstance(e, Observed)
            ]
            for events in (spread, alone)
        )
        assert ours == theirs
        assert {track for _, tracks, _, _ in ours for track in tracks} == {7, 9}


@pytest.mark.timeout(90)
def test_a_process_that_dies_ends_its_sources_with_what_was_seen_and_no_others(tmp_path: Path) -> None:
    # The person of the first leaves the picture, and with them the process ends.
    leaves, stays = write_blobs(tmp_path / "leaves.mp4", [0], 90, 8), write_blobs(tmp_path / "stays.mp4", [1], 60)
    events = list(_engine([leaves, stays], Fatal()).events())
    broken, whole = _of(events, "leaves"), _of(events, "stays")
    assert isinstance(broken[-1], SourceEnded)
    assert "its process was ended by signal 9" in (broken[-1].error or "")
    seen = {int(track) for event in broken if isinstance(event, Observed) for track in event.track_ids}
    ended = [event for event in broken if isinstance(event, TrackEnded)]
    assert seen == {event.track_id for event in ended}
    assert all(event.reason is EndReason.SOURCE_ENDED for event in ended)
    assert isinstance(whole[-1], SourceEnded)
    assert (whole[-1].error, whole[-1].frames) == (None, 60)


@pytest.mark.timeout(90)
def test_sources_end_with_the_process_that_reads_them_for_others(tmp_path: Path) -> None:
    leaves, stays = write_blobs(tmp_path / "leaves.mp4", [0], 90, 8), write_blobs(tmp_path / "stays.mp4", [1], 500, 0.5)
    events = list(_engine([leaves, stays], Fatal(), apart=True).events())
    for name in ("leaves", "stays"):
        ours = _of(events, name)
        assert isinstance(ours[-1], SourceEnded)
        assert "the process that reads it and runs the models has ended" in (ours[-1].error or "")
        seen = {int(track) for event in ours if isinstance(event, Observed) for track in event.track_ids}
        assert seen == {event.track_id for event in ours if isinstance(event, TrackEnded)}


@pytest.mark.timeout(90)
@pytest.mark.parametrize("apart", [False, True])
def test_a_model_that_fails_ends_the_whole_run_with_its_error(tmp_path: Path, apart: bool) -> None:
    crowded, quiet = write_blobs(tmp_path / "crowded.mp4", [0, 1], 60), write_blobs(tmp_path / "quiet.mp4", [1], 60)
    seen: list[Event] = []
    with pytest.raises(EngineError, match="the device is gone"):
        seen.extend(_engine([crowded, quiet], Fatal(), apart).events())
    assert {event.source for event in seen if isinstance(event, SourceEnded)} == {"crowded", "quiet"}


def test_a_wrong_model_fails_before_any_source_is_touched(tmp_path: Path) -> None:
    config = load_config(None, ["detector.model=no-such-model.onnx"])
    with pytest.raises(ModelNotFound, match=r"no-such-model\.onnx"):
        LocalProcesses(config, [("a", SourceConfig(uri="nothing.mp4")), ("b", SourceConfig(uri="nothing.mp4"))], 2)


@pytest.mark.setting("local.processes")
def test_the_number_of_processes_is_configured_or_follows_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_QUOTA", tmp_path / "cpu.max")

    def number(sources: int, setting: int = 0, device: str = "cpu") -> int:
        config = load_config(None, [f"local.processes={setting}", f"local.device={device}"])
        return processes_for(config, range(sources))

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    assert number(1) == 1
    assert 1 < number(3) <= 3
    assert 1 < number(64, device="cuda") <= number(64) <= 16
    assert (number(5, setting=3), number(2, setting=3), number(5, setting=1)) == (3, 2, 1)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert processes.cores() == 16
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert (processes.cores(), number(64)) == (1, 1)
    (tmp_path / "cpu.max").unlink()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert number(64) == 1


@pytest.mark.setting("local.gpus")
@pytest.mark.parametrize("decode", ["auto", "cpu"])
@pytest.mark.parametrize(
    ("visible", "named", "seen"),
    [
        (None, "[0]", [None, None, None]),
        (None, "[1]", ["1", "1", "1"]),
        (None, "[0,2]", ["0", "2", "0"]),
        ("GPU-a, GPU-b,GPU-c", "[2,0]", ["GPU-c", "GPU-a", "GPU-c"]),
        (None, "[1,1]", ["1", "1", "1"]),
    ],
)
def test_processes_are_spread_over_the_gpus_that_are_named(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, named: str, seen: list[str | None], decode: str
) -> None:
    """Each process, or with decoding there the one process of each GPU that reads and looks for the others."""
    apart = decode == "auto"
    started: list[tuple[str, str | None]] = []
    looked_at: list[list[str]] = []

    class Child:
        def __init__(self, sources: Any, request: Any, variables: Any, descriptors: Any, module: str = "") -> None:
            # Its only one has the number 0 there.
            assert request[0].local.gpus == (0,)
            assert (len(descriptors) > 0) == apart
            if bool(module) == apart:
                started.append((variables.get("CUDA_DEVICE_ORDER", ""), variables.get("CUDA_VISIBLE_DEVICES")))
                looked_at.append(sorted(sources))
            else:
                assert not variables

        def opened(self) -> EmbeddingSpace:
            return ColourEmbedder.space

        def end(self) -> None:
            pass

    monkeypatch.setattr(processes, "_Child", Child)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    config = load_config(
        None, ["local.processes=3", "local.device=cuda", f"local.gpus={named}", f"local.decode={decode}"]
    )
    sources = [(name, SourceConfig(uri=f"{name}.mp4")) for name in "abcd"]
    assert isinstance(open_local_engine(config, sources), LocalProcesses)
    turns = len(config.local.gpus)
    assert [name for _, name in started] == (seen[:turns] if apart else seen)
    shares = [["a", "d"], ["b"], ["c"]]
    if apart:
        # One for each time that a GPU is named.
        shares = [sorted(source for share in shares[turn::turns] for source in share) for turn in range(turns)]
    assert looked_at == shares
    assert {order for order, name in started if name is not None} <= {"PCI_BUS_ID"}


@pytest.mark.setting("local.gpus")
def test_beside_the_service_a_gpu_that_nobody_named_has_two_processes_with_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    monkeypatch.setattr(processes, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    made: list[tuple[tuple[int, ...], int]] = []
    monkeypatch.setattr(local, "LocalProcesses", lambda config, sources, count: made.append((config.local.gpus, count)))

    def opened(sources: int, *settings: str) -> tuple[tuple[int, ...], int]:
        config = load_config(None, ["local.device=cuda", *settings])
        open_local_engine(config, [(str(n), SourceConfig(uri="a.mp4")) for n in range(sources)])
        return made.pop()

    assert opened(9) == ((0,), 2)
    (tmp_path / "nvidia-cuda-mps-control.pid").touch()
    assert opened(9) == ((0, 0), 4)
    assert opened(9, "local.processes=6") == ((0, 0), 6)
    assert opened(9, "local.gpus=[0]") == ((0,), 2)
    assert opened(3) == ((0,), 2)
    assert opened(9, "local.decode=cpu") == ((0,), 2)
    # Many sources wait for each other's decoders; four processes have four cores each.
    assert opened(47) == ((0, 0), 4)
    assert opened(48) == ((0, 0, 0), 6)
    assert opened(200) == ((0, 0, 0, 0), 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert opened(200)[0] == (0, 0)


def test_there_is_a_process_for_every_gpu_and_another_gpu_than_the_first_never_in_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    config = load_config(None, ["local.device=cuda", "local.gpus=[0,1,2,3]"])
    assert [processes_for(config, range(sources)) for sources in (0, 1, 3, 9)] == [1, 1, 3, 4]
    assert processes_for(load_config(None, ["local.gpus=[0,1,2,3]"]), range(9)) == 1
    assert (
        processes_for(load_config(None, ["local.device=cuda", "local.gpus=[0,1]", "local.processes=5"]), range(9)) == 5
    )
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    assert processes_for(load_config(None, ["local.device=cuda", "local.gpus=[0,0,1,1]"]), range(9)) == 4
    made: list[int] = []
    monkeypatch.setattr(local, "LocalProcesses", lambda config, sources, count: made.append(count))
    open_local_engine(load_config(None, ["local.device=cuda", "local.gpus=[1]"]), [("a", SourceConfig(uri="a.mp4"))])
    assert made == [1]


def test_a_gpu_that_is_not_left_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert seeing(1)["CUDA_VISIBLE_DEVICES"] == "5"
    with pytest.raises(DeviceError, match=r"GPU 2 \(local.gpus\).*CUDA_VISIBLE_DEVICES='3,5' leaves 2 of them"):
        seeing(2)


def test_a_process_chooses_its_gpu_once_and_its_children_count_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_chosen", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,8")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    before = dict(os.environ)
    see_only("cpu", (1,))
    see_only("cuda", (0, 1))
    assert dict(os.environ) == before
    for _ in range(2):
        see_only("cuda", (1, 2))
        assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"]) == ("5", "PCI_BUS_ID")
    assert [seeing(number)["CUDA_VISIBLE_DEVICES"] for number in range(3)] == ["3", "5", "8"]
    for other in (0, 2):
        with pytest.raises(DeviceError, match=rf"GPU {other} .*this process uses GPU 1 already"):
            see_only("cuda", (other,))


def test_objects_of_the_callers_stay_in_this_process() -> None:
    config = load_config(None, ["local.processes=2"])
    sources = [("a", SourceConfig(uri="a.mp4")), ("b", SourceConfig(uri="b.mp4"))]
    assert isinstance(open_local_engine(config, sources, None, BlobDetector(), ColourEmbedder()), LocalEngine)
