"""NVIDIA's elements, put together: sources → nvstreammux → nvinfer → nvtracker → nvinfer → probe → fakesink."""

from __future__ import annotations

import importlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reidstream.config.deepstream import PropertyValue
from reidstream.engines.deepstream.running.gst_properties import load_gst, make_element, set_properties
from reidstream.engines.deepstream.running.mux_pads import MuxPads
from reidstream.errors import ConfigError, EngineError
from reidstream.sources import redacted

logger = logging.getLogger(__name__)

_STOPPING = 15.0
"""Seconds that the elements get to stop before they are left behind."""
_DRAINING = 3.0
"""Seconds that the mux gets to send on what it holds of a source that is taken out."""
_ENDED = "nv-stream-eos"
"""NVIDIA's event behind the last frame of a pad; its field ``source-id`` is the pad's number."""
_SOURCE = re.compile(r"reidstream-source-(\d+)")
"""How the elements of sources are called."""

SECTIONS = {
    "nvurisrcbin": "deepstream.source.properties",
    "nvstreammux": "deepstream.mux.properties",
    "pgie": "deepstream.pgie.properties",
    "nvtracker": "deepstream.tracker.properties",
    "sgie": "deepstream.sgie.properties",
}
"""Where in the configuration the properties of each element are set."""


@dataclass(slots=True)
class _SourceBranch:
    element: Any
    sink: Any
    handlers: list[int]
    starts: Callable[[], None]
    pad: int

    def let_go(self) -> None:
        for handler in self.handlers:
            self.element.disconnect(handler)


@dataclass(slots=True)
class _LeavingPad:
    sink: Any
    number: int
    until: float


