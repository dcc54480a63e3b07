"""What the probe costs on DeepStream's streaming thread: reading 64 streams with 20 people each, per batch.

Real NvDsBatchMeta of NVIDIA's own library; read through a real pyds where one can be imported (REIDSTREAM_PYDS names
its folder), else through the tests' stand-in, whose objects cost more than the real ones. CPU time of the thread, as
the mean over batches: every third frame or so of a source is looked at for better crops, which costs more than the
rest. Beside it what the ids and boxes alone cost, attribute by attribute through pyds and copied. Run:

    python -m benchmarks.deepstream_probe [--streams 64] [--people 20] [--size 512] [--batches 60] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from reidstream.engines.deepstream.metadata import BatchReader, Layout, open_bindings  # noqa: E402
from reidstream.engines.deepstream.metadata.arrays import EveryRow  # noqa: E402
from reidstream.engines.deepstream.metadata.pyds_access import (  # noqa: E402
    AttributeObjects,
    list_nodes,
    open_object_reader,
)
from reidstream.engines.deepstream.running.sampling import BestSamples  # noqa: E402
from tests.deepstream import standins  # noqa: E402

FPS = 30.0
WARM_UP = 15
"""Batches before it counts: at first everybody is new, and every embedding is wanted."""


Read = Callable[[int], object]
"""Reads the batch on the buffer with this address."""


def measure(streams: int, people: int, size: int, batches: int, cases: dict[str, Read]) -> dict[str, list[float]]:
    """Milliseconds of CPU per batch for each case; each batch is read by all of them in turn."""
    nvds = importlib.import_module("nvds")
    gst = importlib.import_module("gi.repository.Gst")
    random = np.random.default_rng(1)
    vectors = random.normal(size=(streams * people, size)).astype(np.float32)
    boxes = np.column_stack(
        [random.uniform(0, [1500, 800], (streams * people, 2)), random.uniform(60, 200, (streams * people, 2))]
    )
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(WARM_UP + batches):
        meta = nvds.create_batch(streams)
        buffer = gst.Buffer.new()
        nvds.attach_batch(hash(buffer), meta)
        for pad in range(streams):
            frame = nvds.add_frame(meta, pad, number, (1920, 1080), buf_pts=int(number * 1e9 / FPS))
            for person in range(people):
                row = pad * people + person
                box = boxes[row] + [number, 0, 0, 0]
                nvds.add_tensors(meta, nvds.add_object(meta, frame, box, person + 1), {"embedding": vectors[row]}, 2)
        for name, read in cases.items():
            began = time.thread_time()
            read(hash(buffer))
            taken[name].append((time.thread_time() - began) * 1000)
        del buffer
    return {name: times[WARM_UP:] for name, times in taken.items()}


def object_lists(pyds: Any, buffer: int) -> list[Any]:
    batch = pyds.gst_buffer_get_nvds_batch_meta(buffer)
    nodes = list_nodes(batch.frame_meta_list, broken=lambda: None)
    return [pyds.NvDsFrameMeta.cast(data).obj_meta_list for data in nodes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    reason = standins.missing()
    if reason is not None:
        sys.exit(reason)
    real = standins.real_pyds_file()
    if real is not None:
        sys.path.insert(0, str(real.parent))
    importlib.import_module("gi.repository.Gst").init(None)
    importlib.import_module("nvds").libraries()  # before pyds, which then uses the same ones
    pyds = importlib.import_module("pyds")
    layout = Layout(mux_size=(1920, 1080), layer="embedding")
    best = BatchReader(layout, pyds, BestSamples(8, 5.0, (16, 32), (1920, 1080), sparse=False))
    every = BatchReader(layout, pyds, EveryRow())
    library = open_bindings("memory")
    memory_best = BatchReader(layout, library, BestSamples(8, 5.0, (16, 32), (1920, 1080), sparse=False))
    memory_every = BatchReader(layout, library, EveryRow())
    by_attribute, copied = AttributeObjects(pyds, lambda: None), open_object_reader(pyds, lambda: None)
    cases: dict[str, Read] = {
        "ids and boxes through pyds' attributes": lambda buffer: by_attribute.read(object_lists(pyds, buffer)),
        "ids and boxes copied": lambda buffer: copied.read(object_lists(pyds, buffer)),
        "best samples (the engine's way)": best.read,
        "every embedding": every.read,
        "best samples, out of memory": memory_best.read,
        "every embedding, out of memory": memory_every.read,
    }
    times = measure(options.streams, options.people, options.size, options.batches, cases)
    report: dict[str, dict[str, float]] = {}
    for name, taken in times.items():
        mean = statistics.mean(taken)
        report[name] = {
            "mean_ms": round(mean, 2),
            "median_ms": round(statistics.median(taken), 2),
            "worst_ms": round(max(taken), 2),
            "us_per_person": round(mean * 1000 / options.streams / options.people, 2),
            "share_of_a_frame": round(mean / (1000 / FPS), 3),
        }
    readers = dict(zip(list(cases)[2:], (best, every, memory_best, memory_every), strict=True))
    for name, reader in readers.items():
        report[name]["embeddings_per_batch"] = round(reader.counts["embeddings"] / (options.batches + WARM_UP), 1)
    kind = "real" if real else "stand-in"
    if options.json:
        print(
            json.dumps({"pyds": kind, "streams": options.streams, "people": options.people, "cases": report}, indent=2)
        )
        return
    print(
        f"{options.streams} streams x {options.people} people, vectors of {options.size}, pyds: {kind}; CPU per batch"
    )
    for name, case in report.items():
        read = f", {case['embeddings_per_batch']} embeddings" if "embeddings_per_batch" in case else ""
        print(
            f"  {name}: {case['mean_ms']} ms (median {case['median_ms']}, worst {case['worst_ms']}), "
            f"{case['share_of_a_frame']:.0%} of a frame at {FPS:.0f}/s, {case['us_per_person']} us per person{read}"
        )


if __name__ == "__main__":
    main()
