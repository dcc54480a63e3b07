"""How long commands take that look at or correct a gallery, from the shell's point of view: mostly imports.

    python -m benchmarks.startup [--rounds 9] [--json out.json]

Each command is a process of its own, as on a shell, in a small gallery. On a busy machine look at processor time.
The first round is left out: it writes Python's bytecode, if that is allowed (PYTHONDONTWRITEBYTECODE triples the rest).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.gallery import SIZE, people, seen, tracklets
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.applying import apply
from reidstream.identities.proposal import propose
from reidstream.types import EmbeddingSpace, SourceStarted

COMMANDS = {
    "version": ["--version"],
    "help": ["people", "--help"],
    "label": ["people", "label", "1", "--name", "Grace"],
    "list": ["people", "list"],
    "info": ["gallery", "info"],
}


def filled(folder: Path) -> None:
    """A gallery of twenty people, three tracklets each, decided."""
    rng = np.random.default_rng(1)
    means, deviation = people(20, rng)
    space = EmbeddingSpace("benchmark", "benchmark", SIZE)
    config = GalleryConfig(index="exact")
    with Gallery.open(folder, write=True, create=True, space=space, config=config) as gallery:
        for n in range(8):
            gallery.begin_source(SourceStarted(f"camera{n}", "", f"camera{n}", (1920, 1080), 25.0, 0.0), "benchmark")
        for batch in tracklets(seen(means.repeat(3, axis=0), deviation, rng), rng):
            gallery.add(batch)
        apply(gallery, propose(gallery, IdentityConfig()))


def seconds(words: list[str], folder: Path) -> tuple[float, float]:
    """Wall time and processor time of one command and its children."""
    before, wall = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "reidstream", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - wall, os.times()
    return wall, after.children_user - before.children_user + after.children_system - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        filled(folder / "gallery")
        print(f"{'command':<10}{'wall, median':>14}{'processor, median':>19}{'least':>8}   seconds")
        for title, words in COMMANDS.items():
            taken = np.array([seconds(words, folder) for _ in range(options.rounds + 1)])[1:]
            (wall, processor), least = np.median(taken, axis=0), taken[:, 1].min()
            figures[title] = {"wall": wall, "processor": processor, "least_processor": least}
            print(f"{title:<10}{wall:>14.2f}{processor:>19.2f}{least:>8.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
