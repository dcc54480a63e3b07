"""Cutting crops of stored tracklets out of their recordings once more, where the files are still there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reidstream.boxes import whole_pixels
from reidstream.config import SourceConfig
from reidstream.engines.sampling import box_quality, sharpness
from reidstream.errors import ReIDStreamError, SourceError
from reidstream.gallery.recordings import Recording
from reidstream.pipeline.known import content_of, same_recording
from reidstream.sources import open_source
from reidstream.sources.frame import Pixels
from reidstream.types import FloatArray, IntArray, Tracklet

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cropped:
    """One more crop of a tracklet.

    pixels: uint8 (height, width, 3), BGR. quality: 0..1, as when it was read. last: no other of this tracklet follows.
    """

    tracklet: str
    pixels: Pixels
    quality: float
    last: bool


@dataclass(frozen=True, slots=True)
class _Cut:
    """A box to cut out, float32 (4,), with its quality; last: none of this tracklet follows in a later frame."""

    tracklet: str
    box: FloatArray
    quality: float
    last: bool


def file_of(recording: Recording) -> SourceConfig | None:
    """Where the very recording can be read again; None for cameras, and for files that are gone or have changed."""
    try:
        source = SourceConfig(uri=recording.uri)
        started = content_of(source, recording.source)
    except (ReIDStreamError, ValueError):
        # An address without its password, or one of another version of the program.
        return None
    known = started is not None and same_recording(started, {recording.content: recording}) is not None
    return source if known else None


def crops_of(
    source: SourceConfig,
    name: str,
    tracklets: Sequence[Tracklet],
    wanted: Sequence[str],
    *,
    per_track: int,
    min_height: int,
) -> Iterator[Cropped]:
    """Crops of the wanted tracklets, in the order of the recording's frames; it is read no further than needed.

    tracklets: all of this recording, since one hides the other. per_track: crops of each, spread over its time, the
    best of each part. min_height: pixels below which a crop is taken only where there is no other. What a recording
    that breaks off does not show any more is missing.
    """
    reading = open_source(source, name)
    plan: dict[int, list[_Cut]] = {}
    left = 0
    try:
        with reading as frames:
            for frame in frames:
                if not plan:
                    plan = _plan(tracklets, set(wanted), frame.picture.size, per_track, min_height)
                    left = len(plan)
                for cut in plan.get(frame.index, ()):
                    pixels = frame.picture.crop(*whole_pixels(cut.box, frame.picture.size))
                    yield Cropped(cut.tracklet, pixels, cut.quality * (0.5 + 0.5 * sharpness(pixels)), cut.last)
                left -= frame.index in plan
                if left <= 0:
                    return
    except SourceError as error:
        _log.warning("%s; stored crops are taken for what is missing", error)


def _plan(
    tracklets: Sequence[Tracklet], wanted: set[str], size: tuple[int, int], per_track: int, min_height: int
) -> dict[int, list[_Cut]]:
    """Which boxes to cut out of which frames."""
    seen = [t for t in tracklets if len(t.frames)]
    if not seen:
        return {}
    owner = np.repeat(np.arange(len(seen)), [len(t.frames) for t in seen])
    frames: IntArray = np.concatenate([t.frames for t in seen])
    boxes: FloatArray = np.concatenate([t.boxes for t in seen])
    sure = np.array([t.confidence for t in seen], np.float32)[owner]
    quality = np.zeros(len(frames), np.float32)
    order = np.argsort(frames, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(frames[order])) + 1):
        quality[rows] = box_quality(boxes[rows], sure[rows], size)
    quality[boxes[:, 3] - boxes[:, 1] < min_height] *= 1e-3
    plan: dict[int, list[_Cut]] = {}
    for number, tracklet in enumerate(seen):
        if tracklet.id not in wanted:
            continue
        own = np.flatnonzero(owner == number)
        best = [part[quality[part].argmax()] for part in np.array_split(own, per_track) if len(part)]
        tall = [row for row in best if boxes[row, 3] - boxes[row, 1] >= min_height]
        chosen = tall or [max(best, key=lambda row: float(quality[row]))]
        for row in chosen:
            cut = _Cut(tracklet.id, boxes[row], float(quality[row]), row == chosen[-1])
            plan.setdefault(int(frames[row]), []).append(cut)
    return plan
