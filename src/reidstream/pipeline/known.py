"""What a gallery holds already of the sources of a run, and under which settings it was read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reidstream.config import Config, SourceConfig
from reidstream.config.redaction import redacted
from reidstream.config.sources import Polygon
from reidstream.errors import ConfigError, GalleryError, GalleryNotFound, SourceError
from reidstream.gallery import Gallery
from reidstream.types import SourceStarted

if TYPE_CHECKING:
    from reidstream.gallery.recordings import Recording
    from reidstream.inference import Detector


def settings_fingerprint(
    config: Config,
    engine: str,
    max_fps: float | None = None,
    detector: Detector | None = None,
    ignore: Sequence[Polygon] = (),
    given: str = "",
    *,
    former_model: str | None = None,
) -> str:
    """What decides how tracklets come out, as 16 hex digits: engine, detection, tracking, sampling, pooling.

    The embedding model has no part in it: a gallery has one space and takes nothing else, and when it moves to another,
    what is half read goes on there.
    max_fps: the frame rate that a source is thinned to, if it is. detector: one that is used instead of the configured
    model. ignore: regions of a source that do not count. given: fingerprint of the boxes that a source comes with.
    former_model: the embedding model's checksum or space, for what version 0.1 wrote, which named it.
    """
    sections = ("detector", "tracker", "embedding", "tracklets", *(["deepstream"] if engine == "deepstream" else []))
    parts = {name: getattr(config, name).model_dump(mode="json") for name in sections}
    # How many frames are detected together changes nothing but speed.
    parts["detector"].pop("batch")
    parts["embedding"].pop("batch")
    # How many pictures are kept changes no vector.
    parts["tracklets"].pop("crops")
    if former_model is None:
        parts["embedding"].pop("model")
    if parts["tracker"]["follow_scores"]:
        # What was read before there was this setting stays what it is.
        parts["tracker"].pop("follow_scores")
    if parts["tracklets"]["second_look"]:
        parts["tracklets"].pop("second_look")
    named: list[object] = [engine, parts, *(value for value in (former_model, max_fps) if value is not None)]
    if detector is not None:
        kind = type(detector)
        named.append({"detector": getattr(detector, "fingerprint", f"{kind.__module__}.{kind.__qualname__}")})
    if ignore:
        named.append({"ignore": ignore})
    if given:
        named.append({"given": given})
    text = json.dumps(named, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def given_fingerprint(source: SourceConfig) -> str:
    """The boxes that a source comes with, as 32 hex digits; empty when it comes with none. Raises ConfigError."""
    from reidstream.sources.address import Kind, kind_of
    from reidstream.tracking.given import given_boxes

    boxes = given_boxes(source)
    if boxes is None:
        return ""
    if kind_of(source.uri) not in (Kind.FILE, Kind.FOLDER):
        raise ConfigError(
            f"{redacted(source.uri)}: detections and tracks belong to a video file or a folder of images; a camera "
            "shows something else each time"
        )
    digest = hashlib.blake2b(b"detections" if boxes.ids is None else b"tracks" + boxes.ids.tobytes(), digest_size=16)
    for part in (boxes.frames, boxes.boxes, boxes.scores):
        digest.update(part.tobytes())
    return digest.hexdigest()


def why_held(recording: Recording, source: str) -> str:
    """Why a recording need not be read again."""
    return "it is in the gallery already" if recording.source == source else f"same content as {recording.source}"


def known_recordings(gallery: str | Path) -> dict[str, Recording]:
    """The gallery's recordings by content; none when there is no gallery yet."""
    try:
        with Gallery.open(gallery) as opened:
            return {recording.content: recording for recording in opened.sources()}
    except GalleryNotFound:
        return {}


def index_of(gallery: str | Path, config: Config) -> str:
    """The vector index of a gallery, or the one that it will get when it is made."""
    try:
        with Gallery.open(gallery) as opened:
            return opened.facts().index
    except GalleryError:
        # There is none, or only who writes can open it.
        return config.gallery.index


def content_of(source: SourceConfig, source_id: str) -> SourceStarted | None:
    """What a file or folder is; None for cameras and for what cannot be read, which the engine meets and reports."""
    from reidstream.sources import open_source
    from reidstream.sources.address import Kind, kind_of

    if kind_of(source.uri) not in (Kind.FILE, Kind.FOLDER):
        return None
    try:
        with open_source(source, source_id) as opened:
            return opened.started()
    except SourceError:
        return None


def beginnings_of_others(contents: dict[str, SourceStarted | None]) -> dict[str, str]:
    """The sources that hold only the beginning of what another source of the same run holds, and which: the longest."""
    from reidstream.sources.fingerprint import grown

    of: dict[str, str] = {}
    known = sorted(((c.length, name, c) for name, c in contents.items() if c is not None and c.beginning), reverse=True)
    for number, (length, name, started) in enumerate(known):
        for longer, other, content in known[:number]:
            if longer > length and grown((started.beginning, length), (content.beginning, longer)):
                of[name] = other
                break
    return of


def same_recording(started: SourceStarted, known: dict[str, Recording]) -> Recording | None:
    """What the gallery has of the same recording: all of it, or the longest shorter version that was read."""
    from reidstream.sources.fingerprint import grown

    if started.content in known:
        return known[started.content]
    longer = (started.beginning, started.length)
    shorter = [recording for recording in known.values() if grown((recording.beginning, recording.length), longer)]
    return max(shorter, key=lambda recording: recording.length, default=None)
