"""A stand-in for nvtracker: our own tracker behind its interface, from the YAML file that ll-config-file names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import nvds
from gi.repository import GLib, GObject, Gst, GstBase
from nvds_layout import UNTRACKED, NvDsBatchMeta, NvDsFrameMeta, NvDsObjectMeta
from nvds_surface import frame_pixels
from nvinfer_network import object_crop, open_session

from reidstream.config import TrackerConfig
from reidstream.tracking import Tracker
from reidstream.types import Detections

READ_WRITE = GObject.ParamFlags.READWRITE
_TEMPLATES = (
    Gst.PadTemplate.new("sink", Gst.PadDirection.SINK, Gst.PadPresence.ALWAYS, Gst.Caps.new_any()),
    Gst.PadTemplate.new("src", Gst.PadDirection.SRC, Gst.PadPresence.ALWAYS, Gst.Caps.new_any()),
)
FPS = 30.0
"""The low-level library counts frames, our tracker seconds."""


@dataclass
class _Stream:
    tracker: Tracker | None
    base: int = 0
    highest: int = 0


def _error(text: str) -> Any:
    return GLib.Error.new_literal(Gst.StreamError.quark(), text, Gst.StreamError.FAILED)


class NvTracker(GstBase.BaseTransform):
    __gtype_name__ = "StandInNvTracker"
    __gstmetadata__ = ("nvtracker stand-in", "Filter", "Tracks on the CPU", "tests")
    __gsttemplates__ = _TEMPLATES
    __gproperties__ = {
        "ll-lib-file": (str, "library", "library", "", READ_WRITE),
        "ll-config-file": (str, "config", "config", "", READ_WRITE),
        "tracker-width": (GObject.TYPE_UINT, "width", "width", 0, 1 << 16, 960, READ_WRITE),
        "tracker-height": (GObject.TYPE_UINT, "height", "height", 0, 1 << 16, 544, READ_WRITE),
        "gpu-id": (GObject.TYPE_UINT, "gpu", "gpu", 0, 63, 0, READ_WRITE),
        "display-tracking-id": (bool, "display", "display", True, READ_WRITE),
        "user-meta-pool-size": (GObject.TYPE_UINT, "pool", "pool", 1, (1 << 32) - 1, 32, READ_WRITE),
        "tracking-id-reset-mode": (GObject.TYPE_UINT, "reset", "reset", 0, 3, 1, READ_WRITE),
        "sub-batches": (str, "batches", "batches", "", READ_WRITE),
    }

    def __init__(self) -> None:
        super().__init__()
        self.set_in_place(True)
        self.set_passthrough(True)
        self._values: dict[str, Any] = {}
        self._streams: dict[int, _Stream] = {}

    def do_get_property(self, spec: Any) -> Any:
        return self._values.get(spec.name, spec.default_value)

    def do_set_property(self, spec: Any, value: Any) -> None:
        self._values[spec.name] = value

    def do_start(self) -> bool:
        storage = cv2.FileStorage(self._values["ll-config-file"], cv2.FILE_STORAGE_READ)
        targets, associator = storage.getNode("TargetManagement"), storage.getNode("DataAssociator")
        low = storage.getNode("BaseConfig").getNode("minDetectorConfidence").real()
        high = associator.getNode("tentativeDetectorConfidence")
        self._config = TrackerConfig(
            low=low,
            high=TrackerConfig().high if high.empty() else high.real(),
            timeout=targets.getNode("maxShadowTrackingAge").real() / FPS,
            confirm=targets.getNode("probationAge").real() / FPS,
            appearance=False,
        )
        self._terminated = bool(targets.getNode("outputTerminatedTracks").real())
        reid = storage.getNode("ReID")
        self._reid = None
        if not reid.empty() and reid.getNode("outputReidTensor").real():
            self._reid = open_session(reid.getNode("onnxFile").string())
            dims = reid.getNode("inferDims")
            self._reid_size = (int(dims.at(2).real()), int(dims.at(1).real()))
            self._reid_scale = reid.getNode("netScaleFactor").real()
            offsets = reid.getNode("offsets")
            self._reid_offsets = np.array([offsets.at(i).real() for i in range(3)], np.float32)
        storage.release()
        return True

    def do_sink_event(self, event: Any) -> bool:
        mode = self.get_property("tracking-id-reset-mode")
        drops = {"stream-reset": bool(mode & 1), "stream-eos": bool(mode & 2), "pad-deleted": True}
        for kind, dropped in drops.items():
            pad = nvds.stream_event(event, kind)
            stream = self._streams.get(pad) if pad is not None and dropped else None
            if stream is not None:
                # Its tracks are gone without a word; the next ones are numbered on, or from the start.
                stream.base = 0 if mode & 2 else stream.highest
                stream.tracker = None
        return bool(GstBase.BaseTransform.do_sink_event(self, event))

    def do_transform_ip(self, buffer: Any) -> Any:
        address = hash(buffer)
        batch = nvds.batch_of(address)
        if batch is None:
            return Gst.FlowReturn.OK
        ended: dict[int, list[int]] = {}
        whole = NvDsBatchMeta.from_address(batch)
        if whole.num_frames_in_batch > whole.max_frames_in_batch:
            text = "Frame number in input batch exceeds maximum batch size"
            self.post_message(Gst.Message.new_error(self, _error(text), ""))
            return Gst.FlowReturn.ERROR
        for frame_address, frame in nvds.frames_of(batch):
            if frame.pad_index >= whole.max_frames_in_batch:
                # NVIDIA's would track it in the place of the first source, without a word.
                text = f"pad {frame.pad_index} is not below the batch size, and has no sequence index of its own"
                self.post_message(Gst.Message.new_error(self, _error(text), ""))
                return Gst.FlowReturn.ERROR
            gone = self._track(address, batch, frame_address, frame)
            if gone:
                ended[frame.pad_index] = gone
        if self._terminated:
            nvds.add_terminated(batch, ended)
        return Gst.FlowReturn.OK

    def _track(self, buffer: int, batch: int, frame_address: int, frame: NvDsFrameMeta) -> list[int]:
        size = (frame.pipeline_width, frame.pipeline_height)
        stream = self._streams.setdefault(frame.pad_index, _Stream(Tracker(self._config, size)))
        if stream.tracker is None:
            stream.tracker = Tracker(self._config, size)
        objects = nvds.objects_of(frame)
        detections = None
        if frame.bInferDone:
            rects = [item.rect_params for _, item in objects]
            boxes = np.array([[r.left, r.top, r.left + r.width, r.top + r.height] for r in rects], np.float32)
            scores = np.array([item.confidence for _, item in objects], np.float32)
            detections = Detections(boxes.reshape(-1, 4), scores)
        tracks = stream.tracker.update(detections, frame.frame_num / FPS)
        kept = set()
        for track_id, box, confidence, row in zip(
            tracks.track_ids.tolist(),
            tracks.boxes.tolist(),
            tracks.confidences.tolist(),
            tracks.rows.tolist(),
            strict=True,
        ):
            x1, y1, x2, y2 = box
            object_id = stream.base + track_id
            stream.highest = max(stream.highest, object_id)
            if row >= 0:
                # The box stays the detector's, as with NVIDIA's IOU tracker; ours reports a smoothed one.
                address, item = objects[row]
                item.object_id = object_id
            else:
                address = nvds.add_object(
                    batch, frame_address, (x1, y1, x2 - x1, y2 - y1), object_id, confidence=confidence
                )
            kept.add(address)
        for address, item in objects:
            if address not in kept and item.object_id == UNTRACKED:
                nvds.remove_object(frame_address, address)
        if self._reid is not None:
            self._attach_vectors(buffer, batch, frame)
        return [stream.base + track_id for track_id, _ in tracks.ended]

    def _attach_vectors(self, buffer: int, batch: int, frame: NvDsFrameMeta) -> None:
        pixels = frame_pixels(buffer, frame)
        assert self._reid is not None
        for address, item in nvds.objects_of(frame):
            vector = self._vector(pixels, item)
            if vector is not None:
                nvds.add_reid(batch, address, vector)

    def _vector(self, pixels: Any, item: NvDsObjectMeta) -> Any:
        rect = item.rect_params
        crop = object_crop(pixels, (rect.left, rect.top, rect.width, rect.height))
        if crop is None or self._reid is None:
            return None
        resized = cv2.resize(crop, self._reid_size)[:, :, ::-1].astype(np.float32)
        values = self._reid_scale * (resized - self._reid_offsets)
        entry = self._reid.get_inputs()[0]
        batch = np.ascontiguousarray(values.transpose(2, 0, 1))[None].astype(np.float32)
        if isinstance(entry.shape[0], int):
            batch = np.repeat(batch, entry.shape[0], axis=0)
        return self._reid.run(None, {entry.name: batch})[0][0]
