"""From an OSNet checkpoint to one ONNX file that can be deployed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidstream.errors import MissingDependency, ModelError, ModelMismatch
from reidstream.models.checksum import file_sha256
from reidstream.models.graph.folding import flush_denormals, fold_batch_norm, halve
from reidstream.models.graph.ports import give_embeddings, take_raw_images
from reidstream.models.manifest import load_manifest
from reidstream.models.metadata import metadata_of
from reidstream.models.onnx_file import checked, written_when_done
from reidstream.models.parity import (
    LOWEST_COSINE,
    LOWEST_COSINE_HALF,
    Network,
    Parity,
    compared,
    crops_for,
    in_batches,
    onnx_network,
    prepared,
    refuse_degenerate,
)
from reidstream.models.spec import ModelSpec, Preprocessing

# What torchreid trains its models with: ImageNet's mean and standard deviation, on the 0-255 scale.
IMAGENET = Preprocessing(color="RGB", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
_PARITY_BATCH = 8


@dataclass(frozen=True, slots=True)
class Description:
    """What the user says about a model; None where the manifest or the file itself is to say it."""

    name: str | None = None
    preprocessing: Preprocessing | None = None
    input_size: tuple[int, int] | None = None
    training_data: str | None = None
    terms: str | None = None
    family: str | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WrittenModel:
    """A model that was written: its description, file and checksum, what was changed, and the proof that it agrees."""

    spec: ModelSpec
    path: Path
    sha256: str
    parity: Parity
    changes: tuple[str, ...]


def export_checkpoint(
    source: Path,
    output: Path,
    said: Description = Description(),
    *,
    architecture: str | None = None,
    half: bool = False,
    bare: bool = False,
    imagenet: bool = False,
    images: Path | None = None,
    overwrite: bool = False,
) -> WrittenModel:
    """Write ``source``, an OSNet checkpoint or unfolded ONNX, as one deployable ONNX file.

    The result takes float32 RGB crops, 0-255, (n, 3, height, width), any n, and gives unit-length embeddings; with
    ``bare`` it takes normalised crops and gives the network's own output. half: compute in FP16. imagenet: the user
    knows that weights trained on ImageNet alone do not re-identify people. images: folder of real crops for the
    comparison; made-up ones otherwise.

    Raises MissingDependency without PyTorch, ModelNotFound, ModelMismatch (also when source and result disagree),
    ModelDegenerate, ModelError. Nothing is left behind then.
    """
    try:
        from reidstream.models.checkpoints import read_checkpoint
        from reidstream.models.graph.network import osnet_graph
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"exporting a checkpoint needs PyTorch, and {error.name} is not installed: "
            "pip install 'reidstream[export]' (running a model never needs it)"
        ) from None
    checkpoint = read_checkpoint(source, architecture)
    known = next((e.spec for e in load_manifest().values() if file_sha256(source) in e.spec.checksums), None)
    training_data = _training_data(said, known, checkpoint)
    if (checkpoint.looks_like_imagenet or "imagenet" in training_data.lower()) and not imagenet:
        raise ModelError(
            f"{source} holds weights trained on ImageNet alone (this is what torchreid's pretrained=True gives): they "
            "tell objects apart and do not re-identify people. Use weights trained for Re-ID, or say --yes-imagenet "
            "if you want them all the same"
        )
    preprocessing = said.preprocessing or (known.preprocessing if known else IMAGENET)
    input_size = said.input_size or (known.input_size if known else None) or (256, 128)
    spec = ModelSpec(
        name=said.name or (known.name if known else model_name(output)),
        task="reid",
        architecture=checkpoint.architecture,
        input_size=input_size,
        embedding_size=checkpoint.embedding_size,
        preprocessing=preprocessing if bare else Preprocessing(),
        inside=None if bare else preprocessing,
        normalised=not bare,
        source=known.source if known else source.name,
        training_data=training_data,
        terms=said.terms or (known.terms if known else ""),
        accuracy=known.accuracy if known else "",
    )
    model = osnet_graph(checkpoint.network(), input_size)
    folded, flushed = fold_batch_norm(model), flush_denormals(model)
    changes = [f"{folded} BatchNorm layers folded", f"{flushed} denormal weights set to 0"]
    if half:
        halve(model)
        changes.append("computed in FP16")
    if not bare:
        take_raw_images(model, preprocessing, input_size)
        give_embeddings(model, checkpoint.embedding_size, rank=2, unit_length=True)
        changes.append("preprocessing and normalisation to unit length built in")
    describe(model, spec)
    checked(model, f"the export of {source}")

    crops = crops_for(input_size, images)
    network = _torch_network(checkpoint)
    expected = in_batches(network, prepared(crops, preprocessing), _PARITY_BATCH)
    refuse_degenerate(expected, str(source))
    with written_when_done(output, source, overwrite) as temporary:
        temporary.write_bytes(model.SerializeToString())
        result = in_batches(onnx_network(temporary), prepared(crops, spec.preprocessing), _PARITY_BATCH)
        parity = compared(expected, result, real=images is not None)
        require(parity, LOWEST_COSINE_HALF if half else LOWEST_COSINE, output)
    return WrittenModel(spec, output, file_sha256(output), parity, tuple(changes))


def require(parity: Parity, lowest_cosine: float, output: Path, largest_error: float | None = None) -> None:
    """ModelMismatch when source and result agree less than they must."""
    limits = [f"a cosine of at least {lowest_cosine}"]
    fits = parity.lowest_cosine >= lowest_cosine
    if largest_error is not None:
        limits.append(f"an error of at most {largest_error:g}")
        fits = fits and parity.largest_error <= largest_error
    if not fits:
        raise ModelMismatch(
            f"the result does not compute what its source does ({parity}; {' and '.join(limits)} needed), "
            f"so {output} was not written"
        )


def describe(model: Any, spec: ModelSpec) -> None:
    """Write a description into an onnx.ModelProto, in place of whatever it said before."""
    foreign = {p.key: p.value for p in model.metadata_props if not p.key.startswith("reidstream.")}
    del model.metadata_props[:]
    for key, value in (foreign | metadata_of(spec)).items():
        model.metadata_props.add(key=key, value=value)
    model.doc_string = f"{spec.name}: {spec.source}"


def model_name(output: Path) -> str:
    """A manifest name made of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", output.stem).strip("-._") or "model"


def _training_data(said: Description, known: ModelSpec | None, checkpoint: Any) -> str:
    if said.training_data:
        return said.training_data
    if known is not None and known.training_data:
        return known.training_data
    if checkpoint.looks_like_imagenet:
        return "ImageNet"
    if checkpoint.classes is not None:
        return f"not stated; {checkpoint.classes} identities"
    raise ModelError(
        f"{checkpoint.path} does not say what it was trained on, and weights trained on ImageNet alone do not "
        "re-identify people: state it with --training-data (such as MSMT17; ImageNet needs --yes-imagenet too)"
    )


def _torch_network(checkpoint: Any) -> Network:
    import torch

    network = checkpoint.network()

    def run(images: Any) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()

    return run