class Pipeline:
    """One DeepStream pipeline. Sources are known by an index that is never used twice; their mux pads are, see MuxPads.

    elements: GObject properties for "nvstreammux", "pgie", "nvtracker", "sgie" (left out when the tracker embeds) and
    "nvurisrcbin" (for every source). Raises MissingDependency or ConfigError.
    """

    def __init__(self, elements: Mapping[str, Mapping[str, PropertyValue]], new_mux: bool, pads: MuxPads) -> None:
        # NVIDIA decides when its plugin is loaded which of its two muxes bears the name.
        if new_mux:
            os.environ["USE_NEW_NVSTREAMMUX"] = "yes"
        else:
            os.environ.pop("USE_NEW_NVSTREAMMUX", None)
        self.gst = load_gst()
        self._elements = elements
        self._pads = pads
        self._branches: dict[int, _SourceBranch] = {}
        # Pads of the mux whose source is gone, and the numbers of those behind whose last frame the mux is.
        self._leaving: list[_LeavingPad] = []
        self._drained: set[int] = set()
        self._running = False
        self._over = False
        self._lock = threading.Lock()
        # Held while a source is started or taken out, so that none is started that has been taken out.
        self._changing = threading.Lock()
        self.pipeline = self.gst.Pipeline.new("reidstream")
        chain = [self._made("nvstreammux", "nvstreammux")]
        for name, factory in (("pgie", "nvinfer"), ("nvtracker", "nvtracker"), ("sgie", "nvinfer")):
            if name in elements:
                chain += [self._queue(name), self._made(factory, name)]
        self._mux, last = chain[0], chain[-1]
        self._mux_pad = self._mux.get_static_pad("src")
        self._mux_probe = self._mux_pad.add_probe(self.gst.PadProbeType.EVENT_DOWNSTREAM, self._on_mux_event)
        # Sources come and go: that none is there for a while must not end the elements behind the mux.
        if "drop-pipeline-eos" not in elements["nvstreammux"]:
            set_properties(self.gst, self._mux, {"drop-pipeline-eos": True}, SECTIONS["nvstreammux"])
        sink = make_element(self.gst, "fakesink", "sink")
        set_properties(self.gst, sink, {"sync": False, "async": False, "enable-last-sample": False}, "sink")
        self.pipeline.add(sink)
        for one, other in zip(chain, [*chain[1:], sink], strict=True):
            if not one.link(other):
                raise EngineError(f"GStreamer cannot link {one.get_name()} to {other.get_name()}")
        self.last_pad = last.get_static_pad("src")
        self.bus = self.pipeline.get_bus()

    def _made(self, factory: str, name: str) -> Any:
        element = make_element(self.gst, factory, name)
        self.pipeline.add(element)
        set_properties(self.gst, element, self._elements[name], SECTIONS[name])
        return element

    def _queue(self, before: str) -> Any:
        queue = make_element(self.gst, "queue", f"queue-{before}")
        # A batch is a handle on GPU memory: counting bytes or time would mean nothing.
        set_properties(
            self.gst, queue, {"max-size-buffers": 4, "max-size-bytes": 0, "max-size-time": 0}, f"queue before {before}"
        )
        self.pipeline.add(queue)
        return queue

    def add_source(
        self,
        index: int,
        pad: int,
        uri: str,
        properties: Mapping[str, PropertyValue],
        starts: Callable[[], None],
        linked: Callable[[float], None],
        within: Callable[[Any, Any, Any], None] | None = None,
    ) -> None:
        """A source on a pad of the mux; it starts with the pipeline, or at once when that is running.

        starts: called when it does. linked: told the nominal frames per second (0: unknown) when its video is
        connected. within: called for each element that comes into the source's bin.
        """
        element = make_element(self.gst, "nvurisrcbin", f"reidstream-source-{index}")
        set_properties(self.gst, element, self._elements.get("nvurisrcbin", {}), SECTIONS["nvurisrcbin"])
        set_properties(self.gst, element, {"uri": uri, **properties}, SECTIONS["nvurisrcbin"])
        sink = self._mux.request_pad_simple(f"sink_{pad}")
        if sink is None:
            raise EngineError(f"nvstreammux gives no pad sink_{pad} for {redacted(uri)}")
        self._drained.discard(pad)

        def on_pad(_element: Any, video: Any) -> None:
            if not video.get_name().startswith("vsrc") or sink.is_linked():
                return
            if video.link(sink) != self.gst.PadLinkReturn.OK:
                logger.warning("the video of source %d could not be connected to nvstreammux", index)
                return
            linked(_fps(video))

        handlers = [element.connect("pad-added", on_pad)]
        if within is not None:
            handlers.append(element.connect("deep-element-added", within))
        with self._lock:
            branch = self._branches[index] = _SourceBranch(element, sink, handlers, starts, pad)
            running = self._running
        if running:
            self._start_source(index, branch)

    def _start_source(self, index: int, branch: _SourceBranch) -> None:
        element = branch.element
        with self._changing:
            if self._over or index not in self.sources:
                return
            branch.starts()
            self.pipeline.add(element)
            started = element.set_state(self.gst.State.PLAYING) != self.gst.StateChangeReturn.FAILURE
        if not started:
            # Behind what the element itself has said; for one that said nothing.
            error = importlib.import_module("gi.repository.GLib").Error.new_literal(
                self.gst.CoreError.quark(), "the source cannot be started", int(self.gst.CoreError.STATE_CHANGE)
            )
            self.bus.post(self.gst.Message.new_error(element, error, ""))

    def look_after(self) -> None:
        """Sends sources on that have come to rest in PAUSED, and gives pads back that are through; to be called again
        and again, on the main loop.

        A live source needs no preroll, and the decoders behind it say that they have theirs: between the two GStreamer
        forgets that more was asked for. NVIDIA's own element looks after itself in the same way.
        """
        if not self._changing.acquire(blocking=False):
            # The main loop, on which this is called, waits for no element that starts or stops.
            return
        try:
            with self._lock:
                branches = list(self._branches.values())
            for branch in branches:
                if not self._over and branch.element.get_parent() is not None:
                    self._send_on(branch.element)
            self._release_drained()
        finally:
            self._changing.release()

    def _send_on(self, element: Any) -> None:
        came, state, _ = element.get_state(0)
        kinds, playing = self.gst.StateChangeReturn, self.gst.State.PLAYING
        if state != playing and came not in (kinds.ASYNC, kinds.FAILURE):
            element.set_state(playing)

    def remove_source(self, index: int) -> None:
        """Takes a source out, running or not; nothing when it is not there.

        Its pad of the mux is told that the stream has ended, and given back when the mux has sent on what it held
        (see look_after). The new mux of 8.0 counts a pad that goes without that as one that had ended, waits for one
        source too many from then on, and sends every batch by time-out (NvStreamMux::remove_pad); that of 9.1 sends
        what it held behind the event that the pad is gone.
        """
        with self._changing:
            with self._lock:
                branch = self._branches.pop(index, None)
            if branch is None:
                return
            self._pads.leaves(index)
            branch.let_go()
            branch.element.set_state(self.gst.State.NULL)
            # Refused, and not needed, where the source itself has said so.
            branch.sink.send_event(self.gst.Event.new_eos())
            if branch.element.get_parent() is not None:
                self.pipeline.remove(branch.element)
            self._leaving.append(_LeavingPad(branch.sink, branch.pad, time.monotonic() + _DRAINING))
            self._release_drained()

    def _release_drained(self) -> None:
        now = time.monotonic()
        through = [pad for pad in self._leaving if pad.number in self._drained or now >= pad.until]
        for pad in through:
            self._leaving.remove(pad)
            pad.sink.send_event(self.gst.Event.new_flush_stop(False))
            self._mux.release_request_pad(pad.sink)
            self._pads.released(pad.number)

    def _on_mux_event(self, _pad: Any, info: Any) -> Any:
        structure = info.get_event().get_structure()
        if structure is not None and structure.get_name().startswith(_ENDED):
            known, number = structure.get_uint("source-id")
            if known:
                self._drained.add(int(number))
        return self.gst.PadProbeReturn.OK

    def source_of(self, element: Any) -> int | None:
        """Which source an element belongs to or belonged to, None when it is none of theirs."""
        while element is not None:
            named = _SOURCE.fullmatch(element.get_name())
            if named is not None:
                return int(named[1])
            element = element.get_parent()
        return None

    def holds(self, element: Any) -> bool:
        """Whether an element is in the pipeline now: sources' decoders come and go."""
        return element is not None and (element == self.pipeline or bool(element.has_as_ancestor(self.pipeline)))

    @property
    def sources(self) -> set[int]:
        with self._lock:
            return set(self._branches)

    def start(self) -> bool:
        """False when an element of the common chain refuses; the reason is for the bus's one reader, see BusWatch.

        The sources start when the chain has, each for itself: one that refuses says so on the bus and stops nobody.
        Takes minutes when nvinfer builds its engines.
        """
        if self.pipeline.set_state(self.gst.State.PLAYING) == self.gst.StateChangeReturn.FAILURE:
            return False
        with self._lock:
            self._running = True
            branches = dict(self._branches)
        for index, branch in branches.items():
            self._start_source(index, branch)
        return True

    def stop(self) -> bool:
        """Stops everything; False when NVIDIA's elements did not come to rest and were left behind."""
        done = threading.Thread(target=self._halt, daemon=True)
        done.start()
        done.join(_STOPPING)
        with self._lock:
            # Handlers refer to the elements and these to the handlers: left alone, neither would ever be freed.
            for branch in self._branches.values():
                branch.let_go()
            self._branches.clear()
        self._leaving.clear()
        self._mux_pad.remove_probe(self._mux_probe)
        return not done.is_alive()

    def _halt(self) -> None:
        with self._changing:
            # Whatever were started now would play on in a pipeline that does not.
            self._over = True
            self.pipeline.set_state(self.gst.State.NULL)


