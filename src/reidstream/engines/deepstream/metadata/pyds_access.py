"""Batches read through NVIDIA's Python bindings; the only module that imports pyds.

pyds takes about half a microsecond for each attribute of each object; with many busy streams that alone is a good part
of a frame's time. Copying the objects' memory is far cheaper, and pyds is asked where its parts lie, by setting the
attributes of an object of its own and looking for what was set. Where that fails, attributes are read one by one.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from reidstream.engines.deepstream.metadata.access import (
    OBJECT_REID,
    TENSOR_OUTPUT,
    TERMINATED_LIST,
    Count,
    FrameTable,
    ObjectTable,
    OutputTable,
    TensorTable,
)
from reidstream.engines.deepstream.metadata.memory import LONGEST_LIST, Fields, walk
from reidstream.errors import MissingDependency
from reidstream.types import FloatArray, TrackIds

logger = logging.getLogger(__name__)

_META = {"object_id": "u8", "class_id": "i4", "unique_component_id": "i4", "confidence": "f4"}
_RECT = {"left": "f4", "top": "f4", "width": "f4", "height": "f4"}
_FIELDS = _META | _RECT

_SEARCHED = 256
"""Bytes of an NvDsObjectMeta in which its numbers are looked for; the structure is longer in every version."""


def load_pyds() -> ModuleType:
    """NVIDIA's Python bindings, or MissingDependency with the way to get them."""
    try:
        return importlib.import_module("pyds")
    except ImportError as error:
        raise MissingDependency(
            f"NVIDIA's metadata shall be read through pyds, which cannot be imported ({error}). It is on no package "
            "registry: inside the DeepStream 8.0 container install the wheel pyds-1.2.2-cp312 from NVIDIA's "
            "deepstream_python_apps releases (docker/Dockerfile.deepstream does it), or read without it, with "
            "deepstream.metadata=memory"
        ) from error


class PydsAccess:
    """See MetadataAccess. Handles are pyds' objects or what they are made from. count: told what is broken."""

    def __init__(self, pyds: Any, count: Count) -> None:
        self._pyds = pyds
        self._count = count
        self._objects = open_object_reader(pyds, self._broken_list)

    def batch(self, buffer: int) -> Any | None:
        return self._pyds.gst_buffer_get_nvds_batch_meta(buffer)

    def held(self, batch: Any) -> AbstractContextManager[None]:
        """Nothing is held: pyds would wait for the batch with Python's own lock in hand."""
        return nullcontext()

    def frames(self, batch: Any) -> FrameTable:
        frames = [self._pyds.NvDsFrameMeta.cast(data) for data in self._nodes(batch.frame_meta_list)]
        return FrameTable(
            pads=np.array([frame.pad_index for frame in frames], np.int64),
            numbers=np.array([frame.frame_num for frame in frames], np.int64),
            pts=np.array([frame.buf_pts for frame in frames], np.uint64),
            ntp=np.array([frame.ntp_timestamp for frame in frames], np.uint64),
            sizes=np.array([(frame.source_frame_width, frame.source_frame_height) for frame in frames], np.int64),
            handles=frames,
        )

    def objects(self, frames: Sequence[Any]) -> ObjectTable:
        return self._objects.read([frame.obj_meta_list for frame in frames])

    def tensors(self, objects: Sequence[Any], model: int) -> TensorTable:
        rows: list[int] = []
        tensors: list[Any] = []
        for row, handle in enumerate(objects):
            for data in self._nodes(self._objects.meta(handle).obj_user_meta_list):
                user = self._pyds.NvDsUserMeta.cast(data)
                if int(user.base_meta.meta_type) != TENSOR_OUTPUT:
                    continue
                if user.user_meta_data is None:
                    self._count("broken tensor")
                    continue
                tensor = self._pyds.NvDsInferTensorMeta.cast(user.user_meta_data)
                if tensor.unique_id == model:
                    rows.append(row)
                    tensors.append(tensor)
        outputs = np.array([tensor.num_output_layers for tensor in tensors], np.int64)
        return TensorTable(np.array(rows, np.int64), outputs, tensors)

    def layer_names(self, tensor: Any) -> list[str | None]:
        layer = self._pyds.get_nvds_LayerInfo
        return [layer(tensor, index).layerName for index in range(tensor.num_output_layers)]

    def outputs(self, tensors: Sequence[Any], layer: int) -> OutputTable:
        layers = [self._pyds.get_nvds_LayerInfo(tensor, layer) for tensor in tensors]
        buffers = [info.buffer for info in layers]
        pointers = [0 if buffer is None else self._pyds.get_ptr(buffer) for buffer in buffers]
        return OutputTable(
            np.array([int(info.dataType) for info in layers], np.int64),
            np.array([int(info.inferDims.numElements) for info in layers], np.int64),
            np.array(pointers, np.int64),
        )

    def reid_vectors(self, objects: Sequence[Any]) -> tuple[list[int], list[FloatArray]]:
        rows: list[int] = []
        vectors: list[FloatArray] = []
        for row, handle in enumerate(objects):
            for data in self._nodes(self._objects.meta(handle).obj_user_meta_list):
                user = self._pyds.NvDsUserMeta.cast(data)
                if int(user.base_meta.meta_type) != OBJECT_REID or user.user_meta_data is None:
                    continue
                reid = self._pyds.NvDsObjReid.cast(user.user_meta_data)
                if not int(reid.featureSize):
                    self._count("broken tensor")
                    continue
                rows.append(row)
                # pyds copies the vector when it makes the array.
                vectors.append(np.array(reid.get_host_reid_vector(), np.float32))
                break
        return rows, vectors

    def terminated(self, batch: Any) -> list[tuple[int, TrackIds]]:
        ended: list[tuple[int, TrackIds]] = []
        for data in self._nodes(batch.batch_user_meta_list):
            user = self._pyds.NvDsUserMeta.cast(data)
            if int(user.base_meta.meta_type) != TERMINATED_LIST or user.user_meta_data is None:
                continue
            for stream in self._pyds.NvDsTargetMiscDataBatch.cast(user.user_meta_data).list():
                ids = np.array([int(item.uniqueId) for item in stream.list()], np.uint64)
                ended.append((int(stream.streamID), ids))
        return ended

    def _nodes(self, node: Any) -> Iterator[Any]:
        return list_nodes(node, self._broken_list)

    def _broken_list(self) -> None:
        self._count("broken list")


