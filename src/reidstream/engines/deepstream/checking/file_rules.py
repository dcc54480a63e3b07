"""Files that an nvinfer file names: whether they are where nvinfer looks, and whether they fit each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from reidstream.engines.deepstream.checking.findings import AddKey, Edit, Finding, SetLine, Severity
from reidstream.engines.deepstream.checking.inference_file import InferenceFile, is_file, is_folder, resolved
from reidstream.engines.deepstream.files.onnx_facts import OnnxFacts
from reidstream.engines.deepstream.keys.nvinfer import NETWORK_MODES, PROPERTY_KEYS
from reidstream.errors import ModelError

_ENGINE = re.compile(r"(?P<onnx>.+)_b(?P<batch>\d{1,6})_gpu(?P<gpu>\d{1,3})_(?P<mode>fp32|fp16|int8|best)\.engine")
_BUILT = ("model-engine-file",)


def missing_files(config: InferenceFile) -> Iterator[Finding]:
    """Files that do not exist after resolving them as nvinfer does: against the file's own folder, never the cwd."""
    for entry in config.keys.values():
        key = PROPERTY_KEYS.get(entry.key)
        if key is None or key.kind != "path" or entry.key in _BUILT or not entry.value:
            continue
        path = resolved(config.file.path, entry.value)
        if is_file(path):
            continue
        here = Path(entry.value.replace("\0", ""))
        if not here.is_absolute() and is_file(here):
            absolute = here.absolute()
            yield Finding(
                config.file.path,
                entry.line,
                Severity.ERROR,
                "missing-file",
                f"{entry.key} resolves to {path}, where there is no file: paths count from the folder of this file, "
                f"not from the working directory, where {absolute} exists",
                f"write {absolute}",
                (SetLine(entry.line, entry.key, str(absolute)),),
            )
            continue
        cut = (
            ""
            if is_folder(path.parent)
            else "; its folder does not exist either, and nvinfer may cut such a path short"
        )
        yield Finding(
            config.file.path,
            entry.line,
            Severity.ERROR,
            "missing-file",
            f"{entry.key} names {path}, which does not exist on this machine{cut}",
            "correct the path, or run the check where the pipeline runs",
        )
    custom = config.keys.get("custom-network-config")
    if custom is not None and custom.value and not custom.value.startswith("/"):
        path = resolved(config.file.path, custom.value)
        yield Finding(
            config.file.path,
            custom.line,
            Severity.WARNING,
            "relative-path",
            "custom-network-config is the one path that counts from the working directory",
            "write an absolute path",
            (SetLine(custom.line, custom.key, str(path)),) if is_file(path) else (),
        )


def model(config: InferenceFile) -> Iterator[Finding]:
    """The ONNX file itself: readable, complete, with an open batch and the shapes that the configuration states."""
    file = config.file.path
    line = config.line("onnx-file")
    if "onnx-file" not in config.keys and not {"tlt-encoded-model", "model-file", "uff-file"} & set(config.keys):
        engine = config.path("model-engine-file")
        if engine is None:
            cause = "neither onnx-file nor model-engine-file is given, so there is no model"
            yield Finding(file, line, Severity.ERROR, "no-model", cause, "set onnx-file")
        elif not is_file(engine):
            cause = (
                f"model-engine-file names {engine}, which does not exist, and there is no onnx-file to build it from"
            )
            yield Finding(file, config.line("model-engine-file"), Severity.ERROR, "no-model", cause, "set onnx-file")
    onnx = config.onnx
    if isinstance(onnx, ModelError):
        yield Finding(file, line, Severity.ERROR, "model-unreadable", str(onnx), "export or fetch the model again")
    if not isinstance(onnx, OnnxFacts):
        return
    for name in onnx.missing_files:
        yield Finding(
            file,
            line,
            Severity.ERROR,
            "weights-missing",
            f"{onnx.path.name} keeps its weights in a second file, {onnx.path.parent / name}, which does not exist",
            f"put it there, or get one file with the weights inside: reidstream models prepare {onnx.path} -o NEW.onnx",
        )
    yield from _batch(config, onnx)
    yield from _shapes(config, onnx)


