"""Values of configuration files as GLib's key files and nvinfer's YAML parser read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from reidstream.engines.deepstream.keys.nvinfer import Key

_INT = re.compile(r"[+-]?\d{1,18}")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_TRUE, _FALSE = ("1", "true"), ("0", "false")


def integer(text: str) -> int | None:
    """A decimal integer, or None."""
    return int(text) if _INT.fullmatch(text.strip()) else None


def number(text: str) -> float | None:
    """A finite decimal number, or None."""
    value = float(text) if _FLOAT.fullmatch(text.strip()) else math.inf
    return value if math.isfinite(value) else None


def truth(text: str) -> bool | None:
    """0, 1, true or false, as GLib has it; None otherwise."""
    word = text.strip()
    return True if word in _TRUE else False if word in _FALSE else None


def items(text: str) -> list[str]:
    """The parts of a list: ``a;b;`` in both formats, ``[a, b]`` in YAML."""
    text = text.strip()
    bracketed = text.startswith("[") and text.endswith("]")
    parts = text[1:-1].split(",") if bracketed else text.split(";")
    parts = [part.strip().strip("\"'") for part in parts]
    if parts and not parts[-1]:
        parts.pop()
    return parts


def flaw_of(key: Key, text: str, yaml: bool, nvinfer: bool = True) -> tuple[str, str | None] | None:
    """What is wrong with a value, as (cause, value that was probably meant or None); None when it is right."""
    word = text.strip()
    if not word and key.kind != "text":
        return f"{key.name} has no value", None
    if key.kind == "bool":
        return _bool_flaw(key, word, yaml, nvinfer)
    if key.kind == "int":
        return _number_flaw(key, word, integer(word), "a whole number")
    if key.kind == "float":
        return _number_flaw(key, word, number(word), "a number")
    if key.kind in ("ints", "floats"):
        return _list_flaw(key, word, nvinfer)
    return None


def _bool_flaw(key: Key, word: str, yaml: bool, nvinfer: bool) -> tuple[str, str | None] | None:
    value = truth(word)
    loose = {"yes": "1", "on": "1", "true": "1", "no": "0", "off": "0", "false": "0"}.get(word.lower())
    if yaml and nvinfer:
        # nvinfer's YAML parser reads booleans with std::stoi, which throws at "true" and ends the process.
        if word not in ("0", "1"):
            return f"{key.name} must be 0 or 1 in YAML, found {word!r}; a word ends the process", loose
    elif yaml:
        return None if value is not None or loose is not None else (f"{key.name} must be 0 or 1, found {word!r}", None)
    if value is None:
        return f"{key.name} must be 0, 1, true or false, found {word!r}", loose
    return None


def _number_flaw(key: Key, word: str, value: float | None, what: str) -> tuple[str, str | None] | None:
    if value is None:
        return f"{key.name} must be {what}, found {word!r}", _meant(key, word)
    if key.choices and value not in key.choices:
        return f"{key.name} must be one of {', '.join(map(str, key.choices))}, found {word}", None
    return _range_flaw(key, value, word)


_WORDS: Mapping[str, Mapping[str, str]] = {
    "network-mode": {"fp32": "0", "int8": "1", "fp16": "2", "best": "3", "float32": "0", "float16": "2", "half": "2"},
    "networkMode": {"fp32": "0", "fp16": "1", "int8": "2", "float32": "0", "float16": "1", "half": "1"},
    "network-type": {"detector": "0", "classifier": "1", "segmentation": "2", "other": "100"},
    "process-mode": {"primary": "1", "secondary": "2"},
    "model-color-format": {"rgb": "0", "bgr": "1", "gray": "2", "grey": "2"},
    "scaling-filter": {"nearest": "0", "bilinear": "1", "cubic": "2", "lanczos": "4"},
    "network-input-order": {"nchw": "0", "nhwc": "1"},
}
_FRACTION = re.compile(r"([\d.]+) ?/ ?([\d.]+)")


def _meant(key: Key, word: str) -> str | None:
    """The number that a word, a fraction or a number with something behind it stands for; None when unclear."""
    named = _WORDS.get(key.name, {}).get(word.lower())
    if named is not None:
        return named
    fraction = _FRACTION.fullmatch(word)
    if fraction is not None and key.kind == "float":
        above, below = number(fraction[1]), number(fraction[2])
        return f"{above / below:.12g}" if above is not None and below else None
    bare = word.rstrip(";,f \t")
    if key.kind == "float" and re.fullmatch(r"\d+,\d+", bare):
        bare = bare.replace(",", ".")
    if key.kind == "int" and re.fullmatch(r"\d+\.0*", bare):
        bare = bare.partition(".")[0]
    read = integer(bare) if key.kind == "int" else number(bare)
    return bare if read is not None else None


def _range_flaw(key: Key, value: float, word: str) -> tuple[str, str | None] | None:
    low, high = key.low, key.high
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    if low is not None and high is not None:
        return f"{key.name} must lie between {low:g} and {high:g}, found {word}", None
    bound = f"at least {low:g}" if low is not None else f"at most {high:g}"
    return f"{key.name} must be {bound}, found {word}", None


def _list_flaw(key: Key, word: str, nvinfer: bool) -> tuple[str, str | None] | None:
    read = integer if key.kind == "ints" else number
    parts = items(word)
    values = [read(part) for part in parts]
    if any(value is None for value in values):
        loose = [part for part in re.split(r"[\s,;:\[\]]+", word) if part]
        meant = ";".join(loose) if nvinfer and all(read(part) is not None for part in loose) else None
        return f"{key.name} must be numbers with ; between them, found {word!r}", meant
    if nvinfer and word.startswith("["):
        return f"{key.name} must be numbers with ; between them also in YAML, found {word!r}", ";".join(parts)
    if key.length is not None and len(values) != key.length:
        return f"{key.name} must have {key.length} numbers, found {len(values)} ({word})", None
    for value in values:
        if value is not None and (flaw := _range_flaw(key, value, f"{value:g} in {word!r}")):
            return flaw
    return None