def error_text(message: Any) -> str:
    """An ERROR or WARNING message for people: which element, what, and its details, without passwords."""
    parse = message.parse_error if message.type == type(message.type).ERROR else message.parse_warning
    error, details = parse()
    name = message.src.get_name() if message.src is not None else "?"
    lines = [line.strip() for line in (details or "").splitlines() if line.strip()]
    # GStreamer's details quote the camera's address.
    return redacted(f"{name}: {error.message}" + (f" ({'; '.join(lines)})" if lines else ""))


def source_properties(gst_uri: str, transport: str, reconnect_after: float | None) -> dict[str, PropertyValue]:
    """What an RTSP source needs that is not NVIDIA's default: reconnecting is off there, and UDP is tried first.

    How often it is tried is not its affair: the engine counts, over all kinds of breaks. Nothing for TLS: nvurisrcbin
    takes uridecodebin for whatever does not begin with rtsp:// in small letters (gstdsnvurisrcbin.cpp), and these
    properties are never looked at.
    """
    if not gst_uri.startswith("rtsp://"):
        return {}
    properties: dict[str, PropertyValue] = {"select-rtp-protocol": 4 if transport == "tcp" else 7}
    if reconnect_after is not None:
        seconds = max(1, round(reconnect_after))
        properties["rtsp-reconnect-interval"] = seconds
    return properties


def check_mux(elements: Mapping[str, Mapping[str, PropertyValue]]) -> None:
    """Refuses what would make boxes wrong: with padding, nobody says where the picture lies inside the frame."""
    if elements["nvstreammux"].get("enable-padding"):
        raise ConfigError(
            "deepstream.mux.properties: enable-padding cannot be used, since boxes could not be brought back to the "
            "source's pixels; set deepstream.mux.width and height to the sources' shape, or deepstream.mux.new_mux=true"
        )


def _fps(pad: Any) -> float:
    caps = pad.get_current_caps() or pad.query_caps(None)
    if caps is None or caps.is_empty() or caps.is_any():
        return 0.0
    known, numerator, denominator = caps.get_structure(0).get_fraction("framerate")
    return numerator / denominator if known and denominator else 0.0
