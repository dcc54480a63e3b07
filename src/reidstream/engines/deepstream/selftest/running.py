"""The runs of the self-test. Each is a process of its own: native code that crashes there is a finding, not the end.

python -m reidstream.engines.deepstream.selftest.running PLAN
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from reidstream.config import Config, SourceConfig, load_config
from reidstream.engines.deepstream.running.engine import DeepStreamEngine
from reidstream.engines.deepstream.selftest.plan import PLACES, RunPlan, for_swaps
from reidstream.types import Observed, SourceEnded, TrackEnded

_MOST_SAMPLES = 300
"""Embeddings that are compared; more say the same."""
_SETTLED = 10
"""Swaps after which memory is read for the first time: pools have filled by then."""


def main() -> None:
    plan = RunPlan.read(sys.argv[1])
    config = load_config(Path(plan.config) if plan.config else None, list(plan.overrides))
    facts = _read_clip(plan, config) if plan.kind == "clip" else _swap_cameras(plan, config)
    plan.facts.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _read_clip(plan: RunPlan, config: Config) -> dict[str, Any]:
    """Reads the clip once, and keeps embeddings with their boxes beside the facts."""
    engine = DeepStreamEngine(config, [("clip", SourceConfig(uri=plan.clip))], Path(plan.folder) / "files")
    crops: Counter[str] = Counter()
    tracks: set[int] = set()
    frames, boxes, vectors = [], [], []
    error, delivered, began, memory = None, 0, None, _memory()
    ends: Counter[str] = Counter()
    for event in engine.events():
        began = began or time.monotonic()
        if isinstance(event, Observed):
            tracks |= set(event.track_ids.tolist())
            samples = event.samples
            for row, vector in zip(samples.rows.tolist(), samples.embeddings, strict=True) if samples else ():
                frames.append(event.frame)
                boxes.append(event.boxes[row])
                vectors.append(vector)
            for jpeg in samples.crops if samples else ():
                whole = jpeg is not None and cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) is not None
                crops["whole" if whole else "broken"] += 1
        elif isinstance(event, TrackEnded):
            ends[event.reason] += 1
        elif isinstance(event, SourceEnded):
            error, delivered = event.error, event.frames
    kept = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _MOST_SAMPLES)).astype(np.int64))
    size = vectors[0].size if vectors else 0
    np.savez(
        plan.samples,
        frames=np.array(frames, np.int64)[kept],
        boxes=np.array(boxes, np.float32).reshape(-1, 4)[kept],
        embeddings=np.array(vectors, np.float32).reshape(-1, size)[kept],
    )
    batches, seconds = engine.probed
    return {
        "frames": delivered,
        "error": error,
        "tracks": len(tracks),
        "ends": dict(ends),
        "counts": dict(engine.counts),
        "crops": dict(crops),
        "samples": len(frames),
        "batches": batches,
        "probe seconds": seconds,
        "seconds": time.monotonic() - (began or time.monotonic()),
        "memory before": memory,
        "memory after": _memory(),
        "mux": list(engine.configs.mux_size) if not config.deepstream.mux.new_mux else None,
        "warnings": dict(engine.status.warnings),
    }


def _swap_cameras(plan: RunPlan, config: Config) -> dict[str, Any]:
    """One source after the other takes the place of one that has ended, two at a time."""
    config = for_swaps(config)
    source = SourceConfig(uri=plan.clip)
    first = [(f"camera-{number}", source) for number in range(PLACES)]
    engine = DeepStreamEngine(config, first, Path(plan.folder) / "swap-files")
    frames: list[int] = []
    errors: list[str] = []
    memory: list[dict[str, int]] = []
    seen: dict[str, set[int]] = {}
    begun = PLACES
    for event in engine.events():
        if isinstance(event, Observed):
            seen.setdefault(event.source, set()).update(event.track_ids.tolist())
        if not isinstance(event, SourceEnded):
            continue
        frames.append(event.frames)
        errors += [event.error] if event.error else []
        if len(frames) == _SETTLED:
            memory.append(_memory())
        if begun < plan.times + PLACES:
            engine.add_source(f"camera-{begun}", source)
            begun += 1
    memory.append(_memory())
    found = sorted(len(ids) for ids in seen.values())
    return {
        "ended": len(frames),
        "frames": frames,
        "errors": errors,
        "tracks": found,
        "memory": memory,
        "warnings": dict(engine.status.warnings),
    }


def _memory() -> dict[str, int]:
    """Bytes of address space and of resident memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return {"address space": int(pages[0]) * 4096, "resident": int(pages[1]) * 4096}


if __name__ == "__main__":
    main()
