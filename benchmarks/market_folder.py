"""Lay people of the shared Market-1501 crops out as a benchmark folder, for ``reidstream eval retrieval``.

    python -m benchmarks.market_folder /tmp/market [--people 100] [--seed 1501]

The archive is Market-1501's training set (751 people, six cameras). As in the benchmark, one crop of each person in
each camera becomes a query and all the others the gallery; whom only one camera saw is a distractor in the gallery.
With the default seed, ``--people 100`` takes those who were set aside when the embedded weights were chosen. The
embedded weights as shipped were trained on all 751, so that only other models are measured fairly with this.
"""

from __future__ import annotations

import argparse
import re
import tarfile
from pathlib import Path

import numpy as np

from benchmarks.labelled_scenes import SHARED

_NAME = re.compile(r"(\d{4})_c(\d)s\d_\d+_\d+\.jpg$")


def lay_out(archive: Path, out: Path, people: int | None, seed: int) -> tuple[int, int]:
    """Write ``query/`` and ``bounding_box_test/``; how many files each holds."""
    folders = out / "query", out / "bounding_box_test"
    for folder in folders:
        folder.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        found = {m.name: match for m in tar if m.isfile() and (match := _NAME.search(m.name))}
        everyone = np.array(sorted({int(match[1]) for match in found.values()}))
        chosen = set(np.random.default_rng(seed).permutation(everyone)[:people].tolist())
        kept = sorted(name for name, match in found.items() if int(match[1]) in chosen)
        asked: set[tuple[str, str]] = set()
        counts = [0, 0]
        for name in kept:
            seen = found[name][1], found[name][2]
            part = 0 if seen not in asked else 1
            asked.add(seen)
            counts[part] += 1
            member = tar.extractfile(name)
            assert member is not None
            (folders[part] / Path(name).name).write_bytes(member.read())
    return counts[0], counts[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=None, help="so many of the 751; default: all")
    parser.add_argument("--seed", type=int, default=1501, help="which of them")
    options = parser.parse_args()
    queries, gallery = lay_out(SHARED / "data" / "market1501_train.tar", options.out, options.people, options.seed)
    print(f"{queries} queries, {gallery} gallery images in {options.out}")


if __name__ == "__main__":
    main()
