"""Video to gallery, against a plain single-threaded loop of the same models, in one run.

    python -m benchmarks.end_to_end [VIDEO] [--detector MODEL] [--reid MODEL] [--rounds 3] [--loops 20]

Without a video: retail02.mp4 (1080p HEVC) of the shared data. Each measurement is a process of its own, the variants
take turns, and medians are printed. "serial" runs the stages of the engine one after another in one thread; what they
cost there, divided by the cores, is the least time that any schedule could need. Processor time is printed, too: it
still compares when other programs share the cores. ``--loops`` repeats the video inside
one process and prints the memory after each fifth; memory counts the processes that it started, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from reidstream.config import Config, SourceConfig, load_config


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_CHILDREN[arguments.child](arguments)))
        return
    cores = len(os.sched_getaffinity(0))
    results: dict[str, list[dict[str, Any]]] = {"plain": [], "serial": [], "pipeline": []}
    with tempfile.TemporaryDirectory() as compiled:
        _compare(arguments, cores, results, compiled)


def _compare(
    arguments: argparse.Namespace, cores: int, results: dict[str, list[dict[str, Any]]], compiled: str
) -> None:
    # Not counted: it compiles the modules, which an installation has done once, and fills the system's file cache.
    _measure("pipeline", compiled)
    for round_number in range(arguments.rounds):
        for name in results:
            results[name].append(_measure(name, compiled))
            rate = results[name][-1]["fps"]
            print(f"round {round_number + 1} {name:9s} {rate:6.1f} frames/s", file=sys.stderr)
    fps = {name: statistics.median(r["fps"] for r in rows) for name, rows in results.items()}
    memory = statistics.median(r["peak_mib"] for r in results["pipeline"])
    ratio = statistics.median(a["fps"] / b["fps"] for a, b in zip(results["pipeline"], results["plain"], strict=True))
    bound = statistics.median(cores / r["seconds_per_frame"] for r in results["serial"])
    frames = results["pipeline"][0]["frames"]
    print(f"{Path(arguments.video).name}: {frames} frames, {cores} cores, medians of {arguments.rounds}")
    print(f"plain loop        {fps['plain']:7.1f} frames/s (embeds every fifth frame)")
    print(f"stages, serial    {fps['serial']:7.1f} frames/s, so at most {bound:.1f} on {cores} cores")
    print(
        f"pipeline          {fps['pipeline']:7.1f} frames/s:"
        f" {ratio:.2f} x plain, {fps['pipeline'] / bound:.0%} of the bound"
    )
    print(f"peak memory       {memory:7.0f} MiB")
    # Also says something where other programs share the cores.
    spent = {name: statistics.median(row["processor_ms"] for row in rows) for name, rows in results.items()}
    print(f"processor time    {', '.join(f'{name} {ms:.1f}' for name, ms in spent.items())} ms/frame")
    for name in ("serial", "pipeline"):
        stages = ", ".join(f"{k} {v:.2f}" for k, v in results[name][-1]["stage_ms"].items())
        print(f"{name} ms/frame: {stages}")
    if arguments.loops:
        grown = _measure("loops", compiled)
        print(f"memory over {arguments.loops} loops: {', '.join(f'{m:.0f}' for m in grown['memory_mib'])} MiB")


def _arguments() -> argparse.Namespace:
    shared = Path(os.environ.get("REIDSTREAM_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", default=str(shared / "data/videos/retail02.mp4"))
    parser.add_argument("--detector", default=str(shared / "models/yolox_nano_416x416.onnx"))
    parser.add_argument("--reid", default=str(shared / "models/osnet_x0_25_msmt17.onnx"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", type=int, default=0)
    parser.add_argument("--child", choices=sorted(_CHILDREN), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not Path(arguments.video).is_file():
        parser.error(f"no video at {arguments.video}; name one, or set REIDSTREAM_SHARED")
    return arguments


def _measure(child: str, compiled: str) -> dict[str, Any]:
    """Run a variant as a process of its own. compiled: folder of compiled modules."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "benchmarks.end_to_end", *sys.argv[1:], "--child", child]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{child} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _config(arguments: argparse.Namespace) -> Config:
    quoted = {"detector.model": arguments.detector, "embedding.model": arguments.reid}
    return load_config(None, [f"{key}={json.dumps(value)}" for key, value in quoted.items()])


