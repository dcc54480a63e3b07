"""Digests that need not be computed again while the files they are of stay as they are.

A run asks for a file's fingerprint when it looks what the gallery holds already, and again when the file is read.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_MOST = 10_000
_digests: OrderedDict[bytes, str] = OrderedDict()
_lock = threading.Lock()


def remembered(what: str, paths: Sequence[Path], compute: Callable[[], str]) -> str:
    """The digest of files, computed unless it was for the same files in the same state.

    what: tells kinds of digest apart. The state is where each file lies on the disk, its size, and when it and what is
    known of it were changed last, in nanoseconds. Raises OSError when a file is not there.
    """
    key = _state(what, paths)
    with _lock:
        if key in _digests:
            return _digests[key]
    digest = compute()
    # What changes while it is read is not remembered.
    if _state(what, paths) == key:
        remember({key: digest})
    return digest


def digests() -> dict[bytes, str]:
    """All that is remembered, for another process of the same run."""
    with _lock:
        return dict(_digests)


def remember(known: Mapping[bytes, str]) -> None:
    """Take over what another process of the same run has computed."""
    with _lock:
        _digests.update(known)
        while len(_digests) > _MOST:
            _digests.popitem(last=False)


def _state(what: str, paths: Sequence[Path]) -> bytes:
    state = hashlib.blake2b(what.encode(), digest_size=16)
    for path in paths:
        found = path.stat()
        numbers = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        state.update(os.fsencode(path) + repr(numbers).encode())
    return state.digest()
