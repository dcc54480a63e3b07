"""The local engine on a GPU beside the processor, in one run: frames per second, warm-up, parity.

    python -m benchmarks.gpu [VIDEO] [--devices cpu,cuda] [--streams 1,8] [--seconds 12] [--before SRC] [--parity A,B]

Without a video: retail02.mp4 (1080p HEVC) of the shared data. Frames go from the file to finished tracklets; the
gallery is left out. Every stream reads the same video, repeated; each measurement is a process of its own, and the
variants take turns. ``--before`` names the ``src`` folder of another version, which is measured in turn, too.
``--parity`` compares the tracklets of two devices: "pairs" are those that lie on each other in time and place. A device
may say what models compute in, as cuda:fp16.
``--paced`` hands every stream's frames over at that many a second instead, for ``--seconds``, as cameras do, and counts
how long after that their events come; frames whose turn comes more than eight frames too late are dropped. Streams take
turns at beginning with another key frame of the video. Prints a table and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import pacing

_REPEATS = 60
# Of the mean overlap over the frames of either: below it is another person's track.
_SAME = 0.5


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        children = {"rate": _rate, "tracklets": _tracklets, "decode": _decode, "paced": _paced}
        print(json.dumps(children[arguments.child](arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        long = _repeated(Path(arguments.video), Path(folder))
        sources: dict[str, str | None] = {"now": None}
        if arguments.before:
            sources = {"before": arguments.before, "now": None}
        rows = [
            {"version": version, **_measure(arguments, "rate", device, long, streams, source)}
            for _ in range(0 if arguments.paced else arguments.rounds)
            for streams in map(int, arguments.streams.split(","))
            for device in arguments.devices.split(",")
            for version, source in sources.items()
        ]
        rows += [
            {"version": "decode", **_measure(arguments, "decode", "cuda", long, streams)}
            for _ in range(arguments.rounds if arguments.decode else 0)
            for streams in map(int, arguments.streams.split(","))
        ]
        pairs = _parity(arguments) if arguments.parity else {}
        counts = map(int, arguments.streams.split(",") if arguments.paced else [])
        if arguments.paced:
            # Cameras do not all see the same at the same time.
            _from_each_key_frame(Path(arguments.video), Path(folder))
        paced = [
            _shown(_measure(arguments, "paced", arguments.devices.split(",")[-1], long, streams)) for streams in counts
        ]
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "gpu": _gpu_name()}
    print(
        f"{'version':8s} {'device':6s} {'streams':>7s} {'frames/s':>9s} {'cores':>6s} {'warm-up s':>9s} {'GPU MiB':>8s}"
    )
    for row in rows:
        print(
            f"{row['version']:8s} {row['device']:6s} {row['streams']:7d} {row['fps']:9.1f} {row['cores']:6.1f} "
            f"{row['open_s']:9.1f} {row['gpu_mib'] or 0:8d}   {row['stage_ms']}"
        )
    if pairs:
        print(f"parity {arguments.parity}: {pairs}")
    for row in paced:
        print(f"paced {row}")
    print(json.dumps({"machine": machine, "command": sys.argv, "rows": rows, "parity": pairs, "paced": paced}))


def _arguments() -> argparse.Namespace:
    shared = Path(os.environ.get("REIDSTREAM_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", default=str(shared / "data/videos/retail02.mp4"))
    parser.add_argument("--detector", default=str(shared / "models/yolox_nano_416x416.onnx"))
    parser.add_argument("--reid", default=str(shared / "models/osnet_x0_25_msmt17.onnx"))
    parser.add_argument("--devices", default="cpu,cuda")
    parser.add_argument("--streams", default="1,8")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--before", help="src folder of the version to compare with")
    parser.add_argument("--parity", help="two devices, as cpu,cuda")
    parser.add_argument("--paced", type=float, help="frames a second of each stream")
    parser.add_argument("--decode", action="store_true", help="also measure the GPU's decoders alone")
    parser.add_argument("--set", action="append", default=[], help="a setting, as section.key=value")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--device", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not Path(arguments.video).is_file():
        parser.error(f"no video at {arguments.video}; name one, or set REIDSTREAM_SHARED")
    return arguments


def _measure(
    arguments: argparse.Namespace, child: str, device: str, video: Path, streams: int, source: str | None = None
) -> dict[str, Any]:
    """Run one variant as a process of its own. source: where the package is taken from."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    if source is not None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, environment.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "benchmarks.gpu", str(video), "--child", child, "--device", device]
    command += ["--count", str(streams), "--seconds", str(arguments.seconds)]
    command += ["--detector", arguments.detector, "--reid", arguments.reid]
    command += ["--paced", str(arguments.paced)] if arguments.paced else []
    command += [word for setting in arguments.set for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        if child == "paced":
            environment |= pacing.environment(Path(folder), arguments.paced)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{child} on {device} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    shown = {name: value for name, value in result.items() if name not in {"tracklets", "waited"}}
    print(f"{source or 'now'} {' '.join(arguments.set)} {shown}", file=sys.stderr, flush=True)
    return result


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    """What was measured of paced streams, with shares of the frames in the place of how long each took."""
    waited = np.array(found.pop("waited"))
    shares = np.cumsum(waited) / max(waited.sum(), 1)
    return {
        **found,
        "frames": int(waited.sum()),
        **{f"{share}% within ms": int(np.searchsorted(shares, share / 100)) for share in (50, 95, 99)},
    }


def _paced(arguments: argparse.Namespace) -> dict[str, Any]:
    """Some paced streams, after the models are warm."""
    from reidstream.tracklets import TrackletCollector
    from reidstream.types import Observed

    config, engine = _engine(arguments)
    collector = TrackletCollector(config.tracklets)
    waited = np.zeros(10_000, np.int64)
    frames = int(arguments.seconds * arguments.paced)
    processor, began, took = _processor_seconds(), time.perf_counter(), 0.0
    ended: set[str] = set()
    dropped: list[int] = []
    memory = None
    for event in engine.events():
        collector.take(event)
        if isinstance(event, Observed) and event.frame < frames:
            # Their wall time is when they were due.
            waited[min(int(1000 * (time.perf_counter() - event.wall_time)) + 1, len(waited) - 1)] += 1
            continue
        if isinstance(event, Observed):
            ended.add(event.source)
        if len(ended) == arguments.count and memory is None:
            processor, took = _processor_seconds() - processor, time.perf_counter() - began
            memory, dropped = _gpu_memory(), sorted(engine.status.dropped.values())
            engine.stop()
    return {
        "streams": arguments.count,
        "expected": arguments.count * frames,
        "dropped": sum(dropped),
        # Whether all were late, or some.
        "dropped of the streams": [dropped[round(part * (len(dropped) - 1))] for part in (0, 0.25, 0.5, 0.75, 1)],
        "waited": waited.tolist(),
        "cores": round(processor / took, 2),
        "gpu_mib": memory,
    }


def _engine(arguments: argparse.Namespace) -> Any:
    import reidstream.engines.local
    from reidstream.config import SourceConfig, load_config

    # Versions before there were processes have but the engine.
    engine_of = getattr(reidstream.engines.local, "open_local_engine", reidstream.engines.local.LocalEngine)
    device, _, precision = arguments.device.partition(":")
    quoted = {"detector.model": arguments.detector, "embedding.model": arguments.reid, "local.device": device}
    quoted |= {"local.precision": precision} if precision else {}
    config = load_config(None, [*(f"{key}={json.dumps(value)}" for key, value in quoted.items()), *arguments.set])
    video = Path(arguments.video)
    videos = sorted(video.parent.glob(f"long*{video.suffix}")) if arguments.paced else [video]
    named = [(f"camera{n}", SourceConfig(uri=str(videos[n % len(videos)]))) for n in range(arguments.count)]
    return config, engine_of(config, named)


def _rate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Frames per second from the first frame that comes out on, for some seconds."""
    from reidstream.tracklets import TrackletCollector
    from reidstream.types import Observed

    opening = time.perf_counter()
    config, engine = _engine(arguments)
    opened = time.perf_counter() - opening
    collector = TrackletCollector(config.tracklets)
    frames, began, until, memory, tracklets = 0, 0.0, 0.0, None, 0
    processor = 0.0
    for event in engine.events():
        now = time.perf_counter()
        tracklets += len(collector.take(event))
        if not isinstance(event, Observed):
            continue
        if not began:
            began, processor = now, _processor_seconds()
        elif now - began < arguments.seconds:
            frames += 1
            until = now
        elif memory is None:
            processor = _processor_seconds() - processor
            memory = _gpu_memory()
            engine.stop()
    seconds = max(until - began, 1e-9)
    if memory is None:
        processor = _processor_seconds() - processor
    spent = {name: round(1000 * value / max(frames, 1), 1) for name, value in engine.status.stage_seconds.items()}
    return {
        "device": arguments.device,
        "streams": arguments.count,
        "fps": frames / seconds,
        "cores": processor / seconds,
        "open_s": opened,
        "first_frame_s": began - opening,
        "gpu_mib": memory,
        "stage_ms": spent,
    }


def _decode(arguments: argparse.Namespace) -> dict[str, Any]:
    """Frames per second of the GPU's decoders alone: one thread for each stream, nobody looks at the pictures."""
    import threading

    from reidstream.config import SourceConfig
    from reidstream.gpu.decoding import OnGpu, open_gpu
    from reidstream.sources import open_source

    opening = time.perf_counter()
    gpu = open_gpu()
    assert gpu is not None
    counts = [0] * arguments.count
    began = time.perf_counter()

    def read(place: int) -> None:
        while time.perf_counter() - began < arguments.seconds:
            for _ in open_source(SourceConfig(uri=arguments.video), f"camera{place}", OnGpu(gpu)):
                counts[place] += 1
                if time.perf_counter() - began >= arguments.seconds:
                    break

    threads = [threading.Thread(target=read, args=(place,)) for place in range(arguments.count)]
    processor = _processor_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    return {
        "device": "cuda",
        "streams": arguments.count,
        "fps": sum(counts) / seconds,
        "cores": (_processor_seconds() - processor) / seconds,
        "open_s": began - opening,
        "first_frame_s": 0.0,
        "gpu_mib": _gpu_memory(),
        "stage_ms": {},
    }


def _tracklets(arguments: argparse.Namespace) -> dict[str, Any]:
    """The tracklets of the first source: vectors, and where each was in which frames."""
    from reidstream.tracklets import TrackletCollector

    config, engine = _engine(arguments)
    collector = TrackletCollector(config.tracklets)
    found = [tracklet for event in engine.events() for tracklet in collector.take(event)]
    return {
        "tracklets": [
            {"vector": t.embedding.tolist(), "frames": t.frames.tolist(), "boxes": t.boxes.tolist()}
            for t in found
            if t.source == "camera0"
        ]
    }


def _parity(arguments: argparse.Namespace) -> dict[str, Any]:
    """How the tracklets of two devices agree, and whether a file gives the same beside others on the second."""
    from scipy.optimize import linear_sum_assignment

    first, second = arguments.parity.split(",")
    video = Path(arguments.video)
    ours, theirs, beside = (
        _measure(arguments, "tracklets", device, video, streams)["tracklets"]
        for device, streams in ((first, 1), (second, 1), (second, 6))
    )
    overlap = np.array([[_overlap(a, b) for b in theirs] for a in ours])
    rows, columns = linear_sum_assignment(-overlap)
    same = overlap[rows, columns] >= _SAME
    cosines = [
        float(np.dot(ours[a]["vector"], theirs[b]["vector"])) for a, b in zip(rows[same], columns[same], strict=True)
    ]
    return {
        "tracklets": [len(ours), len(theirs)],
        "pairs": int(same.sum()),
        "lowest cosine": round(min(cosines), 5),
        "median cosine": round(float(np.median(cosines)), 6),
        "lowest overlap": round(float(overlap[rows, columns][same].min()), 3),
        "the same to the bit beside five others": theirs == beside,
    }


def _overlap(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Mean IoU over all frames in which at least one of them was seen."""
    from reidstream.boxes import pairwise_iou

    one, other = (dict(zip(t["frames"], t["boxes"], strict=True)) for t in (a, b))
    common = sorted(one.keys() & other.keys())
    if not common:
        return 0.0
    boxes, others = (np.array([boxes[frame] for frame in common], np.float32) for boxes in (one, other))
    return float(np.diagonal(pairwise_iou(boxes, others)).sum() / len(one.keys() | other.keys()))


def _from_each_key_frame(video: Path, folder: Path) -> None:
    """What ``_repeated`` makes, begun at each other key frame, beside it."""
    import av

    with av.open(str(video)) as source:
        keys = [packet.pts for packet in source.demux(video=0) if packet.is_keyframe and packet.size]
    for number in range(1, len(keys)):
        _repeated(video, folder, number)


def _repeated(video: Path, folder: Path, key_frame: int = 0) -> Path:
    """The video several times over in one file, without encoding anything anew. key_frame: with which one it begins."""
    import av

    target = folder / f"long{key_frame or ''}{video.suffix}"
    with av.open(str(target), "w") as out:
        stream = None
        offset: int | None = None
        waiting = key_frame
        for _ in range(_REPEATS):
            last = 0
            with av.open(str(video)) as source:
                (given,) = source.streams.video[:1]
                if stream is None:
                    stream = out.add_stream_from_template(given)
                for packet in source.demux(given):
                    if packet.dts is None:
                        continue
                    if offset is None:
                        if packet.is_keyframe:
                            waiting -= 1
                        if waiting >= 0:
                            continue
                        offset = -packet.dts if key_frame else 0
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    last = max(last, packet.pts + (packet.duration or 1))
                    packet.stream = stream
                    out.mux(packet)
            offset = last
    return target


def _processor_seconds() -> float:
    """Of this process and those that it started."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _gpu_name() -> str | None:
    return _nvidia_smi("name")


def _gpu_memory() -> int | None:
    """MiB in use on the first GPU, by everybody."""
    answer = _nvidia_smi("memory.used")
    return int(answer.split()[0]) if answer and answer.split()[0].isdigit() else None


def _nvidia_smi(field: str) -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None


if __name__ == "__main__":
    main()
