"""Running a graph of fixed size on a device: the same memory every time, and on a GPU one captured piece of work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reidstream.errors import DeviceError, ModelMismatch
from reidstream.gpu.cuts import Cut
from reidstream.gpu.driver import Gpu
from reidstream.gpu.sampling import Sampler
from reidstream.inference.fixed_graph import FixedGraph
from reidstream.inference.placing import Image
from reidstream.inference.session import first_line
from reidstream.runtime import PROVIDER, missing_for_cuda, onnxruntime, wait_without_spinning
from reidstream.types import FloatArray

logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda"]

# Largest difference between devices, relative to the largest number of the model's output. Measured on an H200 without
# TF32: below 1e-4; what is wrong differs by its whole size.
_TOLERANCE = 1e-2
# ONNX Runtime runs a graph as usual first, to have all memory, then captures it; the third run is the first replay.
_WARM_UP_RUNS = 3
# Heuristics choose the same algorithms in every run, which a search by stopwatch does not; and without TF32, which
# rounds to ten bits, results are those of processors up to float32's rounding.
_CUDA_OPTIONS = {"device_id": "0", "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}


class FixedSession:
    """A graph that always runs with the same number of pictures, in the same memory of its device.

    To be used by the thread that made it and no other: captured work belongs to a thread. Warm when it is made.
    gpu: pictures may be Cuts of what lies in its memory. Raises DeviceError when the device cannot be used or computes
    something else than the processor.
    """

    def __init__(self, fixed: FixedGraph, device: Device, gpu: Gpu | None = None) -> None:
        self.path: Path = fixed.path
        self.rows = fixed.rows
        self._device = device
        width, height = fixed.size
        self._pictures = np.zeros((fixed.rows, height, width, 3), np.uint8)
        if device == "cuda" and (missing := missing_for_cuda()):
            raise DeviceError(f"the GPU (local.device = 'cuda') cannot be used: {'; '.join(map(str, missing))}")
        # One stream for all that one picture goes through: nothing waits for anything else.
        stream = {} if gpu is None else {"user_compute_stream": str(gpu.stream())}
        self._session, captured = _opened(fixed, device, stream)
        self._binding = self._session.io_binding()
        values = onnxruntime().OrtValue
        self._input = values.ortvalue_from_numpy(self._pictures, device, 0)
        self._binding.bind_ortvalue_input(self._session.get_inputs()[0].name, self._input)
        shape = [fixed.rows, *fixed.answers.shape[1:]]
        self._output = values.ortvalue_from_shape_and_type(shape, np.float32, device, 0)
        self._binding.bind_ortvalue_output(self._session.get_outputs()[0].name, self._output)
        self._gpu = gpu
        self._sampler = None if gpu is None else Sampler(gpu, self._input.data_ptr(), fixed.rows, fixed.size)
        self._warm_up(fixed)
        logger.info(
            "%s runs on %s, %d at once, %s", fixed.path, device, fixed.rows, "captured" if captured else "plain"
        )

    @property
    def takes_cuts(self) -> bool:
        return self._sampler is not None

    def run(self, pictures: Sequence[Image]) -> FloatArray:
        """float32 (n, ...) for n pictures, 1 to ``rows``: uint8 (height, width, 3), BGR, or Cuts where it takes them.

        Raises DeviceError when the device fails.
        """
        try:
            self._fill(pictures)
            self._session.run_with_iobinding(self._binding)
            # A copy: on the processor it would be the memory into which the next run writes.
            answers: FloatArray = self._output.numpy().copy()
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
            raise DeviceError(f"{self.path} fails on {self._device}: {first_line(error)}") from None
        return answers[: len(pictures)]

    def _fill(self, pictures: Sequence[Image]) -> None:
        """Bring the pictures into the input. Rows that are left over keep what was in them: nobody looks at those."""
        cuts = [(row, picture) for row, picture in enumerate(pictures) if isinstance(picture, Cut)]
        for row, picture in enumerate(pictures):
            if not isinstance(picture, Cut):
                self._pictures[row] = picture
                if self._gpu is not None:
                    self._gpu.write(self._input.data_ptr() + row * self._pictures[row].nbytes, self._pictures[row])
        if self._gpu is None:
            self._input.update_inplace(self._pictures)
        if cuts:
            assert self._sampler is not None
            self._sampler.fill([cut for _, cut in cuts], [row for row, _ in cuts])

    def _warm_up(self, fixed: FixedGraph) -> None:
        # The first and the last row: a device that mixes rows up is found out, too.
        first, last = fixed.pictures[0], fixed.pictures[-1]
        for _ in range(_WARM_UP_RUNS):
            answers = self.run([first, *[last] * (self.rows - 1)])
        found = np.stack([answers[0], answers[-1]])
        if self.rows == 1:
            found[1] = self.run([last])[0]
        difference = fixed.largest_difference(found)
        if difference > _TOLERANCE:
            raise DeviceError(
                f"{fixed.path} gives other numbers on {self._device} than on the processor (by {difference:.2g} of the "
                "largest): use local.device = 'cpu', or another export of the model"
            )


def _opened(fixed: FixedGraph, device: Device, more: dict[str, str]) -> tuple[Any, bool]:
    """An onnxruntime.InferenceSession on the device, and whether its work is captured."""
    if device == "cpu":
        return _session(fixed, "CPUExecutionProvider", {}), False
    wait_without_spinning()
    # It warns about a plug-in for CUDA that nobody asked for.
    onnxruntime().set_default_logger_severity(3)
    try:
        return _session(fixed, PROVIDER, {**_CUDA_OPTIONS, **more, "enable_cuda_graph": "1"}), True
    except ModelMismatch as error:
        # Something in the graph has to run on the processor.
        logger.info("%s", error)
        return _session(fixed, PROVIDER, {**_CUDA_OPTIONS, **more}), False


def _session(fixed: FixedGraph, provider: str, settings: dict[str, str]) -> Any:
    module = onnxruntime()
    options = module.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Its errors are raised or told below; warnings about nodes on the processor are of no use to anybody.
    options.log_severity_level = 4
    try:
        session = module.InferenceSession(fixed.graph, options, providers=[(provider, settings)], enable_fallback=0)
    except Exception as error:  # noqa: BLE001 - as above
        raise ModelMismatch(f"{fixed.path} cannot be loaded by ONNX Runtime: {first_line(error)}") from None
    actual = session.get_providers()
    if actual[0] != provider:
        raise DeviceError(
            f"{provider} was asked for {fixed.path}, but ONNX Runtime chose {actual[0]}: "
            "`reidstream doctor --set local.device=cuda` says what is missing"
        )
    return session
