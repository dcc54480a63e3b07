"""From NVIDIA's batch metadata to arrays: the only module that imports pyds.

Everything is copied while the buffer is alive: nvinfer's tensors go back to its pool when the buffer is freed. No
structure offsets are used, because NvDsObjectMeta differs between DeepStream 8.0 and 9.x; pyds knows its own version.
"""

from __future__ import annotations

import ctypes
import importlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from reidstream.engines.deepstream.metadata.object_table import LONGEST_LIST, list_nodes, open_object_reader
from reidstream.errors import EngineError, MissingDependency
from reidstream.types import FloatArray, IntArray, TrackIds

UNTRACKED = 0xFFFFFFFFFFFFFFFF
"""The object id of a box that no tracker has numbered (nvdsmeta.h)."""

TENSOR_OUTPUT = 12
CROP_IMAGE = 14
OBJECT_REID = 17
TERMINATED_LIST = 18
"""Values of NvDsMetaType. Given as numbers because pyds 1.2 has no name for the last; 12 is the same since 6.x."""

_LAYER_TYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.float16}
_NO_TIME = 0xFFFFFFFFFFFFFFFF
_NO_ROWS, _NO_QUALITY = np.zeros(0, np.int64), np.zeros(0, np.float32)


def load_pyds() -> ModuleType:
    """NVIDIA's Python bindings, or MissingDependency with the way to get them."""
    try:
        return importlib.import_module("pyds")
    except ImportError as error:
        raise MissingDependency(
            f"the DeepStream engine reads NVIDIA's metadata through pyds, which cannot be imported ({error}). It is on "
            "no package registry: inside the DeepStream 8.0 container install the wheel pyds-1.2.2-cp312 from NVIDIA's "
            "deepstream_python_apps releases (docker/Dockerfile.deepstream does it), or use --engine local."
        ) from error


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a pipeline's metadata.

    mux_size: width and height that nvstreammux scales every frame to, or None when it keeps their sizes (the new mux).
    detector_id: gie-unique-id of the person detector. person_classes: its class ids that mean a person.
    embedder_id: gie-unique-id of the Re-ID model, or None to take the tracker's own vectors (NvDsObjReid).
    layer: name of the output with the embedding, or None when the model has only one output.
    """

    mux_size: tuple[int, int] | None
    detector_id: int = 1
    person_classes: frozenset[int] = frozenset({0})
    embedder_id: int | None = 2
    layer: str | None = None


@dataclass(frozen=True, slots=True)
class FrameArrays:
    """One frame of one source as it left the pipeline.

    source_index: see MuxPads. number: the mux's frame number. pts, ntp: nanoseconds, None when not known.
    size: width and height of the source's frames. object_ids: uint64 (n,); untracked boxes are left out.
    boxes: float32 (n, 4), xyxy in source pixels. confidences: float32 (n,), -0.1 where the tracker predicted.
    rows: int64 (m,) rows whose embedding was read, embeddings: float32 (m, d), unit length.
    quality: float32 (m,) in 0..1. crops: m JPEG files or Nones, or empty.
    """

    source_index: int
    number: int
    pts: int | None
    ntp: int | None
    size: tuple[int, int]
    object_ids: TrackIds
    boxes: FloatArray
    confidences: FloatArray
    rows: IntArray
    embeddings: FloatArray
    quality: FloatArray
    crops: tuple[bytes | None, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchArrays:
    """One batch: its frames, and for each source the object ids that the tracker has given up."""

    frames: tuple[FrameArrays, ...]
    terminated: tuple[tuple[int, TrackIds], ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """The people of one frame before any embedding is read. time: seconds on the stream's own clock."""

    source_index: int
    time: float
    size: tuple[int, int]
    object_ids: TrackIds
    boxes: FloatArray
    confidences: FloatArray


class Sampling(Protocol):
    """Decides, on the streaming thread, whose embedding is read."""

    def wanted(self, seen: Seen) -> tuple[IntArray, FloatArray]:
        """Rows of the frame worth reading, int64 (m,), and the quality of their crops, float32 (m,) in 0..1."""

    def took(self, source_index: int, object_ids: TrackIds, quality: FloatArray, time: float) -> None:
        """The embeddings of these were there."""


