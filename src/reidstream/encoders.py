"""A video encoder that this build of FFmpeg has: none is needed in particular."""

from __future__ import annotations

from typing import Any

from reidstream.errors import MissingDependency

PREFERRED = ("libx264", "libopenh264", "mpeg4")
"""H.264 first, since every browser plays it; MPEG-4 part 2 is a part of FFmpeg itself (LGPL), libx264 is not (GPL)."""


def video_encoder() -> str:
    """The first of the preferred encoders that is there. Raises MissingDependency when none is."""
    import av

    for name in PREFERRED:
        if name in av.codecs_available:
            return name
    raise MissingDependency(f"this build of FFmpeg has no encoder for video; looked for {', '.join(PREFERRED)}")


def add_video(container: Any, size: tuple[int, int], rate: Any, *, quality: int = 23, keyframes: int = 60) -> Any:
    """A video stream of YUV 4:2:0 in an open container, encoded by one thread, so that equal frames give equal bytes.

    size: width and height, made even. rate: frames per second. quality: as CRF, 0 (perfect) to 51; without such a knob
    the bit rate follows from the size. keyframes: frames between two.
    """
    name = video_encoder()
    options = {"preset": "superfast", "crf": str(quality)} if name == "libx264" else {}
    stream = container.add_stream(name, rate=rate, options=options)
    stream.width, stream.height = max(2, size[0] & ~1), max(2, size[1] & ~1)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.gop_size = keyframes
    stream.codec_context.thread_count = 1
    if not options:
        # Without a quality target the default bit rate is far too low for large pictures.
        stream.codec_context.bit_rate = max(1_000_000, 6 * stream.width * stream.height)
    return stream
