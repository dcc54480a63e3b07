"""libnvds_meta and libnvdsgst_meta in Python, for layouts of which no library is at hand.

The structures are those of the tests' stand-ins and not the package's own, so that the two are compared.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.deepstream.standin import nvds_layout as nine

UNTRACKED = nine.UNTRACKED


def structure(name: str, fields: list[tuple[str, Any]]) -> type[c.Structure]:
    return type(name, (c.Structure,), {"_fields_": tuple(fields)})


def objects_of_8() -> type[c.Structure]:
    """NvDsObjectMeta before boxes could be turned."""
    rect = structure("NvOSD_RectParams", list(nine.NvOSD_RectParams._fields_[:-1]))
    fields = [(name, rect if name == "rect_params" else kind) for name, kind in nine.NvDsObjectMeta._fields_]
    return structure("NvDsObjectMeta", fields)


def objects_with(field: tuple[str, Any], before: str, less: int = 0) -> type[c.Structure]:
    """NvDsObjectMeta with one more field, and ``less`` bytes less reserved at its end."""
    fields: list[tuple[str, Any]] = []
    for name, kind in nine.NvDsObjectMeta._fields_:
        if name == before:
            fields.append(field)
        fields.append((name, c.c_uint8 * (c.sizeof(kind) - less)) if name == "reserved" else (name, kind))
    return structure("NvDsObjectMeta", fields)


class _Node(c.Structure):
    _fields_ = (("data", c.c_void_p), ("next", c.c_void_p), ("prev", c.c_void_p))


class MadeUpLibrary:
    """Its functions are those of both libraries; ``batches`` says which batch is on which buffer."""

    def __init__(self, objects: type[c.Structure] = nine.NvDsObjectMeta, adds: bool = True) -> None:
        self.objects = objects
        self.batches: dict[int, int] = {}
        self.held = 0
        self._adds = adds
        self._alive: list[Any] = []
        for name in dir(self):
            if name.startswith("_nvds"):
                # What is called sets restype and argtypes on functions, which bound methods do not allow.
                setattr(self, name[1:], self._plain(getattr(self, name)))
        self.gst_buffer_get_nvds_batch_meta = self._plain(lambda buffer: self.batches.get(buffer))
        self.gst_buffer_add_nvds_meta = self._plain(lambda *_: None)

    @staticmethod
    def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any) -> Any:
            return method(*arguments)

        return function

    def keep(self, value: Any) -> int:
        self._alive.append(value)
        return c.addressof(value)

    def prepend(self, owner: Any, field: str, data: int) -> None:
        head = c.cast(getattr(owner, field), c.c_void_p).value
        node = _Node(data, head, None)
        setattr(owner, field, c.cast(c.c_void_p(self.keep(node)), c.POINTER(nine.GList)))

    def _nvds_create_batch_meta(self, frames: int) -> int:
        batch = nine.NvDsBatchMeta()
        for kind, (meta_type, size) in {
            "frame": (nine.MetaType.FRAME, c.sizeof(nine.NvDsFrameMeta)),
            "obj": (nine.MetaType.OBJECT, c.sizeof(self.objects)),
            "user": (nine.MetaType.USER, c.sizeof(nine.NvDsUserMeta)),
        }.items():
            pool = nine.NvDsMetaPool(int(meta_type), frames, size)
            self._alive.append(pool)
            setattr(batch, f"{kind}_meta_pool", c.pointer(pool))
        return self.keep(batch)

    def _nvds_destroy_batch_meta(self, batch: int) -> None:
        pass

    def _acquired(self, batch: int, kind: type[c.Structure]) -> int:
        item = kind()
        item.base_meta.batch_meta = batch
        return self.keep(item)

    def _nvds_acquire_frame_meta_from_pool(self, batch: int) -> int:
        return self._acquired(batch, nine.NvDsFrameMeta)

    def _nvds_acquire_obj_meta_from_pool(self, batch: int) -> int:
        return self._acquired(batch, self.objects)

    def _nvds_acquire_user_meta_from_pool(self, batch: int) -> int:
        return self._acquired(batch, nine.NvDsUserMeta)

    def _nvds_add_frame_meta_to_batch(self, batch: int, frame: int) -> None:
        of_batch = nine.NvDsBatchMeta.from_address(batch)
        of_batch.num_frames_in_batch += 1
        self.prepend(of_batch, "frame_meta_list", frame)

    def _nvds_add_obj_meta_to_frame(self, frame: int, item: int, parent: int | None) -> None:
        of_frame = nine.NvDsFrameMeta.from_address(frame)
        of_frame.num_obj_meta += 1
        self.prepend(of_frame, "obj_meta_list", item)

    def _nvds_add_user_meta_to_obj(self, item: int, user: int) -> None:
        if self._adds:
            self.prepend(self.objects.from_address(item), "obj_user_meta_list", user)

    def _nvds_add_user_meta_to_batch(self, batch: int, user: int) -> None:
        self.prepend(nine.NvDsBatchMeta.from_address(batch), "batch_user_meta_list", user)

    def _nvds_copy_obj_meta(self, one: int, other: int) -> None:
        # Field by field, as NVIDIA's does: what lies in none of them is not copied.
        source, target = self.objects.from_address(one), self.objects.from_address(other)
        for name in ("unique_component_id", "class_id", "object_id", "confidence", "rect_params", "obj_label"):
            setattr(target, name, getattr(source, name))

    def _nvds_acquire_meta_lock(self, batch: int) -> None:
        self.held += 1

    def _nvds_release_meta_lock(self, batch: int) -> None:
        self.held -= 1

    def person(self, batch: int, frame: int, object_id: int, vector: np.ndarray[Any, Any] | None) -> int:
        """An object of class 0 with a box of its own and what nvinfer hangs on it."""
        address = self._nvds_acquire_obj_meta_from_pool(batch)
        item = self.objects.from_address(address)
        item.object_id, item.unique_component_id, item.confidence = object_id, 1, 0.5
        item.rect_params.left, item.rect_params.top = object_id, 20
        item.rect_params.width, item.rect_params.height = 30, 40
        self._nvds_add_obj_meta_to_frame(frame, address, None)
        if vector is not None:
            values = np.ascontiguousarray(vector, np.float32)
            layer = nine.NvDsInferLayerInfo(dataType=0, layerName=b"embedding")
            layer.inferDims.numElements = len(values)
            pointers = (c.c_void_p * 1)(values.ctypes.data)
            tensor = nine.NvDsInferTensorMeta(unique_id=2, num_output_layers=1)
            tensor.output_layers_info = c.pointer(layer)
            tensor.out_buf_ptrs_host = c.cast(pointers, c.POINTER(c.c_void_p))
            self._alive += [values, layer, pointers]
            self.user(batch, address, nine.MetaType.TENSOR, self.keep(tensor))
        return address

    def user(self, batch: int, item: int, meta_type: int, payload: int) -> int:
        address = self._nvds_acquire_user_meta_from_pool(batch)
        user = nine.NvDsUserMeta.from_address(address)
        user.base_meta.meta_type, user.user_meta_data = int(meta_type), payload
        self._nvds_add_user_meta_to_obj(item, address)
        return address
