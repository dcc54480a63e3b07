"""The tool that puts faults into code finds the places that matter and leaves the others alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mutants.coverage import ROOT, Coverage, lines_today
from tests.mutants.sites import Mutant, edits_in, mutants_of, source_of

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
    if most > 3:
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


def test_a_fault_by_hand_is_put_where_its_text_stands_and_only_if_that_is_one_place(module: Path) -> None:
    faults = module.with_name("faults.toml")
    faults.write_text("[[fault]]\npath = 'module.py'\nwas = '    found.sort()'\nnow = '    found.reverse()'\n")
    (mutant,) = edits_in(faults, module.parent)
    assert mutant.line == 14
    assert source_of(mutant, CODE) == CODE.replace("sort", "reverse")
    faults.write_text("[[fault]]\npath = 'module.py'\nwas = 'most'\nnow = 'least'\n")
    with pytest.raises(ValueError, match="once"):
        edits_in(faults, module.parent)


def test_the_quickest_tests_of_a_line_are_chosen_and_who_noticed_before_is_asked_first() -> None:
    mutant = Mutant(ROOT / "src/module.py", 3, 0, "a", "b")
    tests = [f"tests/test_{k}.py::test" for k in range(5)]
    coverage = Coverage({("src/module.py", 3): tests}, dict(zip(tests, (1.0, 900.0, 2.0, 0.1, 800.0), strict=True)))
    first, rest = coverage.chosen(mutant)
    assert first[0] == tests[3]
    assert sorted([*first, *rest]) == [tests[0], tests[2], tests[3]]
    coverage.noticed[tests[2]] += 100
    assert coverage.chosen(mutant)[0][0] == tests[2]
    # Nobody was seen at that line: whoever comes by its module may come by it in a process of its own.
    assert coverage.chosen(Mutant(ROOT / "src/module.py", 4, 0, "a", "b")) == coverage.chosen(mutant)
    assert coverage.chosen(Mutant(ROOT / "src/other.py", 3, 0, "a", "b")) == []


def test_what_tests_share_is_counted_once() -> None:
    mutant = Mutant(ROOT / "src/module.py", 3, 0, "a", "b")
    tests = [f"tests/test_a.py::test_{k}" for k in range(9)]
    alone = Coverage({("src/module.py", 3): tests}, dict.fromkeys(tests, 12.0))
    assert sum(map(len, alone.chosen(mutant))) == 3
    sharing = Coverage(alone.tests, dict.fromkeys(tests, 0.1), {"server": 12.0}, {test: ["server"] for test in tests})
    assert sum(map(len, sharing.chosen(mutant))) == 9
    assert sharing.limit(tests) < 100 < alone.limit(tests)


def test_tests_follow_lines_that_moved_and_a_new_line_has_those_of_its_neighbours() -> None:
    then = {1: {"a"}, 2: {"b"}, 4: {"d"}}
    assert lines_today(then, "one\ntwo\nthree\nfour", "one\ntwo\nthree\nfour") == then
    moved = lines_today(then, "one\ntwo\nthree\nfour", "zero\none\nthree\nfour")
    assert {line: tests for line, tests in moved.items() if tests} == {1: {"a"}, 2: {"a"}, 4: {"d"}}
    added = lines_today(then, "one\ntwo\nthree\nfour", "one\nnew\ntwo\nthree\nfour!")
    assert {line: tests for line, tests in added.items() if tests} == {1: {"a"}, 2: {"a", "b"}, 3: {"b"}, 5: {"d"}}


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_a_test_is_not_taken_from_what_still_stands_behind_the_same_lines(old: list[str], added: list[str]) -> None:
    then = {number: {f"test{number}"} for number in range(1, len(old) + 1)}
    today = lines_today(then, "\n".join(old), "\n".join([*old, *added]))
    assert {number: today[number] for number in then} == then
    assert set().union(*today.values()) == set().union(*then.values())
