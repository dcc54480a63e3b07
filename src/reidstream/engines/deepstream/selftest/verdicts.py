"""From what the runs found out to the lines of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.config import Config
from reidstream.engines.deepstream.selftest.comparing import Likeness

_ALIKE = 0.99
"""The cosine at which embeddings of both engines are the same for every purpose: FP16 and other decoders cost a few
thousandths."""
_MOST_GROWTH = 64 * 2**20
"""Bytes by which memory may grow over the swaps, after the first ten: forgotten sources would cost megabytes each."""
_FRAME = 1 / 30
"""Seconds that the probe may hold a batch for before it holds the GPU back."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table. passed: None where it was not judged. wanted: what would have passed."""

    title: str
    passed: bool | None
    found: str
    wanted: str = ""


def of_clip(facts: Mapping[str, Any], frames: int, config: Config) -> list[Verdict]:
    """What one run over the clip says. frames: how many the clip has."""
    counts, crops, deepstream = facts["counts"], facts["crops"], config.deepstream
    embedded, missing = counts.get("embeddings", 0), counts.get("no embedding", 0)
    whole, broken = crops.get("whole", 0), crops.get("broken", 0)
    a_batch = facts["probe seconds"] / max(facts["batches"], 1)
    ended = counts.get("ended", 0)
    listed = deepstream.tracker.terminated_tracks and deepstream.tracker.config is None
    grown = facts["memory after"]["address space"] - facts["memory before"]["address space"]
    rate = facts["frames"] / max(facts["seconds"], 1e-3)
    return [
        Verdict(
            "clip",
            facts["error"] is None and facts["frames"] == frames and facts["tracks"] > 0,
            f"{facts['frames']} of {frames} frames at {rate:.0f} a second, {facts['tracks']} tracks"
            + (f"; {facts['error']}" if facts["error"] else ""),
            "every frame, and somebody in it",
        ),
        Verdict(
            "embeddings",
            embedded > 0 and missing <= 0.02 * (embedded + missing),
            f"{embedded} read, {missing} people were large enough and had none",
            "hardly any missing",
        ),
        Verdict(
            "ended tracks",
            ended > 0 if listed else None,
            f"the tracker's lists named {ended}",
            "one or more (a track that ends inside the clip)",
        ),
        Verdict(
            "crops",
            whole > 0 and not broken if deepstream.crops else None,
            f"{whole} JPEG files from the object encoder, {broken} broken",
            "all whole",
        ),
        Verdict(
            "probe",
            a_batch < _FRAME,
            f"{facts['batches']} batches, {1000 * a_batch:.2f} ms of the streaming thread for each",
            f"less than {1000 * _FRAME:.0f} ms",
        ),
        Verdict(
            "memory of the pipeline",
            None,
            f"address space grew by {grown / 2**30:.2f} GiB, "
            f"{facts['memory after']['resident'] / 2**20:.0f} MiB are resident",
        ),
    ]


def of_likeness(found: Likeness) -> list[Verdict]:
    """The embeddings beside those that a processor makes of the same boxes."""
    return [
        Verdict(title, bool(len(cosines)) and float(np.median(cosines)) >= _ALIKE, _spread(cosines), f"median {_ALIKE}")
        for title, cosines in (("like the local engine", found.local), ("like nvinfer's scaling", found.scaled))
    ]


def of_swaps(facts: Mapping[str, Any], frames: int, times: int) -> list[Verdict]:
    """What the cameras did that took each other's places. frames: how many each of them has."""
    whole = sum(number == frames for number in facts["frames"])
    expected = times + 2
    errors = f"; {facts['errors'][0]}" if facts["errors"] else ""
    tracks = facts["tracks"]
    memory = [reading["resident"] for reading in facts["memory"]]
    grown = memory[-1] - memory[0]
    return [
        Verdict(
            "swaps",
            facts["ended"] == whole == expected and not facts["errors"],
            f"{whole} of {expected} cameras with all of their {frames} frames{errors}",
            "all",
        ),
        Verdict(
            "tracks of swapped cameras",
            bool(tracks) and len(tracks) == expected and tracks[0] > 0 and tracks[-1] <= 2 * tracks[0],
            f"{tracks[0]} to {tracks[-1]} in each" if tracks else "none",
            "about as many in each: they show the same",
        ),
        Verdict(
            "memory over the swaps",
            grown <= _MOST_GROWTH if len(memory) > 1 else None,
            f"resident memory grew by {grown / 2**20:.0f} MiB",
            f"at most {_MOST_GROWTH / 2**20:.0f} MiB",
        ),
    ]


def crashed(title: str, how: str) -> Verdict:
    """A run that did not come to its end."""
    return Verdict(title, False, how, "an end of its own")


def _spread(cosines: npt.NDArray[np.float32]) -> str:
    if not len(cosines):
        return "nothing to compare"
    median, low = np.median(cosines), np.percentile(cosines, 5)
    return f"cosine {median:.4f} in the median, {low:.4f} at the lower end (5 %), of {len(cosines)}"
