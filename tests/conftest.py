"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real videos; tests that need it skip when it is absent."""
    root = Path(os.environ.get("REIDSTREAM_SHARED", REPOSITORY.parent / "shared"))
    if not (root / "data").is_dir():
        pytest.skip(f"no real videos in {root / 'data'}; set REIDSTREAM_SHARED to the folder that holds data/")
    return root / "data"