def _plain(arguments: argparse.Namespace) -> dict[str, Any]:
    """What people write first: decode, detect, and every fifth frame embed everybody."""
    import av
    import numpy as np

    from reidstream.inference import open_detector, open_embedder
    from reidstream.models import resolve_model
    from reidstream.sources.frame import ArrayPicture

    config = _config(arguments)
    # The model as it is in its file; what our engine leaves out of it is a part of what is measured.
    detector = open_detector(resolve_model(config.detector.model, "detector"), config.detector, lean=False)
    embedder = open_embedder(resolve_model(config.embedding.model, "reid"), config.embedding)
    began, processor = time.perf_counter(), _processor_seconds()
    frames = 0
    with av.open(arguments.video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        stream.codec_context.thread_count = 1
        for decoded in container.decode(stream):
            image = decoded.to_ndarray(format="bgr24")
            (found,) = detector.detect([ArrayPicture(image)])
            if frames % 5 == 0:
                boxes = found.boxes[found.scores >= 0.4].astype(np.int64)
                embedder.embed([image[y1:y2, x1:x2] for x1, y1, x2, y2 in boxes if x2 > x1 and y2 > y1])
            frames += 1
    return _result(frames, time.perf_counter() - began, _processor_seconds() - processor, {})


def _serial(arguments: argparse.Namespace) -> dict[str, Any]:
    """The engine's own stages, one after another in one thread."""
    from reidstream.engines.local.sampling import CropSampler, FrameCrops
    from reidstream.inference import open_detector, open_embedder
    from reidstream.models import resolve_model
    from reidstream.sources import open_source
    from reidstream.tracking import Tracker

    config = _config(arguments)
    detector = open_detector(resolve_model(config.detector.model, "detector"), config.detector)
    embedder = open_embedder(resolve_model(config.embedding.model, "reid"), config.embedding)
    spent = {"decode": 0.0, "detect": 0.0, "track and embed": 0.0}
    frames = 0
    # Before the decoder starts threads of its own: they inherit it, and what they cost counts too.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with open_source(SourceConfig(uri=arguments.video), "video") as source:
        started = source.started()
        tracker, sampler = Tracker(config.tracker, started.size), CropSampler(config.embedding, started.size)
        processor = _processor_seconds()
        before = time.perf_counter()
        for frame in source:
            decoded = time.perf_counter()
            (found,) = detector.detect([frame.picture])
            detected = time.perf_counter()
            crops = FrameCrops(frame.picture, found, embedder)
            tracks = tracker.update(found, frame.media_time, crops.embed)
            sampler.sample(crops, tracks, frame.media_time)
            after = time.perf_counter()
            spent["decode"] += decoded - before
            spent["detect"] += detected - decoded
            spent["track and embed"] += after - detected
            frames += 1
            before = time.perf_counter()
    return _result(frames, sum(spent.values()), _processor_seconds() - processor, spent)


def _pipeline(arguments: argparse.Namespace) -> dict[str, Any]:
    """All of it: video to gallery, as `reidstream run` does."""
    from reidstream.pipeline import open_run

    with (
        tempfile.TemporaryDirectory() as folder,
        open_run([arguments.video], _config(arguments), Path(folder) / "gallery") as run,
    ):
        processor = _processor_seconds()
        summary = run.run()
        processor = _processor_seconds() - processor
    return _result(summary.frames, summary.seconds, processor, summary.stage_seconds)


def _loops(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same video again and again in one process: what stays in memory afterwards."""
    from reidstream.pipeline import open_run

    memory = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, arguments.loops + 1):
            with open_run([arguments.video], _config(arguments), Path(folder) / f"gallery{number}") as run:
                run.run()
            if number % max(1, arguments.loops // 5) == 0:
                memory.append(sum(process.memory_info().rss for process in _processes()) / 2**20)
    return {"memory_mib": memory}


def _processes() -> list[psutil.Process]:
    """This process and those that it started, like the one of the vector index."""
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def _processor_seconds() -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _processes())


def _peak(process: psutil.Process) -> float:
    """The most memory that a process ever had, MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def _result(frames: int, seconds: float, processor: float, stages: dict[str, float]) -> dict[str, Any]:
    return {
        "frames": frames,
        "fps": frames / seconds,
        "seconds_per_frame": seconds / frames,
        "processor_ms": 1000 * processor / frames,
        "peak_mib": sum(_peak(process) for process in _processes()),
        "stage_ms": {name: 1000 * value / frames for name, value in stages.items()},
    }


_CHILDREN = {"plain": _plain, "serial": _serial, "pipeline": _pipeline, "loops": _loops}

if __name__ == "__main__":
    main()
