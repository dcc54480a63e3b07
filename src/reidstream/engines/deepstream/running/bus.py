"""The pipeline's messages, read on a GLib main loop of their own.

NVIDIA's reconnecting and file looping are GLib time-outs on the default context: without a running main loop neither
ever happens.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from reidstream.engines.deepstream.running.handover import Handover, PipelineOver, StreamOver
from reidstream.engines.deepstream.running.mux_pads import MuxPads
from reidstream.engines.deepstream.running.pipeline import Pipeline, error_text
from reidstream.errors import EngineError

logger = logging.getLogger(__name__)

_LATE_REASON = 2.0
"""Seconds that an element gets to say why the pipeline does not start."""


class BusWatch:
    """Turns messages into notes: end of a stream, end of all, errors of one source or of the pipeline.

    warned: told the text of each warning.
    """

    def __init__(self, pipeline: Pipeline, handover: Handover, pads: MuxPads, warned: Callable[[str], None]) -> None:
        self._pipeline = pipeline
        self._handover = handover
        self._pads = pads
        self._warned = warned
        glib: Any = importlib.import_module("gi.repository.GLib")
        self._glib = glib
        self._loop = glib.MainLoop()
        pipeline.bus.add_signal_watch()
        self._handler = pipeline.bus.connect("message", self._on_message)
        self._thread = threading.Thread(target=self._loop.run, name="glib", daemon=True)
        self._timers: list[int] = []

    def start(self) -> None:
        self._thread.start()

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something on the main loop again and again."""

        def again() -> bool:
            call()
            return True

        self._timers.append(self._glib.timeout_add(int(seconds * 1000), again))

    def soon(self, call: Callable[[], None]) -> None:
        """Call something once on the main loop, where sources may be added and removed."""

        def once() -> bool:
            call()
            return False

        self._glib.idle_add(once)

    def refused(self) -> None:
        """The pipeline did not start: its end comes with the reason that an element gave.

        This is the only reader of the bus, so that nobody else can take a reason away. An element may refuse on a
        thread of its own and say why a moment later; after that the end comes without a reason.
        """
        error = EngineError("the DeepStream pipeline does not start, and no element said why")
        self.every(_LATE_REASON, lambda: self._handover.put_note(PipelineOver(error)))

    def stop(self) -> None:
        for timer in self._timers:
            self._glib.source_remove(timer)
        self._timers.clear()
        self._pipeline.bus.disconnect(self._handler)
        self._pipeline.bus.remove_signal_watch()
        self._loop.quit()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5)

    def _on_message(self, _bus: Any, message: Any) -> None:
        kinds = self._pipeline.gst.MessageType
        if message.type == kinds.EOS:
            self._handover.put_note(PipelineOver())
        elif message.type == kinds.ERROR:
            self._on_error(message)
        elif message.type == kinds.WARNING:
            text = error_text(message)
            logger.info("%s", text)
            self._warned(text)
        elif message.type == kinds.ELEMENT:
            self._on_element(message)

    def _on_error(self, message: Any) -> None:
        text = error_text(message)
        index = self._pipeline.source_of(message.src)
        if index is None and not self._pipeline.holds(message.src):
            # A source's decoder that is gone again; if the source cannot go on without, it says so itself.
            self._warned(text)
            return
        if index is None:
            self._handover.put_note(PipelineOver(EngineError(f"DeepStream stopped with an error: {text}")))
            return
        self._drop(index, text)

    def _on_element(self, message: Any) -> None:
        structure = message.get_structure()
        name = structure.get_name() if structure is not None else ""
        if name == "stream-eos":
            known, pad = structure.get_uint("stream-id")
            index = self._pads.source(int(pad)) if known else None
            if index is not None:
                self._handover.put_note(StreamOver(index, in_order=False))
        elif name == "attempt-exceeded":
            index = self._pipeline.source_of(message.src)
            if index is not None:
                self._drop(index, "nvurisrcbin has used up its attempts to connect again")
        elif name == "force-pipeline-eos" and structure.get_boolean("force_eos") != (True, False):
            self._pipeline.pipeline.send_event(self._pipeline.gst.Event.new_eos())

    def _drop(self, index: int, error: str) -> None:
        """One source is broken: it is taken out, the others go on without it. Whether it comes back is the engine's."""
        self._handover.put_note(StreamOver(index, in_order=False, error=error))
        self.soon(lambda: self._pipeline.remove_source(index))
