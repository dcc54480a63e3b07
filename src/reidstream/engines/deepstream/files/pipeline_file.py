"""The pipeline as a file for people: each element with its properties, and a command line to try it by hand."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from reidstream.config.deepstream import PropertyValue


def pipeline_text(elements: Mapping[str, Mapping[str, PropertyValue]]) -> str:
    """TOML with one table per element, below the same pipeline for gst-launch-1.0."""
    lines = [
        "# Rendered by `reidstream deepstream config`. The same pipeline by hand, without the embeddings being read:",
        "#   " + launch_line(elements),
    ]
    for name, properties in elements.items():
        lines += ["", f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in properties.items())]
    return "\n".join(lines) + "\n"


def launch_line(elements: Mapping[str, Mapping[str, PropertyValue]]) -> str:
    """gst-launch-1.0 for one source, which the user puts in the place of URI."""
    chain = [
        _element("nvstreammux name=mux", elements["nvstreammux"]),
        "queue",
        _element("nvinfer", elements["pgie"]),
        "queue",
        _element("nvtracker", elements["nvtracker"]),
    ]
    if "sgie" in elements:
        chain += ["queue", _element("nvinfer", elements["sgie"])]
    chain.append("fakesink sync=0 async=0")
    source = _element("nvurisrcbin", {"uri": "URI", **elements["nvurisrcbin"]})
    return f"gst-launch-1.0 {source} ! mux.sink_0 {' ! '.join(chain)}"


def _element(name: str, properties: Mapping[str, PropertyValue]) -> str:
    return " ".join([name, *(f"{key}={shlex.quote(_plain(value))}" for key, value in properties.items())])


def _plain(value: PropertyValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: PropertyValue) -> str:
    return json.dumps(value, ensure_ascii=False)
