"""From the words of a command line to sources: files, folders, cameras, and TOML files that list cameras."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reidstream.config import SourceConfig, load_config
from reidstream.errors import ConfigError, SourceNotFound
from reidstream.sources.address import Kind, kind_of, local_path, redacted


def expand_sources(words: Sequence[str]) -> list[SourceConfig]:
    """The sources that the words stand for, in their order.

    A word is a video file, a folder of images, an ``rtsp://`` address, a webcam (``/dev/video0`` or its number), or a
    ``.toml`` file with ``[[sources]]`` tables, whose relative paths count from its own folder. Whether the sources
    are there is not looked at: each is reported when its turn comes. Raises ConfigError for words that cannot be
    meant, and for a list that cannot be read or is empty.
    """
    configs: list[SourceConfig] = []
    for word in words:
        if not word.strip():
            raise ConfigError("a source must not be empty")
        if word.lower().endswith(".toml") and not local_path(word).is_dir():
            configs += _listed(local_path(word))
            continue
        configs.append(_checked(SourceConfig(uri=word), "the command line"))
    return configs


def resolved_from(config: SourceConfig, folder: Path) -> SourceConfig:
    """The same source with a relative path made to count from ``folder``, where its configuration file lies."""
    if kind_of(config.uri) not in {Kind.FILE, Kind.FOLDER} or config.uri.lower().startswith("file://"):
        return config
    return config.model_copy(update={"uri": str(folder / local_path(config.uri))})


def _listed(path: Path) -> list[SourceConfig]:
    configs = load_config(path).sources
    if not configs:
        raise ConfigError(f"{path} lists no sources; expected one [[sources]] table with a uri for each camera")
    return [resolved_from(_checked(config, str(path)), path.parent) for config in configs]


def _checked(config: SourceConfig, origin: str) -> SourceConfig:
    try:
        kind_of(config.uri)
    except SourceNotFound as error:
        raise ConfigError(f"{error} (from {redacted(origin)})") from None
    return config
