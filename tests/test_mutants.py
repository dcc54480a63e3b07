"""The tool that puts faults into code finds the places that matter and leaves the others alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.sites import mutants_of, source_of

CODE = '''"""A module."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

LIMIT = 3 + 4


def kept(values: list[int] | None, most: int) -> list[int]:
    if values is None or most < 1:
        raise ValueError(f"most must be at least 1, got {most + 0}")
    found = [value for value in values if value <= most]
    found.sort()
    print("said", most + 1)
    return found
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text(CODE)
    return path


def test_conditions_boundaries_and_calls_are_changed_and_constants_messages_and_annotations_are_not(
    module: Path,
) -> None:
    assert {(mutant.line, mutant.now) for mutant in mutants_of(module)} == {
        (11, "if not (values is None or most < 1)"),
        (11, "values is None and most < 1"),
        (11, "values is not None"),
        (11, "most <= 1"),
        (13, "value < most"),
        (14, "None"),
        (15, "most - 1"),
    }


def test_each_fault_alone_is_put_into_the_text_and_the_text_still_runs(module: Path) -> None:
    texts = [source_of(mutant, CODE) for mutant in mutants_of(module)]
    assert len(set(texts)) == len(texts)
    answers = []
    for text in texts:
        names: dict[str, object] = {}
        exec(text, names)
        try:
            answers.append(names["kept"]([3, 1, 2], 3))  # type: ignore[operator]
        except (ValueError, TypeError) as error:
            answers.append(type(error).__name__)
    # Conditions turned round, a bound and an order left out; the rest changes nothing for these values.
    different = sorted(str(answer) for answer in answers if answer != [1, 2, 3])
    assert different == ["ValueError", "ValueError", "[1, 2]", "[3, 1, 2]"]
