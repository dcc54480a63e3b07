"""Which tests come by a line, and what each of them costs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.mutants.costs import FOLDER
from tests.mutants.sites import Mutant

ROOT = Path(__file__).parents[2]
# Those that stand near the packages: what only commands, pages and servers come by is to be tested directly, too.
NEAR = (
    *("sources", "tracking", "tracklets", "gallery", "inference", "engines", "identities"),
    *("contract", "config", "pipeline", "search", "test_regions.py", "test_personal_data.py"),
)
FAST = "not slow and not shared and not gstreamer and not torch and not browser and not gpu"
# Seconds of tests that are run for one mutant, the quickest that cover its line first; at least so many tests.
_BUDGET, _LEAST = 30.0, 3
# A test whose file is called after the module is meant for it, one that stands where the package's do probably is: they
# count as so many times quicker.
_MEANT, _NEAR = 6.0, 3.0
# Importing the modules that a file of tests needs.
_FILE = 0.3
# The tests of the first go: most faults end there.
_FIRST = 2.5


@dataclass(frozen=True, slots=True)
class Coverage:
    """tests: test ids by (file, line), file relative to the root. seconds: of processor that each test costs by itself.

    fixtures: seconds by fixture that tests share. uses: which of these a test asks for. noticed: how many faults each
    test has noticed so far in this run, which says who is to be asked first.
    """

    tests: dict[tuple[str, int], list[str]]
    seconds: dict[str, float]
    fixtures: dict[str, float] = field(default_factory=dict)
    uses: dict[str, list[str]] = field(default_factory=dict)
    noticed: Counter[str] = field(default_factory=Counter)

    def chosen(self, mutant: Mutant) -> list[list[str]]:
        """The tests to run in two goes, the likeliest to notice first; the quickest within the budget in all."""
        meant = {test: _relevance(mutant, test) for test in self._covering(mutant)}
        covering = sorted(meant, key=lambda test: (self._cost([test]) / meant[test], test))
        taken = self._within(covering, _BUDGET, _LEAST)
        # One that has noticed much before is likely to do so again.
        taken.sort(key=lambda test: self._cost([test]) / (meant[test] + self.noticed[test]))
        first = self._within(taken, _FIRST, 1)
        return [go for go in (first, taken[len(first) :]) if go]

    def _within(self, tests: list[str], budget: float, least: int) -> list[str]:
        """The first of these tests that together cost no more than so many seconds; at least so many tests."""
        spent, seen = 0.0, set[str]()
        for number, test in enumerate(tests):
            parts = {test.partition("::")[0]: _FILE} | {each: self.fixtures[each] for each in self.uses.get(test, ())}
            spent += self._own(test) + sum(seconds for name, seconds in parts.items() if name not in seen)
            if number >= least and spent > budget:
                return tests[:number]
            seen |= parts.keys()
        return tests

    def _covering(self, mutant: Mutant) -> list[str]:
        return self.tests.get((str(mutant.path.relative_to(ROOT)), mutant.line), [])

    def limit(self, tests: list[str]) -> float:
        """Seconds after which tests hang; beside other work they may take some times longer."""
        return 20.0 + 5.0 * self._cost(tests)

    def _cost(self, tests: Iterable[str]) -> float:
        """Seconds of processor that these tests cost together: what they share is made once."""
        tests = list(tests)
        shared = {name for test in tests for name in self.uses.get(test, ())}
        return sum(map(self._own, tests)) + sum(self.fixtures[name] for name in shared)

    def _own(self, test: str) -> float:
        return self.seconds.get(test, 1.0)


@dataclass(slots=True)
class _Costs:
    """What ``tests.mutants.costs`` writes; see Coverage."""

    seconds: dict[str, float] = field(default_factory=dict)
    fixtures: dict[str, float] = field(default_factory=dict)
    uses: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: _Costs) -> None:
        self.seconds |= other.seconds
        # A fixture that another process has made is waited for and costs nothing there.
        self.fixtures |= {name: max(took, self.fixtures.get(name, 0.0)) for name, took in other.fixtures.items()}
        self.uses |= other.uses

    def forget(self, files: Collection[str]) -> None:
        """Leave out the tests of these files."""
        for test in [test for test in self.seconds if test.partition("::")[0] in files]:
            del self.seconds[test]
            self.uses.pop(test, None)


def _relevance(mutant: Mutant, test: str) -> float:
    file = Path(test.partition("::")[0])
    if mutant.path.stem in file.name:
        return _MEANT
    own = mutant.path.relative_to(ROOT).parts[2:-1]
    return _NEAR if own and own[0] in file.parts[:-1] else 1.0


def measured(folder: Path) -> Coverage:
    """Which tests cover which lines, from a run of the fast tests; where only tests have changed, of those alone."""
    import coverage

    data, stamp, spent = folder / "coverage", folder / "state.json", folder / "spent.json"
    now = {str(path.relative_to(ROOT)): _digest(path) for path in _files()}
    before = json.loads(stamp.read_text()) if stamp.is_file() and spent.is_file() else {}
    changed = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
    alone = {name for name in changed if Path(name).name.startswith("test_")}
    costs = _Costs(**json.loads(spent.read_text())) if before else _Costs()
    if changed:
        print("running the tests with coverage ...", flush=True)
        if alone != changed:
            shutil.rmtree(folder, ignore_errors=True)
            costs, alone = _Costs(), set()
        folder.mkdir(parents=True, exist_ok=True)
        costs.forget(alone)
        for found in _run(folder, data, sorted(alone & now.keys())):
            costs.add(found)
        spent.write_text(json.dumps(asdict(costs)))
        stamp.write_text(json.dumps(now))
    held = coverage.CoverageData(str(data))
    held.read()
    tests: dict[tuple[str, int], list[str]] = {}
    for file in held.measured_files():
        name = str(Path(file).relative_to(ROOT))
        for line, contexts in held.contexts_by_lineno(file).items():
            # What is remembered of tests that are no more is left out.
            tests[name, line] = sorted(
                {test for each in contexts if (test := each.rpartition("|")[0]) in costs.seconds}
            )
    return Coverage(tests, costs.seconds, costs.fixtures, costs.uses)


def _files() -> list[Path]:
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path.parent != Path(__file__).parent]
    return sorted([*(ROOT / "src").rglob("*.py"), *tests])


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def _run(folder: Path, data: Path, files: list[str]) -> Iterator[_Costs]:
    """Run these files of tests, or all, with coverage; what each process found that its tests cost."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", FAST]
    command += files or [f"tests/{place}" for place in NEAR]
    command += ["-p", "tests.mutants.costs", "--cov=src/reidstream", "--cov-context=test", "--cov-report="]
    command += ["--cov-append"] if files else []
    environment = {**os.environ, "COVERAGE_FILE": str(data), FOLDER: str(folder)}
    # The bytecode of other packages stays for the hundreds of processes that follow.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode not in (0, 5):
        sys.exit("the tests fail without any fault put in; mend them first")
    for part in folder.glob("costs-*.json"):
        yield _Costs(**json.loads(part.read_text()))
        part.unlink()
