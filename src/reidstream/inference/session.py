"""One ONNX Runtime session on the processor, with the threads that were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.errors import ModelMismatch, ModelNotFound
from reidstream.runtime import onnxruntime

_INPUT_TYPES: dict[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph. shape: None for an axis that the graph leaves open."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Session:
    """A graph with one image input, ready to run on the processor.

    ``run`` may be called from several threads at once: ONNX Runtime's sessions are thread-safe.
    Spinning is off because waiting threads that spin starve the decoder; measured on two cores, one thread a
    session and several sessions or callers is faster than one session with several threads.

    graph: a changed form of the file's graph to run instead of it.
    Raises ModelNotFound, or ModelMismatch (not a graph that can be run here).
    """

    def __init__(self, path: Path, intra: int = 1, inter: int = 1, graph: bytes | None = None) -> None:
        if not path.is_file():
            raise ModelNotFound(f"no model file at {path}")
        module = onnxruntime()
        options = module.SessionOptions()
        options.intra_op_num_threads = intra
        options.inter_op_num_threads = inter
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = module.InferenceSession(
                graph or str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
            raise ModelMismatch(f"{path} cannot be loaded by ONNX Runtime: {first_line(error)}") from None
        self.path = path
        self._graph = graph
        self._threads = intra, inter
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _INPUT_TYPES or len(inputs[0].shape) != 4:
            found = ", ".join(f"{i.name} {i.type} {list(i.shape)}" for i in inputs)
            raise ModelMismatch(f"{path} must have one image input with four axes, found {found or 'no input'}")
        self.input = _tensor(inputs[0])
        self.outputs = tuple(_tensor(output) for output in self._session.get_outputs())
        self._dtype = _INPUT_TYPES[self.input.dtype]

    def graph(self) -> Any:
        """The onnx.ModelProto that is run, all weights inside, for whoever changes it further."""
        import onnx

        from reidstream.models.onnx_file import load_whole

        return load_whole(self.path) if self._graph is None else onnx.load_from_string(self._graph)

    def with_graph(self, graph: bytes) -> Session:
        """A session like this one that runs a changed form of the file's graph."""
        intra, inter = self._threads
        return Session(self.path, intra, inter, graph)

    @property
    def batch(self) -> int | None:
        """The only batch size the graph takes, or None when any will do."""
        return self.input.shape[0]

    def run(self, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The first output, float32, for a batch of images that has the input's shape.

        Raises ModelMismatch when the graph fails on them, which a sound graph does not.
        """
        try:
            output = self._session.run(
                [self.outputs[0].name], {self.input.name: images.astype(self._dtype, copy=False)}
            )[0]
        except Exception as error:  # noqa: BLE001 - as above
            raise ModelMismatch(f"{self.path} fails on a batch of {images.shape}: {first_line(error)}") from None
        result: npt.NDArray[np.float32] = output.astype(np.float32, copy=False)
        return result


def _tensor(info: Any) -> Tensor:
    shape = tuple(axis if isinstance(axis, int) and axis > 0 else None for axis in info.shape)
    return Tensor(info.name, shape, info.type)


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
