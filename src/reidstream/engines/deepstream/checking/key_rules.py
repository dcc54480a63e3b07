"""Keys that nvinfer and nvtracker do not know, know under another name, or find with a wrong value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from reidstream.engines.deepstream.checking.config_file import YAML_SUFFIXES, ConfigFile, KeyLine
from reidstream.engines.deepstream.checking.findings import AddKey, Edit, Finding, RemoveLine, SetLine, Severity
from reidstream.engines.deepstream.keys import values
from reidstream.engines.deepstream.keys.nvinfer import (
    APPLICATION_GROUPS,
    CLASS_KEYS,
    ELSEWHERE,
    LEGACY,
    NEWER,
    PROPERTY_KEYS,
    RENAMED,
    Key,
)
from reidstream.engines.deepstream.keys.nvtracker import NEWER_KEYS, SECTIONS, UNCHECKED


def syntax(file: ConfigFile) -> Iterator[Finding]:
    """Lines that the real parser refuses, keys given twice, and a name that chooses the wrong parser."""
    for flaw in file.flaws:
        edits: tuple[Edit, ...] = ()
        if flaw.replacement is not None:
            edits = (SetLine(flaw.line, *flaw.replacement),)
        elif flaw.removable:
            edits = (RemoveLine(flaw.line),)
        severity = Severity.ERROR if flaw.fatal else Severity.WARNING
        yield Finding(file.path, flaw.line, severity, "syntax", flaw.cause, flaw.cure, edits)
    for earlier, later in file.repeated():
        yield Finding(
            file.path,
            earlier.line,
            Severity.WARNING,
            "repeated-key",
            f"{earlier.key} is given again in line {later.line}, and only the last one counts",
            "keep one of them",
            (RemoveLine(earlier.line),),
        )


def nvinfer_name(file: ConfigFile) -> Iterator[Finding]:
    """nvinfer chooses its parser by the file's name alone."""
    by_name = file.path.suffix in YAML_SUFFIXES
    if by_name != file.yaml:
        written, read = ("YAML", "a key file") if file.yaml else ("a key file", "YAML")
        yield Finding(
            file.path,
            0,
            Severity.ERROR,
            "file-name",
            f"the file is written as {written}, but nvinfer reads it as {read} because of its name",
            "name it .yml" if file.yaml else "name it .txt",
        )


def nvinfer_keys(file: ConfigFile) -> Iterator[Finding]:
    """Unknown, misplaced and legacy keys and groups of an nvinfer file, and values out of range."""
    for name, line in file.groups:
        if name != "property" and not name.startswith("class-attrs-"):
            yield _unknown_group(file, name, line)
    for entry in file.entries:
        if entry.group == "property":
            yield from _nvinfer_key(file, entry, PROPERTY_KEYS, CLASS_KEYS, "class-attrs-all")
        elif entry.group.startswith("class-attrs-"):
            yield from _nvinfer_key(file, entry, CLASS_KEYS, PROPERTY_KEYS, "property")


def _unknown_group(file: ConfigFile, name: str, line: int) -> Finding:
    close = get_close_matches(name.lower(), ["property", "class-attrs-all"], 1, 0.75)
    if close:
        cause, cure = f"nvinfer does not know a group {name!r} and ignores it", f"call it {close[0]}"
    elif name in APPLICATION_GROUPS or re.fullmatch(r"(source|sink|primary-gie|secondary-gie|message-)\S*", name):
        cause = f"{name} is a group of a deepstream-app file, which nvinfer does not read"
        cure = "check the files that its config-file keys name"
    else:
        cause, cure = f"nvinfer does not know a group {name!r} and ignores it", "move its keys to [property]"
    return Finding(file.path, line, Severity.WARNING, "unknown-group", cause, cure)


def _nvinfer_key(
    file: ConfigFile, entry: KeyLine, known: Mapping[str, Key], other: Mapping[str, Key], other_group: str
) -> Iterator[Finding]:
    key = known.get(entry.key)
    group = f"[{entry.group}]"
    if entry.key in LEGACY and (key is not None):
        yield _legacy(file, entry)
        return
    if key is not None:
        flaw = values.flaw_of(key, entry.value, file.yaml)
        if flaw is not None:
            edits: tuple[Edit, ...] = () if flaw[1] is None else (SetLine(entry.line, entry.key, flaw[1]),)
            cure = f"write {flaw[1]}" if flaw[1] is not None else "correct the value; nvinfer stops at this line"
            yield Finding(file.path, entry.line, Severity.ERROR, "value", flaw[0], cure, edits)
    elif entry.key in other:
        yield Finding(
            file.path,
            entry.line,
            Severity.WARNING,
            "misplaced-key",
            f"{entry.key} belongs to [{other_group}] and is ignored in {group}",
            f"move it to [{other_group}]",
            (RemoveLine(entry.line), AddKey(other_group, entry.key, entry.value)),
        )
    elif entry.key in ELSEWHERE:
        renamed, newer = RENAMED.get(entry.key), entry.key in NEWER
        value = entry.value.replace(":", ";") if renamed == "operate-on-class-ids" else entry.value
        yield Finding(
            file.path,
            entry.line,
            Severity.WARNING,
            "misplaced-key",
            f"{entry.key} is ignored in {group}: {ELSEWHERE[entry.key]}",
            f"use {renamed}" if renamed else "leave it for DeepStream 9" if newer else "remove it here",
            _unless_given(file, entry, renamed, value) if renamed else () if newer else (RemoveLine(entry.line),),
        )
    else:
        close = get_close_matches(entry.key.lower().replace("_", "-"), [*known, *other], 1, 0.8)
        cause = f"nvinfer does not know {entry.key!r} in {group}; it prints a line and ignores it"
        if not close:
            cure = "remove it, or look for the right name in docs/deepstream-details.md"
            yield Finding(file.path, entry.line, Severity.WARNING, "unknown-key", cause, cure)
            return
        meant = close[0]
        edits = _unless_given(file, entry, meant, entry.value) if meant in known and _same(meant, entry.key) else ()
        yield Finding(file.path, entry.line, Severity.WARNING, "unknown-key", cause, f"did you mean {meant}?", edits)


