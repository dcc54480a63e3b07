"""Folders of a user who has nothing yet, for every test of models."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Empty cache and configuration folders, no manifest of the user's, no mirror."""
    made = {name: tmp_path / name for name in ("cache", "config")}
    monkeypatch.setenv("XDG_CACHE_HOME", str(made["cache"]))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(made["config"]))
    monkeypatch.delenv("REIDSTREAM_MODELS", raising=False)
    monkeypatch.delenv("REIDSTREAM_MANIFEST", raising=False)
    return made
