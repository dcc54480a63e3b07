"""Which part of a visit a clip shows."""

from __future__ import annotations

from dataclasses import dataclass

from reidstream.config.clips import ClipConfig
from reidstream.types import Tracklet


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, in seconds of media time. suffix: of the file that shows it, once there is one."""

    start: float
    end: float
    suffix: str = ""


def span_of(tracklet: Tracklet, config: ClipConfig) -> Span:
    """The whole visit with some time around it, or of a long one the time around its best picture."""
    start = max(0.0, tracklet.start_media - config.margin)
    end = tracklet.end_media + config.margin
    if end - start <= config.seconds:
        return Span(start, end)
    frames = max(tracklet.end_frame - tracklet.start_frame, 1)
    best = tracklet.start_frame if tracklet.crop_frame is None else tracklet.crop_frame
    part = (best - tracklet.start_frame) / frames
    middle = tracklet.start_media + part * (tracklet.end_media - tracklet.start_media)
    begin = min(max(start, middle - config.seconds / 2), end - config.seconds)
    return Span(begin, begin + config.seconds)
