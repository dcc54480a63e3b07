"""TensorRT engines, built by ``trtexec`` in a process of its own and named as nvinfer looks for them."""

from __future__ import annotations

import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from reidstream.errors import EngineError, MissingDependency, ModelError, ModelMismatch
from reidstream.files import beside
from reidstream.models.engine_name import engine_path
from reidstream.models.onnx_file import external_data_files, load_structure

Mode = Literal["fp32", "fp16", "int8", "best"]
# Where TensorRT's packages put it; not on the PATH of the DeepStream containers.
_KNOWN_PLACES = (Path("/usr/src/tensorrt/bin/trtexec"), Path("/opt/tensorrt/bin/trtexec"))
_FLAGS: dict[Mode, tuple[str, ...]] = {
    "fp32": (),
    "fp16": ("--fp16",),
    # Layers without an INT8 form or a scale run in FP16.
    "int8": ("--int8", "--fp16"),
    "best": ("--best",),
}
MODES = tuple(_FLAGS)
_TAIL = 15


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """How an engine is going to be built. trtexec: the program, or None if it is not on this machine."""

    onnx: Path
    engine: Path
    log: Path
    arguments: tuple[str, ...]
    trtexec: Path | None

    @property
    def command(self) -> str:
        """The exact command, ready for a shell."""
        return shlex.join([str(self.trtexec or "trtexec"), *self.arguments])


def plan_engine(
    onnx: Path,
    batch: int,
    *,
    mode: Mode = "fp16",
    best_batch: int | None = None,
    gpu: int = 0,
    input_size: tuple[int, int] | None = None,
    calibration: Path | None = None,
    workspace: int | None = None,
) -> EnginePlan:
    """How to build the engine of ``onnx`` for 1 to ``batch`` images.

    batch: the batch-size of nvinfer, which rebuilds an engine that was made for less. best_batch: the number that
    TensorRT tunes for; ``batch`` itself when None, as nvinfer does. input_size: height and width where the graph
    leaves them open. calibration: TensorRT's calibration cache for INT8. workspace: MiB.

    The engine lies beside the ONNX file under the name by which nvinfer looks for it itself.

    Raises ModelNotFound, ModelMismatch and ModelError.
    """
    onnx = onnx.absolute()
    best_batch = best_batch or batch
    if not 1 <= best_batch <= batch:
        raise ModelError(f"the batch to tune for must be between 1 and the largest one ({batch}), got {best_batch}")
    if calibration is not None and not calibration.is_file():
        raise ModelError(f"there is no calibration cache at {calibration}")
    model = load_structure(onnx)
    name, shape = _image_input(onnx, model, input_size)
    if mode == "int8" and calibration is None and not any(n.op_type == "QuantizeLinear" for n in model.graph.node):
        raise ModelError(
            f"{onnx} is not quantised, so INT8 needs its calibration cache: set one (--calibration), or use FP16"
        )
    if shape[0] is not None and shape[0] != batch:
        raise ModelMismatch(
            f"{onnx} is fixed to a batch of {shape[0]}, so that no engine for {batch} can be built: "
            f"run `reidstream models prepare {onnx}` first"
        )
    image = "x".join(str(axis) for axis in shape[1:])
    engine = engine_path(onnx, batch, gpu, mode)
    # A graph with a fixed batch has no profile to choose.
    profile = (
        [
            f"--minShapes={name}:1x{image}",
            f"--optShapes={name}:{best_batch}x{image}",
            f"--maxShapes={name}:{batch}x{image}",
        ]
        if shape[0] is None
        else []
    )
    arguments = [
        f"--onnx={onnx}",
        f"--saveEngine={engine}",
        *profile,
        *_FLAGS[mode],
        *([f"--calib={calibration.resolve()}"] if calibration else []),
        *([f"--memPoolSize=workspace:{workspace}"] if workspace else []),
        f"--device={gpu}",
        "--skipInference",
    ]
    return EnginePlan(onnx, engine, engine.with_name(f"{engine.name}.log"), tuple(arguments), find_trtexec())


