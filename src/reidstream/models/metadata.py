"""What a prepared ONNX file says about itself: the keys of its ``metadata_props``, written and read here alone.

Each field of ModelSpec that describes the network becomes one property ``reidstream.<field>``: text as it is,
everything else as JSON. ``reidstream.metadata`` holds the version of these rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reidstream.errors import ModelMismatch
from reidstream.foreign_documents import parsed_json
from reidstream.models.spec import ModelSpec

PREFIX = "reidstream."
VERSION_KEY = PREFIX + "metadata"
VERSION = 1
# Where a file lies and what its checksum is cannot be said inside the file itself.
_OUTSIDE = {"file", "url", "sha256", "same_as", "format"}
_FIELDS = tuple(name for name in ModelSpec.model_fields if name not in _OUTSIDE)
_TEXT = {name for name in _FIELDS if ModelSpec.model_fields[name].annotation is str} | {"task"}


def metadata_of(spec: ModelSpec) -> dict[str, str]:
    """The properties that describe ``spec``; fields that say nothing are left out."""
    properties = {VERSION_KEY: str(VERSION)}
    for name in _FIELDS:
        value = spec.model_dump(mode="json")[name]
        if value not in ("", None, []):
            properties[PREFIX + name] = value if isinstance(value, str) else json.dumps(value)
    return properties


def spec_from_metadata(properties: Mapping[str, str], where: Path | str) -> ModelSpec | None:
    """The description that a file carries, or None if ReIDStream did not write one into it.

    Raises ModelMismatch when the description was damaged or written by a newer version.
    """
    version = properties.get(VERSION_KEY)
    if version is None:
        return None
    if version != str(VERSION):
        raise ModelMismatch(
            f"{where} carries a description of version {version}, this ReIDStream reads version {VERSION}: "
            "use a newer ReIDStream, or prepare the model again with this one"
        )
    fields: dict[str, Any] = {}
    try:
        for name in _FIELDS:
            text = properties.get(PREFIX + name)
            if text is not None:
                fields[name] = text if name in _TEXT else parsed_json(text)
        return ModelSpec.model_validate(fields)
    except (ValueError, ValidationError) as error:
        raise ModelMismatch(f"the description inside {where} is damaged: {error}") from None
