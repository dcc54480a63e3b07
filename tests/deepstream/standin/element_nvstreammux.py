"""A stand-in for nvstreammux on the CPU: one frame of every source makes a batch with NVIDIA's real metadata."""

from __future__ import annotations

import configparser
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import nvds
from gi.repository import GObject, Gst
from nvds_surface import bgr_of_i420, buffer_bytes

READ_WRITE = GObject.ParamFlags.READWRITE

_TEMPLATES = (
    Gst.PadTemplate.new("sink_%u", Gst.PadDirection.SINK, Gst.PadPresence.REQUEST, Gst.Caps.new_any()),
    Gst.PadTemplate.new("src", Gst.PadDirection.SRC, Gst.PadPresence.ALWAYS, Gst.Caps.new_any()),
)


@dataclass
class _Frame:
    pixels: npt.NDArray[np.uint8]
    pts: int
    size: tuple[int, int]


@dataclass
class _Input:
    index: int
    caps: tuple[int, int] | None = None
    waiting: deque[_Frame] = field(default_factory=deque)
    eos: bool = False
    told: bool = False
    released: bool = False
    frames: int = 0
    resets: int = 0
    announced: bool = False
    last: _Frame | None = None


class _NvStreamMux(Gst.Element):
    """Waits for one frame of every live input; an incomplete batch goes out after batched-push-timeout."""

    scales = True

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, Any] = {}
        self._inputs: dict[str, _Input] = {}
        # Frames of pads that were released, for one more batch each.
        self._late: list[tuple[_Input, _Frame]] = []
        self._miscounted = False
        self._changed = threading.Condition()
        self._running = False
        self._thread: threading.Thread | None = None
        self._src = Gst.Pad.new_from_template(_TEMPLATES[1], "src")
        self.add_pad(self._src)

    def do_get_property(self, spec: Any) -> Any:
        return self._values.get(spec.name, spec.default_value)

    def do_set_property(self, spec: Any, value: Any) -> None:
        self._values[spec.name] = value

    def _value(self, name: str) -> Any:
        return self.get_property(name)

    def do_request_new_pad(self, template: Any, name: str | None, _caps: Any) -> Any:
        if name is None:
            return None
        pad = Gst.Pad.new_from_template(template, name)
        pad.set_chain_function_full(self._chain)
        pad.set_event_function_full(self._event)
        with self._changed:
            self._inputs[name] = _Input(int(name.removeprefix("sink_")))
        pad.set_active(True)
        self.add_pad(pad)
        return pad

    def do_release_pad(self, pad: Any) -> None:
        with self._changed:
            gone = self._inputs.pop(pad.get_name(), None)
            if gone is not None:
                gone.released = True
                if not self.scales and not gone.eos:
                    # The new mux of 8.0 takes such a pad for one that had ended, and waits for one too many from then
                    # on (NvStreamMux::remove_pad).
                    self._miscounted = True
            self._changed.notify_all()
        if gone is not None:
            # As NVIDIA's new mux does: at once, in the thread of whoever releases the pad; a batch that was made before
            # comes behind it.
            nvds.push_stream_event(hash(self._src), "pad_deleted", gone.index)
            with self._changed:
                # That of 9.1 sends what it still holds, too.
                self._late += [(gone, frame) for frame in [gone.last, *gone.waiting] if frame is not None]
                self._changed.notify_all()
        pad.set_active(False)
        self.remove_pad(pad)

    def do_change_state(self, transition: Any) -> Any:
        if transition == Gst.StateChange.READY_TO_PAUSED:
            if self.scales and not (self._value("width") and self._value("height")):
                self.post_message(
                    Gst.Message.new_error(
                        self, _gerror("width and height must be set"), "nvstreammux needs width and height"
                    )
                )
                return Gst.StateChangeReturn.FAILURE
            self._running = True
        elif transition == Gst.StateChange.PAUSED_TO_READY:
            with self._changed:
                self._running = False
                self._changed.notify_all()
        result = Gst.Element.do_change_state(self, transition)
        if transition == Gst.StateChange.READY_TO_PAUSED:
            self._thread = threading.Thread(target=self._push_batches, name="mux", daemon=True)
            self._thread.start()
        if transition == Gst.StateChange.PAUSED_TO_READY and self._thread is not None:
            self._thread.join(10)
            self._thread = None
        return result

    def _chain(self, pad: Any, _parent: Any, buffer: Any) -> Any:
        name = pad.get_name()
        with self._changed:
            source = self._inputs.get(name)
        if source is None or source.caps is None:
            return Gst.FlowReturn.FLUSHING
        width, height = source.caps
        pixels = bgr_of_i420(buffer_bytes(hash(buffer)), width, height)
        if self.scales and (width, height) != (self._value("width"), self._value("height")):
            pixels = cv2.resize(pixels, (self._value("width"), self._value("height")), interpolation=cv2.INTER_LINEAR)
        frame = _Frame(pixels, buffer.pts, (width, height))
        with self._changed:
            while self._running and not source.released and len(source.waiting) >= 2:
                self._changed.wait()
            if not self._running or source.released:
                return Gst.FlowReturn.FLUSHING
            source.waiting.append(frame)
            self._changed.notify_all()
        return Gst.FlowReturn.OK

    def _event(self, pad: Any, _parent: Any, event: Any) -> bool:
        with self._changed:
            source = self._inputs.get(pad.get_name())
            if source is None:
                return False
            if event.type == Gst.EventType.CAPS:
                structure = event.parse_caps().get_structure(0)
                source.caps = (structure.get_int("width")[1], structure.get_int("height")[1])
            elif event.type == Gst.EventType.EOS:
                source.eos = True
                self._changed.notify_all()
            elif event.type == Gst.EventType.FLUSH_STOP and self.scales:
                source.waiting.clear()
                self._changed.notify_all()
            elif nvds.stream_event(event, "stream-reset") is not None:
                source.resets += 1
        return True

    def _push_batches(self) -> None:
        self._src.push_event(Gst.Event.new_stream_start("nvstreammux"))
        size = f", width=(int){self._value('width')}, height=(int){self._value('height')}" if self.scales else ""
        caps = Gst.Caps.from_string(f"video/x-raw(memory:NVMM), format=(string)BGR{size}")
        self._src.push_event(Gst.Event.new_caps(caps))
        segment = Gst.Segment()
        segment.init(Gst.Format.TIME)
        self._src.push_event(Gst.Event.new_segment(segment))
        while True:
            taken, ended, done = self._take()
            if taken:
                self._announce([source for source, _ in taken])
                self._src.push(self._batch(taken))
            for index in ended:
                # First the message, as an event that the sink posts when it comes to it.
                nvds.push_stream_eos_message(hash(self._src), hash(self), index)
                nvds.push_stream_event(hash(self._src), "stream_eos", index)
            if done and not (self._running and self._value("drop-pipeline-eos")):
                if self._running:
                    self._src.push_event(Gst.Event.new_eos())
                return

    def _announce(self, sources: list[_Input]) -> None:
        """nvinfer learns of sources from an event; and a source that reconnected is reset in the tracker."""
        for source in sources:
            if not source.announced:
                source.announced = True
                nvds.push_stream_event(hash(self._src), "pad_added", source.index)
            for _ in range(source.resets):
                nvds.push_stream_event(hash(self._src), "stream_reset", source.index)
            source.resets = 0

    def _take(self) -> tuple[list[tuple[_Input, _Frame]], list[int], bool]:
        """The frames of the next batch, inputs that have ended, and whether nothing more will come."""
        timeout = self._patience()
        deadline: float | None = None
        with self._changed:
            while self._running:
                inputs = list(self._inputs.values())
                ended = [i for i in inputs if i.eos and not i.waiting and not i.told]
                if ended:
                    for source in ended:
                        source.told = True
                    return [], [i.index for i in ended], all(i.told for i in inputs)
                if self._late:
                    return [self._late.pop(0)], [], False
                ready = [i for i in inputs if i.waiting]
                if ready:
                    if deadline is None and timeout >= 0:
                        deadline = time.monotonic() + timeout / 1e6
                    overdue = deadline is not None and time.monotonic() >= deadline
                    complete = all(i.waiting or i.told for i in inputs) and not self._miscounted
                    if overdue or complete:
                        size = self._value("batch-size") or len(ready)
                        taken = [(i, i.waiting.popleft()) for i in sorted(ready, key=lambda i: i.index)[:size]]
                        for source, frame in taken:
                            source.last = frame
                        self._changed.notify_all()
                        return taken, [], False
                self._changed.wait(None if deadline is None else max(deadline - time.monotonic(), 0.001))
        return [], [], True

    def _patience(self) -> int:
        """Microseconds for which an incomplete batch waits; below zero: for ever."""
        return int(self._value("batched-push-timeout"))

    def _batch(self, taken: list[tuple[_Input, _Frame]]) -> Any:
        buffer = Gst.Buffer.new_wrapped(b"".join(frame.pixels.tobytes() for _, frame in taken))
        buffer.pts = taken[0][1].pts
        meta = nvds.create_batch(self._value("batch-size") or len(taken))
        nvds.attach_batch(hash(buffer), meta)
        for source, frame in taken:
            height, width, _ = frame.pixels.shape
            nvds.add_frame(
                meta,
                source.index,
                source.frames,
                frame.size,
                buf_pts=frame.pts,
                ntp_timestamp=time.time_ns() if self._value("attach-sys-ts") else 0,
                pipeline_width=width,
                pipeline_height=height,
            )
            source.frames += 1
        return buffer