class EveryRow:
    """Reads every embedding; each counts the same."""

    def wanted(self, seen: Seen) -> tuple[IntArray, FloatArray]:
        n = len(seen.object_ids)
        return np.arange(n, dtype=np.int64), np.ones(n, np.float32)

    def took(self, source_index: int, object_ids: TrackIds, quality: FloatArray, time: float) -> None:
        """Nothing to remember."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """One NvDsFrameMeta and what it says. time: seconds."""

    meta: Any
    source_index: int
    number: int
    pts: int | None
    time: float
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _People:
    """The people of a whole batch; those of frame i are the rows from starts[i] to starts[i + 1]."""

    starts: list[int]
    handles: list[Any]
    ids: TrackIds
    boxes: FloatArray
    confidences: FloatArray


Cut = Callable[[int, list[Any], Any], tuple[bytes | None, ...]]
"""(buffer address, NvDsObjectMeta of the wanted rows, NvDsFrameMeta) -> JPEG files."""

Keeps = Callable[[int, float], bool]
"""(source index, seconds) -> whether the frame is wanted at all; thins sources that deliver more than they should."""


class BatchReader:
    """Reads batches of one pipeline. Counts what it met in ``counts``, for people to see:

    "person-frames", "embeddings", "no embedding" (wanted, but not there), "untracked", "other class",
    "broken box", "broken tensor", "broken list".
    """

    def __init__(
        self,
        layout: Layout,
        pyds: ModuleType | None = None,
        sampling: Sampling | None = None,
        cut: Cut | None = None,
        keeps: Keeps | None = None,
        source: Callable[[int], int | None] | None = None,
    ) -> None:
        self.layout = layout
        self.counts: Counter[str] = Counter()
        self._pyds: Any = pyds if pyds is not None else load_pyds()
        self._sampling: Sampling = sampling or EveryRow()
        self._cut = cut
        self._keeps = keeps
        self._source = source
        self._objects = open_object_reader(self._pyds, self._broken_list)
        self._classes = np.array(sorted(layout.person_classes), np.int32)
        self._layer_index: int | None = None
        self._size: int | None = None

    def read(self, buffer: int) -> BatchArrays:
        """The arrays of the batch on a GstBuffer, given by its address (``hash(buffer)`` in PyGObject).

        Raises EngineError when the Re-ID model's outputs are not what the configuration says.
        """
        batch = self._pyds.gst_buffer_get_nvds_batch_meta(buffer)
        if batch is None:
            self.counts["buffer without a batch"] += 1
            return BatchArrays(())
        cast = self._pyds.NvDsFrameMeta.cast
        frames: list[_Frame] = []
        for data in self._nodes(batch.frame_meta_list):
            meta = cast(data)
            index = self._index(int(meta.pad_index))
            if index is None:
                continue
            pts, number = int(meta.buf_pts), int(meta.frame_num)
            time = pts / 1e9 if pts != _NO_TIME else number / 30
            if self._keeps is None or self._keeps(index, time):
                size = (int(meta.source_frame_width), int(meta.source_frame_height))
                frames.append(_Frame(meta, index, number, None if pts == _NO_TIME else pts, time, size))
        if not frames:
            return BatchArrays((), self._terminated(batch))
        people = self._people(frames)
        read = tuple(
            self._frame(buffer, frame, people, slice(first, last))
            for frame, first, last in zip(frames, people.starts, people.starts[1:], strict=False)
        )
        return BatchArrays(read, self._terminated(batch))

    def _index(self, pad: int) -> int | None:
        return pad if self._source is None else self._source(pad)

    def _nodes(self, node: Any) -> Iterator[Any]:
        return list_nodes(node, self._broken_list)

    def _broken_list(self) -> None:
        self.counts["broken list"] += 1

    def _people(self, frames: list[_Frame]) -> _People:
        """The tracked people of all frames, those of one frame sorted by object id: the lists' order means nothing."""
        table = self._objects.read([frame.meta.obj_meta_list for frame in frames])
        values, lists = table.values, table.lists
        ids = values["object_id"]
        ours = (values["unique_component_id"] == self.layout.detector_id) & np.isin(values["class_id"], self._classes)
        tracked = ours & (ids != UNTRACKED)
        rects = np.stack([values["left"], values["top"], values["width"], values["height"]], axis=1)
        boxes = self._source_boxes(rects, np.array([frame.size for frame in frames], np.float32)[lists])
        whole = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        rows = np.flatnonzero(tracked & whole)
        rows = rows[np.lexsort((ids[rows], lists[rows]))]
        people = int(tracked.sum())
        for name, count in (
            ("other class", len(ours) - int(ours.sum())),
            ("untracked", int(ours.sum()) - people),
            ("broken box", people - len(rows)),
            ("person-frames", len(rows)),
        ):
            if count:
                self.counts[name] += count
        starts = np.searchsorted(lists[rows], np.arange(len(frames) + 1))
        handles = [table.handles[row] for row in rows.tolist()]
        return _People(starts.tolist(), handles, ids[rows], boxes[rows], values["confidence"][rows])

    def _source_boxes(self, rects: FloatArray, sizes: FloatArray) -> FloatArray:
        """left, top, width, height in mux pixels -> xyxy in source pixels, clipped to the frame."""
        boxes = np.empty_like(rects)
        with np.errstate(invalid="ignore", over="ignore"):
            boxes[:, :2] = rects[:, :2]
            boxes[:, 2:] = rects[:, :2] + rects[:, 2:]
            if self.layout.mux_size is not None:
                boxes *= np.tile(sizes / np.maximum(np.array(self.layout.mux_size, np.float32), 1), 2)
            return np.clip(boxes, 0, np.tile(sizes, 2))

    def _frame(self, buffer: int, frame: _Frame, people: _People, part: slice) -> FrameArrays:
        ids, boxes, confidences = people.ids[part], people.boxes[part], people.confidences[part]
        rows, quality, embeddings = _NO_ROWS, _NO_QUALITY, self._none
        crops: tuple[bytes | None, ...] = ()
        if len(ids):
            wanted, worth = self._sampling.wanted(
                Seen(frame.source_index, frame.time, frame.size, ids, boxes, confidences)
            )
            if len(wanted):
                chosen = [self._objects.meta(people.handles[part.start + row]) for row in wanted.tolist()]
                found, embeddings = self._embeddings(chosen)
                rows, quality = wanted[found], worth[found]
                self._sampling.took(frame.source_index, ids[rows], quality, frame.time)
                if self._cut is not None and len(found):
                    crops = self._cut(buffer, [chosen[index] for index in found], frame.meta)
        ntp = int(frame.meta.ntp_timestamp)
        return FrameArrays(
            source_index=frame.source_index,
            number=frame.number,
            pts=frame.pts,
            ntp=None if ntp in (0, _NO_TIME) else ntp,
            size=frame.size,
            object_ids=ids,
            boxes=boxes,
            confidences=confidences,
            rows=rows,
            embeddings=embeddings,
            quality=quality,
            crops=crops,
        )

    @property
    def _none(self) -> FloatArray:
        return np.zeros((0, self._size or 0), np.float32)

    def _embeddings(self, objects: list[Any]) -> tuple[IntArray, FloatArray]:
        """Which of the objects carry a usable embedding, and the unit-length embeddings."""
        rows: list[int] = []
        vectors: FloatArray = np.zeros((0, self._size or 0), np.float32)
        if objects:
            rows, vectors = (
                self._tracker_vectors(objects) if self.layout.embedder_id is None else self._tensors(objects)
            )
        missing = len(objects) - len(rows)
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        usable = np.isfinite(lengths) & (lengths > 1e-12)
        found = np.array(rows, np.int64)[usable]
        if missing:
            self.counts["no embedding"] += missing
        if len(found) != len(rows):
            self.counts["broken tensor"] += len(rows) - len(found)
        self.counts["embeddings"] += len(found)
        return found, (vectors[usable] / lengths[usable, None]).astype(np.float32)

    def _tensors(self, objects: list[Any]) -> tuple[list[int], FloatArray]:
        """The embedder's output layer of each object that has one, copied out."""
        get_ptr, memmove = self._pyds.get_ptr, ctypes.memmove
        rows: list[int] = []
        pointers: list[int] = []
        dtype: type[np.generic] = np.float32
        for row, item in enumerate(objects):
            layer = self._layer(item.obj_user_meta_list)
            if layer is None:
                continue
            buffer, count, kind = layer.buffer, int(layer.inferDims.numElements), int(layer.dataType)
            if kind not in _LAYER_TYPES:
                raise EngineError(
                    f"output {layer.layerName!r} of the Re-ID model (gie-unique-id {self.layout.embedder_id}) has data "
                    f"type {kind}; embeddings must be FLOAT (0) or HALF (1): remove output-io-formats from its config"
                )
            if self._size is None and count:
                self._size = count
            if buffer is None or not count or count != self._size:
                self.counts["broken tensor"] += 1
                continue
            dtype = _LAYER_TYPES[kind]
            rows.append(row)
            pointers.append(get_ptr(buffer))
        raw: npt.NDArray[Any] = np.empty((len(rows), self._size or 0), dtype)
        stride, start = raw.strides[0] if len(rows) else 0, raw.ctypes.data
        for index, pointer in enumerate(pointers):
            memmove(start + index * stride, pointer, stride)
        return rows, raw.astype(np.float32, copy=False)

    def _layer(self, users: Any) -> Any | None:
        """The embedding layer among an object's user metadata, which may hold several metas in any order."""
        pyds = self._pyds
        for data in self._nodes(users):
            user = pyds.NvDsUserMeta.cast(data)
            if int(user.base_meta.meta_type) != TENSOR_OUTPUT:
                continue
            payload = user.user_meta_data
            if payload is None:
                self.counts["broken tensor"] += 1
                continue
            tensor = pyds.NvDsInferTensorMeta.cast(payload)
            if tensor.unique_id != self.layout.embedder_id:
                continue
            if not tensor.num_output_layers:
                self.counts["broken tensor"] += 1
                continue
            if self._layer_index is None:
                self._layer_index = self._find_layer(tensor)
            if self._layer_index < tensor.num_output_layers:
                return pyds.get_nvds_LayerInfo(tensor, self._layer_index)
            self.counts["broken tensor"] += 1
        return None

    def _find_layer(self, tensor: Any) -> int:
        names = [self._pyds.get_nvds_LayerInfo(tensor, index).layerName for index in range(tensor.num_output_layers)]
        if self.layout.layer is None:
            if len(names) == 1:
                return 0
            raise EngineError(
                f"the Re-ID model (gie-unique-id {self.layout.embedder_id}) has {len(names)} outputs "
                f"({', '.join(map(str, names))}): say which is the embedding with deepstream.sgie.layer"
            )
        if self.layout.layer not in names:
            raise EngineError(
                f"the Re-ID model (gie-unique-id {self.layout.embedder_id}) has no output {self.layout.layer!r}; "
                f"it has {', '.join(map(str, names))}: set deepstream.sgie.layer to one of them"
            )
        return names.index(self.layout.layer)

    def _tracker_vectors(self, objects: list[Any]) -> tuple[list[int], FloatArray]:
        """The tracker's own Re-ID vectors (NvDsObjReid); pyds copies each when it makes the array."""
        pyds = self._pyds
        rows: list[int] = []
        vectors: list[FloatArray] = []
        for row, item in enumerate(objects):
            for data in self._nodes(item.obj_user_meta_list):
                user = pyds.NvDsUserMeta.cast(data)
                if int(user.base_meta.meta_type) != OBJECT_REID or user.user_meta_data is None:
                    continue
                reid = pyds.NvDsObjReid.cast(user.user_meta_data)
                size = int(reid.featureSize)
                self._size = self._size or size
                if not size or size != self._size:
                    self.counts["broken tensor"] += 1
                    continue
                rows.append(row)
                vectors.append(np.array(reid.get_host_reid_vector(), np.float32))
                break
        return rows, np.array(vectors, np.float32).reshape(len(rows), self._size or 0)

    def _terminated(self, batch: Any) -> tuple[tuple[int, TrackIds], ...]:
        """What the tracker says has ended: for each source the object ids, where there are any."""
        pyds = self._pyds
        ended: list[tuple[int, TrackIds]] = []
        for data in self._nodes(batch.batch_user_meta_list):
            user = pyds.NvDsUserMeta.cast(data)
            if int(user.base_meta.meta_type) != TERMINATED_LIST or user.user_meta_data is None:
                continue
            for stream in pyds.NvDsTargetMiscDataBatch.cast(user.user_meta_data).list():
                index, ids = self._index(int(stream.streamID)), [int(item.uniqueId) for item in stream.list()]
                self.counts["ended"] += len(ids)
                if index is not None and ids:
                    ended.append((index, np.array(ids, np.uint64)))
        return tuple(ended)


