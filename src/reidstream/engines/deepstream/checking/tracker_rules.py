"""What a tracker's file says about the end of tracks and about its own Re-ID network."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from reidstream.engines.deepstream.checking.config_file import ConfigFile, KeyLine
from reidstream.engines.deepstream.checking.findings import AddKey, Edit, Finding, RemoveLine, SetLine, Severity
from reidstream.engines.deepstream.checking.inference_file import NVIDIA, is_file, is_folder, resolved
from reidstream.engines.deepstream.files.nvtracker_config import BATCHES_HELD, USUAL_POOL, reserved_for_ended
from reidstream.engines.deepstream.keys import values
from reidstream.engines.deepstream.keys.nvtracker import GONE_PROPERTIES, NEWER_PROPERTIES, PROPERTIES

# Twice what NVIDIA's own files have.
_MANY_TARGETS = 300


def track_ends(file: ConfigFile) -> Iterator[Finding]:
    """Whether the tracker says which tracks are over."""
    target = file.group("TargetManagement")
    terminated = target.get("outputTerminatedTracks")
    shadow = target.get("outputShadowTracks")
    if terminated is None or not _on(terminated):
        yield Finding(
            file.path,
            terminated.line if terminated else file.group_line("TargetManagement"),
            Severity.NOTE,
            "terminated-tracks",
            "outputTerminatedTracks is off: tracks are closed by time-out instead of by the tracker's own word",
            "set TargetManagement.outputTerminatedTracks: 1",
            _set(file, "TargetManagement", "outputTerminatedTracks", "1"),
        )
        others = [target.get("enablePastFrame"), file.group("ReID").get("outputReidTensor")]
        if shadow is not None and _on(shadow) and not any(entry and _on(entry) for entry in others):
            cause = "outputShadowTracks alone gets no buffers and gives nothing"
            cure = "turn on outputTerminatedTracks as well"
            edits = _set(file, "TargetManagement", "outputTerminatedTracks", "1")
            yield Finding(file.path, shadow.line, Severity.WARNING, "shadow-tracks", cause, cure, edits)
    elif (targets := _whole(target.get("maxTargetsPerStream"))) and targets > _MANY_TARGETS:
        reserved = reserved_for_ended(USUAL_POOL, 1, targets) / 2**30
        cause = (
            f"nvtracker reserves the history of {targets} targets in each of its {USUAL_POOL} lists of ended tracks: "
            f"{reserved:.1f} GiB of address space for each source"
        )
        cure = f"set nvtracker's user-meta-pool-size to {BATCHES_HELD}, or lower maxTargetsPerStream"
        yield Finding(file.path, target["maxTargetsPerStream"].line, Severity.NOTE, "ended-memory", cause, cure)
    age = target.get("maxShadowTrackingAge")
    if age is not None and values.integer(age.value) == 0:
        cause = "maxShadowTrackingAge: 0 ends a track at the first missed detection, so people fall into many tracks"
        cure = "set it to the number of frames for which a person may be hidden (one to two seconds)"
        yield Finding(file.path, age.line, Severity.WARNING, "shadow-age", cause, cure)


def reid(file: ConfigFile) -> Iterator[Finding]:
    """The tracker's own network: precision codes, files, sizes."""
    section = file.group("ReID")
    kind = section.get("reidType")
    if kind is None or values.integer(kind.value) in (None, 0):
        tensor = section.get("outputReidTensor")
        if tensor is not None and _on(tensor):
            cause, cure = (
                "outputReidTensor is on, but reidType is 0: there is no network to give vectors",
                "set reidType: 2",
            )
            edits = _set(file, "ReID", "reidType", "2")
            yield Finding(file.path, tensor.line, Severity.ERROR, "tracker-reid", cause, cure, edits)
        return
    mode = section.get("networkMode")
    engine = section.get("modelEngineFile")
    built = engine is not None and (is_file(resolved(file.path, engine.value)) or "int8" in engine.value.lower())
    if mode is not None and values.integer(mode.value) == 2 and "calibrationTableFile" not in section and not built:
        yield Finding(
            file.path,
            mode.line,
            Severity.ERROR,
            "tracker-precision",
            "networkMode: 2 is INT8 here (nvinfer's network-mode=2 is FP16), and there is no calibrationTableFile",
            "set networkMode: 1 for FP16",
            (SetLine(mode.line, mode.key, "1"),),
        )
    if not {"onnxFile", "tltEncodedModel", "modelEngineFile"} & set(section):
        cause = f"reidType is {kind.value}, but no onnxFile is named"
        yield Finding(file.path, kind.line, Severity.ERROR, "tracker-reid", cause, "set onnxFile to the Re-ID model")
    for name in ("onnxFile", "tltEncodedModel", "calibrationTableFile"):
        entry = section.get(name)
        if entry is not None and entry.value and not is_file(path := resolved(file.path, entry.value)):
            cause = f"{name} names {path}, which does not exist on this machine"
            cure = "correct the path, or run the check where the pipeline runs"
            if name == "tltEncodedModel":
                cure = "the 8.0 images do not ship it: download it, or name an ONNX model in onnxFile"
            yield Finding(file.path, entry.line, Severity.ERROR, "missing-file", cause, cure)
    offsets, dims = section.get("offsets"), section.get("inferDims")
    channels = values.integer(values.items(dims.value)[0]) if dims and values.items(dims.value) else 3
    if offsets is not None and channels is not None and len(values.items(offsets.value)) != channels:
        cause = f"offsets has {len(values.items(offsets.value))} numbers for {channels} channels"
        yield Finding(file.path, offsets.line, Severity.ERROR, "offsets-count", cause, f"give {channels} numbers")


