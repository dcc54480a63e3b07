"""The clip that the self-test reads."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av

from reidstream.config.deepstream import SDK
from reidstream.errors import SourceNotFound

SAMPLE = Path(SDK) / "samples/streams/sample_1080p_h264.mp4"
"""A street of NVIDIA's samples, in which its detector knows people: nobody knows made-up ones."""


def first_frames(source: Path, target: Path, frames: int) -> int:
    """Copies the first packets of a video, undecoded; how many frames there are in the copy.

    Raises SourceNotFound when the video cannot be read.
    """
    if not source.is_file():
        raise SourceNotFound(
            f"{source} is not on this machine: name a video in which the configured detector finds people (--clip)"
        )
    try:
        with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
            stream = reading.streams.video[0]
            copy = writing.add_stream_from_template(stream)
            packets = (packet for packet in reading.demux(stream) if packet.dts is not None)
            for packet in islice(packets, frames):
                packet.stream = copy
                writing.mux(packet)
        with av.open(str(target)) as reading:
            return sum(1 for _ in reading.decode(video=0))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise SourceNotFound(f"{source}: no clip can be cut from it: {error}") from None
