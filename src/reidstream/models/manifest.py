"""The manifest: which models are known, and where their files may lie.

The package's own ``manifest.toml`` comes first; users add theirs in ``models.toml`` of their configuration
folder, or in the file that the environment variable REIDSTREAM_MANIFEST names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import platformdirs
from pydantic import ValidationError

from reidstream.errors import ConfigError
from reidstream.foreign_documents import parsed_toml
from reidstream.models.spec import ModelSpec, Preprocessing
from reidstream.suggestions import did_you_mean

MIRROR_VARIABLE = "REIDSTREAM_MODELS"
MANIFEST_VARIABLE = "REIDSTREAM_MANIFEST"
PACKAGE_MANIFEST = Path(__file__).with_name("manifest.toml")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model of a manifest. ``manifest`` is the file that lists it; relative paths start in its folder."""

    spec: ModelSpec
    manifest: Path

    @property
    def file_name(self) -> str:
        """What the file is called in the cache and in a mirror."""
        if self.spec.file is not None:
            return PurePosixPath(self.spec.file).name
        if self.spec.url is not None and (name := PurePosixPath(unquote(urlsplit(self.spec.url).path)).name):
            return name
        return f"{self.spec.name}.onnx"

    def places(self) -> list[Path]:
        """Where the file may lie, in the order in which it is looked for."""
        places = [self.manifest.parent / self.spec.file] if self.spec.file is not None else []
        mirror = mirror_folder()
        if mirror is not None:
            places += [mirror / self.file_name, mirror / self.spec.name / self.file_name]
        return [*places, self.cache_path]

    @property
    def cache_path(self) -> Path:
        """Where fetching puts the file."""
        return cache_folder() / self.spec.name / self.file_name

    def found(self) -> Path | None:
        """The first of the places where there is a file, unchecked."""
        return next((place for place in self.places() if place.is_file()), None)


def cache_folder() -> Path:
    """Where fetched models are kept."""
    return platformdirs.user_cache_path("reidstream") / "models"


def mirror_folder() -> Path | None:
    """The folder of model files that an air-gapped site fills itself, from the environment."""
    value = os.environ.get(MIRROR_VARIABLE)
    return Path(value).expanduser() if value else None


def user_manifest() -> Path | None:
    """The user's own manifest, if there is one. ConfigError if the environment names a missing file."""
    value = os.environ.get(MANIFEST_VARIABLE)
    if value:
        path = Path(value).expanduser()
        if not path.is_file():
            raise ConfigError(f"{MANIFEST_VARIABLE} names a manifest that does not exist: {path}")
        return path
    path = platformdirs.user_config_path("reidstream") / "models.toml"
    return path if path.is_file() else None


def load_manifest() -> dict[str, KnownModel]:
    """Every known model by name: the package's entries, then the user's.

    Raises ConfigError with file, entry and field when a manifest does not fit or a name is taken twice.
    """
    entries = read_manifest(PACKAGE_MANIFEST)
    own = user_manifest()
    if own is not None:
        for name, entry in read_manifest(own).items():
            if name in entries:
                raise ConfigError(f"{own}: the name {name!r} is taken by a model of ReIDStream; choose another")
            entries[name] = entry
    return entries


def class_list(name: str) -> tuple[str, ...]:
    """One of the package's lists of class names. Raises ConfigError for a name that it does not have."""
    fields = _with_classes({"classes": name}, read_toml(PACKAGE_MANIFEST)["class_lists"], PACKAGE_MANIFEST, name)
    return tuple(fields["classes"])


def read_description(path: Path) -> dict[str, Any]:
    """The TOML file beside a model: fields of ModelSpec. ``classes`` may be the name of one of the package's lists."""
    lists = read_toml(PACKAGE_MANIFEST)["class_lists"]
    described: dict[str, Any] = _with_classes(read_toml(path), lists, path, path.stem)
    return described


def read_manifest(path: Path) -> dict[str, KnownModel]:
    """The entries of one manifest file: tables ``[models.NAME]`` with the fields of ModelSpec.

    ``classes`` may be the name of a list in the table ``[class_lists]``, of this file or of the package's.
    """
    data = read_toml(path)
    models, lists = data.get("models", {}), data.get("class_lists", {})
    unknown = sorted(set(data) - {"models", "class_lists"})
    if unknown or not isinstance(models, dict) or not isinstance(lists, dict):
        found = f"found {', '.join(map(repr, unknown))}" if unknown else "one of these is not a table"
        raise ConfigError(f"{path}: a manifest holds tables [models.NAME] and [class_lists] and nothing else; {found}")
    if path != PACKAGE_MANIFEST:
        lists = {**read_toml(PACKAGE_MANIFEST)["class_lists"], **lists}
    return {
        name: KnownModel(spec_from_table(_with_classes(fields, lists, path, name), path, name), path)
        for name, fields in models.items()
    }


def _with_classes(fields: Any, lists: Mapping[str, Any], path: Path, name: str) -> Any:
    if not isinstance(fields, Mapping) or not isinstance(fields.get("classes"), str):
        return fields
    if fields["classes"] not in lists:
        raise ConfigError(
            f"{path}: the classes of {name} are called {fields['classes']!r}, but [class_lists] has only "
            f"{', '.join(lists)}"
        )
    return {**fields, "classes": lists[fields["classes"]]}


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dictionary; ConfigError when it cannot be read."""
    try:
        return parsed_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None


def spec_from_table(fields: Any, path: Path, name: str) -> ModelSpec:
    """A ModelSpec from a table of ``path``; ConfigError lists every field that does not fit."""
    if not isinstance(fields, Mapping):
        raise ConfigError(f"{path}: {name} must be a table, found {fields!r}")
    try:
        return ModelSpec.model_validate({"name": name, **fields})
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(str(part) for part in e['loc']) or '(entry)'}: "
            + (f"no such key; {_meant(e['loc'])}" if e["type"] == "extra_forbidden" else e["msg"])
            for e in error.errors()
        )
        raise ConfigError(f"{path}: the description of {name} does not fit:\n{problems}") from None


def _meant(place: tuple[int | str, ...]) -> str:
    section = Preprocessing if "preprocessing" in place[:-1] else ModelSpec
    return did_you_mean(str(place[-1]), section.model_fields)
