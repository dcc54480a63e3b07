"""Which tests come by a line, and what each of them costs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from tests.mutants.costs import FOLDER
from tests.mutants.sites import Mutant

ROOT = Path(__file__).parents[2]
# Those that stand near the packages: what only commands, pages and servers come by is to be tested directly, too.
NEAR = (
    *("sources", "tracking", "tracklets", "gallery", "inference", "engines", "identities"),
    *("contract", "config", "gpu", "pipeline", "search", "test_regions.py", "test_personal_data.py"),
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

    def passing(self, mutant: Mutant) -> list[str]:
        """The tests that were seen at a fault's line."""
        return self.tests.get((str(mutant.path.relative_to(ROOT)), mutant.line), [])

    def _covering(self, mutant: Mutant) -> list[str]:
        if found := self.passing(mutant):
            return found
        name = str(mutant.path.relative_to(ROOT))
        # What only processes of their own come by was not seen: those may be started by the rest of the module.
        return sorted({test for (file, _), tests in self.tests.items() if file == name for test in tests})

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


def measured(folder: Path, fresh: bool = False) -> Coverage:
    """Which tests come by which lines, from a run of the fast tests; later ones run only what is new among the tests.

    Where code was changed since, its lines are found again by what stands in them, and a new line is taken to be come
    by as its neighbours are: a test that is missed makes a fault survive that it would have noticed, never the other
    way round. fresh: forget all that, and run every test.
    """
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    runs = [_Run(path) for path in sorted(folder.glob("[0-9]*")) if (path / "costs.json").is_file()]
    now = {str(path.relative_to(ROOT)): _digest(path) for path in (ROOT / "tests").rglob("test_*.py")}
    known = runs[-1].tests if runs else {}
    changed = sorted(name for name in now if now[name] != known.get(name))
    if changed:
        print(
            f"running {len(changed)} files of tests with coverage ..." if runs else "running all tests ...", flush=True
        )
        runs.append(_Run.of(folder / f"{len(runs):04d}", now, changed if runs else []))
    costs, tests = _Costs(), defaultdict[tuple[str, int], set[str]](set)
    for run in runs:
        costs.forget(run.files)
        costs.add(run.costs)
    for number, run in enumerate(runs):
        later = {file for other in runs[number + 1 :] for file in other.files}
        for place, found in run.covering().items():
            tests[place] |= {
                test for test in found if test in costs.seconds and test.partition("::")[0] in now.keys() - later
            }
    return Coverage({place: sorted(found) for place, found in tests.items()}, costs.seconds, costs.fixtures, costs.uses)


class _Run:
    """One run of tests with coverage, and the code as it was then."""

    def __init__(self, folder: Path) -> None:
        state = json.loads((folder / "state.json").read_text())
        self._folder = folder
        self._root: str = state["root"]
        self._texts: dict[str, str] = state["texts"]
        self.tests: dict[str, str] = state["tests"]
        """Digests of all files of tests by their names."""
        self.files: set[str] = set(state["files"])
        """Those that were run."""
        self.costs = _Costs(**json.loads((folder / "costs.json").read_text()))

    @classmethod
    def of(cls, folder: Path, tests: dict[str, str], files: list[str]) -> _Run:
        """Run these files of tests, or all near the packages."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        texts = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "src").rglob("*.py")}
        state = {"root": str(ROOT), "texts": texts, "tests": tests, "files": files or sorted(tests)}
        (folder / "state.json").write_text(json.dumps(state))
        near = tuple(f"tests/{place}" for place in NEAR)
        places = [file for file in files if file.startswith(near)] if files else list(near)
        costs = _Costs()
        for found in _measured(folder, places) if places else ():
            costs.add(found)
        (folder / "costs.json").write_text(json.dumps(asdict(costs)))
        return cls(folder)

    def covering(self) -> dict[tuple[str, int], set[str]]:
        """The tests by the places in today's code that they came by."""
        import coverage

        held = coverage.CoverageData(str(self._folder / "coverage"))
        held.read()
        found: dict[tuple[str, int], set[str]] = {}
        for file in held.measured_files():
            name = str(Path(file).relative_to(self._root))
            contexts = held.contexts_by_lineno(file)
            then = {line: {test.rpartition("|")[0] for test in contexts[line]} for line in contexts}
            # Templates are measured, too.
            if name in self._texts and (ROOT / name).is_file():
                today = lines_today(then, self._texts[name], (ROOT / name).read_text())
                found |= {(name, line): tests for line, tests in today.items()}
        return found


def lines_today(then: dict[int, set[str]], before: str, after: str) -> dict[int, set[str]]:
    """Tests by lines (from 1) of a text, taken to what became of it; see ``measured``."""
    if before == after:
        return then
    old, new = before.splitlines(), after.splitlines()
    today: dict[int, set[str]] = {}
    for kind, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            moved = ((line, line - start + first) for line in range(start + 1, end + 1))
            today |= {line: then[was] for was, line in moved if was in then}
        else:
            # All that came by what stood here, or else by what stands around it.
            around = range(start + 1, end + 1) if end > start else range(start, end + 2)
            tests = set[str]().union(*(then.get(line, set()) for line in around))
            today |= dict.fromkeys(range(first + 1, last + 1), tests)
    return today


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def _measured(folder: Path, places: list[str]) -> Iterator[_Costs]:
    """Run files or folders of tests with coverage; what each process found that its tests cost."""
    data = folder / "coverage"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", FAST, *places]
    command += ["-p", "tests.mutants.costs", "--cov=src/reidstream", "--cov-context=test", "--cov-report="]
    environment = {**os.environ, "COVERAGE_FILE": str(data), FOLDER: str(folder)}
    # The bytecode of other packages stays for the hundreds of processes that follow.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode not in (0, 5):
        sys.exit("the tests fail without any fault put in; mend them first")
    for part in folder.glob("costs-*.json"):
        yield _Costs(**json.loads(part.read_text()))
        part.unlink()
