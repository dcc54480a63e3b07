"""The root of the configuration, and reading it from TOML and overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from reidstream.config.alerts import AlertConfig
from reidstream.config.base import Section
from reidstream.config.clips import ClipConfig
from reidstream.config.deepstream import DeepStreamConfig
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.config.live import LiveConfig
from reidstream.config.local import (
    DetectorConfig,
    EmbeddingConfig,
    LocalEngineConfig,
    TrackerConfig,
    TrackletConfig,
)
from reidstream.config.oidc import OidcConfig
from reidstream.config.redaction import redacted
from reidstream.config.retention import RetentionConfig
from reidstream.config.sources import SourceConfig
from reidstream.config.targets import TargetConfig
from reidstream.config.workers import WorkerConfig
from reidstream.errors import ConfigError
from reidstream.foreign_documents import parsed_toml
from reidstream.suggestions import did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Config(Section):
    """Everything that can be set. In TOML each section is a table, ``[[sources]]`` an array of tables."""

    sources: tuple[SourceConfig, ...] = Field(default=(), description="Cameras, files and folders to read.")
    detector: DetectorConfig = Field(default=DetectorConfig(), description="Finding people in a frame.")
    tracker: TrackerConfig = Field(default=TrackerConfig(), description="Joining boxes to tracks.")
    embedding: EmbeddingConfig = Field(default=EmbeddingConfig(), description="Which crops are embedded.")
    tracklets: TrackletConfig = Field(default=TrackletConfig(), description="Finishing tracks.")
    gallery: GalleryConfig = Field(default=GalleryConfig(), description="How a new gallery is kept.")
    identities: IdentityConfig = Field(default=IdentityConfig(), description="Deciding which tracklets are one person.")
    clips: ClipConfig = Field(default=ClipConfig(), description="Short clips of visits, beside the gallery.")
    targets: tuple[TargetConfig, ...] = Field(default=(), description="Who is told what happens, by a server.")
    alerts: AlertConfig = Field(default=AlertConfig(), description="Alerts, and how long they are kept.")
    retention: RetentionConfig = Field(default=RetentionConfig(), description="How long people are kept.")
    live: LiveConfig = Field(default=LiveConfig(), description="Live pictures on the server's page.")
    oidc: OidcConfig = Field(default=OidcConfig(), description="Signing in through an OpenID provider.")
    local: LocalEngineConfig = Field(default=LocalEngineConfig(), description="The local engine.")
    deepstream: DeepStreamConfig = Field(default=DeepStreamConfig(), description="The DeepStream engine.")
    workers: WorkerConfig = Field(default=WorkerConfig(), description="Workers that share a gallery on PostgreSQL.")


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """The configuration from a TOML file (or the defaults) with ``section.key=value`` overrides applied.

    Values of overrides are read as TOML (``true``, ``3``, ``"text"``); anything else counts as text.
    Raises ConfigError naming the file, the key, what is allowed and what was found.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = parsed_toml(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"no configuration file at {path}") from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} cannot be read as TOML: {error}") from None
    for override in overrides:
        _apply(data, override)
    return checked_config(data, str(path) if path else "the command line")


def checked_config(data: Mapping[str, Any], origin: str) -> Config:
    """``data`` as a Config; ConfigError lists every wrong key when it does not fit."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        problems = "\n".join(f"  {'.'.join(map(str, e['loc'])) or '(top)'}: {_trouble(e)}" for e in error.errors())
        raise ConfigError(redacted(f"the configuration from {origin} does not fit:\n{problems}")) from None


def _trouble(error: ErrorDetails) -> str:
    """What is wrong with one key, and for a key that is not known which one was probably meant."""
    *place, key = error["loc"] or ("",)
    if error["type"] == "missing":
        return "is needed, and is not there"
    if str(key).endswith("secret"):
        # What was written there may be the secret itself.
        return error["msg"]
    if error["type"] != "extra_forbidden":
        return f"{error['msg']} (found {error['input']!r})"
    known = list(_section_at(place).model_fields)
    homes = [path for path in _places(Config, "") if path.rpartition(".")[2] == key]
    if homes:
        return f"no such key here; did you mean {' or '.join(homes)}?"
    return f"no such key; {did_you_mean(str(key), known)}"


def _section_at(place: Sequence[int | str]) -> type[Section]:
    """The section that the path to a key leads to; numbers are places in arrays of tables."""
    section: type[Section] = Config
    for step in place:
        inner = _inner(section.model_fields[step]) if isinstance(step, str) and step in section.model_fields else None
        section = inner or section
    return section


def _inner(field: FieldInfo) -> type[Section] | None:
    candidates = (field.annotation, *get_args(field.annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, Section)), None)


def _places(section: type[Section], path: str) -> list[str]:
    """Every key below a section, as ``section.key``."""
    found = []
    for key, field in section.model_fields.items():
        inner = _inner(field)
        found += [f"{path}{key}"] if inner is None else _places(inner, f"{path}{key}.")
    return found


def _apply(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise ConfigError(f"an override must look like section.key=value, got {redacted(override)!r}")
    try:
        value = parsed_toml(f"value = {text}")["value"]
    except ValueError:
        value = text
    table = data
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r}: {part} is not a section")
        table = inner
    table[parts[-1]] = value