def _same(known: str, written: str) -> bool:
    """Whether two names differ in case, hyphens and underscores only: then it is no guess which one is meant."""
    return known.lower().replace("-", "").replace("_", "") == written.lower().replace("-", "").replace("_", "")


def _unless_given(file: ConfigFile, entry: KeyLine, key: str, value: str) -> tuple[Edit, ...]:
    """Rename a key, or take it out when the right one is there already."""
    if key in file.group(entry.group):
        return (RemoveLine(entry.line),)
    return (SetLine(entry.line, key, value),)


def _legacy(file: ConfigFile, entry: KeyLine) -> Finding:
    legacy = LEGACY[entry.key]
    severity = Severity.ERROR if legacy.fatal else Severity.WARNING
    edits: tuple[Edit, ...] = ()
    if legacy.removable:
        edits = (RemoveLine(entry.line),)
    elif legacy.replacement is not None:
        value = entry.value
        if entry.key in ("is-classifier", "enable-dbscan"):
            value = "1" if values.truth(value) else ("0" if entry.key == "is-classifier" else "2")
        elif entry.key in ("input-dims", "uff-input-dims"):
            value = ";".join(values.items(value)[:3])
        edits = _unless_given(file, entry, legacy.replacement, value)
    return Finding(file.path, entry.line, severity, "legacy-key", legacy.cause, legacy.cure, edits)


def nvtracker_keys(file: ConfigFile) -> Iterator[Finding]:
    """Unknown and misplaced sections and keys of a tracker file, and values out of range."""
    homes: dict[str, list[str]] = {}
    for section, keys in SECTIONS.items():
        for name in keys:
            homes.setdefault(name, []).append(section)
    for name, line in file.groups:
        if name not in SECTIONS:
            close = get_close_matches(name, list(SECTIONS), 1, 0.6)
            cause = f"the tracker library has no section {name!r} and ignores all of it"
            cure = f"did you mean {close[0]}?" if close else f"it knows {', '.join(SECTIONS)}"
            yield Finding(file.path, line, Severity.WARNING, "unknown-group", cause, cure)
    for entry in file.entries:
        if entry.group not in SECTIONS or entry.group in UNCHECKED:
            continue
        keys = SECTIONS[entry.group]
        key = keys.get(entry.key)
        if key is not None:
            flaw = values.flaw_of(key, entry.value, yaml=True, nvinfer=False)
            if flaw is not None:
                yield Finding(file.path, entry.line, Severity.ERROR, "value", flaw[0], "correct the value")
        elif entry.key in homes:
            places = homes[entry.key]
            edits = (RemoveLine(entry.line), AddKey(places[0], entry.key, entry.value)) if len(places) == 1 else ()
            cause = f"{entry.key} belongs to {' or '.join(places)} and is ignored in {entry.group}"
            cure = f"move it to {places[0]}"
            yield Finding(file.path, entry.line, Severity.WARNING, "misplaced-key", cause, cure, edits)
        elif entry.key in NEWER_KEYS:
            cause = f"{entry.key} is read by DeepStream 9's tracker; that of 8.0 ignores it without a word"
            cure = "leave it for DeepStream 9"
            yield Finding(file.path, entry.line, Severity.NOTE, "newer-key", cause, cure)
        else:
            close = get_close_matches(entry.key, [*keys, *homes], 1, 0.8)
            cause = f"the tracker library does not know {entry.key!r} in {entry.group} and ignores it without a word"
            cure = f"did you mean {close[0]}?" if close else "look for the right name in the guide of your version"
            same = bool(close) and close[0] in keys and _same(close[0], entry.key)
            rename = _unless_given(file, entry, close[0], entry.value) if same else ()
            yield Finding(file.path, entry.line, Severity.WARNING, "unknown-key", cause, cure, rename)
