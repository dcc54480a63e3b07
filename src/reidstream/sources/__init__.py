"""Where frames come from: video files, folders of images, RTSP cameras, webcams."""

from __future__ import annotations

from reidstream.config.redaction import redacted
from reidstream.sources.frame import ArrayPicture, Frame, Picture, Pixels
from reidstream.sources.listing import expand_configs, expand_sources, resolved_from
from reidstream.sources.naming import source_ids
from reidstream.sources.source import Source, open_source

__all__ = [
    "ArrayPicture",
    "Frame",
    "Picture",
    "Pixels",
    "Source",
    "expand_configs",
    "expand_sources",
    "open_source",
    "redacted",
    "resolved_from",
    "source_ids",
]
