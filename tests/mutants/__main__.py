"""A seeded sample of small faults, each run against the tests that cover its line: how many are noticed.

    make mutants                                        # about 400 over the packages below
    python -m tests.mutants --sample 40 --packages tracking
    python -m tests.mutants --packages gallery --seed 2 --out survivors.txt

Which tests cover a line, and how long each takes, is found out by one run of the fast tests with coverage and kept in
``.mutants/`` until the code changes. Exit code 1 when fewer are noticed than ``--least`` asks for.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import os
import py_compile
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tests.mutants.sites import Mutant, mutants_of, source_of

ROOT = Path(__file__).parents[2]
PACKAGES = ("sources", "tracking", "tracklets", "gallery", "inference", "engines/deepstream/checking", "identities")
FAST = "not slow and not shared and not gstreamer and not torch and not browser and not gpu"
# Seconds of tests that are run for one mutant, the quickest that cover its line first; and how long they may take.
_BUDGET, _PATIENCE = 12.0, 60.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """tests: test ids by (file, line), file relative to the root. seconds: how long each test takes."""

    tests: dict[tuple[str, int], list[str]]
    seconds: dict[str, float]

    def chosen(self, mutant: Mutant) -> list[str]:
        """The tests to run, the quickest first, within the budget; at least three."""
        covering = sorted(self.tests.get((str(mutant.path.relative_to(ROOT)), mutant.line), []), key=self._cost)
        taken, spent = [], 0.0
        for test in covering:
            spent += self._cost(test)
            if len(taken) >= 3 and spent > _BUDGET:
                break
            taken.append(test)
        return taken

    def _cost(self, test: str) -> float:
        return self.seconds.get(test, 1.0)


def measured(folder: Path) -> Coverage:
    """Which tests cover which lines, from a run of the fast tests, or from the last one when nothing has changed."""
    import coverage

    state = hashlib.blake2b(digest_size=8)
    for path in sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]):
        state.update(path.read_bytes())
    data, times, stamp = folder / "coverage", folder / "seconds.json", folder / "state"
    if not stamp.is_file() or stamp.read_text() != state.hexdigest():
        print("running the fast tests with coverage ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            "--dist",
            "loadfile",
            "-m",
            FAST,
            "-p",
            "no:randomly",
        ]
        command += ["--cov=src/reidstream", "--cov-context=test", "--cov-report=", f"--junitxml={folder / 'times.xml'}"]
        environment = {**os.environ, "COVERAGE_FILE": str(data)}
        # The bytecode of other packages stays for the hundreds of processes that follow.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if done.returncode != 0:
            sys.exit("the tests fail without any fault put in; mend them first")
        times.write_text(json.dumps(_durations(folder / "times.xml")))
        stamp.write_text(state.hexdigest())
    held = coverage.CoverageData(str(data))
    held.read()
    tests: dict[tuple[str, int], list[str]] = {}
    for file in held.measured_files():
        name = str(Path(file).relative_to(ROOT))
        for line, contexts in held.contexts_by_lineno(file).items():
            tests[name, line] = sorted({context.split("|")[0] for context in contexts if context})
    return Coverage(tests, json.loads(times.read_text()))


def _durations(report: Path) -> dict[str, float]:
    from xml.etree import ElementTree

    return {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}": float(case.get("time", 1))
        for case in ElementTree.parse(report).iter("testcase")
    }


class Workplace:
    """A copy of the project in which one fault at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        # Nothing is compiled anew for a mutant but the module with the fault: bytecode that is checked by its source's
        # content is never taken for that of another text written in the same second.
        for place in (folder / "src", folder / "tests"):
            compileall.compile_dir(place, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)

    def notices(self, mutant: Mutant, tests: list[str]) -> bool:
        """Whether one of the tests fails, or none ends in time, with the fault in the code."""
        target = self._folder / mutant.path.relative_to(ROOT)
        text = target.read_text(encoding="utf-8")
        target.write_text(source_of(mutant, text), encoding="utf-8")
        command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": str(self._folder / "src")}
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=environment, capture_output=True, timeout=_PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            return True
        finally:
            target.write_text(text, encoding="utf-8")
        return done.returncode != 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--sample", type=int, default=400, help="how many faults are tried")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES), help="folders below src/reidstream")
    parser.add_argument("--least", type=float, default=0.85, help="share that must be noticed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="write the survivors to this file")
    options = parser.parse_args()
    folder = ROOT / ".mutants"
    coverage = measured(folder / "coverage")
    every: list[Mutant] = []
    for package in options.packages:
        place = ROOT / "src" / "reidstream" / package
        paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        every += [mutant for path in paths for mutant in mutants_of(path)]
    sample = random.Random(options.seed).sample(every, min(options.sample, len(every)))
    print(f"{len(sample)} of {len(every)} possible faults in {', '.join(options.packages)}", flush=True)
    places: Queue[Workplace] = Queue()
    for number in range(options.workers):
        places.put(Workplace(folder / f"copy{number}"))
    began = time.monotonic()

    def tried(mutant: Mutant) -> tuple[Mutant, str]:
        tests = coverage.chosen(mutant)
        if not tests:
            return mutant, "no test comes by"
        place = places.get()
        try:
            return mutant, "" if place.notices(mutant, tests) else f"{len(tests)} tests pass"
        finally:
            places.put(place)

    survivors: list[tuple[Mutant, str]] = []
    with ThreadPoolExecutor(options.workers) as pool:
        for count, (mutant, why) in enumerate(pool.map(tried, sample), start=1):
            if why:
                survivors.append((mutant, why))
                print(f"survived ({why}): {_named(mutant)}", flush=True)
            if count % 50 == 0:
                print(f"  {count} tried, {len(survivors)} survived, {time.monotonic() - began:.0f} s", flush=True)
    for number in range(options.workers):
        shutil.rmtree(folder / f"copy{number}", ignore_errors=True)
    noticed = 1 - len(survivors) / max(len(sample), 1)
    print(f"{noticed:.1%} of {len(sample)} faults were noticed in {time.monotonic() - began:.0f} s")
    if options.out is not None:
        options.out.write_text("".join(f"{_named(mutant)} ({why})\n" for mutant, why in survivors))
    return int(noticed < options.least)


def _named(mutant: Mutant) -> str:
    return str(mutant).replace(f"{ROOT}/", "")


if __name__ == "__main__":
    sys.exit(main())
