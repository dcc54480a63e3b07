"""Fuzz every reader for a while: ``python -m tests.fuzz [SECONDS] [READER]...``; what fails is kept in the corpus.

The changes are others each time, unless the environment names them: ``REIDSTREAM_FUZZ=7``.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from reidstream.errors import ReIDStreamError
from tests.fuzz.mutation import mutated
from tests.fuzz.readers import READERS
from tests.fuzz.test_readers import CORPUS, corpus_of


def main() -> int:
    """The number of readers that failed."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    names = sys.argv[2:] or list(READERS)
    seed = int(os.environ.get("REIDSTREAM_FUZZ", time.time_ns()))
    return sum(_fuzz(name, seconds, random.Random(seed)) for name in names)


def _fuzz(name: str, seconds: float, rng: random.Random) -> bool:
    ending, reader = READERS[name]
    corpus, count, end = corpus_of(name), 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{ending}"
        while time.monotonic() < end:
            data = mutated(corpus, rng)
            path.write_bytes(data)
            count += 1
            try:
                reader(path)
            except ReIDStreamError:
                continue
            except BaseException:  # noqa: BLE001 - whatever it is, it is what we look for
                traceback.print_exc()
                kept = CORPUS / name / f"{hashlib.blake2b(data, digest_size=6).hexdigest()}{ending}"
                kept.write_bytes(data)
                print(f"{name}: failed after {count} files; the last is kept at {kept}")
                return True
    print(f"{name}: {count} files, none failed")
    return False


if __name__ == "__main__":
    sys.exit(main())
