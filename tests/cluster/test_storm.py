"""Workers, deciders and PostgreSQL are killed, stopped and cut off at random; in full: benchmarks/cluster.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.storm import storm
from tests.postgres import PostgresServer

pytestmark = pytest.mark.slow


def test_after_a_storm_everything_is_as_if_nothing_had_happened(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    report = storm(postgres_server, tmp_path, blows=6, seed=3, recordings=18, speed=16.0)
    assert report.wrong == []
    assert report.tracklets == 180
    assert sum(report.happened.values()) == 6


def test_in_a_storm_cameras_lose_nothing_that_was_stored(tmp_path: Path, postgres_server: PostgresServer) -> None:
    report = storm(postgres_server, tmp_path, blows=4, seed=5, cameras=3)
    assert report.wrong == []
    assert report.tracklets > 0
