"""NVIDIA's real metadata libraries through ctypes: making batches and hanging things on them, as NVIDIA's elements do.

Three libraries (metadata, its GStreamer side, events) come from the wheel ``nvidia-deepstream-videodecode-cu13``,
without its dependencies; they need GLib and GStreamer only. ``REIDSTREAM_NVDS_LIBS`` can name their folder instead.
"""

from __future__ import annotations

import ctypes as c
import importlib.util
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from nvds_layout import (
    GList,
    MetaType,
    NvDsBatchMeta,
    NvDsFrameMeta,
    NvDsInferLayerInfo,
    NvDsInferTensorMeta,
    NvDsMeta,
    NvDsObjectMeta,
    NvDsObjEncOutParams,
    NvDsObjReid,
    NvDsTargetMiscDataBatch,
    NvDsTargetMiscDataFrame,
    NvDsTargetMiscDataObject,
    NvDsTargetMiscDataStream,
    NvDsUserMeta,
)

STREAM_EVENTS = ("stream_eos", "stream_reset", "pad_added", "pad_deleted")
DATA_TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int8): 2, np.dtype(np.int32): 3}
_META_FUNCTION = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p)
_COPY_FUNCTION = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_void_p)


def library_folder() -> Path | None:
    """The folder with libnvds_meta.so, or None when it is nowhere to be found."""
    if named := os.environ.get("REIDSTREAM_NVDS_LIBS"):
        folder = Path(named)
        return folder if (folder / "libnvds_meta.so").exists() else None
    try:
        spec = importlib.util.find_spec("nvidia.deepstream_videodecode")
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "_libs"
    return folder if (folder / "libnvds_meta.so").exists() else None


@dataclass(frozen=True)
class Libraries:
    meta: c.CDLL
    gst: c.CDLL
    helper: c.CDLL
    gstreamer: c.CDLL


_POINTER_FUNCTIONS = {
    "nvds_create_batch_meta": [c.c_uint],
    "nvds_acquire_frame_meta_from_pool": [c.c_void_p],
    "nvds_acquire_obj_meta_from_pool": [c.c_void_p],
    "nvds_acquire_user_meta_from_pool": [c.c_void_p],
}
_VOID_FUNCTIONS = {
    "nvds_destroy_batch_meta": 1,
    "nvds_acquire_meta_lock": 1,
    "nvds_release_meta_lock": 1,
    "nvds_add_frame_meta_to_batch": 2,
    "nvds_add_obj_meta_to_frame": 3,
    "nvds_remove_obj_meta_from_frame": 2,
    "nvds_add_user_meta_to_batch": 2,
    "nvds_add_user_meta_to_frame": 2,
    "nvds_add_user_meta_to_obj": 2,
}


@cache
def libraries() -> Libraries:
    """The two libraries, loaded once, their layout checked against the structures used here."""
    folder = library_folder()
    if folder is None:
        raise FileNotFoundError(
            "NVIDIA's metadata libraries were not found: pip install --no-deps nvidia-deepstream-videodecode-cu13, "
            "or set REIDSTREAM_NVDS_LIBS to the folder of libnvds_meta.so"
        )
    meta = c.CDLL(str(folder / "libnvds_meta.so"), mode=c.RTLD_GLOBAL)
    gst = c.CDLL(str(folder / "libnvdsgst_meta.so"), mode=c.RTLD_GLOBAL)
    for name, arguments in _POINTER_FUNCTIONS.items():
        function = getattr(meta, name)
        function.restype, function.argtypes = c.c_void_p, arguments
    for name, count in _VOID_FUNCTIONS.items():
        function = getattr(meta, name)
        function.restype, function.argtypes = None, [c.c_void_p] * count
    gst.gst_buffer_add_nvds_meta.restype = c.POINTER(NvDsMeta)
    gst.gst_buffer_add_nvds_meta.argtypes = [c.c_void_p] * 5
    gst.gst_buffer_get_nvds_batch_meta.restype = c.c_void_p
    gst.gst_buffer_get_nvds_batch_meta.argtypes = [c.c_void_p]
    helper = c.CDLL(str(folder / "libnvdsgst_helper.so"))
    for kind in STREAM_EVENTS:
        function = getattr(helper, f"gst_nvevent_new_{kind}")
        function.restype, function.argtypes = c.c_void_p, [c.c_uint]
    helper.gst_nvmessage_new_stream_eos.restype = c.c_void_p
    helper.gst_nvmessage_new_stream_eos.argtypes = [c.c_void_p, c.c_uint]
    gstreamer = c.CDLL("libgstreamer-1.0.so.0")
    gstreamer.gst_pad_push_event.argtypes = [c.c_void_p, c.c_void_p]
    gstreamer.gst_event_new_sink_message.restype = c.c_void_p
    gstreamer.gst_event_new_sink_message.argtypes = [c.c_char_p, c.c_void_p]
    gstreamer.gst_mini_object_unref.argtypes = [c.c_void_p]
    check_layout(meta)
    return Libraries(meta, gst, helper, gstreamer)


