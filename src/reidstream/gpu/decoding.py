"""Decoding on the GPU: FFmpeg's decoders for NVDEC, whose pictures stay where they are."""

from __future__ import annotations

import logging
from typing import Any

from reidstream.errors import DeviceError
from reidstream.gpu.driver import Gpu
from reidstream.gpu.picture import DevicePicture
from reidstream.gpu.surfaces import Surface
from reidstream.runtime import missing_for_cuda, missing_for_decoding
from reidstream.sources.frame import Picture
from reidstream.sources.picture import Orientation, VideoPicture
from reidstream.sources.planes import matrix_of

logger = logging.getLogger(__name__)

# What NVDEC writes: bytes, or 10 and 12 bits on top of 16.
_DEEP = {"nv12": False, "p010le": True, "p016le": True}


def open_gpu() -> Gpu | None:
    """The GPU, when video can be decoded on it; None, said in the log, when only its decoder is not there.

    Raises DeviceError when there is no GPU that models could run on.
    """
    if missing := missing_for_cuda():
        raise DeviceError(f"the GPU (local.device = 'cuda') cannot be used: {'; '.join(map(str, missing))}")
    if without := missing_for_decoding():
        logger.warning("video is decoded on the processor: %s", without)
        return None
    return Gpu()


class OnGpu:
    """Decoding of one source, see ``sources.decoding.Decoding``.

    What the GPU's decoder does not take (another codec, 4:2:2, 4:4:4) FFmpeg decodes on the processor by itself; those
    pictures are copied to the GPU by whoever runs a network on them.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self.on_processor = ""
        """The pixel format of what was decoded on the processor; empty while nothing was."""

    def hardware(self) -> Any:
        from av.codec.hwaccel import HWAccel

        # In the primary context, as everything else here. Frames are copies that belong to whoever holds them: those
        # of the decoder itself are few, and it stops when they are held.
        number = str(self._gpu.number) if self._gpu.number else None
        return HWAccel("cuda", device=number, allow_software_fallback=True, is_hw_owned=True)

    def picture(self, frame: Any, orientation: Orientation) -> Picture:
        if frame.format.name != "cuda":
            self.on_processor = self.on_processor or str(frame.format.name)
            return VideoPicture(frame, orientation)
        stored = frame.sw_format.name
        if stored not in _DEEP:
            raise ValueError(f"the GPU's decoder gave a picture in {stored}, which nobody here reads")
        luma, chroma = frame.planes
        if luma.line_size != chroma.line_size:
            raise ValueError("the GPU's decoder gave planes with lines of different length, which nobody here reads")
        # FFmpeg has only started its copy, in the context's default stream: whoever reads it comes behind that.
        surface = Surface(
            luma.buffer_ptr,
            chroma.buffer_ptr,
            luma.line_size,
            _DEEP[stored],
            (frame.width, frame.height),
            matrix_of(frame),
            frame,
        )
        return DevicePicture(self._gpu, surface, orientation)
