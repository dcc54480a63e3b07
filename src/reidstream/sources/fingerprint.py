"""Fingerprints of what a source will deliver: the same content gives the same value wherever it lies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

WHOLE_FILE_BYTES = 64 * 2**20
"""Files up to this size are hashed whole; larger ones by their size and evenly spread samples."""
_SAMPLES = 32
_SAMPLE_BYTES = 2**20


def file_fingerprint(path: Path) -> str:
    """BLAKE2b-128, 32 hex digits, of a file's size and content.

    Up to 64 MiB the whole content counts. Of a larger file 32 samples of 1 MiB count, spread evenly from its first to
    its last byte: video data differs everywhere, so two recordings of one size cannot agree in all of them.
    Raises OSError when the file cannot be read.
    """
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
    its first and last 32 KiB.
    """
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


def live_fingerprint() -> str:
    """A new value for each start of a live source: 32 random hex digits."""
    return os.urandom(16).hex()