def push_stream_event(pad: int, kind: str, source: int) -> None:
    """NVIDIA's own event about one source ("stream_eos", "pad_added", ...) out of a source pad (address)."""
    libs = libraries()
    libs.gstreamer.gst_pad_push_event(pad, getattr(libs.helper, f"gst_nvevent_new_{kind}")(source))


def push_stream_eos_message(pad: int, element: int, source: int) -> None:
    """NVIDIA's own message that a stream has ended, of an element (address), as an event out of a source pad."""
    libs = libraries()
    message = libs.helper.gst_nvmessage_new_stream_eos(element, source)
    libs.gstreamer.gst_pad_push_event(pad, libs.gstreamer.gst_event_new_sink_message(b"stream-eos", message))
    libs.gstreamer.gst_mini_object_unref(message)


def stream_event(event: object, kind: str) -> int | None:
    """The source that one of NVIDIA's events is about, None when it is another event."""
    structure = event.get_structure()  # type: ignore[attr-defined]
    if structure is None or not structure.get_name().startswith(f"nv-{kind}"):
        return None
    return int(structure.get_uint("source-id")[1])


def allocated_sizes(meta: c.CDLL) -> dict[str, int]:
    """How many bytes the library itself allocates for each kind of metadata."""
    address = meta.nvds_create_batch_meta(1)
    batch = NvDsBatchMeta.from_address(address)
    sizes = {
        "NvDsFrameMeta": batch.frame_meta_pool.contents.element_size,
        "NvDsObjectMeta": batch.obj_meta_pool.contents.element_size,
        "NvDsUserMeta": batch.user_meta_pool.contents.element_size,
    }
    meta.nvds_destroy_batch_meta(address)
    return sizes


def check_layout(meta: c.CDLL) -> None:
    ours = {kind.__name__: c.sizeof(kind) for kind in (NvDsFrameMeta, NvDsObjectMeta, NvDsUserMeta)}
    theirs = allocated_sizes(meta)
    if ours != theirs:
        raise AssertionError(f"the library allocates {theirs}, the structures of the tests have {ours}")


def nodes(head: object) -> Iterator[int]:
    """The data pointers of a GList."""
    node = head
    while node:
        contents: GList = node.contents  # type: ignore[attr-defined]
        if contents.data:
            yield contents.data
        node = contents.next


@dataclass
class Ledger:
    """What was attached with a release callback, and what was given back; both must be equal in the end."""

    attached: int = 0
    released: int = 0
    _alive: dict[int, list[object]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, address: int, parts: list[object]) -> None:
        with self._lock:
            self.attached += 1
            self._alive[address] = parts

    def give_back(self, address: int) -> None:
        with self._lock:
            if self._alive.pop(address, None) is not None:
                self.released += 1

    @property
    def alive(self) -> int:
        return len(self._alive)


ledger = Ledger()