def find_trtexec() -> Path | None:
    """The trtexec on the PATH or where TensorRT's packages put it."""
    found = shutil.which("trtexec")
    if found:
        return Path(found)
    return next((place for place in _KNOWN_PLACES if os.access(place, os.X_OK)), None)


def build_engine(plan: EnginePlan, told: Callable[[str], None], *, silence: float = 10.0) -> float:
    """Run a plan; the seconds it took. ``told`` gets what trtexec prints, and a line whenever it was silent.

    Everything is written to the plan's log as well. The engine appears under its name when it is whole; a build that
    fails or is interrupted leaves the log and nothing else, and no child process. silence: seconds.

    Raises MissingDependency without trtexec, EngineError when it fails.
    """
    if plan.trtexec is None:
        raise MissingDependency(
            "trtexec is not on this machine, neither on the PATH nor in /usr/src/tensorrt/bin. Engines are tied to GPU "
            "and TensorRT version: build them where they will run, in the DeepStream container (package "
            f"libnvinfer-bin) with\n  {plan.command}"
        )
    unfinished = beside(plan.engine)
    arguments = [
        f"--saveEngine={unfinished}" if argument.startswith("--saveEngine=") else argument
        for argument in plan.arguments
    ]
    started = time.monotonic()
    tail: deque[str] = deque(maxlen=_TAIL)
    try:
        with plan.log.open("w", encoding="utf-8") as log:
            log.write(f"$ {plan.command}\n")
            log.flush()
            code = _run([str(plan.trtexec), *arguments], log, told, tail, silence, started)
        if code != 0:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
            memory = " (out of memory? try a smaller --workspace)" if code == -signal.SIGKILL else ""
            raise EngineError(f"trtexec {how}{memory}; the end of {plan.log}:\n  " + "\n  ".join(tail))
        if not unfinished.is_file() or unfinished.stat().st_size == 0:
            raise EngineError(f"trtexec ended well, but wrote no engine; see {plan.log}")
        unfinished.replace(plan.engine)
    except OSError as error:
        raise EngineError(f"the engine of {plan.onnx} cannot be built: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return time.monotonic() - started


def _run(
    command: list[str], log: TextIO, told: Callable[[str], None], tail: deque[str], silence: float, started: float
) -> int:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    reader = threading.Thread(target=read, name="trtexec output", daemon=True)
    reader.start()
    try:
        while True:
            try:
                line = lines.get(timeout=silence)
            except queue.Empty:
                told(f"trtexec is trying kernels, {time.monotonic() - started:.0f} s so far; this takes minutes")
                continue
            if line is None:
                return process.wait()
            log.write(line + "\n")
            tail.append(line)
            told(line)
    finally:
        _end(process)
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    """Let no child outlive the build."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _image_input(onnx: Path, model: Any, input_size: tuple[int, int] | None) -> tuple[str, list[int | None]]:
    """Name and shape of the graph's only input: batch (None: open), and three axes that are all known."""
    outside = external_data_files(model)
    missing = [name for name in outside if not (onnx.parent / name).is_file()]
    if missing:
        raise ModelMismatch(f"{onnx} keeps its weights in {', '.join(missing)}, which is not beside it")
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [port for port in model.graph.input if port.name not in stored]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        found = ", ".join(f"{port.name} ({len(port.type.tensor_type.shape.dim)} axes)" for port in inputs)
        raise ModelMismatch(f"{onnx} must have one input with four axes, the images; found {found or 'none'}")
    shape = [d.dim_value if d.dim_value > 0 else None for d in inputs[0].type.tensor_type.shape.dim]
    if input_size is not None and shape[1] == 3:
        shape[2:] = [known or given for known, given in zip(shape[2:], input_size, strict=True)]
    if None in shape[1:]:
        raise ModelMismatch(f"{onnx} leaves the size of its images open: state it with --size HEIGHTxWIDTH")
    return inputs[0].name, shape