_COMMON: dict[str, Any] = {
    "attach-sys-ts": (bool, "time", "system time", True, READ_WRITE),
    "sync-inputs": (bool, "sync", "sync", False, READ_WRITE),
    "max-latency": (GObject.TYPE_UINT64, "latency", "ns", 0, 1 << 63, 0, READ_WRITE),
    "drop-pipeline-eos": (bool, "eos", "drop", False, READ_WRITE),
    "frame-num-reset-on-eos": (bool, "reset", "reset", False, READ_WRITE),
    "frame-num-reset-on-stream-reset": (bool, "reset", "reset", False, READ_WRITE),
}


class NvStreamMux(_NvStreamMux):
    """The legacy mux: scales every frame to width x height."""

    __gtype_name__ = "StandInNvStreamMux"
    __gstmetadata__ = ("nvstreammux stand-in", "Generic", "Batches on the CPU", "tests")
    __gsttemplates__ = _TEMPLATES
    __gproperties__ = {
        **_COMMON,
        "batch-size": (GObject.TYPE_UINT, "batch", "frames per batch", 0, 1024, 0, READ_WRITE),
        "width": (GObject.TYPE_UINT, "width", "pixels", 0, 1 << 20, 0, READ_WRITE),
        "height": (GObject.TYPE_UINT, "height", "pixels", 0, 1 << 20, 0, READ_WRITE),
        "batched-push-timeout": (GObject.TYPE_INT, "timeout", "us", -1, 1 << 30, -1, READ_WRITE),
        "live-source": (bool, "live", "live", False, READ_WRITE),
        "nvbuf-memory-type": (GObject.TYPE_INT, "memory", "memory", 0, 4, 0, READ_WRITE),
        "gpu-id": (GObject.TYPE_UINT, "gpu", "GPU", 0, 63, 0, READ_WRITE),
        "enable-padding": (bool, "padding", "padding", False, READ_WRITE),
    }


