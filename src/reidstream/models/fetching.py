"""Fetching model files: progress, resume after a cut connection, checksum, and a cache that holds only whole files."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from reidstream.errors import ModelError, ModelMismatch, ModelNotFound
from reidstream.models.checksum import file_sha256
from reidstream.models.manifest import MIRROR_VARIABLE, KnownModel
from reidstream.models.spec import ResolvedModel

if TYPE_CHECKING:
    import httpx

# Called with the bytes at hand and the bytes in all (None while unknown).
Progress = Callable[[int, int | None], None]
_ATTEMPTS = 4
_FIRST_PAUSE = 0.5


def fetch_model(
    entry: KnownModel, progress: Progress | None = None, *, first_pause: float = _FIRST_PAUSE, timeout: float = 20.0
) -> tuple[ResolvedModel, bool]:
    """The file of a manifest entry, fetched into the cache unless it is at hand; whether it was fetched now.

    A cut connection is taken up where it broke, up to three times in a row without progress, with growing pauses; a
    partial file stays in the cache, so that the next call goes on from there. What does not have the right checksum
    is removed. timeout: seconds without an answer or data.

    Raises ModelNotFound when the entry has no address or the server no such file, ModelMismatch for a wrong checksum,
    ModelError when the network or the disk fails.
    """
    at_hand = entry.found()
    if at_hand is not None and (not entry.spec.checksums or file_sha256(at_hand) in entry.spec.checksums):
        return ResolvedModel(entry.spec, at_hand, file_sha256(at_hand)), False
    if entry.spec.url is None or entry.spec.sha256 is None:
        raise ModelNotFound(
            f"{entry.spec.name} has no address to fetch it from: put {entry.file_name} into the folder that "
            f"{MIRROR_VARIABLE} names"
        )
    if at_hand is not None and at_hand != entry.cache_path:
        raise ModelMismatch(
            f"{at_hand} is in the way: it is not the file that the manifest describes as {entry.spec.name} "
            f"(sha256 {entry.spec.sha256} expected, {file_sha256(at_hand)} found); remove or replace it"
        )
    target = entry.cache_path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if not (target.is_file() and file_sha256(target) == entry.spec.sha256):
                _download(entry, entry.spec.url, entry.spec.sha256, target, progress, first_pause, timeout)
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error.strerror or error}") from None
    return ResolvedModel(entry.spec, target, entry.spec.sha256), True


def _download(
    entry: KnownModel, url: str, sha256: str, target: Path, progress: Progress | None, pause: float, timeout: float
) -> None:
    import httpx

    # The checksum in the name keeps the rest of another version from being continued.
    partial = target.with_name(f"{target.name}.{sha256[:12]}.part")
    attempts_left, wait = _ATTEMPTS, pause
    with httpx.Client(follow_redirects=True, timeout=timeout, headers={"Accept-Encoding": "identity"}) as client:
        while True:
            before = _size(partial)
            try:
                _receive(client, url, partial, progress)
                break
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status < 500 and status not in {408, 429}:
                    raise ModelNotFound(
                        f"{url} answers {status} {error.response.reason_phrase}: {_offline_advice(entry)}"
                    ) from None
                problem = f"the server answers {status} {error.response.reason_phrase}"
            except (httpx.TransportError, httpx.TooManyRedirects, httpx.InvalidURL) as error:
                problem = str(error) or type(error).__name__
            if _size(partial) > before:
                attempts_left, wait = _ATTEMPTS, pause
            attempts_left -= 1
            if attempts_left <= 0:
                at_hand = f" ({_size(partial):,} bytes are kept and not fetched again)" if _size(partial) else ""
                raise ModelError(f"{url} cannot be fetched: {problem}{at_hand}; {_offline_advice(entry)}")
            time.sleep(wait)
            wait *= 2
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        partial.unlink()
        raise ModelMismatch(
            f"{url} is not the file that the manifest describes as {entry.spec.name}: sha256 {sha256} expected, "
            f"{found} found. It was removed; {_offline_advice(entry)}"
        )
    partial.replace(target)


def _receive(client: httpx.Client, url: str, partial: Path, progress: Progress | None) -> None:
    """Receive the file, or the rest of it, into ``partial``; raises httpx.HTTPError when it breaks off."""
    import httpx

    have = _size(partial)
    with client.stream("GET", url, headers={"Range": f"bytes={have}-"} if have else {}) as response:
        if response.status_code == 416:  # nothing left to ask for; the checksum decides, or it starts anew
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(have):
                return
            partial.unlink()
            raise httpx.ReadError("the server has less than what was fetched before")
        response.raise_for_status()
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not goes_on:
            have = 0
        length = response.headers.get("Content-Length")
        total_bytes = have + int(length) if length is not None and length.isdigit() else None
        with partial.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have, total_bytes)
        if total_bytes is not None and have < total_bytes:
            raise httpx.ReadError(f"the connection ended after {have:,} of {total_bytes:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _offline_advice(entry: KnownModel) -> str:
    return (
        f"without a network, fetch {entry.file_name} on another machine and put it into the folder that the "
        f"environment variable {MIRROR_VARIABLE} names"
    )
