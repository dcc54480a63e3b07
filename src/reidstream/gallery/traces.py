"""Looking for pieces of erased people in the bytes of a gallery's files.

A piece is 32 bytes long: a tracklet's id as text, eight float32 values of a vector in a row, or a stretch of a crop's
JPEG data. The search runs in a process of its own, because a process that closes a database file drops the locks
that SQLite holds on it (POSIX advisory locks; see "How To Corrupt An SQLite Database File" on sqlite.org).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reidstream.children import command_of, environment
from reidstream.errors import GalleryError

PIECE = 32
"""Bytes of a piece. A tracklet's id has exactly as many characters."""

_KEY = 8
"""Bytes by which a piece is recognised before it is compared: the eight in a row with the most different values."""

_DISTINCT = 5
"""Different byte values these must have. Zeros of a vector and even areas of a picture tell nobody apart."""

_CHUNK = 1 << 24
_TABLE_BITS = 22
_MIX = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2^64 divided by the golden ratio: spreads keys over the table

Pieces = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a piece was found: its row in the pieces, the file's path inside the folder, and the byte offset."""

    piece: int
    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Traces:
    """The outcome of a search: what was looked through, and what was found."""

    files: int
    bytes: int
    found: list[Trace]

    @property
    def pieces(self) -> set[int]:
        """Rows of the pieces that were found anywhere."""
        return {trace.piece for trace in self.found}


def pieces_of(blobs: Sequence[bytes], most: int) -> Pieces:
    """uint8 (m, 32): pieces that tell these blobs from others, spread evenly over each, at most ``most`` per blob."""
    picked: list[Pieces] = [np.zeros((0, PIECE), np.uint8)]
    for blob in blobs:
        count = len(blob) // PIECE
        pieces = np.frombuffer(blob, np.uint8, count * PIECE).reshape(count, PIECE)
        telling = pieces[_best_keys(pieces)[1] >= _DISTINCT]
        if len(telling) > most:
            telling = telling[np.linspace(0, len(telling) - 1, most).astype(int)]
        picked.append(telling)
    return np.unique(np.concatenate(picked), axis=0)


def entropy_coded(jpeg: bytes) -> bytes:
    """A JPEG file without its tables, which many files share: what follows the start-of-scan marker (ITU T.81)."""
    start = jpeg.find(b"\xff\xda")
    return jpeg[start + 2 :] if start >= 0 else jpeg


def find_traces(folder: Path, pieces: Pieces, texts: Sequence[str] = (), wordless: Sequence[str] = ()) -> Traces:
    """Every place in every file below a folder where one of the pieces, uint8 (m, 32), can be read.

    texts: looked for as well, in UTF-8, except in files whose path begins with one of ``wordless``; they count as
    pieces that follow the others. Short words are found by chance: whoever asks must look what it is that was found.
    """
    command = command_of("reidstream.gallery.traces", str(folder))
    request = json.dumps({"texts": list(texts), "wordless": list(wordless)}).encode() + b"\n" + pieces.tobytes()
    child = subprocess.run(command, input=request, capture_output=True, env=environment(), check=False)
    if child.returncode != 0:
        raise GalleryError(f"the files of {folder} could not be searched: {child.stderr.decode(errors='replace')}")
    answer = json.loads(child.stdout)
    return Traces(answer["files"], answer["bytes"], [Trace(*found) for found in answer["found"]])


def _best_keys(pieces: Pieces) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where in each piece its key starts (a multiple of four), and how many different values the key has."""
    starts = np.arange(0, PIECE - _KEY + 1, 4)
    windows = np.sort(np.stack([pieces[:, start : start + _KEY] for start in starts], axis=1), axis=2)
    distinct = (np.diff(windows, axis=2) != 0).sum(axis=2) + 1
    best = distinct.argmax(axis=1)
    return starts[best], distinct[np.arange(len(pieces)), best]


class PieceFinder:
    """Finds any of many pieces at any offset: a table says which eight-byte keys are worth a closer look."""

    def __init__(self, pieces: Pieces) -> None:
        starts, _ = _best_keys(pieces)
        columns = starts[:, None] + np.arange(_KEY)
        keys = np.take_along_axis(pieces, columns, axis=1).view("<u8").ravel()
        self._order = np.argsort(keys, kind="stable")
        self._pieces = pieces[self._order]
        self._starts = starts[self._order]
        self._keys = keys[self._order]
        self._table = np.zeros(1 << _TABLE_BITS, bool)
        self._table[_slots(self._keys)] = True

    def find(self, data: bytes) -> list[tuple[int, int]]:
        """(piece, offset) of everything that is found."""
        found: list[tuple[int, int]] = []
        for shift in range(min(8, len(data))):
            words = np.frombuffer(data, "<u8", (len(data) - shift) // 8, shift)
            places = np.flatnonzero(self._table[_slots(words)])
            left = np.searchsorted(self._keys, words[places], "left")
            right = np.searchsorted(self._keys, words[places], "right")
            for place, first, last in zip(places.tolist(), left.tolist(), right.tolist(), strict=True):
                for n in range(first, last):
                    offset = 8 * place + shift - int(self._starts[n])
                    if offset >= 0 and data[offset : offset + PIECE] == self._pieces[n].tobytes():
                        found.append((int(self._order[n]), offset))
        return found


def _slots(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    return ((keys.astype(np.uint64) * _MIX) >> np.uint64(64 - _TABLE_BITS)).astype(np.intp)


def _search(folder: Path, pieces: Pieces, texts: Sequence[bytes], wordless: tuple[str, ...]) -> Traces:
    finder = PieceFinder(pieces)
    overlap = max([PIECE, *map(len, texts)]) - 1
    found: list[Trace] = []
    files = size = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        files += 1
        name = str(path.relative_to(folder))
        spoken = [] if name.startswith(wordless) else texts
        # What lies in the overlap of two chunks is found in both.
        seen: set[tuple[int, int]] = set()
        for start, data in _chunks(path, overlap):
            size = size + len(data)
            here = {(piece, start + offset) for piece, offset in finder.find(data)}
            for n, text in enumerate(spoken, len(pieces)):
                here.update((n, start + match.start()) for match in re.finditer(re.escape(text), data))
            found.extend(Trace(piece, name, offset) for piece, offset in sorted(here - seen))
            seen = here
    return Traces(files, size, found)


def _chunks(path: Path, overlap: int) -> Iterator[tuple[int, bytes]]:
    """Pieces of a file with the offsets where they start; each begins a little before the last one's end."""
    start, tail = 0, b""
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            yield start - len(tail), tail + data
            start += len(data)
            tail = (tail + data)[-overlap:]


def _main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    pieces = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(-1, PIECE)
    texts = [text.encode() for text in request["texts"]]
    traces = _search(Path(sys.argv[1]), pieces, texts, tuple(request["wordless"]))
    found = [(trace.piece, trace.file, trace.offset) for trace in traces.found]
    json.dump({"files": traces.files, "bytes": traces.bytes, "found": found}, sys.stdout)


if __name__ == "__main__":
    _main()
