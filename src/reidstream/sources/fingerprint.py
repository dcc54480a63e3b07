"""Fingerprints of what a source will deliver: the same content gives the same value wherever it lies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from reidstream.sources.remembered import remembered

WHOLE_FILE_BYTES = 64 * 2**20
"""Files up to this size are hashed whole; larger ones by their size and evenly spread samples."""
_SAMPLES = 32
_SAMPLE_BYTES = 2**20


def file_fingerprint(path: Path) -> str:
    """BLAKE2b-128, 32 hex digits, of a file's size and content.

    Up to 64 MiB the whole content counts. Of a larger file 32 samples of 1 MiB count, spread evenly from its first to
    its last byte: video data differs everywhere, so two recordings of one size cannot agree in all of them.
    Read once in a run, as long as the file stays as it is. Raises OSError when the file cannot be read.
    """
    return remembered("file", [path], lambda: _file_digest(path))


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.blake2b(f"file {size}".encode(), digest_size=16)
        file.seek(0)
        if size <= WHOLE_FILE_BYTES:
            while block := file.read(_SAMPLE_BYTES):
                digest.update(block)
        else:
            for i in range(_SAMPLES):
                file.seek((size - _SAMPLE_BYTES) * i // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def folder_fingerprint(paths: Iterable[Path], fps: float) -> str:
    """BLAKE2b-128, 32 hex digits, of the names, sizes and contents of a folder's images in their order, and the rate.

    The rate counts because it gives the frames their times. Of each image the whole content counts up to 64 KiB, else
    its first and last 32 KiB. Read once in a run, as long as the images stay as they are.
    """
    paths = list(paths)
    return remembered(f"folder {fps!r}", paths, lambda: _folder_digest(paths, fps))


def _folder_digest(paths: Sequence[Path], fps: float) -> str:
    digest = hashlib.blake2b(f"folder {fps!r}".encode(), digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest.update(f"\0{path.name}\0{size}\0".encode("utf-8", "surrogateescape"))
            file.seek(0)
            digest.update(file.read(2**15))
            file.seek(max(2**15, size - 2**15))
            digest.update(file.read(2**15))
    return digest.hexdigest()


BEGINNING_PACKETS = 25
"""The video's first packets, of which each counts by itself; of what follows, samples do."""
LEAST_PACKETS = 5
"""A recording with fewer is not known again when it has grown: an encoder's first packets may be those of any scene."""
_RUNG = 2**16
_CHAIN = "~"
"""What the digests of single packets begin with."""


def file_beginning(path: Path, packets: Iterable[bytes]) -> tuple[str, int]:
    """What a recording begins with, and its bytes so far: the beginning of a longer version of it begins with this one.

    packets: the video's packets in the order of the file. Digests parted by spaces: the first of the first 25 packets,
    which no container changes when it is finished (headers are); each further one of the 64 KiB behind 64 KiB times
    1, 2, 4 and so on; last, behind a ``~``, eight digits for each of the first 25 packets. Where no packet follows
    these, only they are given, without the last one, which may have been cut off; nothing of fewer than five. Raises
    OSError.
    """
    first = islice(packets, BEGINNING_PACKETS + 1)
    single = [hashlib.blake2b(packet, digest_size=16).digest() for packet in first][:-1]
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        rungs: list[str] = []
        at = _RUNG
        while at + _RUNG <= size:
            file.seek(at)
            rungs.append(hashlib.blake2b(file.read(_RUNG), digest_size=8).hexdigest())
            at *= 2
    together = hashlib.blake2b(b"packets" + b"".join(single), digest_size=16).hexdigest()
    return _beginning(single, together, rungs, size)


def folder_beginning(paths: Sequence[Path], fps: float) -> tuple[str, int]:
    """The same of a folder of images: the first 25 of them, then those at 25 times 1, 2, 4 ...; how many there are."""
    first = paths[:BEGINNING_PACKETS]
    single = [bytes.fromhex(folder_fingerprint([path], fps)) for path in first]
    rungs: list[str] = []
    at = BEGINNING_PACKETS
    while at < len(paths):
        rungs.append(folder_fingerprint([paths[at]], fps)[:16])
        at *= 2
    return _beginning(single, folder_fingerprint(first, fps), rungs, len(paths))


def _beginning(single: Sequence[bytes], together: str, rungs: Sequence[str], length: int) -> tuple[str, int]:
    if len(single) < LEAST_PACKETS:
        return "", 0
    chain = _CHAIN + "".join(digest[:4].hex() for digest in single)
    return " ".join([chain] if len(single) < BEGINNING_PACKETS else [together, *rungs, chain]), length


def grown(shorter: tuple[str, int], longer: tuple[str, int]) -> bool:
    """Whether the second (beginning, length) is that of the same recording, at least as long as the first."""
    if shorter[1] > longer[1]:
        return False
    (short, chain), (long, longer_chain) = _parts(shorter[0]), _parts(longer[0])
    if short:
        return long[: len(short)] == short
    return bool(chain) and longer_chain.startswith(chain)


def _parts(beginning: str) -> tuple[list[str], str]:
    """The digests of what a recording begins with, and those of its single packets ("" in galleries of before)."""
    digests = beginning.split()
    chain = digests.pop() if digests and digests[-1].startswith(_CHAIN) else ""
    return digests, chain


def live_fingerprint() -> str:
    """A new value for each start of a live source: 32 random hex digits."""
    return os.urandom(16).hex()
