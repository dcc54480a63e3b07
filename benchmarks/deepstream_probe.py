"""What the probe costs on DeepStream's streaming thread: reading 64 streams with 20 people each, per batch.

Real NvDsBatchMeta of NVIDIA's own library; read through a real pyds where one can be imported (REIDSTREAM_PYDS names
its folder), else through the tests' stand-in, whose objects cost more than the real ones. Run:

    python -m benchmarks.deepstream_probe [--streams 64] [--people 20] [--size 512] [--batches 40] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from reidstream.engines.deepstream.metadata import BatchReader, EveryRow, Layout, Sampling  # noqa: E402
from reidstream.engines.deepstream.sampling import BestSamples  # noqa: E402
from tests.deepstream import standins  # noqa: E402

FPS = 30.0


def measure(streams: int, people: int, size: int, batches: int, sampling: Sampling) -> tuple[list[float], float]:
    """Milliseconds per batch, and how many embeddings were read per batch on average."""
    nvds = importlib.import_module("nvds")
    gst = importlib.import_module("gi.repository.Gst")
    gst.init(None)
    nvds.libraries()  # before pyds, which then uses the same ones
    pyds = importlib.import_module("pyds")
    random = np.random.default_rng(1)
    vectors = random.normal(size=(streams * people, size)).astype(np.float32)
    boxes = np.column_stack(
        [random.uniform(0, 1700, (streams * people, 2)), random.uniform(60, 200, (streams * people, 2))]
    )
    reader = BatchReader(Layout(mux_size=(1920, 1080), layer="embedding"), pyds, sampling)
    taken = []
    for number in range(batches + 5):
        meta = nvds.create_batch(streams)
        buffer = gst.Buffer.new()
        nvds.attach_batch(hash(buffer), meta)
        for pad in range(streams):
            frame = nvds.add_frame(meta, pad, number, (1920, 1080), buf_pts=int(number * 1e9 / FPS))
            for person in range(people):
                row = pad * people + person
                box = boxes[row] + [number, 0, 0, 0]
                nvds.add_tensors(meta, nvds.add_object(meta, frame, box, person + 1), {"embedding": vectors[row]}, 2)
        began = time.thread_time()
        reader.read(hash(buffer))
        taken.append((time.thread_time() - began) * 1000)
        del buffer
    return taken[5:], reader.counts["embeddings"] / (batches + 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    reason = standins.missing()
    if reason is not None:
        sys.exit(reason)
    real = standins.real_pyds_file()
    if real is not None:
        sys.path.insert(0, str(real.parent))
    cases: dict[str, Sampling] = {
        "best samples (the engine's way)": BestSamples(8, 5.0, (16, 32), (1920, 1080), sparse=False),
        "every embedding": EveryRow(),
    }
    report = {"pyds": "real" if real else "stand-in", "streams": options.streams, "people": options.people, "cases": {}}
    for name, sampling in cases.items():
        times, read = measure(options.streams, options.people, options.size, options.batches, sampling)
        median = statistics.median(times)
        report["cases"][name] = {  # type: ignore[index]
            "median_ms": round(median, 2),
            "worst_ms": round(max(times), 2),
            "us_per_person": round(median * 1000 / options.streams / options.people, 2),
            "share_of_a_frame": round(median / (1000 / FPS), 3),
            "embeddings_per_batch": round(read, 1),
        }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{options.streams} streams x {options.people} people, vectors of {options.size}, pyds: {report['pyds']}")
    for name, case in report["cases"].items():  # type: ignore[attr-defined]
        print(
            f"  {name}: {case['median_ms']} ms per batch (worst {case['worst_ms']}), "
            f"{case['share_of_a_frame']:.0%} of a frame at {FPS:.0f}/s, {case['us_per_person']} us per person, "
            f"{case['embeddings_per_batch']} embeddings read"
        )


if __name__ == "__main__":
    main()
