"""A pytest plugin that writes down what each test costs alone: its own time, and that of the fixtures it shares."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

FOLDER = "REIDSTREAM_TEST_COSTS"


class Costs:
    """Seconds by test; what a session's or module's fixture takes counts for each test that asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fixtures: dict[tuple[str, str], float] = {}
        self._shared_now = 0.0
        self._own: dict[str, float] = defaultdict(float)
        self._uses: dict[str, list[tuple[str, str]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Time the setting up of what several tests share."""
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                took = time.perf_counter() - began
                self._fixtures[fixturedef.argname, fixturedef.baseid] = took
                self._shared_now += took

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Time a test without what it set up for others."""
        began, self._shared_now = time.perf_counter(), 0.0
        try:
            return (yield)
        finally:
            self._own[item.nodeid] += time.perf_counter() - began - self._shared_now
            known = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
            used = [definition[-1] for definition in known.values() if definition]
            self._uses[item.nodeid] = [(one.argname, one.baseid) for one in used if one.scope != "function"]

    def pytest_sessionfinish(self) -> None:
        """Write what this process has run."""
        seconds = {
            test: own + sum(self._fixtures.get(fixture, 0.0) for fixture in self._uses.get(test, ()))
            for test, own in self._own.items()
        }
        if seconds:
            (self._folder / f"costs-{os.getpid()}.json").write_text(json.dumps(seconds))


def pytest_configure(config: pytest.Config) -> None:
    """Take part where a folder is named."""
    if FOLDER in os.environ:
        config.pluginmanager.register(Costs(Path(os.environ[FOLDER])), "costs")
