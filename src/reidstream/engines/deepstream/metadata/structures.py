"""NVIDIA's metadata structures as they lie in memory, for reading them without pyds.

Source: NVIDIA's public headers of DeepStream 8.0 and 9.1 (nvdsmeta.h, nvll_osd_struct.h, gstnvdsinfer.h, nvdsinfer.h,
nvds_tracker_meta.h, nvds_obj_encode.h), the same in both but for NvOSD_RectParams, which got a rotation angle in 9.0
and made NvDsObjectMeta eight bytes longer. What is not read is there as so many bytes. ``library`` checks them against
the library that is loaded before anything is read.
"""

from __future__ import annotations

import ctypes as c
from dataclasses import dataclass


class NvDsBaseMeta(c.Structure):
    _fields_ = (
        ("batch_meta", c.c_void_p),
        ("meta_type", c.c_int32),
        ("user_context", c.c_void_p),
        ("copy_func", c.c_void_p),
        ("release_func", c.c_void_p),
    )


class NvDsMetaPool(c.Structure):
    _fields_ = (
        ("meta_type", c.c_int32),
        ("max_elements_in_pool", c.c_uint32),
        ("element_size", c.c_uint32),
        ("num_empty_elements", c.c_uint32),
        ("num_full_elements", c.c_uint32),
    )


class NvDsBatchMeta(c.Structure):
    """To the end of what is read; the structure goes on."""

    _fields_ = (
        ("base_meta", NvDsBaseMeta),
        ("max_frames_in_batch", c.c_uint32),
        ("num_frames_in_batch", c.c_uint32),
        ("frame_meta_pool", c.POINTER(NvDsMetaPool)),
        ("obj_meta_pool", c.POINTER(NvDsMetaPool)),
        ("classifier_meta_pool", c.POINTER(NvDsMetaPool)),
        ("display_meta_pool", c.POINTER(NvDsMetaPool)),
        ("user_meta_pool", c.POINTER(NvDsMetaPool)),
        ("label_info_meta_pool", c.POINTER(NvDsMetaPool)),
        ("frame_meta_list", c.c_void_p),
        ("batch_user_meta_list", c.c_void_p),
    )


class NvDsFrameMeta(c.Structure):
    _fields_ = (
        ("base_meta", NvDsBaseMeta),
        ("pad_index", c.c_uint32),
        ("batch_id", c.c_uint32),
        ("frame_num", c.c_int32),
        ("buf_pts", c.c_uint64),
        ("ntp_timestamp", c.c_uint64),
        ("source_id", c.c_uint32),
        ("num_surfaces_per_frame", c.c_int32),
        ("source_frame_width", c.c_uint32),
        ("source_frame_height", c.c_uint32),
        ("surface", c.c_uint32 * 2),
        ("num_obj_meta", c.c_uint32),
        ("infer_done", c.c_int32),
        ("obj_meta_list", c.c_void_p),
        ("display_meta_list", c.c_void_p),
        ("frame_user_meta_list", c.c_void_p),
        ("rest", c.c_uint8 * 104),
    )


class _RectParams80(c.Structure):
    _fields_ = (
        ("left", c.c_float),
        ("top", c.c_float),
        ("width", c.c_float),
        ("height", c.c_float),
        ("border_and_background", c.c_uint64 * 10),
        ("colour", c.c_int32 * 2),
    )


class _RectParams9(c.Structure):
    _fields_ = (("as_in_8", _RectParams80), ("rotation_angle", c.c_float), ("padding", c.c_uint32))
    _anonymous_ = ("as_in_8",)


class _ObjectMeta80(c.Structure):
    _fields_ = (
        ("base_meta", NvDsBaseMeta),
        ("parent", c.c_void_p),
        ("unique_component_id", c.c_int32),
        ("class_id", c.c_int32),
        ("object_id", c.c_uint64),
        ("detector_and_tracker_box", c.c_float * 8),
        ("confidence", c.c_float),
        ("tracker_confidence", c.c_float),
        ("rect_params", _RectParams80),
        ("mask_and_text_params", c.c_uint64 * 16),
        ("obj_label", c.c_char * 128),
        ("classifier_meta_list", c.c_void_p),
        ("obj_user_meta_list", c.c_void_p),
        ("rest", c.c_uint64 * 8),
    )


