"""Reading and writing ONNX files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reidstream.errors import ModelMismatch, ModelNotFound


def load_structure(path: Path) -> Any:
    """The onnx.ModelProto of a file, without weights that lie in other files. Raises ModelNotFound, ModelMismatch."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise ModelNotFound(f"there is no model file at {path}") from None
    except (DecodeError, OSError) as error:
        raise ModelMismatch(f"{path} cannot be read as an ONNX model: {error}") from None
    if not model.graph.output or not model.opset_import:
        raise ModelMismatch(f"{path} cannot be read as an ONNX model: it holds no graph")
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
