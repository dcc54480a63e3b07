"""Running a graph of fixed size on a device: the same memory every time, and on a GPU one captured piece of work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reidstream.errors import DeviceError, ModelMismatch
from reidstream.gpu.cuts import Cut
from reidstream.gpu.driver import Gpu, Mark
from reidstream.gpu.sampling import Sampler
from reidstream.inference.fixed_graph import TOLERANCE_HALF, FixedGraph
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


@dataclass(frozen=True, slots=True)
class Run:
    """A run of ``count`` pictures. answers: float32 (count or more, ...), there after ``mark``, at once without one."""

    count: int
    answers: FloatArray
    mark: Mark | None


class FixedSession:
    """A graph that always runs with the same number of pictures, in the same memory of its device.

    To be used by the thread that made it and no other: captured work belongs to a thread. Warm when it is made.
    gpu: pictures may be Cuts of what lies in its memory. urgent: its work goes before that of other sessions. Raises
    DeviceError when the device cannot be used or computes something else than the processor.
    """

    def __init__(self, fixed: FixedGraph, device: Device, gpu: Gpu | None = None, urgent: bool = False) -> None:
        self.path: Path = fixed.path
        self.rows = fixed.rows
        self._device = device
        width, height = fixed.size
        self._pictures = np.zeros((fixed.rows, height, width, 3), np.uint8)
        if device == "cuda" and (missing := missing_for_cuda()):
            raise DeviceError(f"the GPU (local.device = 'cuda') cannot be used: {'; '.join(map(str, missing))}")
        # One stream for all that one picture goes through: nothing waits for anything else.
        stream = {} if gpu is None else {"user_compute_stream": str(gpu.stream(urgent))}
        self._session, captured = _opened(fixed, device, stream)
        self._binding = self._session.io_binding()
        values = onnxruntime().OrtValue
        self._input = values.ortvalue_from_numpy(self._pictures, device, 0)
        self._binding.bind_ortvalue_input(self._session.get_inputs()[0].name, self._input)
        shape = [fixed.rows, *fixed.answers.shape[1:]]
        self._output = values.ortvalue_from_shape_and_type(shape, np.float32, device, 0)
        self._binding.bind_ortvalue_output(self._session.get_outputs()[0].name, self._output)
        self._gpu = gpu
        self.sampler = None if gpu is None else Sampler(gpu, self._input.data_ptr(), fixed.rows, fixed.size)
        # What is waited for is the copy of the answers, so that the next run can be prepared meanwhile.
        self._options = onnxruntime().RunOptions()
        self._next = 0
        if gpu is not None:
            self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")
            # The number that it has anyway: where it is not said, each run raises and catches an exception about it.
            self._options.add_run_config_entry("gpu_graph_id", "0")
            size = 4 * int(np.prod(shape))
            self._slots = [(gpu.pinned(size).view(np.float32).reshape(shape), gpu.mark()) for _ in range(2)]
        self._warm_up(fixed)
        logger.info(
            "%s runs on %s, %d at once, %s", fixed.path, device, fixed.rows, "captured" if captured else "plain"
        )

    @property
    def takes_cuts(self) -> bool:
        return self.sampler is not None

    def run(self, pictures: Sequence[Image]) -> FloatArray:
        """``begin`` and ``end`` in one."""
        return self.end(self.begin(pictures))

    def begin(self, pictures: Sequence[Image]) -> Run:
        """Begin to run 1 to ``rows`` pictures: uint8 (height, width, 3), BGR, or Cuts where it takes them.

        At most two runs may be under way. Raises DeviceError when the device fails.
        """
        try:
            self.launch(pictures)
            count = len(pictures)
            if self._gpu is None:
                # A copy: on the processor it would be the memory into which the next run writes.
                return Run(count, self._output.numpy()[:count].copy(), None)
            memory, mark = self._slots[self._next]
            self._next = 1 - self._next
            self._gpu.start_copy(memory[:count], self._output.data_ptr())
            mark.set()
            return Run(count, memory, mark)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
            raise self.failed(error) from None

    def end(self, run: Run) -> FloatArray:
        """Wait for a run: float32 (n, ...), of its own. Raises DeviceError when the device fails."""
        if run.mark is None:
            return run.answers
        try:
            run.mark.wait()
        except Exception as error:  # noqa: BLE001 - as above
            raise self.failed(error) from None
        return run.answers[: run.count].copy()

    def joined(self, parts: Sequence[FloatArray]) -> FloatArray:
        """Answers of several runs."""
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def launch(self, pictures: Sequence[Image]) -> None:
        """Bring pictures into the input and start the network; what comes of it stays where it is."""
        self._fill(pictures)
        self._session.run_with_iobinding(self._binding, self._options)

    def failed(self, error: Exception) -> DeviceError:
        """What to say of an error of the device."""
        return DeviceError(f"{self.path} fails on {self._device}: {first_line(error)}")

    @property
    def output(self) -> int:
        """Address of the network's answers, float32 (rows, ...), in the device's memory."""
        return int(self._output.data_ptr())

    def _fill(self, pictures: Sequence[Image]) -> None:
        """Bring the pictures into the input. Rows that are left over keep what was in them: nobody looks at those."""
        cuts = [(row, picture) for row, picture in enumerate(pictures) if isinstance(picture, Cut)]
        if len(cuts) < len(pictures):
            for row, picture in enumerate(pictures):
                if not isinstance(picture, Cut):
                    self._pictures[row] = picture
                    if self._gpu is not None:
                        self._gpu.write(self._input.data_ptr() + row * self._pictures[row].nbytes, self._pictures[row])
            if self._gpu is None:
                self._input.update_inplace(self._pictures)
        if self.sampler is not None:
            self.sampler.fill([cut for _, cut in cuts], [row for row, _ in cuts])

    def _warm_up(self, fixed: FixedGraph) -> None:
        # The first and the last row: a device that mixes rows up is found out, too.
        first, last = fixed.pictures[0], fixed.pictures[-1]
        for _ in range(_WARM_UP_RUNS):
            answers = self.run([first, *[last] * (self.rows - 1)])
        found = np.stack([answers[0], answers[-1]])
        if self.rows == 1:
            found[1] = self.run([last])[0]
        difference = fixed.largest_difference(found)
        if difference > (TOLERANCE_HALF if fixed.half else _TOLERANCE):
            instead = "local.precision = 'fp32'" if fixed.half else "local.device = 'cpu'"
            raise DeviceError(
                f"{fixed.path} gives other numbers on {self._device} than on the processor (by {difference:.2g} of the "
                f"largest): use {instead}, or another export of the model"
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
