"""Passwords that are not written down where others look: in addresses, by the name of a file or of a variable.

``rtsp://viewer:{env:CAMERA_PASSWORD}@10.0.0.5/stream`` and ``postgresql://shop:{file:/run/secrets/db}@host/name`` stay
like that wherever an address is kept, shown or exported; only who connects fills the password in.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from reidstream.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{(?P<kind>env|file):(?P<name>[^{}]+)\}")


def filled_in(address: str) -> str:
    """The address with the secrets that it names in their places, percent-encoded, so that any character will do.

    Never to be shown or stored. Raises ConfigError for a variable that is not set and a file that cannot be read.
    """
    return _PLACEHOLDER.sub(lambda found: quote(secret(found["kind"], found["name"]), safe=""), address)


def without_secrets(address: str) -> str:
    """The address with ``***`` in the places of the secrets that it names, as if they were hidden ones."""
    return _PLACEHOLDER.sub("***", address)


def checked_place(value: str | None) -> str | None:
    """Where a setting says that a secret stands, ``env:NAME`` or ``file:PATH``. Raises ValueError for anything else."""
    if value is not None and not value.startswith(("env:", "file:")):
        # What was written here may be the secret itself.
        raise ValueError("must say where the secret stands: env:NAME or file:PATH")
    return value


def secret(kind: str, name: str) -> str:
    """The secret in an environment variable (kind env) or in a file, without the line's end (kind file).

    Raises ConfigError when there is none.
    """
    if kind == "env":
        value = os.environ.get(name, "")
        if not value:
            raise ConfigError(f"the environment variable {name} holds no secret")
        return value
    try:
        value = Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"the file {name} with a secret cannot be read: {reason}") from None
    if not value:
        raise ConfigError(f"the file {name} holds no secret")
    return value
