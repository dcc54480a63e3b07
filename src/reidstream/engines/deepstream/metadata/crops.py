"""JPEG crops through NVIDIA's object encoder on the GPU, with pyds and without."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from reidstream.engines.deepstream.metadata.access import CROP_IMAGE
from reidstream.engines.deepstream.metadata.library import MetaLibrary
from reidstream.engines.deepstream.metadata.memory_access import payloads_of
from reidstream.engines.deepstream.metadata.pyds_access import list_nodes
from reidstream.engines.deepstream.metadata.structures import GstMapInfo, NvDsObjEncOutParams, NvDsObjEncUsrArgs
from reidstream.errors import EngineError, MissingDependency

_ENCODER = "libnvds_batch_jpegenc.so"
_MAP_READ = 1
_LARGEST = 64 << 20
"""Bytes; no crop of a frame is larger, and a length beyond it is not one."""


class Cut(Protocol):
    """(buffer address, objects, the frame of each, all by their handles) -> a JPEG file of each, or None."""

    def __call__(self, buffer: int, objects: Sequence[Any], frames: Sequence[Any]) -> tuple[bytes | None, ...]: ...


class CropCutter(Cut, Protocol):
    def close(self) -> None: ...


class PydsCropCutter:
    """MissingDependency where pyds lacks the encoder."""

    def __init__(self, gpu_id: int, quality: int, pyds: Any) -> None:
        self._pyds: Any = pyds
        if not hasattr(self._pyds, "nvds_obj_enc_create_context"):
            raise MissingDependency("this pyds has no object encoder (nvds_obj_enc_*): set deepstream.crops=false")
        self._quality = quality
        self._context = self._pyds.nvds_obj_enc_create_context(gpu_id)

    def __call__(self, buffer: int, objects: Sequence[Any], frames: Sequence[Any]) -> tuple[bytes | None, ...]:
        pyds = self._pyds
        items = [pyds.NvDsObjectMeta.cast(item) if isinstance(item, int) else item for item in objects]
        for item, frame in zip(items, frames, strict=True):
            arguments = pyds.NvDsObjEncUsrArgs()
            arguments.saveImg = False
            arguments.attachUsrMeta = True
            arguments.scaleImg = False
            arguments.objNum = 1
            arguments.quality = self._quality
            pyds.nvds_obj_enc_process(self._context, arguments, buffer, item, frame)
        pyds.nvds_obj_enc_finish(self._context)
        return tuple(self._jpeg(item) for item in items)

    def close(self) -> None:
        if self._context is not None:
            self._pyds.nvds_obj_enc_destroy_context(self._context)
            self._context = None

    def _jpeg(self, item: Any) -> bytes | None:
        pyds = self._pyds
        for data in list_nodes(item.obj_user_meta_list, broken=lambda: None):
            user = pyds.NvDsUserMeta.cast(data)
            if user is None or int(user.base_meta.meta_type) != CROP_IMAGE or user.user_meta_data is None:
                continue
            out = pyds.NvDsObjEncOutParams.cast(pyds.get_ptr(user.user_meta_data))
            return bytes(np.asarray(out.outBuffer(), np.uint8).tobytes())
        return None


class LibraryCropCutter:
    """MissingDependency where the SDK lacks the encoder. encoder: NVIDIA's library; none: that beside ``library``."""

    def __init__(self, gpu_id: int, quality: int, library: MetaLibrary, encoder: Any = None) -> None:
        self._library = library
        self._quality = quality
        try:
            self._encoder: Any = encoder if encoder is not None else _declared(c.CDLL(library.beside(_ENCODER)))
        except (OSError, AttributeError) as error:
            raise MissingDependency(
                f"NVIDIA's object encoder ({_ENCODER}) cannot be used ({error}): set deepstream.crops=false"
            ) from error
        self._gstreamer = c.CDLL("libgstreamer-1.0.so.0")
        for name in ("gst_buffer_map", "gst_buffer_unmap"):
            getattr(self._gstreamer, name).restype = c.c_int
        self._gstreamer.gst_buffer_map.argtypes = [c.c_void_p, c.POINTER(GstMapInfo), c.c_int]
        self._gstreamer.gst_buffer_unmap.argtypes = [c.c_void_p, c.POINTER(GstMapInfo)]
        self._context = self._encoder.nvds_obj_enc_create_context(gpu_id)
        if not self._context:
            raise EngineError(f"NVIDIA's object encoder does not start on GPU {gpu_id}: set deepstream.crops=false")

    def __call__(self, buffer: int, objects: Sequence[int], frames: Sequence[int]) -> tuple[bytes | None, ...]:
        surface = GstMapInfo()
        if not self._gstreamer.gst_buffer_map(buffer, c.byref(surface), _MAP_READ):
            return (None,) * len(objects)
        try:
            for item, frame in zip(objects, frames, strict=True):
                arguments = NvDsObjEncUsrArgs(attach_user_meta=True, object_number=1, quality=self._quality)
                self._encoder.nvds_obj_enc_process(self._context, c.byref(arguments), surface.data, item, frame)
            self._encoder.nvds_obj_enc_finish(self._context)
        finally:
            self._gstreamer.gst_buffer_unmap(buffer, c.byref(surface))
        files: list[bytes | None] = [None] * len(objects)
        rows, payloads = payloads_of(self._library.layout, objects, CROP_IMAGE)
        for row, payload in zip(rows.tolist(), payloads.tolist(), strict=True):
            out = NvDsObjEncOutParams.from_address(payload)
            if files[row] is None and out.buffer and 0 < out.length <= _LARGEST:
                files[row] = c.string_at(out.buffer, out.length)
        return tuple(files)

    def close(self) -> None:
        if self._context:
            self._encoder.nvds_obj_enc_destroy_context(self._context)
            self._context = None


def _declared(encoder: c.CDLL) -> c.CDLL:
    """Source: nvds_obj_encode.h."""
    encoder.nvds_obj_enc_create_context.restype = c.c_void_p
    encoder.nvds_obj_enc_create_context.argtypes = [c.c_int]
    encoder.nvds_obj_enc_process.restype = c.c_bool
    encoder.nvds_obj_enc_process.argtypes = [
        c.c_void_p,
        c.POINTER(NvDsObjEncUsrArgs),
        c.c_void_p,
        c.c_void_p,
        c.c_void_p,
    ]
    for name in ("nvds_obj_enc_finish", "nvds_obj_enc_destroy_context"):
        getattr(encoder, name).restype = None
        getattr(encoder, name).argtypes = [c.c_void_p]
    return encoder