class NewNvStreamMux(_NvStreamMux):
    """The new mux (USE_NEW_NVSTREAMMUX=yes): every frame keeps its own size."""

    scales = False
    __gtype_name__ = "StandInNewNvStreamMux"
    __gstmetadata__ = ("nvstreammux stand-in (new)", "Generic", "Batches on the CPU", "tests")
    __gsttemplates__ = _TEMPLATES
    __gproperties__ = {
        **_COMMON,
        "batch-size": (GObject.TYPE_UINT, "batch", "frames per batch", 0, 1024, 1, READ_WRITE),
        "batched-push-timeout": (GObject.TYPE_INT, "timeout", "us", 1, (1 << 31) - 1, 33000, READ_WRITE),
        "config-file-path": (str, "config", "config", "", READ_WRITE),
        "num-surfaces-per-frame": (GObject.TYPE_UINT, "surfaces", "surfaces", 0, 8, 1, READ_WRITE),
        "frame-duration": (GObject.TYPE_UINT64, "duration", "ms", 0, (1 << 64) - 1, 18446744073709, READ_WRITE),
    }

    def _patience(self) -> int:
        """batched-push-timeout is stored and forgotten when the first format comes (configure_module): what the file
        says counts, and without one a fifth of a second."""
        if not self._value("config-file-path"):
            return 200_000
        file = configparser.ConfigParser()
        if not file.read(self._value("config-file-path")):
            return 200_000
        keys = file["property"]
        return int(1e6 * int(keys.get("overall-min-fps-d", "1")) / int(keys.get("overall-min-fps-n", "5")))


def _gerror(text: str) -> Any:
    from gi.repository import GLib

    return GLib.Error.new_literal(Gst.StreamError.quark(), text, Gst.StreamError.FAILED)
