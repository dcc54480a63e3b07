"""Certificates of cameras over TLS, for the rtspsrc inside nvurisrcbin."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from reidstream.config import SourceConfig
from reidstream.errors import ConfigError
from reidstream.sources.certificates import ANY, over_tls, trusted_file


def trusting(config: SourceConfig) -> Callable[[Any, Any, Any], None] | None:
    """What a source's bin calls for each element that comes into it (deep-element-added), None where there is nothing
    to say: GStreamer itself asks this machine's list of who may sign.

    nvurisrcbin has no property for it. Raises ConfigError for a file without certificates, ConnectionRefused for none.
    """
    if not over_tls(config) or config.certificate is None:
        return None
    name, value = ("tls-validation-flags", 0) if config.certificate == ANY else ("tls-database", _database(config))

    def on_element(_bin: Any, _within: Any, element: Any) -> None:
        factory = element.get_factory()
        if factory is not None and factory.get_name() == "rtspsrc":
            element.set_property(name, value)

    return on_element


def _database(config: SourceConfig) -> Any:
    gio: Any = importlib.import_module("gi.repository.Gio")
    glib: Any = importlib.import_module("gi.repository.GLib")
    path = trusted_file(config)
    assert path is not None
    try:
        return gio.TlsFileDatabase.new(str(path.resolve()))
    except glib.Error as error:
        raise ConfigError(f"{path} holds no certificates that can be read ({error.message})") from None
