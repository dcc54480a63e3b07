"""A stand-in for nvinfer: runs from the file that config-file-path names, and attaches objects and tensors."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nvds
from gi.repository import GLib, GObject, Gst, GstBase
from nvds_layout import UNTRACKED, NvDsFrameMeta, NvDsObjectMeta
from nvds_surface import frame_pixels
from nvinfer_file import BadConfig, NvinferFile, read_nvinfer_file
from nvinfer_network import Network, object_crop, open_parser

READ_WRITE = GObject.ParamFlags.READWRITE
_TEMPLATES = (
    Gst.PadTemplate.new("sink", Gst.PadDirection.SINK, Gst.PadPresence.ALWAYS, Gst.Caps.new_any()),
    Gst.PadTemplate.new("src", Gst.PadDirection.SRC, Gst.PadPresence.ALWAYS, Gst.Caps.new_any()),
)


@dataclass
class _History:
    frame: int
    area: float


class NvInfer(GstBase.BaseTransform):
    __gtype_name__ = "StandInNvInfer"
    __gstmetadata__ = ("nvinfer stand-in", "Filter", "ONNX Runtime on the CPU", "tests")
    __gsttemplates__ = _TEMPLATES
    __gproperties__ = {
        "config-file-path": (str, "config", "file", "", READ_WRITE),
        "unique-id": (GObject.TYPE_UINT, "id", "id", 0, 1 << 30, 15, READ_WRITE),
        "process-mode": (GObject.TYPE_INT, "mode", "mode", 1, 2, 1, READ_WRITE),
        "batch-size": (GObject.TYPE_UINT, "batch", "batch", 1, 1024, 1, READ_WRITE),
        "interval": (GObject.TYPE_UINT, "interval", "interval", 0, 1 << 30, 0, READ_WRITE),
        "infer-on-gie-id": (GObject.TYPE_INT, "gie", "gie", -1, 1 << 30, -1, READ_WRITE),
        "infer-on-class-ids": (str, "classes", "0:2:3", "", READ_WRITE),
        "filter-out-class-ids": (str, "classes", "0;2", "", READ_WRITE),
        "model-engine-file": (str, "engine", "engine", "", READ_WRITE),
        "gpu-id": (GObject.TYPE_UINT, "gpu", "gpu", 0, 63, 0, READ_WRITE),
        "output-tensor-meta": (bool, "tensors", "tensors", False, READ_WRITE),
        "input-tensor-meta": (bool, "tensors", "tensors", False, READ_WRITE),
        "raw-output-file-write": (bool, "raw", "raw", False, READ_WRITE),
    }

    def __init__(self) -> None:
        super().__init__()
        self.set_in_place(True)
        self.set_passthrough(True)
        self._values: dict[str, Any] = {}
        self._file: NvinferFile | None = None
        self._history: dict[tuple[int, int], _History] = {}
        self._known = {0}
        self._batches = 0

    def do_get_property(self, spec: Any) -> Any:
        return self._values.get(spec.name, spec.default_value)

    def do_set_property(self, spec: Any, value: Any) -> None:
        self._values[spec.name] = value

    def do_start(self) -> bool:
        build = float(os.environ.get("REIDSTREAM_STANDIN_BUILD", 0))
        if build:
            print("Trying to create engine from model files", file=sys.stderr, flush=True)
            time.sleep(build)
        try:
            self._open(read_nvinfer_file(Path(self._values.get("config-file-path", ""))))
        except BadConfig as error:
            print(f"ERROR from element {self.get_name()}: {error}", file=sys.stderr)
            literal = GLib.Error.new_literal(Gst.ResourceError.quark(), f"{error}", Gst.ResourceError.SETTINGS)
            self.post_message(Gst.Message.new_error(self, literal, "Configuration file parsing failed"))
            return False
        return True

    def _open(self, file: NvinferFile) -> None:
        self._file = file
        self._secondary = file.integer("process-mode", 1) == 2
        self._type = file.integer("network-type", 0)
        if self._secondary and self._type == 0:
            raise BadConfig("a secondary detector: network-type is missing")
        self._id = file.integer("gie-unique-id", 0)
        self._interval = self._values.get("interval", file.integer("interval", 0))
        self._tensors = bool(file.integer("output-tensor-meta", 0)) and not file.integer("classifier-async-mode", 0)
        self._on_gie = file.integer("operate-on-gie-id", -1)
        self._on_classes = {int(part) for part in file.listed("operate-on-class-ids")}
        self._smallest = (
            max(file.integer("input-object-min-width", 0), 1),
            max(file.integer("input-object-min-height", 0), 1),
        )
        self._largest = (
            file.integer("input-object-max-width", 0) or 1 << 30,
            file.integer("input-object-max-height", 0) or 1 << 30,
        )
        self._reinfer = file.integer("secondary-reinfer-interval", 1 << 30)
        self._network = Network(file)
        if not self._secondary:
            self._detector = open_parser(file, self._network)

    def do_sink_event(self, event: Any) -> bool:
        added = nvds.stream_event(event, "pad-added")
        if added is not None:
            self._known.add(added)
        for kind in ("stream-eos", "stream-reset"):
            pad = nvds.stream_event(event, kind)
            for key in [key for key in self._history if key[0] == pad]:
                del self._history[key]
        return bool(GstBase.BaseTransform.do_sink_event(self, event))

    def do_transform_ip(self, buffer: Any) -> Any:
        address = hash(buffer)
        batch = nvds.batch_of(address)
        if batch is None:
            return Gst.FlowReturn.OK
        if self._secondary:
            self._embed(address, batch)
        elif self._batches % (self._interval + 1) == 0:
            self._detect(address, batch)
        self._batches += 1
        return Gst.FlowReturn.OK

    def _frames(self, batch: int) -> list[tuple[int, NvDsFrameMeta]]:
        """The frames of sources that are known; the others are skipped, as nvinfer does."""
        frames = nvds.frames_of(batch)
        for _, frame in frames:
            if frame.source_id not in self._known:
                print(f"Source info not found for source {frame.source_id}", file=sys.stderr)
        return [(address, frame) for address, frame in frames if frame.source_id in self._known]

    def _detect(self, buffer: int, batch: int) -> None:
        frames = self._frames(batch)
        pictures = [frame_pixels(buffer, frame) for _, frame in frames]
        prepared = [self._network.prepared(picture) for picture in pictures]
        outputs = self._network.infer([values for values, _ in prepared])
        for (address, frame), picture, (_, placed), output in zip(frames, pictures, prepared, outputs, strict=True):
            frame.bInferDone = 1
            size = (picture.shape[1], picture.shape[0])
            for class_id, confidence, box in self._detector.boxes(next(iter(output.values())), placed, size):
                nvds.add_object(batch, address, box, UNTRACKED, class_id, confidence, self._id)

    def _embed(self, buffer: int, batch: int) -> None:
        owners: list[int] = []
        inputs = []
        for _, frame in self._frames(batch):
            pixels = frame_pixels(buffer, frame)
            for address, item in nvds.objects_of(frame):
                if not self._is_due(frame, item):
                    continue
                rect = item.rect_params
                crop = object_crop(pixels, (rect.left, rect.top, rect.width, rect.height))
                if crop is not None:
                    owners.append(address)
                    inputs.append(self._network.prepared(crop)[0])
        for address, outputs in zip(owners, self._network.infer(inputs), strict=True):
            if self._tensors:
                nvds.add_tensors(batch, address, outputs, self._id)

    def _is_due(self, frame: NvDsFrameMeta, item: NvDsObjectMeta) -> bool:
        """nvinfer's should_infer_object: filters, sizes, and for classifiers the history of the object."""
        if self._on_gie >= 0 and item.unique_component_id != self._on_gie:
            return False
        if self._on_classes and item.class_id not in self._on_classes:
            return False
        width, height = item.rect_params.width, item.rect_params.height
        if width < self._smallest[0] or height < self._smallest[1]:
            return False
        if width > self._largest[0] or height > self._largest[1]:
            return False
        if self._type != 1 or item.object_id == UNTRACKED:
            return True
        key, area = (frame.pad_index, item.object_id), width * height
        seen = self._history.get(key)
        if seen is not None and frame.frame_num - seen.frame <= self._reinfer and area <= seen.area * 1.2:
            return False
        self._history[key] = _History(frame.frame_num, area)
        return True
