"""A detector's graph without what nobody looks at: other classes, and most of the padding."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np

from reidstream.errors import ModelError
from reidstream.inference.session import Session
from reidstream.types import FloatArray

logger = logging.getLogger(__name__)

# Largest difference from the graph as it is, relative to its largest number; float32 rounding is far below.
_TOLERANCE = 1e-4
# Sizes of pictures for which a form of the graph is kept; each is a session with memory of its own.
_MOST_FORMS = 6
# Columns before the scores of the classes: centre, size, objectness.
_BOX = 5


class LeanGraph:
    """The forms of one detector's graph, changed in memory only and each taken only when it gives the same.

    session: the form for pictures that fill the input. column: where the score of the class is in its output.
    Safe to use from several threads.
    """

    def __init__(self, session: Session, size: tuple[int, int], column: int) -> None:
        """``size``: width and height of the network's input. ``column``: of the score in the output of ``session``."""
        self.session = session
        self.column = column
        self._stored = session, column
        self._size = size
        self._lock = threading.Lock()
        self._forms: dict[tuple[int, int], Session] = {}
        self._model: Any = None
        try:
            model, kept = _leaner(session, column)
            form = session.with_graph(model.SerializeToString())
            self._check(form, kept, size)
        except (ModelError, ValueError) as error:
            logger.info("%s is run as it is: %s", session.path, error)
        else:
            self.session, self.column, self._model = form, kept, model

    def fitting(self, content: tuple[int, int]) -> tuple[Session, tuple[int, int]]:
        """The form for pictures that take ``content`` (width, height) of the input, and the input size it wants."""
        if content == self._size or self._model is None:
            return self.session, self._size
        with self._lock:
            if content not in self._forms:
                if len(self._forms) >= _MOST_FORMS:
                    return self.session, self._size
                self._forms[content] = self._shorter(content)
            form = self._forms[content]
        height, width = form.input.shape[2:]
        return form, (width or self._size[0], height or self._size[1])

    def _shorter(self, content: tuple[int, int]) -> Session:
        from onnx import ModelProto

        from reidstream.models.graph.padding import skip_padding

        width, height = self._size
        model = ModelProto()
        model.CopyFrom(self._model)
        try:
            height = skip_padding(model, 2, content[1], (3, height, width))
            width = skip_padding(model, 3, content[0], (3, height, width))
            if (width, height) == self._size:
                return self.session
            form = self.session.with_graph(model.SerializeToString())
            self._check(form, self.column, content)
            return form
        except (ModelError, ValueError, IndexError) as error:
            logger.info("%s computes the padding, too: %s", self.session.path, error)
            return self.session

    def _check(self, form: Session, column: int, content: tuple[int, int]) -> None:
        """Raise ValueError unless a form gives what the graph as it is gives."""
        stored, stored_column = self._stored
        width, height = self._size
        images = np.full((stored.batch or 1, 3, height, width), 114, np.float32)
        shown = images[:, :, : content[1], : content[0]]
        shown[:] = np.random.default_rng(0).uniform(0, 255, shown.shape)
        expected = _columns(stored.run(images), stored_column)
        rows, columns = (size or full for size, full in zip(form.input.shape[2:], (height, width), strict=True))
        found = _columns(form.run(np.ascontiguousarray(images[:, :, :rows, :columns])), column)
        if found.shape != expected.shape:
            raise ValueError(f"its output would be {found.shape} instead of {expected.shape}")
        if not (np.isfinite(expected).all() and np.isfinite(found).all()):
            raise ValueError("its results are not finite")
        worst = float(np.abs(found - expected).max())
        if worst > _TOLERANCE * float(np.abs(expected).max()):
            raise ValueError(f"its results would differ by {worst:.2g}")


def only_person(model: Any, column: int) -> None:
    """Leave the scores of all classes but one out of a detector's graph; raise ValueError where that cannot be done."""
    from reidstream.models.graph.savings import only_column

    if not only_column(model, column, _BOX):
        raise ValueError("it does not end as a YOLOX does")


def without_padding(model: Any, column: int, content: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Leave out most of the padding of pictures that take ``content`` of the input, and all classes but one.

    content, size: width and height, of the whole input the latter. Returns what is left of it; raises ValueError where
    nothing is saved.
    """
    from reidstream.models.graph.padding import skip_padding
    from reidstream.models.graph.savings import only_column, pools_in_turn, slices_as_convolution

    del model.graph.value_info[:]  # what follows changes shapes
    slices_as_convolution(model)
    pools_in_turn(model)
    only_column(model, column, _BOX)
    width, height = size
    height = skip_padding(model, 2, content[1], (3, height, width))
    if height == size[1]:
        raise ValueError("no padding can be left out")
    return width, height


def columns_of(column: int) -> list[int]:
    """The columns of an output that are left when the score in ``column`` is the only one: it is the last then."""
    return [*range(_BOX), column]


def _leaner(session: Session, column: int) -> tuple[Any, int]:
    """The graph for whole inputs, and the column of the score in its output."""
    from reidstream.models.graph.folding import constants_as_weights
    from reidstream.models.graph.savings import only_column, pools_in_turn, slices_as_convolution
    from reidstream.models.onnx_file import load_whole

    if session.input.shape[1] != 3:
        raise ValueError("its channels come last")
    model = load_whole(session.path)
    constants_as_weights(model)
    del model.graph.value_info[:]  # what follows changes shapes
    slices_as_convolution(model)
    pools_in_turn(model)
    return model, _BOX if only_column(model, column, _BOX) else column


def _columns(output: FloatArray, column: int) -> FloatArray:
    """Box, objectness and the score of the class."""
    if output.ndim != 3 or output.shape[2] <= column:
        raise ValueError(f"its output of {output.shape} has no column {column}")
    wanted: FloatArray = output[:, :, columns_of(column)]
    return wanted
