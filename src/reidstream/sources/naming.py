"""The names that sources have in the gallery."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from reidstream.config import SourceConfig
from reidstream.errors import ConfigError
from reidstream.sources.address import Kind, device_path, kind_of, local_path, redacted


def source_ids(configs: Sequence[SourceConfig]) -> list[str]:
    """One readable id per source, unique among them, without passwords: the given name, or one from the address.

    A file is called after its name without suffix, a folder after itself (``img1`` after its parent), a camera after
    host and path. Where two would be called the same they get their parent folder's name in front, and a number if that
    is not enough. The same list gives the same ids. Raises ConfigError when a name or a file is given twice.
    """
    given = Counter(config.name for config in configs if config.name is not None)
    twice = [name for name, count in given.items() if count > 1]
    if twice:
        raise ConfigError(
            f"every source needs a name of its own, {', '.join(map(repr, twice))} is given more than once"
        )
    _refuse_repeated(configs)

    ids = [config.name if config.name is not None else _short_name(config.uri) for config in configs]
    common = {name for name, count in Counter(ids).items() if count > 1}
    ids = [
        _long_name(config.uri) if config.name is None and name in common else name
        for config, name in zip(configs, ids, strict=True)
    ]
    taken = set(given)
    for i, config in enumerate(configs):
        if config.name is None:
            ids[i] = _numbered(ids[i], taken)
            taken.add(ids[i])
    return ids


def _refuse_repeated(configs: Sequence[SourceConfig]) -> None:
    seen: set[str] = set()
    for config in configs:
        local = kind_of(config.uri) in {Kind.FILE, Kind.FOLDER}
        place = str(local_path(config.uri).resolve()) if local else config.uri
        if place in seen:
            raise ConfigError(f"{redacted(config.uri)} is given more than once")
        seen.add(place)


def _numbered(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _short_name(uri: str) -> str:
    kind = kind_of(uri)
    if kind is Kind.RTSP:
        parts = urlsplit(redacted(uri))
        host, _, port = parts.netloc.rpartition("@")[2].partition(":")
        return _readable("-".join(part for part in (host, port if port != "554" else "", parts.path) if part))
    if kind is Kind.WEBCAM:
        return device_path(uri).name
    path = local_path(uri).resolve()
    if kind is Kind.FOLDER:
        return _readable(path.parent.name if path.name == "img1" else path.name)
    return _readable(path.stem)


def _long_name(uri: str) -> str:
    if kind_of(uri) not in {Kind.FILE, Kind.FOLDER}:
        return _short_name(uri)
    path = local_path(uri).resolve()
    parent = path.parent.parent if path.name == "img1" and path.is_dir() else path.parent
    return _readable(f"{parent.name}-{_short_name(uri)}")


def _readable(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-.") or "source"
