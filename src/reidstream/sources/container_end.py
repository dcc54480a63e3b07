"""Noticing that a video file was cut off: FFmpeg reads such a file to its end without an error.

MP4/MOV, AVI and Matroska/WebM state the sizes of their outermost parts; when the last one reaches beyond the end of the
file, the rest was never written or copied. Other containers do not say how long they are.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"uuid", b"meta", b"pdin"}


def missing_bytes(path: Path) -> int:
    """How many bytes the container says it should have beyond the file's end; 0 when complete or not known."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(12)
        if head[4:8] in _BOXES:
            end = _last_box_end(file, size)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            end = _last_riff_end(file, size)
        elif head[:4] == _EBML:
            end = _segment_end(file, size)
        else:
            end = size
    return max(0, end - size)


def _last_box_end(file: BinaryIO, size: int) -> int:
    # ISO/IEC 14496-12, 4.2: 32-bit size and type; size 1: a 64-bit size follows; size 0: to the end of the file.
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 0:
            return size
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8 or header[4:8] not in _BOXES:
            # Junk or private boxes behind the known ones are no sign of a cut.
            return position
        position += length
    return position


def _last_riff_end(file: BinaryIO, size: int) -> int:
    # OpenDML AVI: several RIFF chunks may follow each other; a size of 0 means that it was never filled in.
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        (length,) = struct.unpack("<I", header[4:8])
        if header[:4] != b"RIFF" or length == 0:
            return position
        position += 8 + length + (length & 1)
    return position


def _segment_end(file: BinaryIO, size: int) -> int:
    # RFC 8794, 4-5: EBML header element, then the Segment; a size of all ones means unknown.
    file.seek(4)
    header_size, header_length = _vint(file)
    position = 4 + header_length + (header_size or 0)
    if position > size:
        return position
    file.seek(position)
    if file.read(4) != _SEGMENT:
        return position
    segment_size, length = _vint(file)
    return 0 if segment_size is None else position + 4 + length + segment_size


def _vint(file: BinaryIO) -> tuple[int | None, int]:
    """Value (None: unknown) and length in bytes of an EBML variable-size integer."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None, 1
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    value = int.from_bytes(bytes([first[0] & ((1 << (8 - length)) - 1)]) + rest, "big")
    return (None if value == (1 << (7 * length)) - 1 else value), length
