"""A test-only stand-in for the part of NVIDIA's pyds that the metadata adapter uses, over NVIDIA's real libraries.

pyds is on no package registry. Its objects are views of C structures; void pointers are opaque (PyCapsule there,
``Pointer`` here) and must go through ``cast`` or ``get_ptr``; NULL is None. The same tests run with a real pyds when
there is one, which is what keeps this honest.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import nvds
import nvds_layout as layout

__version__ = "stand-in"


class Pointer:
    """A void pointer: nothing can be done with it but casting."""

    __slots__ = ("address",)

    def __init__(self, address: int) -> None:
        self.address = address


def _pointer(address: int | None) -> Pointer | None:
    return Pointer(address) if address else None


class _View:
    """A C structure at an address."""

    struct: ClassVar[type[c.Structure]]
    __slots__ = ("_at", "_c")

    def __init__(self, address: int) -> None:
        self._at = address
        self._c: Any = self.struct.from_address(address)

    @classmethod
    def cast(cls, data: Pointer | int | None) -> Self | None:
        if data is None:
            return None
        if isinstance(data, Pointer):
            return cls(data.address)
        if isinstance(data, int):
            return cls(data)
        raise TypeError(f"cast(): incompatible function arguments: {type(data).__name__}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._c, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _View.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._c, name, value)


class GList(_View):
    struct = layout.GList

    @property
    def data(self) -> Pointer | None:
        return _pointer(self._c.data)

    @property
    def next(self) -> GList | None:
        return _list(self._c.next)


def _list(head: Any) -> GList | None:
    return GList(c.addressof(head.contents)) if head else None


class NvDsBaseMeta(_View):
    struct = layout.NvDsBaseMeta


class NvDsUserMeta(_View):
    struct = layout.NvDsUserMeta

    @property
    def base_meta(self) -> NvDsBaseMeta:
        return NvDsBaseMeta(self._at)

    @property
    def user_meta_data(self) -> Pointer | None:
        return _pointer(self._c.user_meta_data)


class NvDsBatchMeta(_View):
    struct = layout.NvDsBatchMeta

    @property
    def frame_meta_list(self) -> GList | None:
        return _list(self._c.frame_meta_list)

    @property
    def batch_user_meta_list(self) -> GList | None:
        return _list(self._c.batch_user_meta_list)


class NvDsFrameMeta(_View):
    struct = layout.NvDsFrameMeta

    @property
    def obj_meta_list(self) -> GList | None:
        return _list(self._c.obj_meta_list)

    @property
    def pipeline_width(self) -> int:
        raise AttributeError("pyds 1.2 does not bind NvDsFrameMeta.pipeline_width")

    pipeline_height = pipeline_width


class NvDsObjectMeta(_View):
    struct = layout.NvDsObjectMeta
    __slots__ = ("_own",)

    def __init__(self, address: int | None = None) -> None:
        """Without an address a new one, which belongs to this object."""
        object.__setattr__(self, "_own", layout.NvDsObjectMeta() if address is None else None)
        super().__init__(c.addressof(self._own) if address is None else address)

    @property
    def obj_user_meta_list(self) -> GList | None:
        return _list(self._c.obj_user_meta_list)


class NvDsInferDims(_View):
    struct = layout.NvDsInferDims


class NvDsInferLayerInfo(_View):
    struct = layout.NvDsInferLayerInfo

    @property
    def inferDims(self) -> NvDsInferDims:  # noqa: N802 - NVIDIA's name
        return NvDsInferDims(self._at + layout.NvDsInferLayerInfo.inferDims.offset)

    @property
    def layerName(self) -> str | None:  # noqa: N802 - NVIDIA's name
        name = self._c.layerName
        return None if name is None else name.decode()

    @property
    def buffer(self) -> Pointer | None:
        return _pointer(self._c.buffer)


class NvDsInferTensorMeta(_View):
    struct = layout.NvDsInferTensorMeta

    def output_layers_info(self, index: int) -> NvDsInferLayerInfo:
        return NvDsInferLayerInfo(c.addressof(self._c.output_layers_info[index]))


class NvDsObjReid(_View):
    struct = layout.NvDsObjReid

    def get_host_reid_vector(self) -> npt.NDArray[np.float32]:
        array = np.empty(self._c.featureSize, np.float32)
        if self._c.ptr_host:
            c.memmove(array.ctypes.data, self._c.ptr_host, array.nbytes)
        return array


class _Array(_View):
    """A structure with ``list`` and a count: ``list()`` iterates over views."""

    __slots__ = ()
    item: ClassVar[type[_View]]
    count: ClassVar[str]

    def list(self) -> Iterator[Any]:
        for index in range(getattr(self._c, self.count)):
            yield self.item(c.addressof(self._c.list[index]))


class NvDsTargetMiscDataFrame(_View):
    struct = layout.NvDsTargetMiscDataFrame


class NvDsTargetMiscDataObject(_Array):
    struct, item, count = layout.NvDsTargetMiscDataObject, NvDsTargetMiscDataFrame, "numObj"


class NvDsTargetMiscDataStream(_Array):
    struct, item, count = layout.NvDsTargetMiscDataStream, NvDsTargetMiscDataObject, "numFilled"


class NvDsTargetMiscDataBatch(_Array):
    struct, item, count = layout.NvDsTargetMiscDataBatch, NvDsTargetMiscDataStream, "numFilled"


class NvDsObjEncOutParams(_View):
    struct = layout.NvDsObjEncOutParams

    def outBuffer(self) -> npt.NDArray[np.uint8]:  # noqa: N802 - NVIDIA's name
        kind = c.c_uint8 * self._c.outLen
        return np.frombuffer(kind.from_address(self._c.outBuffer), np.uint8)


class NvDsObjEncUsrArgs(SimpleNamespace):
    """Arguments of the object encoder."""


NvDsMetaType = SimpleNamespace(
    NVDSINFER_TENSOR_OUTPUT_META=layout.MetaType.TENSOR,
    NVDS_CROP_IMAGE_META=layout.MetaType.CROP,
    NVDS_TRACKER_OBJ_REID_META=layout.MetaType.OBJECT_REID,
)


def gst_buffer_get_nvds_batch_meta(buffer: int) -> NvDsBatchMeta | None:
    address = nvds.batch_of(buffer)
    return NvDsBatchMeta(address) if address else None


def get_nvds_LayerInfo(tensor: NvDsInferTensorMeta, index: int) -> NvDsInferLayerInfo:  # noqa: N802 - NVIDIA's name
    layer = tensor.output_layers_info(index)
    layer._c.buffer = tensor._c.out_buf_ptrs_host[index]
    return layer


def get_ptr(pointer: Pointer | _View | None) -> int:
    if pointer is None:
        return 0
    return pointer.address if isinstance(pointer, Pointer) else pointer._at


def nvds_obj_enc_create_context(_gpu: int) -> int:
    return 1


def nvds_obj_enc_process(
    context: int, arguments: NvDsObjEncUsrArgs, buffer: int, obj: NvDsObjectMeta, frame: NvDsFrameMeta
) -> bool:
    """Cut the object out of the frame's pixels and hang it on as a JPEG file, as the GPU encoder would."""
    import cv2
    from nvds_surface import frame_pixels

    if not arguments.attachUsrMeta:
        raise ValueError("this stand-in only attaches")
    pixels = frame_pixels(buffer, frame._c)
    rect = obj._c.rect_params
    left, top = max(int(rect.left), 0), max(int(rect.top), 0)
    crop = pixels[top : int(rect.top + rect.height), left : int(rect.left + rect.width)]
    if crop.size == 0:
        return False
    done, jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, arguments.quality])
    if not done:
        return False
    batch = nvds.batch_of(buffer)
    assert batch is not None
    nvds.add_crop(batch, obj._at, jpeg.tobytes())
    return True


def nvds_obj_enc_finish(_context: int) -> None:
    return None


def nvds_obj_enc_destroy_context(_context: int) -> None:
    return None
