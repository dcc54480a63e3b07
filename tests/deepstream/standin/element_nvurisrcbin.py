"""A stand-in for nvurisrcbin on the CPU: GStreamer's own decoders, I420 in system memory instead of NVMM surfaces."""

from __future__ import annotations

from typing import Any

from gi.repository import GObject, Gst

from reidstream.sources.address import redacted

READ_WRITE = GObject.ParamFlags.READWRITE


_TEMPLATE = Gst.PadTemplate.new("vsrc_%u", Gst.PadDirection.SRC, Gst.PadPresence.SOMETIMES, Gst.Caps.new_any())


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

    def do_get_property(self, spec: Any) -> Any:
        return self._values.get(spec.name.replace("_", "-"), spec.default_value)

    def do_set_property(self, spec: Any, value: Any) -> None:
        name = spec.name.replace("_", "-")
        self._values[name] = value
        if name == "uri":
            self._decoder.set_property("uri", value)
            if not value.startswith(("file://", "rtsp://", "v4l2://")):
                raise ValueError(f"{redacted(value)}: nvurisrcbin takes URIs, not paths")

    def _on_pad(self, _decoder: Any, pad: Any) -> None:
        caps = pad.get_current_caps() or pad.query_caps(None)
        sink = self._convert.get_static_pad("sink")
        if not caps.get_structure(0).get_name().startswith("video/") or sink.is_linked():
            return
        pad.link(sink)
        ghost = Gst.GhostPad.new_from_template("vsrc_0", self._filter.get_static_pad("src"), _TEMPLATE)
        ghost.set_active(True)
        self.add_pad(ghost)
