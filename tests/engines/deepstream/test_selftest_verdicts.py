"""What the self-test's lines say of what its runs found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.config import load_config
from reidstream.engines.deepstream.selftest.clip import first_frames
from reidstream.engines.deepstream.selftest.comparing import Likeness
from reidstream.engines.deepstream.selftest.verdicts import of_clip, of_likeness, of_swaps
from reidstream.errors import SourceNotFound
from tests.blobs import write_blobs

MIB = 2**20


def clip_facts(**changes: Any) -> dict[str, Any]:
    memory = {"address space": 100 * MIB, "resident": 50 * MIB}
    good: dict[str, Any] = {
        "frames": 100, "error": None, "tracks": 3, "counts": {"embeddings": 40, "ended": 2}, "crops": {"whole": 40},
        "batches": 100, "probe seconds": 0.2, "seconds": 2.0, "memory before": memory, "memory after": memory,
    }  # fmt: skip
    return good | changes


def judged(facts: dict[str, Any], *settings: str) -> dict[str, bool | None]:
    return {verdict.title: verdict.passed for verdict in of_clip(facts, 100, load_config(None, list(settings)))}


def test_a_good_run_passes_each_line() -> None:
    assert judged(clip_facts()) == {
        "clip": True, "embeddings": True, "ended tracks": True, "crops": True, "probe": True,
        "memory of the pipeline": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"frames": 99}, "clip"),
        ({"tracks": 0}, "clip"),
        ({"error": "broken"}, "clip"),
        ({"counts": {"ended": 2, "no embedding": 5}}, "embeddings"),
        ({"counts": {"ended": 2, "embeddings": 40, "no embedding": 5}}, "embeddings"),
        ({"counts": {"embeddings": 40}}, "ended tracks"),
        ({"crops": {}}, "crops"),
        ({"crops": {"whole": 39, "broken": 1}}, "crops"),
        ({"probe seconds": 10.0}, "probe"),
    ],
)
def test_each_fault_fails_its_line_and_no_other(changes: dict[str, Any], line: str) -> None:
    failed = [title for title, passed in judged(clip_facts(**changes)).items() if passed is False]
    assert failed == [line]


def test_what_is_switched_off_is_not_judged() -> None:
    facts = clip_facts(counts={"embeddings": 40}, crops={})
    lines = judged(facts, "deepstream.crops=false", "deepstream.tracker.terminated_tracks=false")
    assert lines["crops"] is lines["ended tracks"] is None


def test_most_embeddings_have_to_be_alike() -> None:
    good, bad = np.full(20, 0.995, np.float32), np.full(20, 0.98, np.float32)
    assert [verdict.passed for verdict in of_likeness(Likeness(good, bad))] == [True, False]
    none = np.zeros(0, np.float32)
    assert [verdict.passed for verdict in of_likeness(Likeness(none, none))] == [False, False]


def swap_facts(**changes: Any) -> dict[str, Any]:
    memory = [{"resident": 100 * MIB}, {"resident": 110 * MIB}]
    return {"ended": 12, "frames": [60] * 12, "errors": [], "tracks": [2] * 12, "memory": memory} | changes


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, None),
        ({"ended": 11, "frames": [60] * 11}, "swaps"),
        ({"frames": [60] * 11 + [59]}, "swaps"),
        ({"errors": ["no pad"]}, "swaps"),
        ({"tracks": [0] + [2] * 11}, "tracks of swapped cameras"),
        ({"tracks": [2] * 11 + [9]}, "tracks of swapped cameras"),
        ({"memory": [{"resident": 100 * MIB}, {"resident": 300 * MIB}]}, "memory over the swaps"),
    ],
)
def test_cameras_that_take_each_others_places(changes: dict[str, Any], line: str | None) -> None:
    failed = [verdict.title for verdict in of_swaps(swap_facts(**changes), 60, 10) if verdict.passed is False]
    assert failed == ([line] if line else [])


def test_the_clip_is_cut_without_encoding_it_anew(tmp_path: Path) -> None:
    source = write_blobs(tmp_path / "a.mp4", [0], 50)
    assert first_frames(source, tmp_path / "b.mp4", 20) == 20
    assert first_frames(source, tmp_path / "c.mp4", 600) == 50
    with pytest.raises(SourceNotFound, match="--clip"):
        first_frames(tmp_path / "absent.mp4", tmp_path / "d.mp4", 20)
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    with pytest.raises(SourceNotFound, match="no clip can be cut"):
        first_frames(tmp_path / "broken.mp4", tmp_path / "d.mp4", 20)