def estimator(file: ConfigFile) -> Iterator[Finding]:
    """The one state estimator that needs a second section."""
    kind = file.group("StateEstimator").get("stateEstimatorType")
    if kind is not None and values.integer(kind.value) == 3 and not file.group_line("ObjectModelProjection"):
        cause = "stateEstimatorType: 3 tracks in world coordinates and needs ObjectModelProjection with camera models"
        cure = "use 1 or 2, or add the section"
        yield Finding(file.path, kind.line, Severity.ERROR, "estimator", cause, cure)


def properties(file: ConfigFile, application: bool = False) -> Iterator[Finding]:
    """[tracker] of a file from which an application sets nvtracker's properties.

    application: the file is deepstream-app's, whose paths count from its own folder.
    """
    keys = file.group("tracker")
    for entry in keys.values():
        if entry.key in GONE_PROPERTIES:
            cause = f"nvtracker of DeepStream 8.0 has no property {entry.key}: {GONE_PROPERTIES[entry.key]}"
            newer = entry.key in NEWER_PROPERTIES
            edits: tuple[Edit, ...] = () if newer else (RemoveLine(entry.line),)
            cure = "leave it for DeepStream 9" if newer else "remove it"
            yield Finding(file.path, entry.line, Severity.WARNING, "legacy-key", cause, cure, edits)
        elif entry.key not in PROPERTIES:
            close = get_close_matches(entry.key, PROPERTIES, 1, 0.8)
            cause = f"nvtracker has no property {entry.key!r}"
            cure = f"did you mean {close[0]}?" if close else f"it has {', '.join(PROPERTIES)}"
            same = bool(close) and close[0].replace("-", "") == entry.key.lower().replace("_", "").replace("-", "")
            edits = (SetLine(entry.line, close[0], entry.value),) if same and close[0] not in keys else ()
            yield Finding(file.path, entry.line, Severity.WARNING, "unknown-key", cause, cure, edits)
        elif flaw := values.flaw_of(PROPERTIES[entry.key], entry.value, file.yaml):
            yield Finding(file.path, entry.line, Severity.ERROR, "value", flaw[0], "correct the value")
    for key in ("ll-lib-file", "ll-config-file"):
        if key not in keys:
            cause = f"{key} is missing, and nvtracker does not start without it"
            line = file.group_line("tracker")
            yield Finding(file.path, line, Severity.ERROR, "no-tracker", cause, f"set {key} to an absolute path")
            continue
        entry = keys[key]
        for name in values.items(entry.value):
            path = resolved(file.path, name)
            if not is_file(path):
                cause = f"{key} names {path}, which does not exist on this machine"
                cure = "correct the path, or run the check where the pipeline runs"
                elsewhere = path.is_relative_to(NVIDIA) and not is_folder(NVIDIA)
                severity = Severity.NOTE if elsewhere else Severity.ERROR
                yield Finding(file.path, entry.line, severity, "missing-file", cause, cure)
            elif not name.startswith("/") and not application:
                cause = f"{key} is relative: set on the element itself it counts from the working directory"
                edits = (SetLine(entry.line, key, str(path)),)
                yield Finding(file.path, entry.line, Severity.WARNING, "relative-path", cause, f"write {path}", edits)


def _on(entry: KeyLine) -> bool:
    return bool(values.truth(entry.value))


def _whole(entry: KeyLine | None) -> int:
    return 0 if entry is None else values.integer(entry.value) or 0


def _set(file: ConfigFile, section: str, key: str, value: str) -> tuple[Edit, ...]:
    entry = file.group(section).get(key)
    return (SetLine(entry.line, key, value),) if entry is not None else (AddKey(section, key, value),)
