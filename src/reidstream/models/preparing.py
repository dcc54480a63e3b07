"""From somebody else's ONNX to one file that can be deployed: weights inside, any batch, raw crops in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from reidstream.errors import ModelMismatch
from reidstream.models.checksum import file_sha256
from reidstream.models.exporting import Description, WrittenModel, describe, model_name, require
from reidstream.models.graph.batch import declare_shape, fixed_batch, open_batch
from reidstream.models.graph.folding import constants_as_weights, drop_unused, flush_denormals, fold_batch_norm, halve
from reidstream.models.graph.ports import BATCH, give_embeddings, take_raw_images
from reidstream.models.manifest import load_manifest
from reidstream.models.metadata import spec_from_metadata
from reidstream.models.onnx_file import IR_VERSION, OPSET, checked, load_whole, written_when_done
from reidstream.models.parity import (
    CROPS,
    LOWEST_COSINE,
    LOWEST_COSINE_HALF,
    Crops,
    Floats,
    Parity,
    compared,
    crops_for,
    in_batches,
    onnx_network,
    prepared,
    refuse_degenerate,
)
from reidstream.models.resolving import Task
from reidstream.models.spec import ModelSpec, Preprocessing

_UNIT_TOLERANCE = 1e-3
_OPEN_BATCH = 8  # tried with sources whose batch is open already
_DETECTOR_CROPS = 4
# Of a detector's largest output; far above the noise of another order of summation, far below a moved box.
_DETECTOR_ERROR = 1e-4
_DETECTOR_ERROR_HALF = 2e-2


@dataclass(frozen=True, slots=True)
class _Source:
    """The model as it came: what it takes, and what it gives for the crops of the comparison."""

    preprocessing: Preprocessing
    input_size: tuple[int, int]
    batch: int | None
    crops: Crops
    outputs: Floats


def prepare_model(
    source: Path,
    output: Path,
    said: Description = Description(),
    *,
    task: Task | None = None,
    output_name: str | None = None,
    half: bool = False,
    images: Path | None = None,
    overwrite: bool = False,
) -> WrittenModel:
    """Write ``source``, any ONNX model of one image input, in the form that ReIDStream deploys.

    External weights are merged, operators lifted to opset 17, a fixed batch is opened, NHWC input and BGR order are
    accepted, preprocessing and (for Re-ID) normalisation to unit length are built in. What the model is comes from
    ``said``, else from the manifest or the file itself. output_name: the output to keep if there are several.

    The result is compared with the source at batches of 0, 1, the source's own and one more. Raises ModelNotFound,
    ModelMismatch, ModelDegenerate, ModelError; nothing is left behind then.
    """
    model = load_whole(source)
    known = _known(source, model)
    task = task or (known.task if known else "reid")
    if known is not None and known.task != task:
        raise ModelMismatch(f"{source} is described as a model for {known.task}, but --task says {task}")
    try:
        constants_as_weights(model)
        _keep_output(model, output_name, task, source)
        came = _examined(source, model, said, known, task, images)
        changes = _rewrite(model, came, task, half, source)
    except (UnicodeDecodeError, LookupError) as error:  # a name that is no text, a node without its inputs
        raise ModelMismatch(f"the graph of {source} is damaged: {error}") from None
    spec = _described(came, said, known, task, output, source)
    describe(model, spec)
    checked(model, f"what was made of {source}")
    with written_when_done(output, source, overwrite) as temporary:
        temporary.write_bytes(model.SerializeToString())
        parity = _proof(temporary, came, images is not None)
        most = None if task == "reid" else _DETECTOR_ERROR_HALF if half else _DETECTOR_ERROR
        require(parity, LOWEST_COSINE_HALF if half else LOWEST_COSINE, output, most)
    return WrittenModel(spec, output, file_sha256(output), parity, tuple(changes))


def _known(source: Path, model: Any) -> ModelSpec | None:
    sha256 = file_sha256(source)
    listed = next((e.spec for e in load_manifest().values() if sha256 in e.spec.checksums), None)
    return listed or spec_from_metadata({p.key: p.value for p in model.metadata_props}, source)


def _keep_output(model: Any, name: str | None, task: Task, source: Path) -> None:
    """Leave one image input and one output in the graph."""
    graph = model.graph
    if len(graph.input) != 1:
        found = ", ".join(port.name for port in graph.input) or "none"
        raise ModelMismatch(f"{source}: one input, the images, was expected; found {found}")
    outputs = {port.name: port for port in graph.output}
    if name is None and len(outputs) > 1:
        raise ModelMismatch(
            f"{source} has {len(outputs)} outputs ({', '.join(outputs)}): say which one holds the "
            f"{'embedding' if task == 'reid' else 'detections'} with --output-name"
        )
    if name is not None and name not in outputs:
        raise ModelMismatch(f"{source} has no output called {name!r}, only {', '.join(outputs)}")
    kept = onnx.ValueInfoProto()
    kept.CopyFrom(outputs[name] if name is not None else next(iter(outputs.values())))
    del graph.output[:]
    graph.output.append(kept)
    drop_unused(model)


def _examined(
    source: Path, model: Any, said: Description, known: ModelSpec | None, task: Task, images: Path | None
) -> _Source:
    """Find out what the source takes, and run it as it is on the crops that the result will be compared with."""
    port = model.graph.input[0].type.tensor_type
    if port.elem_type != onnx.TensorProto.FLOAT:
        kinds = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
        kind = kinds.get(port.elem_type, f"type {port.elem_type}")
        raise ModelMismatch(f"{source}: the input must be float (32 bits), found {kind}")
    dimensions = [d.dim_value if d.dim_value > 0 else None for d in port.shape.dim]
    if len(dimensions) != 4:
        raise ModelMismatch(f"{source}: the input must have four axes (images), found {len(dimensions)}")
    preprocessing = said.preprocessing or (known.preprocessing if known else None)
    if preprocessing is None:
        raise ModelMismatch(
            f"nothing says how the input of {source} has to be prepared: give --mean, --std and --color, on the 0-255 "
            "scale (torchreid: --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375 --color RGB)"
        )
    preprocessing = preprocessing.model_copy(update={"layout": _layout(dimensions, preprocessing.layout, source)})
    channels_first = preprocessing.layout == "NCHW"
    axes = dimensions[2:] if channels_first else dimensions[1:3]
    stated = said.input_size or (known.input_size if known else None) or (None, None)
    height, width = axes[0] or stated[0], axes[1] or stated[1]
    if height is None or width is None:
        raise ModelMismatch(f"{source} leaves the size of its input open: state it with --size HEIGHTxWIDTH")
    if stated[0] is not None and stated != (height, width):
        raise ModelMismatch(f"{source}: the input is {height}x{width}, but {stated[0]}x{stated[1]} was stated")
    batch = fixed_batch(model)
    count = max(CROPS, (batch or 0) + 1) if task == "reid" else max(_DETECTOR_CROPS, (batch or 0) + 1)
    crops = crops_for((height, width), images, count)
    run = onnx_network(source, model.graph.output[0].name)
    step = batch or (_OPEN_BATCH if task == "reid" else _DETECTOR_CROPS)
    outputs = in_batches(run, prepared(crops, preprocessing), step, fixed=batch is not None)
    if outputs.ndim < 2 or (task == "reid" and outputs[0].size < 2):
        raise ModelMismatch(f"{source}: the output must hold one vector for each image, found shape {outputs.shape}")
    if task == "reid":
        refuse_degenerate(outputs, str(source))
    return _Source(preprocessing, (height, width), batch, crops, outputs)


def _layout(dimensions: list[int | None], stated: str, source: Path) -> Literal["NCHW", "NHWC"]:
    """Where the three channels are; a shape that settles it wins over what is stated."""
    _, first, _, last = dimensions
    if first == 3 and last != 3:
        return "NCHW"
    if last == 3 and first != 3:
        return "NHWC"
    if first in {3, None} and last in {3, None}:
        return "NHWC" if stated == "NHWC" else "NCHW"
    raise ModelMismatch(f"{source}: the input must have 3 channels, found the shape {dimensions}")


def _rewrite(model: Any, came: _Source, task: Task, half: bool, source: Path) -> list[str]:
    """Bring the graph into its deployable form; what was changed, in words."""
    changes = []
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), OPSET)
    if opset < OPSET:
        _lift(model, source)
        changes.append(f"opset {opset} lifted to {OPSET}")
    height, width = came.input_size
    nhwc = came.preprocessing.layout == "NHWC"
    opened = open_batch(model, (height, width, 3) if nhwc else (3, height, width))
    if came.batch is not None:
        changes.append(f"batch of {came.batch} made open ({len(opened)} shapes rewritten)")
    if folded := fold_batch_norm(model):
        changes.append(f"{folded} BatchNorm layers folded")
    if flushed := flush_denormals(model):
        changes.append(f"{flushed} denormal weights set to 0")
    if half:
        halve(model)
        changes.append("computed in FP16")
    take_raw_images(model, came.preprocessing, came.input_size)
    if came.preprocessing != Preprocessing():
        changes.append(f"preprocessing built in ({preprocessing_text(came.preprocessing)})")
    if task == "reid":
        unit_already = bool(
            np.allclose(np.linalg.norm(_flat(came.outputs).astype(float), axis=1), 1, atol=_UNIT_TOLERANCE)
        )
        give_embeddings(model, came.outputs[0].size, came.outputs.ndim, unit_length=not unit_already)
        changes.append("already of unit length" if unit_already else "normalisation to unit length built in")
    else:
        declare_shape(model.graph.output[0], [BATCH, *came.outputs.shape[1:]])
    return changes


def _lift(model: Any, source: Path) -> None:
    from onnx import version_converter

    # From this version on, weights need not be listed as inputs, which they no longer are.
    model.ir_version = max(model.ir_version, IR_VERSION)
    try:
        lifted = version_converter.convert_version(model, OPSET)
    except (version_converter.ConvertError, RuntimeError, ValueError) as error:
        raise ModelMismatch(
            f"{source} cannot be lifted to opset {OPSET}: {error}; export it anew with opset {OPSET}"
        ) from None
    metadata = list(model.metadata_props)
    model.CopyFrom(lifted)
    del model.metadata_props[:]
    model.metadata_props.extend(metadata)
    model.ir_version = max(model.ir_version, IR_VERSION)
    constants_as_weights(model)


def _described(
    came: _Source, said: Description, known: ModelSpec | None, task: Task, output: Path, source: Path
) -> ModelSpec:
    base = known or ModelSpec(name=model_name(output), task=task, source=source.name)
    return base.model_copy(
        update={
            "name": said.name or base.name,
            "format": "onnx",
            **dict.fromkeys(("file", "url", "sha256")),
            "same_as": (),
            "input_size": came.input_size,
            "embedding_size": came.outputs[0].size if task == "reid" else None,
            "preprocessing": Preprocessing(),
            "inside": came.preprocessing,
            "normalised": task == "reid",
            "training_data": said.training_data or base.training_data,
            "terms": said.terms or base.terms,
            "family": said.family or base.family,
            "classes": said.classes or base.classes,
            "notes": "" if known is not None and known.sha256 is not None else base.notes,
        }
    )


def _proof(path: Path, came: _Source, real: bool) -> Parity:
    """The worst agreement of source and result over all batch sizes; ModelMismatch when a size does not work."""
    run = onnx_network(path)
    images = prepared(came.crops, Preprocessing())
    own = came.batch or _OPEN_BATCH
    results = []
    for size in dict.fromkeys((1, own, own + 1, 0)):
        try:
            if size:
                results.append(compared(came.outputs, in_batches(run, images, size), real))
            elif (nothing := run(images[:0])).shape[0] != 0:
                raise ModelMismatch(f"the output has shape {nothing.shape}")
        except ModelMismatch as error:
            raise ModelMismatch(
                f"the result does not work for {size} images at once: {error}. The number of images is fixed inside "
                "the graph in a way that cannot be opened: export it anew with a dynamic batch axis"
            ) from None
    return min(results, key=lambda parity: (parity.lowest_cosine, -parity.largest_error))


def preprocessing_text(preprocessing: Preprocessing) -> str:
    """Preprocessing in a few words."""
    words: list[str] = [preprocessing.color]
    if any(preprocessing.mean):
        words.append("mean " + ",".join(f"{value:g}" for value in preprocessing.mean))
    if any(value != 1 for value in preprocessing.std):
        words.append("std " + ",".join(f"{value:g}" for value in preprocessing.std))
    if preprocessing.layout == "NHWC":
        words.append("NHWC")
    return ", ".join(words)


def _flat(outputs: Floats) -> Floats:
    return outputs.reshape(len(outputs), -1)