def _batch(config: InferenceFile, onnx: OnnxFacts) -> Iterator[Finding]:
    if onnx.batch is None:
        return
    batch = config.integer("batch-size") or 1
    same = batch == onnx.batch
    yield Finding(
        config.file.path,
        config.line("batch-size"),
        Severity.WARNING if same else Severity.ERROR,
        "fixed-batch",
        f"{onnx.path.name} has a fixed batch of {onnx.batch}, batch-size is {batch}; nvinfer builds engines with an "
        "open batch from 1 up, which a graph with the batch in its Reshapes does not survive",
        f"make the batch open: reidstream models prepare {onnx.path} -o NEW.onnx",
    )


def _shapes(config: InferenceFile, onnx: OnnxFacts) -> Iterator[Finding]:
    file = config.file.path
    height, width = onnx.size
    dims = [int(value) for value in config.numbers("infer-dims")]
    if len(dims) == 3:
        expected = (onnx.channels, height, width)
        if any(want is not None and want != have for want, have in zip(expected, dims, strict=True)):
            text = ";".join("?" if want is None else str(want) for want in expected)
            edits = (SetLine(config.line("infer-dims"), "infer-dims", text),) if "?" not in text else ()
            yield Finding(
                file,
                config.line("infer-dims"),
                Severity.ERROR,
                "infer-dims",
                f"infer-dims is {config.text('infer-dims')}, the input of {onnx.path.name} is {text}",
                f"write infer-dims={text}",
                edits,
            )
    elif "infer-dims" not in config.keys and (height is None or width is None):
        cause = f"{onnx.path.name} leaves height and width open, and infer-dims does not say them"
        cure = "set infer-dims=c;h;w to the size it was trained at"
        yield Finding(file, config.line("infer-dims"), Severity.ERROR, "infer-dims", cause, cure)
    order = config.integer("network-input-order") or 0
    if order != int(onnx.nhwc):
        have, want = ("NHWC", "NCHW") if order else ("NCHW", "NHWC")
        yield Finding(
            file,
            config.line("network-input-order"),
            Severity.ERROR,
            "input-order",
            f"network-input-order says {have}, but the channels of {onnx.path.name} lie as in {want}",
            f"set network-input-order={int(onnx.nhwc)}",
            set_key(config, "network-input-order", str(int(onnx.nhwc))),
        )
    names = [layer.name for layer in onnx.outputs]
    wrong = [name for name in _parts(config.text("output-blob-names")) if name not in names]
    if wrong:
        cause = f"{onnx.path.name} has no output {', '.join(wrong)}, only {', '.join(names)}; nvinfer merely warns"
        edits = (SetLine(config.line("output-blob-names"), "output-blob-names", names[0]),) if len(names) == 1 else ()
        cure = f"write output-blob-names={';'.join(names)}"
        yield Finding(file, config.line("output-blob-names"), Severity.WARNING, "output-names", cause, cure, edits)


