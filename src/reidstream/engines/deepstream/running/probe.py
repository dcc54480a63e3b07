"""What runs on NVIDIA's streaming thread: read a batch, hand its arrays over, let the buffer go."""

from __future__ import annotations

import logging
import time
from typing import Any

from reidstream.engines.deepstream.metadata.reading import BatchReader
from reidstream.engines.deepstream.running.handover import Handover, PipelineOver, StreamOver, TracksOver
from reidstream.engines.deepstream.running.mux_pads import MuxPads
from reidstream.errors import EngineError, ReIDStreamError

logger = logging.getLogger(__name__)

_OVER = "nv-stream-eos"
_GONE = "nv-pad-deleted"
"""Events of NVIDIA's mux: behind the last frame of a stream, and when a pad was taken out, behind which a frame may
still come. Their field is ``source-id``, the number of the pad."""


class Probe:
    """A pad probe on the source pad of the last element that adds metadata.

    ``seconds``: time spent reading, waiting not counted; ``batches``: how many. Nothing is ever raised into GStreamer:
    the first failure goes to the reader of the events, and the probe keeps quiet from then on.
    """

    def __init__(self, gst: Any, reader: BatchReader, handover: Handover, pads: MuxPads) -> None:
        self._gst = gst
        self._reader = reader
        self._handover = handover
        self._pads = pads
        self._failed = False
        self._attached: list[tuple[Any, int]] = []
        self.seconds = 0.0
        self.batches = 0

    def attach(self, pad: Any) -> None:
        kinds = self._gst.PadProbeType
        self._attached = [
            (pad, pad.add_probe(kinds.BUFFER, self._on_buffer)),
            (pad, pad.add_probe(kinds.EVENT_DOWNSTREAM, self._on_event)),
        ]

    def detach(self) -> None:
        for pad, probe in self._attached:
            pad.remove_probe(probe)
        self._attached.clear()

    def _on_buffer(self, _pad: Any, info: Any) -> Any:
        if not self._failed:
            try:
                # PyGObject's hash of a boxed value is its address, as in all of NVIDIA's samples.
                self._read(hash(info.get_buffer()))
            except ReIDStreamError as error:
                self._fail(error)
            except Exception as error:
                logger.debug("reading a batch failed", exc_info=error)
                failure = EngineError(f"reading DeepStream's metadata failed: {type(error).__name__}: {error}")
                failure.__cause__ = error
                self._fail(failure)
        return self._gst.PadProbeReturn.OK

    def _read(self, buffer: int) -> None:
        began = time.perf_counter()
        batch = self._reader.read(buffer)
        self.seconds += time.perf_counter() - began
        self.batches += 1
        for frame in batch.frames:
            self._handover.put_frame(frame)
        for pad, object_ids in batch.terminated:
            self._handover.put_note(TracksOver(pad, object_ids))

    def _on_event(self, _pad: Any, info: Any) -> Any:
        structure = info.get_event().get_structure()
        name = structure.get_name() if structure is not None else ""
        if name.startswith((_OVER, _GONE)):
            known, pad = structure.get_uint("source-id")
            gone = name.startswith(_GONE)
            index = None
            if known:
                index = self._pads.deleted(int(pad)) if gone else self._pads.source(int(pad))
            if index is not None:
                self._handover.put_note(StreamOver(index, in_order=True))
        return self._gst.PadProbeReturn.OK

    def _fail(self, error: ReIDStreamError) -> None:
        self._failed = True
        self._handover.put_note(PipelineOver(error))
