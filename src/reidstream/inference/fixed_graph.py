"""Making a graph for a GPU out of a model: pictures in as bytes, and always the same number of them.

A GPU wants fixed sizes: for every new one cuDNN looks for algorithms anew, which takes a second or more, and only work
of a fixed size can be captured once and replayed. One size per model also means that a picture's numbers do not
depend on how many others happened to wait beside it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reidstream.errors import ModelError, ModelMismatch
from reidstream.inference.input import Packer, input_size
from reidstream.inference.placing import PAD
from reidstream.inference.session import Session, first_line
from reidstream.models.spec import ModelSpec
from reidstream.runtime import onnxruntime
from reidstream.sources.frame import Pixels
from reidstream.types import FloatArray

logger = logging.getLogger(__name__)

# Largest difference between the changed graph and the model as it is, both on the processor, relative to the largest
# number; float32 rounding is far below.
_TOLERANCE = 1e-3

TOLERANCE_HALF = 5e-2
"""Largest difference of a graph that computes in float16, likewise, on any device. On noise it is .002 to .023 with two
OSNets x0.25, OSNet x1.0 and two YOLOX-nanos; what is wrong differs by its whole size."""
# Operators that add up squares, which leave float16's range.
_IN_FULL = ("ReduceL2", "ReduceSum", "ReduceSumSquare", "LpNormalization", "Pow")

Change = Callable[[Any], tuple[int, int] | None]
"""Changes an onnx.ModelProto in place; raises ModelError or ValueError where it cannot. Returns the width and height of
the input that is left, if that is another: the upper left part of the whole."""


@dataclass(frozen=True, slots=True)
class FixedGraph:
    """A graph for exactly ``rows`` pictures of ``size`` (width, height): uint8 (rows, height, width, 3), BGR.

    pictures, answers: some pictures, and what the model as it is in its file says to them on the processor, as far as
    the graph still says it. changed: whether the model was changed, see ``fixed_graph``. half: whether it computes in
    float16.
    """

    path: Path
    graph: bytes
    rows: int
    size: tuple[int, int]
    pictures: tuple[Pixels, ...]
    answers: FloatArray
    changed: bool
    half: bool = False

    def largest_difference(self, found: FloatArray) -> float:
        """Between ``found`` and what is right, relative to the largest right number; infinite when not comparable."""
        if found.shape != self.answers.shape or not np.isfinite(found).all():
            return float("inf")
        return float(np.abs(found - self.answers).max()) / max(float(np.abs(self.answers).max()), 1e-6)


def fixed_graph(
    session: Session,
    spec: ModelSpec,
    rows: int,
    change: Change | None = None,
    kept: Callable[[FloatArray], FloatArray] = lambda answers: answers,
    content: tuple[int, int] | None = None,
    half: bool = False,
) -> FixedGraph:
    """The model of ``session`` for ``rows`` pictures at once.

    change: saves work and is left out when it cannot be done or changes the numbers. kept: what remains of the
    model's answers after the change. Where the number of pictures is fixed inside the model in a way that cannot be
    opened, the graph has that number of rows instead. content: the graph is for pictures that take so much (width,
    height) of the input at most, at its upper left; the change is then not left out. half: compute in float16 what the
    model computes in float32. Raises ModelMismatch when nothing works.
    """
    size = input_size(session, spec)
    random = np.random.default_rng(0)
    pictures = tuple(random.integers(0, 256, (2, size[1], size[0], 3), np.uint8))
    if content is not None:
        for picture in pictures:
            picture[content[1] :] = picture[:, content[0] :] = PAD
    packer = Packer(spec.preprocessing)
    answers = np.concatenate([session.run(packer([one], session.batch or 1))[:1] for one in pictures])
    whole = FixedGraph(session.path, b"", rows, size, pictures, answers, False, half)
    tries: list[tuple[FixedGraph, Change | None]] = [(whole, None)]
    if change is not None:
        tries.insert(0, (replace(whole, changed=True), change))
    if content is not None:
        del tries[1:]
    elif session.batch is not None and session.batch != rows:
        tries.append((replace(whole, rows=session.batch), None))
    reason: Exception | None = None
    for form, apply in tries:
        try:
            if form.changed:
                form = replace(form, answers=kept(answers))
            return _made(form, session, spec, apply)
        except (ModelError, ValueError) as error:
            what = "with its changes " if form.changed else ""
            logger.info("%s cannot be run %sfor %d pictures at once: %s", session.path, what, form.rows, error)
            reason = error
    how = " in FP16 (local.precision)" if half else ""
    raise ModelMismatch(f"{session.path} cannot be run{how} for a fixed number of pictures: {reason}")


def _made(form: FixedGraph, session: Session, spec: ModelSpec, change: Change | None) -> FixedGraph:
    """With its graph, after that has proved itself on the processor."""
    from reidstream.models.graph.batch import open_batch
    from reidstream.models.graph.folding import constants_as_weights
    from reidstream.models.graph.pictures import fix_rows, take_pictures

    model = session.graph()
    constants_as_weights(model)
    if change is not None and (size := change(model)) is not None:
        pictures = tuple(np.ascontiguousarray(picture[: size[1], : size[0]]) for picture in form.pictures)
        form = replace(form, size=size, pictures=pictures)
    if session.batch != form.rows:
        a, b, c = _image_shape(form.size, spec)
        open_batch(model, (a, b, c))
    if form.half and session.input.dtype == "tensor(float)":
        model = _halved(model)
    # As many as the graph is open for, or else as it wants: two are enough to see whether rows are told apart.
    trial = session.batch if session.batch == form.rows else 2
    trial = trial or 2
    take_pictures(model, spec.preprocessing, form.size, trial)
    fix_rows(model, trial)
    tried = session.with_graph(model.SerializeToString())
    batches = [np.stack(form.pictures * trial)[start : start + trial] for start in range(0, 2, trial)]
    difference = form.largest_difference(np.concatenate([tried.run(batch) for batch in batches])[:2])
    if difference > (TOLERANCE_HALF if form.half else _TOLERANCE):
        raise ValueError(f"its results would differ by {difference:.2g} of the largest")
    fix_rows(model, form.rows)
    return replace(form, graph=model.SerializeToString())


def _halved(model: Any) -> Any:
    """The same graph, which computes in float16 what can be; its input and outputs stay float32."""
    onnxruntime()
    folders = list(sys.path)
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    # It adds a folder of its own, whose modules have the names of many others.
    sys.path[:] = folders
    try:
        return convert_float_to_float16(model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_IN_FULL])
    except Exception as error:  # noqa: BLE001 - it raises what a graph that it does not know happens to raise
        raise ValueError(f"it cannot be written in float16: {first_line(error)}") from None


def _image_shape(size: tuple[int, int], spec: ModelSpec) -> tuple[int, int, int]:
    width, height = size
    return (3, height, width) if spec.preprocessing.layout == "NCHW" else (height, width, 3)
