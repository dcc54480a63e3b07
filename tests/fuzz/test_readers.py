"""The kept corpus, and some hundred changes of it, always the same; ``make fuzz`` goes on with others."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from reidstream.errors import ReIDStreamError
from tests.fuzz.mutation import mutated
from tests.fuzz.readers import READERS

CORPUS = Path(__file__).parent / "corpus"


def corpus_of(name: str) -> list[bytes]:
    """The files of one reader's corpus."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


@pytest.mark.parametrize("name", READERS)
def test_foreign_bytes_are_read_or_refused(name: str, tmp_path: Path) -> None:
    ending, reader = READERS[name]
    corpus, rng = corpus_of(name), random.Random(7)
    path = tmp_path / f"file{ending}"
    for data in [*corpus, b"", *(mutated(corpus, rng) for _ in range(300))]:
        path.write_bytes(data)
        with contextlib.suppress(ReIDStreamError):
            reader(path)