class _ObjectMeta9(c.Structure):
    _fields_ = tuple((name, _RectParams9 if name == "rect_params" else kind) for name, kind in _ObjectMeta80._fields_)


class NvDsUserMeta(c.Structure):
    _fields_ = (("base_meta", NvDsBaseMeta), ("user_meta_data", c.c_void_p))


class NvDsInferTensorMeta(c.Structure):
    _fields_ = (
        ("unique_id", c.c_uint32),
        ("num_output_layers", c.c_uint32),
        ("output_layers_info", c.c_void_p),
        ("out_buf_ptrs_host", c.c_void_p),
    )


class NvDsInferLayerInfo(c.Structure):
    _fields_ = (
        ("data_type", c.c_int32),
        ("num_dims", c.c_uint32),
        ("dims", c.c_uint32 * 8),
        ("num_elements", c.c_uint32),
        ("binding_index", c.c_int32),
        ("layer_name", c.c_char_p),
        ("buffer", c.c_void_p),
        ("is_input", c.c_int32),
    )


class NvDsObjReid(c.Structure):
    _fields_ = (("feature_size", c.c_uint32), ("ptr_host", c.c_void_p), ("ptr_dev", c.c_void_p))


class NvDsTargetMiscDataObject(c.Structure):
    _fields_ = (
        ("list", c.c_void_p),
        ("num_obj", c.c_uint32),
        ("num_allocated", c.c_uint32),
        ("unique_id", c.c_uint64),
        ("class_id", c.c_uint16),
        ("obj_label", c.c_char * 128),
    )


class NvDsTargetMiscDataStream(c.Structure):
    _fields_ = (
        ("list", c.c_void_p),
        ("stream_id", c.c_uint32),
        ("surface_stream_id", c.c_uint64),
        ("num_allocated", c.c_uint32),
        ("num_filled", c.c_uint32),
    )


class NvDsTargetMiscDataBatch(c.Structure):
    _fields_ = (("list", c.c_void_p), ("num_allocated", c.c_uint32), ("num_filled", c.c_uint32))


class NvDsObjEncUsrArgs(c.Structure):
    """Arguments of the object encoder."""

    _fields_ = (
        ("save_image", c.c_bool),
        ("attach_user_meta", c.c_bool),
        ("scale_image", c.c_bool),
        ("scaled_width", c.c_int),
        ("scaled_height", c.c_int),
        ("file_name", c.c_char * 1024),
        ("object_number", c.c_int),
        ("quality", c.c_int),
        ("is_frame", c.c_bool),
        ("measures_time", c.c_bool),
    )


class NvDsObjEncOutParams(c.Structure):
    _fields_ = (("buffer", c.c_void_p), ("length", c.c_uint64))


class NvDsMeta(c.Structure):
    """What libnvdsgst_meta hangs on a GstBuffer (gstnvdsmeta.h), to the end of what is set; it begins with GstMeta."""

    _fields_ = (
        ("flags", c.c_int),
        ("info", c.c_void_p),
        ("meta_data", c.c_void_p),
        ("user_data", c.c_void_p),
        ("meta_type", c.c_int32),
    )


class GstMapInfo(c.Structure):
    """GStreamer 1.x, gstmemory.h."""

    _fields_ = (
        ("memory", c.c_void_p),
        ("flags", c.c_int),
        ("data", c.c_void_p),
        ("size", c.c_size_t),
        ("maxsize", c.c_size_t),
        ("user_data", c.c_void_p * 4),
        ("reserved", c.c_void_p * 4),
    )


@dataclass(frozen=True, slots=True)
class ObjectLayout:
    """How objects lie in memory in some versions of DeepStream."""

    versions: str
    structure: type[c.Structure]


OBJECT_LAYOUTS = (ObjectLayout("8.0", _ObjectMeta80), ObjectLayout("9.0 and 9.1", _ObjectMeta9))


def offset(structure: type[c.Structure], *path: str) -> int:
    """Bytes from the beginning of a structure to a field of it, or to a field of a structure in it."""
    at = 0
    for name in path:
        at += getattr(structure, name).offset
        kinds: dict[str, type[c.Structure]] = {field[0]: field[1] for field in structure._fields_}  # type: ignore[misc]
        structure = kinds.get(name, structure)
    return at
