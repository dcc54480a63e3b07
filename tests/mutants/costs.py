"""A pytest plugin that writes down what each test costs: its own processor time, and the fixtures that it shares."""

from __future__ import annotations

import json
import os
import resource
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

FOLDER = "REIDSTREAM_TEST_COSTS"


class Costs:
    """Seconds of processor by test and by shared fixture (of a session or module), and which test asks for which.

    Of processor, children's included: on busy cores a test takes longer and costs the same.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fixtures: dict[tuple[str, str], float] = {}
        self._shared_now = 0.0
        self._own: dict[str, float] = defaultdict(float)
        self._uses: dict[str, list[tuple[str, str]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Time the setting up of what several tests share."""
        began = _spent()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                took = _spent() - began
                self._fixtures[fixturedef.argname, fixturedef.baseid] = took
                self._shared_now += took

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Time a test without what it set up for others."""
        began, self._shared_now = _spent(), 0.0
        try:
            return (yield)
        finally:
            self._own[item.nodeid] += _spent() - began - self._shared_now
            known = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
            used = [definition[-1] for definition in known.values() if definition]
            self._uses[item.nodeid] = [(one.argname, one.baseid) for one in used if one.scope != "function"]

    def pytest_sessionfinish(self) -> None:
        """Write what this process has run."""
        if self._own:
            names = {fixture: " ".join(fixture) for fixture in self._fixtures}
            found = {
                "seconds": self._own,
                "fixtures": {names[fixture]: took for fixture, took in self._fixtures.items()},
                "uses": {test: [names[one] for one in used if one in names] for test, used in self._uses.items()},
            }
            (self._folder / f"costs-{os.getpid()}.json").write_text(json.dumps(found))


def _spent() -> float:
    """Seconds of processor of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def pytest_configure(config: pytest.Config) -> None:
    """Take part where a folder is named."""
    if FOLDER in os.environ:
        config.pluginmanager.register(Costs(Path(os.environ[FOLDER])), "costs")
