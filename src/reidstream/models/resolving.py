"""From the name or path in a configuration to a model file on this machine and its description."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from reidstream.errors import ModelMismatch, ModelNotFound
from reidstream.models.checksum import file_sha256
from reidstream.models.detectors import completed
from reidstream.models.manifest import MIRROR_VARIABLE, KnownModel, load_manifest, read_description, spec_from_table
from reidstream.models.metadata import spec_from_metadata
from reidstream.models.spec import ModelSpec, ResolvedModel
from reidstream.suggestions import did_you_mean

Task = Literal["reid", "detector"]
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_CHECKPOINTS = {".pt", ".pth", ".tar", ".ckpt", ".safetensors"}


def name_for_others(model: str) -> str:
    """Under which a model is found by whoever stands in another folder: its name, or a file's full path."""
    return str(Path(model).resolve()) if Path(model).is_file() else model


def resolve_model(name_or_path: str, task: Task) -> ResolvedModel:
    """The model behind a manifest name or the path of an ONNX file.

    A name is looked for in the package, the mirror folder and the cache; its checksum is verified. A path is
    described by the manifest entry with the same sha256, else by the metadata inside the file, else by a TOML
    file beside it (``model.onnx.toml``); preprocessing is never guessed.

    Raises ModelNotFound when there is no such entry or file, ModelMismatch when checksum, task or format are not
    the expected ones or when nothing describes the file.
    """
    entries = load_manifest()
    entry = entries.get(name_or_path)
    if entry is not None:
        model = resolve_entry(entry)
    elif _looks_like_path(name_or_path):
        model = _resolve_path(Path(name_or_path).expanduser(), task, entries)
    else:
        raise _unknown(name_or_path, entries)
    if model.spec.task != task:
        raise ModelMismatch(
            f"{name_or_path} is a {_TASKS[model.spec.task]}, but a {_TASKS[task]} is needed here ({model.path})"
        )
    if model.spec.format != "onnx":
        raise _is_checkpoint(model.path)
    return model


def resolve_entry(entry: KnownModel) -> ResolvedModel:
    """The file of a manifest entry, its checksum verified. Raises ModelNotFound and ModelMismatch."""
    path = entry.found()
    if path is None:
        raise ModelNotFound(_missing(entry))
    found = file_sha256(path)
    expected = entry.spec.sha256
    if expected is not None and found != expected:
        raise ModelMismatch(
            f"{path} is not the file that the manifest describes as {entry.spec.name}: sha256 {expected} expected, "
            f"{found} found; remove it"
            + (f" and run `reidstream models fetch {entry.spec.name}`" if entry.spec.url else "")
        )
    return ResolvedModel(entry.spec, path, found)


def describe_path(text: str) -> ResolvedModel:
    """The model file at a path, whatever its task. Raises ModelNotFound and ModelMismatch as resolve_model does."""
    if not _looks_like_path(text):
        raise _unknown(text, load_manifest())
    return _resolve_path(Path(text).expanduser(), "reid", load_manifest())


def _unknown(name: str, entries: dict[str, KnownModel]) -> ModelNotFound:
    return ModelNotFound(
        f"no model is called {name!r}, and there is no such file; {did_you_mean(name, entries)} "
        "(`reidstream models list` shows the known ones)"
    )


_TASKS = {"reid": "Re-ID model", "detector": "detector"}


def _missing(entry: KnownModel) -> str:
    name = entry.spec.name
    if entry.spec.url is not None:
        return (
            f"{name} is not on this machine: run `reidstream models fetch {name}`, or put {entry.file_name} into "
            f"the folder that {MIRROR_VARIABLE} names"
        )
    looked = ", ".join(str(place) for place in entry.places())
    return (
        f"{name} is not on this machine and has no address to fetch it from: put {entry.file_name} into the folder "
        f"that {MIRROR_VARIABLE} names (looked at {looked})"
    )


def _looks_like_path(text: str) -> bool:
    return "/" in text or "\\" in text or Path(text).suffix.lower() in {".onnx", *_CHECKPOINTS} or Path(text).is_file()


def _resolve_path(path: Path, task: Task, entries: dict[str, KnownModel]) -> ResolvedModel:
    if not path.is_file():
        raise ModelNotFound(f"there is no {'file in the folder' if path.is_dir() else 'model file at'} {path}")
    sha256 = file_sha256(path)
    known = next((entry.spec for entry in entries.values() if sha256 in entry.spec.checksums), None)
    if known is not None:
        return ResolvedModel(known, path, sha256)
    if path.suffix.lower() in _CHECKPOINTS:
        raise _is_checkpoint(path)
    spec = describe_file(path, task)
    if spec.checksums and sha256 not in spec.checksums:
        raise ModelMismatch(
            f"{path}: the file beside it describes sha256 {' or '.join(spec.checksums)}, {sha256} found"
        )
    return ResolvedModel(spec, path, sha256)


def describe_file(path: Path, task: Task) -> ModelSpec:
    """What an ONNX file says about itself, or what a TOML file beside it says. Raises ModelMismatch."""
    from reidstream.models.onnx_file import external_data_files, load_structure

    model = load_structure(path)
    outside = external_data_files(model)
    if outside:
        raise ModelMismatch(
            f"{path} keeps its weights in {', '.join(outside)}: run `reidstream models prepare {path}` to get one file"
        )
    inside = spec_from_metadata({p.key: p.value for p in model.metadata_props}, path)
    beside = path.with_name(path.name + ".toml")
    if not beside.is_file():
        if inside is not None:
            return inside
        if task == "detector":
            return spec_from_table(
                {"task": task, **completed({}, model, path)},
                path,
                _NOT_IN_NAMES.sub("-", path.stem).strip("-.") or "detector",
            )
        raise ModelMismatch(_undescribed(path, beside, task))
    table = {"task": task, **read_description(beside)}
    if table["task"] == "detector" and inside is None:
        table = completed(table, model, path)
    described = spec_from_table(table, beside, path.stem)
    if inside is not None and inside.preprocessing != described.preprocessing:
        raise ModelMismatch(
            f"{path} states its preprocessing as {inside.preprocessing!r}, but {beside} says "
            f"{described.preprocessing!r}: remove the wrong one (a prepared model needs no file beside it)"
        )
    return inside or described


def _undescribed(path: Path, beside: Path, task: Task) -> str:
    return (
        f"nothing says how the input of {path} has to be prepared, and guessing would be silently wrong. Either run "
        f"`reidstream models prepare {path} --mean … --std …`, which builds it into the model, or write {beside}:\n"
        f'task = "{task}"\n[preprocessing]  # (x - mean) / std per channel on the 0-255 scale\n'
        'color = "RGB"\nmean = [123.675, 116.28, 103.53]\nstd = [58.395, 57.12, 57.375]'
    )


def _is_checkpoint(path: Path) -> ModelMismatch:
    return ModelMismatch(
        f"{path} is a checkpoint, not an ONNX model: run `reidstream models export {path} -o model.onnx` "
        "and use the result"
    )
