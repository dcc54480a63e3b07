"""A seeded sample of small faults, each run against the tests that cover its line: how many are noticed.

    make mutants                                        # about 400 over the packages below
    python -m tests.mutants --sample 40 --packages tracking
    python -m tests.mutants --packages gallery --seed 2 --out survivors.txt
    python -m tests.mutants --again survivors.txt       # those that survived, after tests were written for them
    python -m tests.mutants --edits faults.toml         # faults written by hand

Which tests cover a line, and what each costs, is found out by one run of the fast tests with coverage and kept in
``.mutants/``: later only files of tests that changed are run again, and lines of code that moved are found again.
``--fresh`` runs all of them anew. Each fault is tried in a fork of a process that has all libraries imported.
Exit code 1 when fewer are noticed than ``--least`` asks for.

A file of faults written by hand holds tables ``[[fault]]`` with ``path`` (below src/reidstream), ``was`` (a text that
is there once) and ``now``.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from tests.mutants.coverage import ROOT, Coverage, measured
from tests.mutants.sites import Mutant, edits_in, mutants_of
from tests.mutants.workplace import Workplace

PACKAGES = ("sources", "tracking", "tracklets", "gallery", "inference", "engines/deepstream/checking", "identities")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--sample", type=int, default=400, help="how many faults are tried")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES), help="folders below src/reidstream")
    parser.add_argument("--edits", type=Path, help="try the faults of this file instead of a sample")
    parser.add_argument("--again", type=Path, help="try those that an earlier run has written with --out")
    parser.add_argument("--least", type=float, default=0.85, help="share that must be noticed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="write the survivors to this file")
    parser.add_argument("--few", type=int, help="only where at most so many tests come by: quick to try, and to mend")
    parser.add_argument("--fresh", action="store_true", help="find out anew which tests cover which lines")
    options = parser.parse_args()
    folder = ROOT / ".mutants"
    coverage = measured(folder / "coverage", options.fresh)
    if options.edits is not None:
        sample = edits_in(options.edits, ROOT / "src" / "reidstream")
    else:
        every: list[Mutant] = []
        for package in options.packages:
            place = ROOT / "src" / "reidstream" / package
            paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
            every += [mutant for path in paths for mutant in mutants_of(path)]
        if options.few is not None:
            every = [mutant for mutant in every if len(coverage.passing(mutant)) <= options.few]
        if options.again is not None:
            kept = options.again.read_text().splitlines()
            sample = [mutant for mutant in every if any(line.startswith(f"{_named(mutant)} (") for line in kept)]
        else:
            sample = random.Random(options.seed).sample(every, min(options.sample, len(every)))
        print(f"{len(sample)} of {len(every)} possible faults in {', '.join(options.packages)}", flush=True)
    began = time.monotonic()
    places: Queue[Workplace] = Queue()
    for number in range(options.workers):
        place = Workplace(folder / f"copy{number}")
        place.check(quickest := min(coverage.seconds, key=coverage.seconds.__getitem__), coverage.limit([quickest]))
        places.put(place)
    survivors: list[tuple[Mutant, str]] = []
    by_test: dict[str, list[Mutant]] = {}
    with ThreadPoolExecutor(options.workers) as pool:
        for count, (mutant, why, by) in enumerate(pool.map(lambda one: _tried(one, coverage, places), sample), start=1):
            if by is not None:
                by_test.setdefault(by, []).append(mutant)
            if why:
                survivors.append((mutant, why))
                print(f"survived ({why}): {_named(mutant)}", flush=True)
            if count % 50 == 0:
                print(f"  {count} tried, {len(survivors)} survived, {time.monotonic() - began:.0f} s", flush=True)
    # What fails without a fault, too, has noticed nothing.
    place = places.get()
    for test in place.failing(sorted(by_test), coverage.limit(list(by_test))) if by_test else []:
        print(f"fails without a fault, too: {test}", flush=True)
        survivors += [(mutant, "only noticed by a test that fails without it") for mutant in by_test[test]]
    place.close()
    for _ in range(options.workers - 1):
        places.get().close()
    noticed = 1 - len(survivors) / max(len(sample), 1)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{noticed:.1%} of {len(sample)} faults were noticed in {time.monotonic() - began:.0f} s, "
        f"{used.ru_utime + used.ru_stime:.0f} s of processor"
    )
    if options.out is not None:
        options.out.write_text("".join(f"{_named(mutant)} ({why})\n" for mutant, why in survivors))
    return int(noticed < options.least)


def _tried(mutant: Mutant, coverage: Coverage, places: Queue[Workplace]) -> tuple[Mutant, str, str | None]:
    """The fault, why it was not noticed, nothing where it was, and the test that did."""
    goes = coverage.chosen(mutant)
    if not goes:
        return mutant, "no test comes by", None
    place = places.get()
    try:
        noticed, by, late = place.notices(mutant, [(tests, coverage.limit(tests)) for tests in goes])
    finally:
        places.put(place)
    if by is not None:
        coverage.noticed[by] += 1
    if late:
        # On busy cores a test without a fault may be late, too.
        return mutant, "noticed by time alone", None
    return mutant, "" if noticed else f"{sum(map(len, goes))} tests pass", by


def _named(mutant: Mutant) -> str:
    return str(mutant).replace(f"{ROOT}/", "")


if __name__ == "__main__":
    sys.exit(main())