def engine(config: InferenceFile) -> Iterator[Finding]:
    """The TensorRT engine's name against what nvinfer will write and look for, and its age."""
    entry = config.keys.get("model-engine-file")
    onnx = config.path("onnx-file")
    if any(config.integer(key) is None and key in config.keys for key in ("batch-size", "network-mode", "gpu-id")):
        return  # the value itself is named; the engine's name follows from it
    batch = config.integer("batch-size") or 1
    if onnx is None:
        yield from _engine_alone(config, batch)
        return
    mode = NETWORK_MODES.get(config.integer("network-mode") or 0, "fp32")
    right = onnx.with_name(f"{onnx.name}_b{batch}_gpu{config.integer('gpu-id') or 0}_{mode}.engine")
    if entry is None:
        yield Finding(
            config.file.path,
            config.line("model-engine-file"),
            Severity.WARNING,
            "engine-missing",
            "without model-engine-file TensorRT builds the engine at every start, which takes minutes",
            f"set model-engine-file={right}",
            (AddKey("property", "model-engine-file", str(right)),),
        )
        return
    path = resolved(config.file.path, entry.value)
    edits: tuple[Edit, ...] = (SetLine(entry.line, entry.key, str(right)),)
    cure = f"write {right}"
    named = _ENGINE.fullmatch(path.name)
    larger = named is not None and int(named["batch"]) > batch and (named["mode"], named["onnx"]) == (mode, onnx.name)
    if larger and is_file(path):
        return  # nvinfer accepts an engine for a larger batch
    if named is not None and int(named["batch"]) < batch:
        cause = (
            f"the engine's name says batch {named['batch']}, batch-size is {batch}: nvinfer throws it away and rebuilds"
        )
        yield Finding(config.file.path, entry.line, Severity.WARNING, "engine-batch", cause, cure, edits)
    elif path != right and not is_file(path):
        cause = f"nvinfer looks for {path} but writes what it builds to {right}, so it is built anew at every start"
        yield Finding(config.file.path, entry.line, Severity.WARNING, "engine-name", cause, cure, edits)
    elif path != right:
        cause = (
            f"the engine {path.name} does not say for which batch, GPU and precision it was built "
            f"(nvinfer's own name would be {right.name}); if batch-size {batch} or {mode} do not fit, it is rebuilt"
        )
        yield Finding(config.file.path, entry.line, Severity.WARNING, "engine-name", cause, cure, edits)
    elif is_file(path) and is_file(onnx) and path.stat().st_mtime < onnx.stat().st_mtime:
        cause = f"the engine {path.name} is older than {onnx.name}; nvinfer does not notice and runs the old model"
        cure = f"remove it, or build it anew: reidstream models build {onnx}"
        yield Finding(config.file.path, entry.line, Severity.WARNING, "engine-old", cause, cure)


def _engine_alone(config: InferenceFile, batch: int) -> Iterator[Finding]:
    """An engine without the ONNX file it could be rebuilt from."""
    entry = config.keys.get("model-engine-file")
    named = _ENGINE.fullmatch(Path(entry.value).name) if entry is not None else None
    if entry is not None and named is not None and int(named["batch"]) < batch:
        cause = (
            f"the engine's name says batch {named['batch']}, batch-size is {batch}: nvinfer throws it away, and "
            "without an onnx-file it cannot build another"
        )
        cure = f"set batch-size={named['batch']}, or give the onnx-file"
        yield Finding(config.file.path, entry.line, Severity.ERROR, "engine-batch", cause, cure)


def precision(config: InferenceFile) -> Iterator[Finding]:
    """INT8 without what it needs: nvinfer builds FP16 then and names the file so (nvdsinfer_model_builder.cpp).

    An engine that is there already, as trtexec makes it of a quantised model, is taken as it is.
    """
    engine_file = config.path("model-engine-file")
    if engine_file is not None and is_file(engine_file):
        return
    if config.integer("network-mode") == 1 and "int8-calib-file" not in config.keys:
        yield Finding(
            config.file.path,
            config.line("network-mode"),
            Severity.WARNING,
            "int8-uncalibrated",
            "network-mode=1 is INT8 (FP16 is 2), and there is no int8-calib-file: nvinfer builds FP16 and names it so",
            "set network-mode=2 for FP16, or give int8-calib-file; for a quantised model `reidstream models build`",
            (SetLine(config.line("network-mode"), "network-mode", "2"),),
        )


def set_key(config: InferenceFile, key: str, value: str) -> tuple[Edit, ...]:
    """Set a key of [property], in its line when it is there."""
    entry = config.keys.get(key)
    return (SetLine(entry.line, key, value),) if entry is not None else (AddKey("property", key, value),)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
