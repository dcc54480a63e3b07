"""Every setting has a test in which it makes a difference, and this page knows which.

A test says what it shows with ``@pytest.mark.setting("tracker.timeout")``; those of DeepStream's files are in a table
of ``tests/engines/deepstream/test_settings.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from reidstream.config import Config, Section
from tests.engines.deepstream.test_settings import RENDERED

TESTS = Path(__file__).parents[1]


def settings(section: type[Section] = Config, path: str = "") -> Iterator[str]:
    """The dotted name of every setting."""
    for name, field in section.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)
        if inner is None:
            yield path + name
        else:
            yield from settings(inner, f"{path}{name}.")


def shown() -> set[str]:
    """The settings that tests say they show."""
    pattern = re.compile(r"mark\.setting\(([^)]*)\)")
    found = [match for path in TESTS.rglob("test_*.py") for match in pattern.findall(path.read_text(encoding="utf-8"))]
    return {name for names in found for name in re.findall(r'"([a-z_.]+)"', names)} | set(RENDERED)


def test_every_setting_makes_a_difference_in_some_test() -> None:
    assert sorted(set(settings()) - shown()) == []


def test_no_test_shows_a_setting_that_is_not_there() -> None:
    assert sorted(shown() - set(settings())) == []