class CropCutter:
    """JPEG crops through NVIDIA's object encoder on the GPU; MissingDependency where pyds lacks it."""

    def __init__(self, gpu_id: int, quality: int, pyds: ModuleType | None = None) -> None:
        self._pyds: Any = pyds if pyds is not None else load_pyds()
        if not hasattr(self._pyds, "nvds_obj_enc_create_context"):
            raise MissingDependency("this pyds has no object encoder (nvds_obj_enc_*): set deepstream.crops=false")
        self._quality = quality
        self._context = self._pyds.nvds_obj_enc_create_context(gpu_id)

    def __call__(self, buffer: int, objects: list[Any], frame: Any) -> tuple[bytes | None, ...]:
        pyds = self._pyds
        for item in objects:
            arguments = pyds.NvDsObjEncUsrArgs()
            arguments.saveImg = False
            arguments.attachUsrMeta = True
            arguments.scaleImg = False
            arguments.objNum = 1
            arguments.quality = self._quality
            pyds.nvds_obj_enc_process(self._context, arguments, buffer, item, frame)
        pyds.nvds_obj_enc_finish(self._context)
        return tuple(self._jpeg(item) for item in objects)

    def close(self) -> None:
        if self._context is not None:
            self._pyds.nvds_obj_enc_destroy_context(self._context)
            self._context = None

    def _jpeg(self, item: Any) -> bytes | None:
        pyds, node = self._pyds, item.obj_user_meta_list
        for _ in range(LONGEST_LIST):
            if node is None:
                break
            user = pyds.NvDsUserMeta.cast(node.data)
            node = node.next
            if user is None or int(user.base_meta.meta_type) != CROP_IMAGE or user.user_meta_data is None:
                continue
            out = pyds.NvDsObjEncOutParams.cast(pyds.get_ptr(user.user_meta_data))
            return bytes(np.asarray(out.outBuffer(), np.uint8).tobytes())
        return None
