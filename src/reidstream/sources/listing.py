"""From the words of a command line to sources: files, folders, cameras, and TOML files that list cameras."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from reidstream.config import SourceConfig, load_config
from reidstream.errors import ConfigError, SourceNotFound
from reidstream.sources.address import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Kind, kind_of, local_path, redacted
from reidstream.sources.certificates import ANY

logger = logging.getLogger(__name__)


def expand_sources(words: Sequence[str]) -> list[SourceConfig]:
    """The sources that the words stand for, in their order.

    A word is a video file, a folder of images, a folder of videos or of such folders, a pattern of files and folders
    (``*``, ``?``, ``[ab]``, ``**`` for any depth), an ``rtsp://`` address, a webcam (``/dev/video0`` or its number), or
    a ``.toml`` file with ``[[sources]]`` tables, whose relative paths count from its own folder. Whether a file that is
    named is there is not looked at: it is reported when its turn comes. What folders and patterns give besides, and
    another word has given already, is there once.

    Raises ConfigError for words that cannot be meant, folders and patterns without anything to read, and lists that
    cannot be read or are empty.
    """
    found: list[tuple[SourceConfig, bool]] = []
    for word in words:
        if not word.strip():
            raise ConfigError("a source must not be empty")
        if word.lower().endswith(".toml") and not local_path(word).is_dir():
            for config in _listed(local_path(word)):
                found += _expanded(config, str(local_path(word)))
        else:
            found += _expanded(SourceConfig(uri=word), "the command line")
    named = {_place(config) for config, is_named in found if is_named}
    configs: list[SourceConfig] = []
    for config, is_named in found:
        if is_named or _place(config) not in named:
            named.add(_place(config))
            configs.append(config)
    return configs


def expand_configs(configs: Sequence[SourceConfig]) -> list[SourceConfig]:
    """The same for sources of a configuration: its folders of videos and patterns become a source for each."""
    return [config for given in configs for config, _ in _expanded(given, "the configuration")]


def _expanded(given: SourceConfig, origin: str) -> list[tuple[SourceConfig, bool]]:
    """The sources behind one address, and whether it names them itself (or a folder or pattern gives them)."""
    kind = _checked(given, origin)
    path = local_path(given.uri)
    if kind is Kind.FILE and not path.exists() and any(sign in given.uri for sign in "*?["):
        places = [Path(place) for place in sorted(glob(str(path), recursive=True))]  # noqa: PTH207 - paths from the root as well
        inside = [inner for place in places for inner in (_inside(place) if place.is_dir() else _video(place))]
        if not inside:
            raise ConfigError(f"{given.uri} (from {redacted(origin)}) matches no video and no folder of images")
    elif kind is Kind.FOLDER and not _holds_images(path, only=True):
        inside = _inside(path)
        if not inside:
            raise ConfigError(
                f"{given.uri} (from {redacted(origin)}) holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}) and no "
                f"folder of images ({', '.join(sorted(IMAGE_SUFFIXES))})"
            )
    else:
        return [(given, True)]
    if given.name is not None and len(inside) > 1:
        # One name cannot be that of several sources; it says where they belong.
        return [
            (given.model_copy(update={"uri": str(place), "name": f"{given.name}-{place.stem}"}), False)
            for place in inside
        ]
    return [(given.model_copy(update={"uri": str(place)}), False) for place in inside]


def _inside(folder: Path) -> list[Path]:
    """The videos in a folder and those below it, and the folders of images, by name."""
    if _holds_images(folder, only=True):
        return [folder]
    found, left_out = [], []
    for place in sorted(folder.iterdir()):
        if place.name.startswith("."):
            continue
        if place.is_dir():
            found += _inside(place)
        elif place.suffix.lower() in VIDEO_SUFFIXES:
            found.append(place)
        elif place.suffix.lower() not in IMAGE_SUFFIXES:
            left_out.append(place.name)
    if left_out:
        rest = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        logger.warning("%s: left out, no videos by their names: %s%s", folder, ", ".join(left_out[:3]), rest)
    # Pictures beside videos are a sequence of their own.
    return [*found, folder] if _holds_images(folder) else found


def _holds_images(folder: Path, only: bool = False) -> bool:
    """Whether a folder is a sequence of images. only: and nothing else that could be read."""
    if (folder / "img1").is_dir():
        return True
    places = [place for place in folder.iterdir() if not place.name.startswith(".")]
    if only and any(place.is_dir() or place.suffix.lower() in VIDEO_SUFFIXES for place in places):
        return False
    return any(place.suffix.lower() in IMAGE_SUFFIXES for place in places)


def _video(place: Path) -> list[Path]:
    return [place] if place.suffix.lower() in VIDEO_SUFFIXES else []


def _place(config: SourceConfig) -> str:
    local = kind_of(config.uri) in {Kind.FILE, Kind.FOLDER}
    return str(local_path(config.uri).resolve()) if local else config.uri


def resolved_from(config: SourceConfig, folder: Path) -> SourceConfig:
    """The same source with relative paths made to count from ``folder``, where its configuration file lies."""
    files = {"detections": config.detections, "tracks": config.tracks}
    if config.certificate != ANY:
        files["certificate"] = config.certificate and str(Path(config.certificate).expanduser())
    config = config.model_copy(update={key: str(folder / path) for key, path in files.items() if path is not None})
    if kind_of(config.uri) not in {Kind.FILE, Kind.FOLDER} or config.uri.lower().startswith("file://"):
        return config
    return config.model_copy(update={"uri": str(folder / local_path(config.uri))})


def _listed(path: Path) -> list[SourceConfig]:
    configs = load_config(path).sources
    if not configs:
        raise ConfigError(f"{path} lists no sources; expected one [[sources]] table with a uri for each camera")
    for config in configs:
        _checked(config, str(path))
    return [resolved_from(config, path.parent) for config in configs]


def _checked(config: SourceConfig, origin: str) -> Kind:
    try:
        return kind_of(config.uri)
    except SourceNotFound as error:
        raise ConfigError(f"{error} (from {redacted(origin)})") from None