@_META_FUNCTION
def _release_user(data: int, _user: int) -> None:
    """Called by the library for a user meta: its payload is given back, as nvinfer's memory returns to its pool.

    The floats are overwritten first, so that a reader that kept a view instead of a copy is found out.
    """
    user = NvDsUserMeta.from_address(data)
    payload = user.user_meta_data
    if payload:
        for part in ledger._alive.get(payload, []):
            if isinstance(part, np.ndarray) and part.dtype.kind == "f":
                part.fill(np.nan)
        ledger.give_back(payload)
        user.user_meta_data = None


@_COPY_FUNCTION
def _copy_user(_data: int, _user: int) -> int | None:
    return None


RELEASE_USER = c.cast(_release_user, c.c_void_p).value
COPY_USER = c.cast(_copy_user, c.c_void_p).value


def create_batch(frames: int) -> int:
    """A new NvDsBatchMeta for ``frames`` frames; its address."""
    address: int = libraries().meta.nvds_create_batch_meta(max(frames, 1))
    batch = NvDsBatchMeta.from_address(address)
    batch.base_meta.batch_meta = address
    # The library leaves it to the mux.
    batch.max_frames_in_batch = max(frames, 1)
    return address


def attach_batch(buffer: int, batch: int) -> None:
    """Hang a batch on a GstBuffer (addresses), which owns it from now on."""
    libs = libraries()
    copy = c.cast(libs.meta.nvds_batch_meta_copy_func, c.c_void_p)
    release = c.cast(libs.meta.nvds_batch_meta_release_func, c.c_void_p)
    meta = libs.gst.gst_buffer_add_nvds_meta(buffer, batch, None, copy, release)
    if not meta:
        raise RuntimeError("the buffer did not take the metadata: it is shared with somebody")
    meta.contents.meta_type = MetaType.BATCH_GST


def batch_of(buffer: int) -> int | None:
    """The address of a GstBuffer's NvDsBatchMeta."""
    address: int | None = libraries().gst.gst_buffer_get_nvds_batch_meta(buffer)
    return address


def add_frame(batch: int, pad: int, number: int, size: tuple[int, int], **values: int) -> int:
    """A frame of source ``pad`` at the end of the batch; its address."""
    libs = libraries()
    address: int = libs.meta.nvds_acquire_frame_meta_from_pool(batch)
    frame = NvDsFrameMeta.from_address(address)
    frame.pad_index = frame.source_id = pad
    frame.frame_num = number
    frame.source_frame_width, frame.source_frame_height = size
    frame.batch_id = NvDsBatchMeta.from_address(batch).num_frames_in_batch
    frame.num_surfaces_per_frame = 1
    for name, value in values.items():
        setattr(frame, name, value)
    libs.meta.nvds_add_frame_meta_to_batch(batch, address)
    return address


def add_object(
    batch: int,
    frame: int,
    box: Sequence[float],
    object_id: int,
    class_id: int = 0,
    confidence: float = 0.9,
    component: int = 1,
) -> int:
    """An object with ``box`` as left, top, width, height in mux pixels; its address."""
    libs = libraries()
    address: int = libs.meta.nvds_acquire_obj_meta_from_pool(batch)
    item = NvDsObjectMeta.from_address(address)
    item.object_id, item.class_id, item.unique_component_id = object_id, class_id, component
    item.confidence = confidence
    rect = item.rect_params
    rect.left, rect.top, rect.width, rect.height = box
    libs.meta.nvds_add_obj_meta_to_frame(frame, address, None)
    return address


def add_user(batch: int, owner: int, kind: str, meta_type: int, payload: int | None, parts: list[object]) -> int:
    """User meta with a payload on a "batch", "frame" or "obj"; ``parts`` live until it is released."""
    libs = libraries()
    address: int = libs.meta.nvds_acquire_user_meta_from_pool(batch)
    user = NvDsUserMeta.from_address(address)
    user.user_meta_data = payload
    user.base_meta.meta_type = meta_type
    user.base_meta.copy_func = COPY_USER
    user.base_meta.release_func = RELEASE_USER
    if payload:
        ledger.keep(payload, parts)
    getattr(libs.meta, f"nvds_add_user_meta_to_{kind}")(owner, address)
    return address


