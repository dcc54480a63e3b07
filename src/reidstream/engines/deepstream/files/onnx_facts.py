"""What an ONNX file says of itself, without its weights: axes, layers, files it needs, metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reidstream.errors import ModelMismatch

Dim = int | None
"""A fixed length, or None for an axis that is open."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An input or output of a network: its name and its axes, the batch axis first."""

    name: str
    dims: tuple[Dim, ...]

    @property
    def size(self) -> Dim:
        """Elements per item of the batch, None when an axis is open."""
        total = 1
        for dim in self.dims[1:]:
            if dim is None:
                return None
            total *= dim
        return total


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """The outside of a network that takes one image tensor.

    external: relative paths of weight files outside the ONNX file. opset: of the default domain, 0 when not stated.
    """

    path: Path
    inputs: tuple[Layer, ...]
    outputs: tuple[Layer, ...]
    external: tuple[str, ...]
    opset: int
    metadata: dict[str, str]

    @property
    def batch(self) -> Dim:
        """The fixed batch size, or None when the batch is open."""
        return self.inputs[0].dims[0]

    @property
    def nhwc(self) -> bool:
        """Whether channels come last."""
        dims = self.inputs[0].dims
        return dims[1] not in (1, 3, 4) and dims[3] in (1, 3, 4)

    @property
    def channels(self) -> Dim:
        return self.inputs[0].dims[3 if self.nhwc else 1]

    @property
    def size(self) -> tuple[Dim, Dim]:
        """Height and width of the input."""
        dims = self.inputs[0].dims
        return (dims[1], dims[2]) if self.nhwc else (dims[2], dims[3])

    @property
    def missing_files(self) -> tuple[str, ...]:
        """External weight files that are not where the ONNX file says."""
        return tuple(name for name in self.external if not (self.path.parent / name).is_file())


def read_onnx_facts(path: Path) -> OnnxFacts:
    """The facts of the file at ``path``.

    Raises ModelNotFound when there is none, ModelMismatch when it is no ONNX file with one 4-axis image input.
    """
    from reidstream.models.onnx_file import external_data_files, load_structure

    model = load_structure(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_layer(value) for value in model.graph.input if value.name not in weights)
    outputs = tuple(_layer(value) for value in model.graph.output)
    if not inputs or len(inputs[0].dims) != 4 or not outputs:
        found = ", ".join(f"{layer.name}{list(layer.dims)}" for layer in inputs) or "no inputs"
        raise ModelMismatch(f"{path} must take one image tensor with 4 axes and have an output, found {found}")
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return OnnxFacts(path, inputs, outputs, tuple(external_data_files(model)), opset, metadata)


def _layer(value: object) -> Layer:
    shape = value.type.tensor_type.shape  # type: ignore[attr-defined]
    dims = tuple(int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in shape.dim)
    return Layer(value.name, dims)  # type: ignore[attr-defined]
