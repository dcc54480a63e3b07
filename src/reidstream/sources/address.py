"""Reading addresses of sources: which kind they are, and where they lie on this machine."""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reidstream.config.redaction import redacted
from reidstream.errors import SourceNotFound

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "Kind", "device_path", "kind_of", "local_path", "redacted"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".3gp", ".ogv"),
        *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".dav"),
    }
)
"""What counts as a video in a folder. A file that is named is read whatever its ending."""
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_LONGEST, _LONGEST_PART = 4000, 255
"""Bytes that Linux allows for a path and for a name in it, a little less."""
_DEVICE = re.compile(r"/dev/video\d+|\d{1,3}")


class Kind(Enum):
    """What an address stands for."""

    FILE = "file"
    FOLDER = "folder"
    RTSP = "rtsp"
    WEBCAM = "webcam"


def kind_of(uri: str) -> Kind:
    """The kind of source at ``uri``. A path that does not exist counts as a file.

    Raises SourceNotFound for schemes other than rtsp, rtsps and file.
    """
    scheme = _SCHEME.match(uri)
    if scheme:
        try:
            _ = urlsplit(redacted(uri)).port
        except ValueError as error:
            raise SourceNotFound(f"{redacted(uri)}: no such address can be: {error}") from None
    if scheme and scheme[1].lower() in {"rtsp", "rtsps"}:
        return Kind.RTSP
    if scheme and scheme[1].lower() != "file":
        raise SourceNotFound(
            f"{redacted(uri)}: addresses that begin with {scheme[1]}:// cannot be read; "
            "expected a video file, a folder of images, rtsp://, or a webcam like /dev/video0"
        )
    if _DEVICE.fullmatch(uri):
        return Kind.WEBCAM
    if "\0" in uri or len(uri) > _LONGEST or any(len(os.fsencode(part)) > _LONGEST_PART for part in uri.split("/")):
        raise SourceNotFound(f"{redacted(uri[:80])!r}...: no file can be called so")
    # Not Path.is_dir, which raises for names that are too long.
    return Kind.FOLDER if os.path.isdir(local_path(uri)) else Kind.FILE  # noqa: PTH112


def local_path(uri: str) -> Path:
    """The path of a file or folder given as a path or as ``file://``, with ``~`` expanded."""
    if uri.lower().startswith("file://"):
        return Path(unquote(urlsplit(uri).path))
    # Not Path.expanduser, which raises where there is no such user.
    return Path(os.path.expanduser(uri))  # noqa: PTH111


def device_path(uri: str) -> Path:
    """The device of a webcam given as ``/dev/video0`` or as its number."""
    return Path(uri) if uri.startswith("/") else Path(f"/dev/video{int(uri)}")
