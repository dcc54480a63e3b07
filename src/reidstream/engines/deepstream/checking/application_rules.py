"""Files of deepstream-app: sources, mux, networks and tracker in groups, each with paths from the file's own folder.

What is looked at is what decides whether people are found and embedded; every other group is said not to be checked.
Paths: deepstream-app makes all of them absolute from the folder of its file (get_absolute_file_path in
deepstream_config_file_parser.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reidstream.engines.deepstream.checking.config_file import ConfigFile, KeyLine
from reidstream.engines.deepstream.checking.findings import AddKey, Edit, Finding, SetLine, Severity
from reidstream.engines.deepstream.checking.inference_file import is_file, resolved
from reidstream.engines.deepstream.checking.tracker_rules import properties
from reidstream.engines.deepstream.keys import values
from reidstream.engines.deepstream.keys.nvinfer import APPLICATION_GROUPS

_GIE = re.compile(r"(primary|secondary)-gie\d*")
_SOURCE = re.compile(r"source\d+")
_OTHER = re.compile(r"(sink|message-|source-list|source-attr|osd|nvds-|pre-process|secondary-pre|ds-example|deep)\S*")
_RTSP = 4
"""The source type of deepstream-app that reads RTSP: 1 V4L2, 2 URI, 3 several URIs, 4 RTSP, 5 CSI."""


def is_application(file: ConfigFile) -> bool:
    """Whether a file is deepstream-app's: other groups than a tracker's, one of them the application's own."""
    names = [name for name, _ in file.groups]
    own = [n for n in names if n in APPLICATION_GROUPS or _GIE.fullmatch(n) or _SOURCE.fullmatch(n)]
    return bool(own) and "property" not in names


def application(file: ConfigFile) -> Iterator[Finding]:
    """Every group, looked at or said not to be."""
    sources = [name for name, _ in file.groups if _SOURCE.fullmatch(name) and _enabled(file, name)]
    for name, line in file.groups:
        if name == "tracker":
            if _enabled(file, name):
                yield from properties(file, application=True)
        elif _GIE.fullmatch(name):
            if _enabled(file, name):
                yield from _network(file, name, line)
        elif name == "streammux":
            yield from _mux(file, sources)
        elif _SOURCE.fullmatch(name):
            yield from _source(file, name, line)
        else:
            known = name in APPLICATION_GROUPS or _OTHER.fullmatch(name)
            cause = f"[{name}] is not checked" + ("" if known else ", nor is it a group that is known here")
            yield Finding(file.path, line, Severity.NOTE, "unchecked-group", cause, "nothing has to be done for it")
    if sources and not file.group_line("streammux"):
        cause = "there are sources, but no [streammux]: width, height and batch-size have no defaults"
        cure = "add [streammux] with batch-size, width and height"
        yield Finding(file.path, 0, Severity.ERROR, "mux", cause, cure)


def _enabled(file: ConfigFile, group: str) -> bool:
    entry = file.group(group).get("enable")
    return entry is None or values.truth(entry.value) is not False


def _network(file: ConfigFile, name: str, line: int) -> Iterator[Finding]:
    keys = file.group(name)
    config = keys.get("config-file")
    if config is None:
        cause = f"[{name}] names no config-file, so there is no network"
        yield Finding(file.path, line, Severity.ERROR, "no-model", cause, "set config-file to the nvinfer file")
        return
    path = resolved(file.path, config.value)
    if not is_file(path):
        cause = f"config-file names {path}, which does not exist on this machine"
        cure = "correct the path, or run the check where the pipeline runs"
        yield Finding(file.path, config.line, Severity.ERROR, "missing-file", cause, cure)
    else:
        cause = f"{path.name} is checked when it is given as well"
        cure = f"reidstream deepstream check {file.path} {path}"
        yield Finding(file.path, config.line, Severity.NOTE, "unchecked-group", cause, cure)
    number = keys.get("gie-unique-id")
    others = [n for n, _ in file.groups if _GIE.fullmatch(n) and n != name and _enabled(file, n)]
    same = [n for n in others if number is not None and _text(file, n, "gie-unique-id") == number.value]
    if number is not None and same and name > same[0]:
        cause = f"gie-unique-id={number.value} is also that of [{same[0]}]: their metadata cannot be told apart"
        yield Finding(file.path, number.line, Severity.ERROR, "unique-id", cause, "give every network its own number")


def _source(file: ConfigFile, name: str, line: int) -> Iterator[Finding]:
    keys = file.group(name)
    uri, kind = keys.get("uri"), keys.get("type")
    if not _enabled(file, name):
        return
    if uri is None and (kind is None or values.integer(kind.value) in (2, 3, _RTSP)):
        yield Finding(
            file.path, line, Severity.ERROR, "source", f"[{name}] has no uri", "set uri=file:///… or rtsp://…"
        )
    elif uri is not None and "://" not in uri.value and not uri.value.startswith("file:"):
        cause = f"uri={uri.value} is no address; deepstream-app takes file:///absolute/path or rtsp://…"
        yield Finding(file.path, uri.line, Severity.ERROR, "source", cause, "write it as an address")


def _mux(file: ConfigFile, sources: list[str]) -> Iterator[Finding]:
    line, keys = file.group_line("streammux"), file.group("streammux")
    live = [n for n in sources if _is_live(file, n)]
    entry = keys.get("live-source")
    if live and (entry is None or values.truth(entry.value) is not True):
        said = "missing" if entry is None else entry.value
        cause = (
            f"live-source is {said}, but [{live[0]}] is a camera: batches wait for files' timing and frames come late"
        )
        edits = _set(entry, "live-source", "1")
        yield Finding(
            file.path, entry.line if entry else line, Severity.WARNING, "mux", cause, "set live-source=1", edits
        )
    for key in ("width", "height"):
        if key not in keys:
            yield Finding(file.path, line, Severity.ERROR, "mux", f"{key} is missing and has no default", f"set {key}")
    count = sum(values.integer(_text(file, n, "num-sources") or "1") or 1 for n in sources)
    batch = keys.get("batch-size")
    size = values.integer(batch.value) if batch is not None else None
    if sources and (size is None or size < count):
        said = "missing" if size is None else str(size)
        cause = f"batch-size is {said} for {count} sources: frames of the others wait, and nvtracker mixes them up"
        edits = _set(batch, "batch-size", str(count))
        place = batch.line if batch else line
        yield Finding(file.path, place, Severity.WARNING, "mux", cause, f"set batch-size={count}", edits)


def _is_live(file: ConfigFile, name: str) -> bool:
    kind = values.integer(_text(file, name, "type"))
    return kind in (1, _RTSP, 5) or _text(file, name, "uri").lower().startswith(("rtsp://", "rtsps://"))


def _text(file: ConfigFile, group: str, key: str) -> str:
    entry = file.group(group).get(key)
    return "" if entry is None else entry.value


def _set(entry: KeyLine | None, key: str, value: str) -> tuple[Edit, ...]:
    return (SetLine(entry.line, key, value),) if entry is not None else (AddKey("streammux", key, value),)
