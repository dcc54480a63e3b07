"""Files of other elements that are taken for nvinfer's, since they have a [property] group, too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from reidstream.engines.deepstream.checking.config_file import ConfigFile
from reidstream.engines.deepstream.checking.findings import Finding, Severity

_KNOWN_BY = {
    "nvdspreprocess": {
        *("target-unique-ids", "network-input-shape", "processing-width", "custom-tensor-preparation-function"),
    },
    "nvdsmetamux": {"active-pad", "pts-tolerance"},
    "nvdsanalytics": {"config-width", "osd-mode"},
    "nvdewarper": {"aisle-calibration-file", "spot-calibration-file", "num-batch-buffers", "output-width"},
}
"""Elements, and keys of [property] that only they have."""
_MUX = frozenset({"algorithm-type", "adaptive-batching", "max-fps-control", "max-same-source-frames", "batch-size"})
_MUX_RATES = frozenset(f"overall-{end}-fps-{part}" for end in ("max", "min") for part in "nd")
_MUX_KEYS = _MUX | _MUX_RATES | {"enable-source-rate-control"}
"""All that the new nvstreammux reads in [property] (MuxConfigParser.h, DeepStream 8.0 and 9.1)."""
_PROTOBUF = re.compile(r"\s*infer_config\s*\{")


def other_element(file: ConfigFile) -> str | None:
    """The element whose file this is, None when it is none of them."""
    if any(_PROTOBUF.match(line) for line in file.lines):
        return "nvinferserver (Triton)"
    keys = file.group("property").keys()
    return next((element for element, known in _KNOWN_BY.items() if known & keys), None)


def is_of_mux(file: ConfigFile) -> bool:
    """Whether it is the new nvstreammux's, as `deepstream config` writes it."""
    return bool((_MUX_KEYS - {"batch-size"}) & file.group("property").keys())


def mux(file: ConfigFile) -> Iterator[Finding]:
    """What the new nvstreammux does not read, or reads as nothing."""
    entries = file.group("property")
    for entry in entries.values():
        if entry.key not in _MUX_KEYS:
            close = get_close_matches(entry.key, _MUX_KEYS, 1)
            cause = f"the new nvstreammux does not know {entry.key!r} in [property]; it prints a line and ignores it"
            cure = f"did you mean {close[0]}?" if close else f"it has {', '.join(sorted(_MUX_KEYS))}"
            yield Finding(file.path, entry.line, Severity.WARNING, "unknown-key", cause, cure)
        elif not re.fullmatch(r"-?\d+", entry.value):
            cause = f"{entry.key} takes a whole number, found {entry.value}; the usual one is used in its place"
            yield Finding(file.path, entry.line, Severity.ERROR, "value", cause, "correct the value")
        elif entry.key in _MUX_RATES and int(entry.value) <= 0:
            cause = f"{entry.key} is a part of a rate and must be above 0, found {entry.value}"
            yield Finding(file.path, entry.line, Severity.ERROR, "value", cause, "correct the value")