def add_tensors(batch: int, obj: int, outputs: dict[str, npt.NDArray[np.generic]], unique_id: int) -> int:
    """What nvinfer hangs on an object with output-tensor-meta: one NvDsInferTensorMeta with all output layers."""
    layers = (NvDsInferLayerInfo * max(len(outputs), 1))()
    pointers = (c.c_void_p * max(len(outputs), 1))()
    arrays: list[npt.NDArray[np.generic]] = []
    for index, (name, values) in enumerate(outputs.items()):
        array = np.array(values, order="C", copy=True)
        arrays.append(array)
        layer = layers[index]
        layer.dataType = DATA_TYPES[array.dtype]
        layer.inferDims.numDims = array.ndim
        for axis, length in enumerate(array.shape):
            layer.inferDims.d[axis] = length
        layer.inferDims.numElements = array.size
        layer.bindingIndex = index + 1
        layer.layerName = name.encode()
        pointers[index] = array.ctypes.data
    tensor = NvDsInferTensorMeta()
    tensor.unique_id, tensor.num_output_layers = unique_id, len(outputs)
    tensor.output_layers_info = c.cast(layers, c.POINTER(NvDsInferLayerInfo))
    tensor.out_buf_ptrs_host = c.cast(pointers, c.POINTER(c.c_void_p))
    return add_user(batch, obj, "obj", MetaType.TENSOR, c.addressof(tensor), [tensor, layers, pointers, *arrays])


def add_reid(batch: int, obj: int, vector: npt.NDArray[np.float32]) -> int:
    """What nvtracker hangs on an object with outputReidTensor: its own Re-ID vector."""
    array = np.array(vector, np.float32, copy=True)
    reid = NvDsObjReid(array.size, array.ctypes.data, None)
    return add_user(batch, obj, "obj", MetaType.OBJECT_REID, c.addressof(reid), [reid, array])


def add_crop(batch: int, obj: int, jpeg: bytes) -> int:
    """What NVIDIA's object encoder hangs on an object: a JPEG file."""
    data = c.create_string_buffer(jpeg, len(jpeg))
    out = NvDsObjEncOutParams(c.addressof(data), len(jpeg))
    return add_user(batch, obj, "obj", MetaType.CROP, c.addressof(out), [out, data])


def add_terminated(batch: int, ended: dict[int, Iterable[int]]) -> int:
    """What nvtracker hangs on a batch with outputTerminatedTracks: ended object ids per source."""
    keep: list[object] = []
    streams = (NvDsTargetMiscDataStream * max(len(ended), 1))()
    for stream, (pad, ids) in zip(streams, ended.items(), strict=False):
        listed = list(ids)
        objects = (NvDsTargetMiscDataObject * max(len(listed), 1))()
        for item, object_id in zip(objects, listed, strict=False):
            frames = (NvDsTargetMiscDataFrame * 1)()
            keep.append(frames)
            item.list, item.numObj, item.numAllocated, item.uniqueId = frames, 1, 1, object_id
        keep.append(objects)
        stream.list, stream.streamID, stream.surfaceStreamID = objects, pad, pad
        stream.numAllocated = stream.numFilled = len(listed)
    terminated = NvDsTargetMiscDataBatch(streams, len(ended), len(ended), None)
    return add_user(batch, batch, "batch", MetaType.TERMINATED, c.addressof(terminated), [terminated, streams, *keep])


def frames_of(batch: int) -> list[tuple[int, NvDsFrameMeta]]:
    head = NvDsBatchMeta.from_address(batch).frame_meta_list
    return [(address, NvDsFrameMeta.from_address(address)) for address in nodes(head)]


def objects_of(frame: NvDsFrameMeta) -> list[tuple[int, NvDsObjectMeta]]:
    return [(address, NvDsObjectMeta.from_address(address)) for address in nodes(frame.obj_meta_list)]


def remove_object(frame: int, obj: int) -> None:
    libraries().meta.nvds_remove_obj_meta_from_frame(frame, obj)
