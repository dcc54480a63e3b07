"""Reading and writing ONNX files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reidstream.errors import ModelError, ModelMismatch, ModelNotFound
from reidstream.files import whole_file

# Opset 17 of 2022: understood by ONNX Runtime 1.12 and later and by TensorRT 8.6 and later.
OPSET = 17
IR_VERSION = 8
_POINTER = b"version https://git-lfs"


def load_structure(path: Path) -> Any:
    """The onnx.ModelProto of a file, without weights that lie in other files. Raises ModelNotFound, ModelMismatch."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
        # Decoded only when they are read, so that a damaged one would come up anywhere later.
        damaged = [name for name in _names(model.graph) if not isinstance(name, str)]
    except FileNotFoundError:
        raise ModelNotFound(f"there is no model file at {path}") from None
    except (DecodeError, UnicodeDecodeError, OSError) as error:
        if _is_pointer(path):
            raise ModelMismatch(
                f"{path} is a pointer of Git LFS and not the model itself: run `git lfs pull` in its repository"
            ) from None
        raise ModelMismatch(f"{path} cannot be read as an ONNX model: {error}") from None
    if damaged:
        raise ModelMismatch(f"{path} cannot be read as an ONNX model: {damaged[0]!r} is a name in it, and no text")
    if not model.graph.output or not model.opset_import:
        raise ModelMismatch(f"{path} cannot be read as an ONNX model: it holds no graph")
    return model


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False


def _names(graph: Any) -> list[str | bytes]:
    """Every name in a graph, those of subgraphs too; bytes where one is no UTF-8 and protobuf lets it pass."""
    names: list[str | bytes] = [
        port.name for port in (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    ]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        for attribute in node.attribute:
            names.append(attribute.name)
            for subgraph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                names += _names(subgraph)
    return names


def load_whole(path: Path) -> Any:
    """The onnx.ModelProto of a file with all its weights inside, wherever they lay.

    Raises ModelNotFound when a file of weights is missing, ModelMismatch when it does not fit.
    """
    import onnx

    model = load_structure(path)
    for name in external_data_files(model):
        if not (path.parent / name).is_file():
            raise ModelNotFound(
                f"{path} keeps its weights in {name}, which is not in {path.parent}: copy it there from where the "
                "model was exported"
            )
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelMismatch(f"the weights of {path} cannot be read: {error}") from None
    for tensor in stored_tensors(model.graph):
        tensor.ClearField("data_location")
        del tensor.external_data[:]
    return model


def stored_tensors(graph: Any) -> Iterator[Any]:
    """Every onnx.TensorProto that a graph holds: initialisers and constants, those of subgraphs too."""
    import onnx

    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            for subgraph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from stored_tensors(subgraph)


def external_data_files(model: Any) -> list[str]:
    """Names of the files in which a model keeps weights, as written in it."""
    names = {
        item.value for tensor in stored_tensors(model.graph) for item in tensor.external_data if item.key == "location"
    }
    return sorted(names)


def checked(model: Any, what: str) -> None:
    """Let ONNX check types and shapes of a whole model; ModelMismatch with its words when they do not fit."""
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise ModelMismatch(f"{what} is not a valid ONNX model: {error}") from None


@contextmanager
def written_when_done(output: Path, source: Path, overwrite: bool) -> Iterator[Path]:
    """A path to write to, which becomes ``output`` when the block ends well; otherwise nothing is left behind."""
    if not output.parent.is_dir():
        raise ModelError(f"the folder {output.parent} does not exist: make it first")
    if output.is_dir():
        raise ModelError(f"{output} is a folder: name the file to write, such as {output / (source.stem + '.onnx')}")
    if output.suffix.lower() != ".onnx":
        raise ModelError(f"the result is an ONNX file, so its name must end in .onnx, got {output.name}")
    if output.exists() and output.samefile(source):
        raise ModelError(f"{output} is the source itself: choose another name for the result")
    if output.exists() and not overwrite:
        raise ModelError(f"{output} exists already: choose another name, or allow overwriting (--force)")
    with whole_file(output, ModelError, access=None) as temporary:
        yield temporary
