"""Batches read out of memory, without pyds: all objects of a batch in one step."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

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
from reidstream.engines.deepstream.metadata.library import MetaLibrary, object_fields
from reidstream.engines.deepstream.metadata.memory import Fields, readable, walk, words_at
from reidstream.engines.deepstream.metadata.structures import (
    NvDsBatchMeta,
    NvDsFrameMeta,
    NvDsInferLayerInfo,
    NvDsInferTensorMeta,
    NvDsObjReid,
    NvDsTargetMiscDataBatch,
    NvDsTargetMiscDataObject,
    NvDsTargetMiscDataStream,
    NvDsUserMeta,
    ObjectLayout,
    offset,
)
from reidstream.types import FloatArray, IntArray, TrackIds

_FRAME = Fields(
    {
        name: (offset(NvDsFrameMeta, name), kind)
        for name, kind in {
            "pad_index": "u4", "frame_num": "i4", "buf_pts": "u8", "ntp_timestamp": "u8",
            "source_frame_width": "u4", "source_frame_height": "u4",
        }.items()
    }
)  # fmt: skip
_USER = Fields(
    {
        "meta_type": (offset(NvDsUserMeta, "base_meta", "meta_type"), "i4"),
        "payload": (offset(NvDsUserMeta, "user_meta_data"), "i8"),
    }
)
_TENSOR = Fields(
    {
        "unique_id": (offset(NvDsInferTensorMeta, "unique_id"), "u4"),
        "outputs": (offset(NvDsInferTensorMeta, "num_output_layers"), "u4"),
        "layers": (offset(NvDsInferTensorMeta, "output_layers_info"), "i8"),
        "host": (offset(NvDsInferTensorMeta, "out_buf_ptrs_host"), "i8"),
    }
)
_LAYER = Fields(
    {
        "kind": (offset(NvDsInferLayerInfo, "data_type"), "i4"),
        "elements": (offset(NvDsInferLayerInfo, "num_elements"), "u4"),
    }
)
_REID = Fields({"size": (offset(NvDsObjReid, "feature_size"), "u4"), "host": (offset(NvDsObjReid, "ptr_host"), "i8")})
_ENDED = Fields({"unique_id": (offset(NvDsTargetMiscDataObject, "unique_id"), "u8")})
_MOST_LAYERS, _MOST_FEATURES, _MOST_STREAMS, _MOST_TARGETS = 256, 1 << 16, 4096, 1 << 16
"""Counts beyond these are not believed: what they count would be read from wherever it ends."""


class MemoryAccess:
    """See MetadataAccess. Handles are addresses. count: told what is broken."""

    def __init__(self, library: MetaLibrary, count: Count) -> None:
        self._library = library
        self._count = count
        self._object = object_fields(library.layout)

    def batch(self, buffer: int) -> int | None:
        return self._library.batch_of(buffer) or None

    def held(self, batch: int) -> AbstractContextManager[None]:
        return self._library.held(batch)

    def frames(self, batch: int) -> FrameTable:
        head = NvDsBatchMeta.from_address(batch).frame_meta_list
        _, frames = walk(np.array([head or 0], np.int64), self._broken_list)
        read = _FRAME.read(frames)
        return FrameTable(
            pads=read["pad_index"].astype(np.int64),
            numbers=read["frame_num"].astype(np.int64),
            pts=read["buf_pts"],
            ntp=read["ntp_timestamp"],
            sizes=np.column_stack([read["source_frame_width"], read["source_frame_height"]]).astype(np.int64),
            handles=frames.tolist(),
        )

    def objects(self, frames: Sequence[int]) -> ObjectTable:
        heads = words_at(np.array(frames, np.int64) + NvDsFrameMeta.obj_meta_list.offset)
        lists, objects = walk(heads, self._broken_list)
        return ObjectTable(lists, self._object.read(objects), objects.tolist())

    def tensors(self, objects: Sequence[int], model: int) -> TensorTable:
        rows, payloads = payloads_of(
            self._library.layout, objects, TENSOR_OUTPUT, self._broken_list, lambda: self._count("broken tensor")
        )
        read = _TENSOR.read(payloads)
        ours = read["unique_id"] == model
        rows, payloads, read = rows[ours], payloads[ours], read[ours]
        # A count that nobody believes is as good as none, and so is one of what is nowhere.
        whole = (read["outputs"] <= _MOST_LAYERS) & readable(read["layers"])
        return TensorTable(rows, np.where(whole, read["outputs"], 0).astype(np.int64), payloads.tolist())

    def layer_names(self, tensor: int) -> list[str | None]:
        meta = NvDsInferTensorMeta.from_address(tensor)
        layers = (NvDsInferLayerInfo * meta.num_output_layers).from_address(meta.output_layers_info)
        names = (layer.layer_name for layer in layers)
        return [None if name is None else name.decode("utf-8", "replace") for name in names]

    def outputs(self, tensors: Sequence[int], layer: int) -> OutputTable:
        read = _TENSOR.read(np.array(tensors, np.int64))
        info = _LAYER.read(read["layers"] + layer * c.sizeof(NvDsInferLayerInfo))
        pointers = np.zeros(len(read), np.int64)
        there = readable(read["host"])
        pointers[there] = words_at(read["host"][there] + layer * c.sizeof(c.c_void_p))
        return OutputTable(info["kind"].astype(np.int64), info["elements"].astype(np.int64), pointers)

    def reid_vectors(self, objects: Sequence[int]) -> tuple[list[int], list[FloatArray]]:
        rows, payloads = payloads_of(self._library.layout, objects, OBJECT_REID, self._broken_list)
        # One vector for each object.
        rows, first = np.unique(rows, return_index=True)
        read = _REID.read(payloads[first])
        usable = (read["size"] > 0) & (read["size"] <= _MOST_FEATURES) & (read["host"] != 0)
        for _ in range(int(np.count_nonzero(~usable))):
            self._count("broken tensor")
        vectors = [
            np.frombuffer(c.string_at(host, size * 4), np.float32)
            for host, size in zip(read["host"][usable].tolist(), read["size"][usable].tolist(), strict=True)
        ]
        return rows[usable].tolist(), vectors

    def terminated(self, batch: int) -> list[tuple[int, TrackIds]]:
        head = NvDsBatchMeta.from_address(batch).batch_user_meta_list
        if not head:
            return []
        _, users = walk(np.array([head], np.int64), self._broken_list)
        read = _USER.read(users)
        wanted = (read["meta_type"] == TERMINATED_LIST) & readable(read["payload"])
        return [ended for payload in read["payload"][wanted].tolist() for ended in self._ended(payload)]

    def _ended(self, payload: int) -> list[tuple[int, TrackIds]]:
        batch = NvDsTargetMiscDataBatch.from_address(payload)
        if not batch.list or batch.num_filled > _MOST_STREAMS:
            return []
        ended: list[tuple[int, TrackIds]] = []
        for stream in (NvDsTargetMiscDataStream * batch.num_filled).from_address(batch.list):
            count = stream.num_filled if stream.list else 0
            if count > _MOST_TARGETS:
                self._broken_list()
                count = 0
            size = c.sizeof(NvDsTargetMiscDataObject)
            objects = (stream.list or 0) + np.arange(count, dtype=np.int64) * size
            ended.append((int(stream.stream_id), _ENDED.read(objects)["unique_id"].copy()))
        return ended

    def _broken_list(self) -> None:
        self._count("broken list")


def payloads_of(
    layout: ObjectLayout,
    objects: Sequence[int],
    meta_type: int,
    broken: Callable[[], None] = lambda: None,
    empty: Callable[[], None] = lambda: None,
) -> tuple[IntArray, IntArray]:
    """The user metadata of one type on these objects: int64 (n,) whose, and int64 (n,) where what it carries is.

    broken: called for each list that is. empty: for each meta that carries nothing.
    """
    heads = words_at(np.array(objects, np.int64) + offset(layout.structure, "obj_user_meta_list"))
    rows, users = walk(heads, broken)
    read = _USER.read(users)
    of_type = read["meta_type"] == meta_type
    rows, payloads = rows[of_type], read["payload"][of_type]
    there = readable(payloads)
    for _ in range(int(np.count_nonzero(~there))):
        empty()
    return rows[there], payloads[there]
