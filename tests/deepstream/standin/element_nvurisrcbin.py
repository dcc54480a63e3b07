"""A stand-in for nvurisrcbin on the CPU: GStreamer's own decoders, I420 in system memory instead of NVMM surfaces."""

from __future__ import annotations

import time
from typing import Any

import nvds
from gi.repository import GLib, GObject, Gst

from reidstream.sources.address import redacted

READ_WRITE = GObject.ParamFlags.READWRITE


_TEMPLATE = Gst.PadTemplate.new("vsrc_%u", Gst.PadDirection.SRC, Gst.PadPresence.SOMETIMES, Gst.Caps.new_any())


def _is_rtspsrc(element: Any) -> bool:
    factory = element.get_factory() if isinstance(element, Gst.Element) else None
    return factory is not None and factory.get_name() == "rtspsrc"


class NvUriSrcBin(Gst.Bin):
    __gtype_name__ = "StandInNvUriSrcBin"
    __gstmetadata__ = ("nvurisrcbin stand-in", "Source", "Decodes on the CPU", "tests")
    __gsttemplates__ = (_TEMPLATE,)
    __gproperties__ = {
        "uri": (str, "uri", "URI", "", READ_WRITE),
        "gpu-id": (GObject.TYPE_UINT, "gpu", "GPU", 0, 63, 0, READ_WRITE),
        "num-extra-surfaces": (GObject.TYPE_UINT, "surfaces", "surfaces", 0, 64, 1, READ_WRITE),
        "cudadec-memtype": (GObject.TYPE_INT, "memtype", "memory", 0, 2, 0, READ_WRITE),
        "drop-frame-interval": (GObject.TYPE_UINT, "drop", "keep every n-th frame", 0, 30, 0, READ_WRITE),
        "type": (GObject.TYPE_INT, "type", "type", 0, 3, 0, READ_WRITE),
        "select-rtp-protocol": (GObject.TYPE_INT, "protocol", "4 is TCP", 0, 7, 7, READ_WRITE),
        "latency": (GObject.TYPE_UINT, "latency", "ms", 0, 1 << 30, 100, READ_WRITE),
        "drop-on-latency": (bool, "drop", "drop", True, READ_WRITE),
        "udp-buffer-size": (GObject.TYPE_UINT, "udp", "bytes", 0, 1 << 30, 524288, READ_WRITE),
        "file-loop": (bool, "loop", "loop files", False, READ_WRITE),
        "rtsp-reconnect-interval": (GObject.TYPE_UINT, "reconnect", "s", 0, 1 << 30, 0, READ_WRITE),
        "init-rtsp-reconnect-interval": (GObject.TYPE_UINT, "reconnect", "s", 0, 1 << 30, 0, READ_WRITE),
        "rtsp-reconnect-attempts": (GObject.TYPE_INT, "attempts", "attempts", -1, 1 << 30, -1, READ_WRITE),
        "disable-audio": (bool, "audio", "audio off", True, READ_WRITE),
        "source-id": (GObject.TYPE_INT, "id", "id", -1, 1 << 30, -1, READ_WRITE),
        "max-size-buffers": (GObject.TYPE_UINT, "size", "size", 0, 1 << 30, 200, READ_WRITE),
        "low-latency-mode": (bool, "latency", "low latency", False, READ_WRITE),
    }

    _watch = 0  # messages come while the parent class is still being initialised
    _last_reset = 0.0  # of all sources, as in NVIDIA's

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, Any] = {}
        self._decoder = Gst.ElementFactory.make("uridecodebin", None)
        self._convert = Gst.ElementFactory.make("videoconvert", None)
        self._filter = Gst.ElementFactory.make("capsfilter", None)
        self._filter.set_property("caps", Gst.Caps.from_string("video/x-raw,format=I420"))
        for element in (self._decoder, self._convert, self._filter):
            self.add(element)
        self._convert.link(self._filter)
        self._decoder.connect("pad-added", self._on_pad)
        self._decoder.connect("deep-element-added", self._on_child)
        self._ghost: Any = None
        self._alive = 0.0
        self._attempts = 0

    def do_get_property(self, spec: Any) -> Any:
        return self._values.get(spec.name.replace("_", "-"), spec.default_value)

    def do_set_property(self, spec: Any, value: Any) -> None:
        name = spec.name.replace("_", "-")
        self._values[name] = value
        if name == "uri":
            self._decoder.set_property("uri", value)
            if not value.startswith(("file://", "rtsp://", "rtsps://", "rtspst://", "v4l2://")):
                raise ValueError(f"{redacted(value)}: nvurisrcbin takes URIs, not paths")

    def do_change_state(self, transition: Any) -> Any:
        interval = self._values.get("rtsp-reconnect-interval", 0)
        if transition == Gst.StateChange.NULL_TO_READY and interval and self._values["uri"].startswith("rtsp://"):
            # As with NVIDIA's, nothing of this happens unless a main loop runs on the default context.
            self._alive = time.monotonic()
            self._watch = GLib.timeout_add_seconds(1, self._look, interval)
        elif transition == Gst.StateChange.READY_TO_NULL:
            self._unwatch()
        return Gst.Bin.do_change_state(self, transition)

    def do_handle_message(self, message: Any) -> None:
        if self._watch and message.type == Gst.MessageType.ERROR and _is_rtspsrc(message.src):
            # As with NVIDIA's, only what the rtspsrc itself reports: a decoder's error ends the source.
            error, details = message.parse_error()
            message = Gst.Message.new_warning(message.src, error, details or "")
        Gst.Bin.do_handle_message(self, message)

    def _unwatch(self) -> None:
        if self._watch:
            GLib.source_remove(self._watch)
            self._watch = 0

    def _look(self, interval: int) -> bool:
        """NVIDIA's watch_source_status: after a time without a packet the source starts anew, so many times, and no
        two sources within three seconds."""
        silent = time.monotonic() - self._alive
        if silent < interval or time.monotonic() - NvUriSrcBin._last_reset <= 3:
            return True
        allowed = self._values.get("rtsp-reconnect-attempts", -1)
        self._attempts += 1
        if allowed >= 0 and self._attempts > allowed:
            self._watch = 0
            self._post_given_up()
            return False
        self._warn(f"No data from source since last {silent:.0f} sec. Trying reconnection")
        NvUriSrcBin._last_reset = self._alive = time.monotonic()
        self._decoder.set_state(Gst.State.NULL)
        self._decoder.sync_state_with_parent()
        if self._ghost is not None:
            nvds.push_stream_event(hash(self._filter.get_static_pad("src")), "stream_reset", 0)
        return True

    def _warn(self, text: str) -> None:
        warning = GLib.Error.new_literal(Gst.StreamError.quark(), text, Gst.StreamError.FAILED)
        self.post_message(Gst.Message.new_warning(self, warning, ""))

    def _post_given_up(self) -> None:
        structure = Gst.Structure.new_empty("attempt-exceeded")
        source = GObject.Value(GObject.TYPE_UINT, max(self._values.get("source-id", -1), 0))
        structure.set_value("source-id", source)
        structure.set_value("attempt_exceeded", True)
        self.post_message(Gst.Message.new_element(self, structure))

    def _on_pad(self, _decoder: Any, pad: Any) -> None:
        caps = pad.get_current_caps() or pad.query_caps(None)
        sink = self._convert.get_static_pad("sink")
        if not caps.get_structure(0).get_name().startswith("video/") or sink.is_linked():
            return
        pad.link(sink)
        if self._ghost is not None:
            return
        source = self._filter.get_static_pad("src")
        self._ghost = Gst.GhostPad.new_from_template("vsrc_0", source, _TEMPLATE)
        self._ghost.set_active(True)
        self.add_pad(self._ghost)

    def _on_child(self, _bin: Any, _within: Any, element: Any) -> None:
        """NVIDIA's watches packets behind the depayloader: what a decoder makes of them it never sees."""
        factory = element.get_factory()
        if factory is not None and factory.get_name().startswith("rtp") and "depay" in factory.get_name():
            kinds = Gst.PadProbeType.BUFFER | Gst.PadProbeType.EVENT_DOWNSTREAM
            element.get_static_pad("src").add_probe(kinds, self._on_data)

    def _on_data(self, _pad: Any, info: Any) -> Any:
        if info.type & Gst.PadProbeType.BUFFER:
            self._alive, self._attempts = time.monotonic(), 0
        elif self._watch and info.get_event().type == Gst.EventType.EOS:
            # A watched camera does not end, it comes back.
            return Gst.PadProbeReturn.DROP
        return Gst.PadProbeReturn.OK
