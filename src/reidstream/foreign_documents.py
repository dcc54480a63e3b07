"""Reading TOML and JSON that others wrote: whatever is wrong with a document is a ValueError."""

from __future__ import annotations

import json
import tomllib
from typing import Any


def parsed_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML document. Raises ValueError, also where it is nested deeper than Python can follow."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parsed_json(text: str | bytes) -> Any:
    """The value of a JSON document. Raises ValueError, also where it is nested deeper than Python can follow."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