class ObjectReader(Protocol):
    """Reads the objects that GLists of NvDsObjectMeta lead to."""

    def read(self, heads: Sequence[Any]) -> ObjectTable:
        """heads: pyds' GList or None, one per frame."""

    def meta(self, handle: Any) -> Any:
        """The NvDsObjectMeta of a handle."""


def open_object_reader(pyds: Any, broken: Callable[[], None]) -> ObjectReader:
    """The faster one where it can be had. broken: called for a list that does not end."""
    try:
        return CopiedObjects(pyds, broken)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        logger.info("objects are read attribute by attribute: %s", error)
        return AttributeObjects(pyds, broken)


def list_nodes(head: Any, broken: Callable[[], None]) -> Iterator[Any]:
    """The data pointers of a GList of pyds; the list advances before anybody looks at its data."""
    for _ in range(LONGEST_LIST):
        if head is None:
            return
        data = head.data
        head = head.next
        if data is not None:
            yield data
    broken()


class AttributeObjects:
    """Every attribute of every object through pyds."""

    def __init__(self, pyds: Any, broken: Callable[[], None]) -> None:
        self._cast = pyds.NvDsObjectMeta.cast
        self._broken = broken

    def read(self, heads: Sequence[Any]) -> ObjectTable:
        rows: list[tuple[float, ...]] = []
        lists: list[int] = []
        items: list[Any] = []
        for index, head in enumerate(heads):
            for data in list_nodes(head, self._broken):
                item = self._cast(data)
                rect = item.rect_params
                rows.append(
                    (
                        item.object_id, item.class_id, item.unique_component_id, item.confidence,
                        rect.left, rect.top, rect.width, rect.height,
                    )
                )  # fmt: skip
                lists.append(index)
                items.append(item)
        values = np.array(rows, np.dtype(list(_FIELDS.items())))
        return ObjectTable(np.array(lists, np.int64), values, items)

    def meta(self, handle: Any) -> Any:
        return handle


class CopiedObjects:
    """The objects' numbers copied as they are. Raises ValueError when pyds does not show where its parts lie."""

    def __init__(self, pyds: Any, broken: Callable[[], None]) -> None:
        self._pyds = pyds
        self._broken = broken
        self._fields = Fields(_learned_places(pyds))

    def read(self, heads: Sequence[Any]) -> ObjectTable:
        get_ptr = self._pyds.get_ptr
        nodes = np.array([0 if head is None else get_ptr(head) for head in heads], np.int64)
        lists, addresses = walk(nodes, self._broken)
        return ObjectTable(lists, self._fields.read(addresses), addresses.tolist())

    def meta(self, handle: Any) -> Any:
        return self._pyds.NvDsObjectMeta.cast(handle)


def _learned_places(pyds: Any) -> dict[str, tuple[int, str]]:
    """Offset and format of an NvDsObjectMeta's numbers, from where pyds puts what is set."""
    item = pyds.NvDsObjectMeta()
    address = pyds.get_ptr(item)
    places = {name: (_offset(address, item, name, kind), kind) for name, kind in _META.items()}
    return places | {name: (_offset(address, item.rect_params, name, kind), kind) for name, kind in _RECT.items()}


def _offset(address: int, owner: Any, name: str, kind: str) -> int:
    """Where an attribute lies: the only place that shows both of two values after they were set."""
    before = getattr(owner, name)
    places: set[int] | None = None
    # Numbers without a zero byte, which nothing else in a new object has.
    for pattern in (0x3A5B6C7D3B4C5D6E, 0x3E1F2A3B3C2D1E4F):
        wanted = pattern.to_bytes(8, "little")[: np.dtype(kind).itemsize]
        setattr(owner, name, np.frombuffer(wanted, kind)[0].item())
        memory = ctypes.string_at(address, _SEARCHED)
        found = {at for at in range(_SEARCHED - len(wanted) + 1) if memory[at : at + len(wanted)] == wanted}
        places = found if places is None else places & found
    setattr(owner, name, before)
    if places is None or len(places) != 1:
        raise ValueError(f"pyds does not show where NvDsObjectMeta has its {name}")
    return places.pop()
