"""To and from ``supervision.Detections``, what Roboflow's supervision and the detectors around it speak.

supervision need not be installed to import this: reading needs only an object with ``xyxy`` and ``confidence``, and
``to_supervision`` imports the package when it is called.

Their fields (supervision 0.31): ``xyxy`` (n, 4) in pixels, ``confidence`` (n,) or None, ``class_id`` int (n,) or None,
``tracker_id`` int (n,) or None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from reidstream.errors import MissingDependency
from reidstream.types import Detections, Observed

if TYPE_CHECKING:
    import numpy.typing as npt


class Boxes(Protocol):
    """What is read of ``supervision.Detections``."""

    @property
    def xyxy(self) -> npt.NDArray[Any]: ...

    @property
    def confidence(self) -> npt.NDArray[Any] | None: ...

    @property
    def class_id(self) -> npt.NDArray[Any] | None: ...


def from_supervision(found: Boxes, person: int | None = None, size: tuple[int, int] | None = None) -> Detections:
    """What another detector found, as a Detector of this package returns it.

    person: the class that means a person; everything else is left out. None: everything found is a person.
    size: width and height of the frame; boxes are clipped to it, and those outside left out.
    Without confidences, every box counts as sure (1.0). Raises ValueError when ``person`` is given but classes are not.
    """
    boxes = np.array(found.xyxy, np.float32).reshape(-1, 4)
    confidence = found.confidence
    scores = np.ones(len(boxes), np.float32) if confidence is None else np.array(confidence, np.float32)
    wanted = np.ones(len(boxes), bool)
    if person is not None and len(boxes):
        if found.class_id is None:
            raise ValueError(f"person={person} chooses a class, but the detections have no class_id")
        wanted = np.asarray(found.class_id) == person
    if size is not None:
        boxes = np.clip(boxes, 0, np.array([*size, *size], np.float32))
        wanted &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return Detections(boxes, scores)[wanted]


def to_supervision(found: Detections | Observed) -> Any:
    """``supervision.Detections`` of one frame, for its annotators, zones and counters; class 0 is a person.

    Tracks carry their ids as ``tracker_id``; what the tracker only predicted has a confidence of 0.
    Raises MissingDependency when supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise MissingDependency(
            "supervision is not installed here (it asks for opencv-python, which does not go together with the "
            f"opencv-python-headless of this package: install it with --no-deps): {error}"
        ) from None
    if isinstance(found, Observed):
        scores, tracks = np.maximum(found.confidences, 0), found.track_ids.astype(np.int64)
    else:
        scores, tracks = found.scores.copy(), None
    return supervision.Detections(
        xyxy=found.boxes.copy(), confidence=scores, class_id=np.zeros(len(scores), np.int64), tracker_id=tracks
    )
