"""What the process with the networks and those that track say to each other, as ``multiprocessing`` pickles it.

To the networks: ("start", source), ("stop", source), ("fail", source), ("settled", tokens), ("hurry", number),
("vectors", number, tokens, boxes, urgent), ("pixels", number, tokens, boxes), ("crops", number, crops) and ("end",).
From them: ("opened", EmbeddingSpace) first, then Looked as often as there is something, and ("answer", number, what was
asked for) or ("wrong", number, the error). A token names a frame whose picture is held until it is settled.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reidstream.errors import EngineError, ReIDStreamError
from reidstream.types import Detections, FloatArray, SourceStarted


class Head(NamedTuple):
    """A frame without its picture, of which only the size is told.

    token: None where the detector did not look. found, kept: how many people it found, and how many of them count.
    """

    source: str
    frame: int
    media_time: float
    wall_time: float
    size: tuple[int, int]
    token: int | None
    found: int
    kept: int
    judged: bool


class People(NamedTuple):
    """The people of several frames, one after the other.

    boxes, scores, sharpness: of those that count, see Detections; sharpness is anything in frames that are not
    ``judged``. kept: bool, of all that were found, which of them count.
    """

    boxes: FloatArray
    scores: FloatArray
    sharpness: FloatArray
    kept: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, found: Sequence[Detections], kept: Sequence[npt.NDArray[np.bool_]]) -> People:
        if not found:
            nobody = Detections.empty()
            return cls(nobody.boxes, nobody.scores, nobody.scores, np.zeros(0, bool))
        return cls(
            np.concatenate([some.boxes for some in found]),
            np.concatenate([some.scores for some in found]),
            np.concatenate([some.scores if some.sharpness is None else some.sharpness for some in found]),
            np.concatenate(kept),
        )


class Looked(NamedTuple):
    """What has happened since the last one.

    items: starts of sources, frames, and (source, error) of frames in which looking for people failed; each source in
    its order. people: of the frames. over: sources that are read to their end, and what went wrong with them. counts:
    frames dropped and reconnects of each source. seconds, warnings: what the status has gained.
    """

    items: list[SourceStarted | Head | tuple[str, ReIDStreamError]]
    people: People
    over: list[tuple[str, str | None]]
    counts: dict[str, tuple[int, int | None]]
    seconds: dict[str, float]
    warnings: dict[str, int]


def send(connection: Connection, message: Any) -> None:
    """For ``Connection.recv``. Its own ``send`` looks for file handles in a message and copies pixels three times,
    which takes up to four times as long, and Python's lock. Raises OSError when the other side is gone."""
    connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def sendable(error: BaseException) -> ReIDStreamError:
    """An error of ours arrives as it is, any other as an EngineError with its words."""
    return error if isinstance(error, ReIDStreamError) else EngineError(f"{type(error).__name__}: {error}")
