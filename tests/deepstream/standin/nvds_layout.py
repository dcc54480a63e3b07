"""The C structures of NVIDIA's metadata in the layout of DeepStream 9.x, which is what the public libraries use.

Only tests know offsets: the package itself reads metadata through pyds alone, because NvDsObjectMeta is 544 bytes in
DeepStream 8.0 and 552 in 9.x. ``nvds.check_layout`` compares these sizes with what the library itself allocates.
"""

from __future__ import annotations

import ctypes as c
from enum import IntEnum

UNTRACKED = 0xFFFFFFFFFFFFFFFF
LABEL_SIZE = 128
MAX_DIMS = 8


class MetaType(IntEnum):
    BATCH = 1
    FRAME = 2
    OBJECT = 3
    USER = 7
    LATENCY = 11
    TENSOR = 12
    CROP = 14
    OBJECT_REID = 17
    TERMINATED = 18
    BATCH_GST = 4097
    START_USER = 8193


class GList(c.Structure):
    pass


GList._fields_ = [("data", c.c_void_p), ("next", c.POINTER(GList)), ("prev", c.POINTER(GList))]


class NvDsBaseMeta(c.Structure):
    _fields_ = (
        ("batch_meta", c.c_void_p),
        ("meta_type", c.c_int),
        ("uContext", c.c_void_p),
        ("copy_func", c.c_void_p),
        ("release_func", c.c_void_p),
    )


class NvDsMetaPool(c.Structure):
    _fields_ = (
        ("meta_type", c.c_int),
        ("max_elements_in_pool", c.c_uint),
        ("element_size", c.c_uint),
        ("num_empty_elements", c.c_uint),
        ("num_full_elements", c.c_uint),
        ("empty_list", c.POINTER(GList)),
        ("full_list", c.POINTER(GList)),
    )


class NvDsBatchMeta(c.Structure):
    _fields_ = (
        ("base_meta", NvDsBaseMeta),
        ("max_frames_in_batch", c.c_uint),
        ("num_frames_in_batch", c.c_uint),
        ("frame_meta_pool", c.POINTER(NvDsMetaPool)),
        ("obj_meta_pool", c.POINTER(NvDsMetaPool)),
        ("classifier_meta_pool", c.POINTER(NvDsMetaPool)),
        ("display_meta_pool", c.POINTER(NvDsMetaPool)),
        ("user_meta_pool", c.POINTER(NvDsMetaPool)),
        ("label_info_meta_pool", c.POINTER(NvDsMetaPool)),
        ("frame_meta_list", c.POINTER(GList)),
        ("batch_user_meta_list", c.POINTER(GList)),
        ("meta_mutex", c.c_uint64 * 2),
        ("misc_batch_info", c.c_int64 * 4),
        ("reserved", c.c_int64 * 4),
    )


class NvDsFrameMeta(c.Structure):
    _fields_ = (
        ("base_meta", NvDsBaseMeta),
        ("pad_index", c.c_uint),
        ("batch_id", c.c_uint),
        ("frame_num", c.c_int),
        ("buf_pts", c.c_uint64),
        ("ntp_timestamp", c.c_uint64),
        ("source_id", c.c_uint),
        ("num_surfaces_per_frame", c.c_int),
        ("source_frame_width", c.c_uint),
        ("source_frame_height", c.c_uint),
        ("surface_type", c.c_uint),
        ("surface_index", c.c_uint),
        ("num_obj_meta", c.c_uint),
        ("bInferDone", c.c_int),
        ("obj_meta_list", c.POINTER(GList)),
        ("display_meta_list", c.POINTER(GList)),
        ("frame_user_meta_list", c.POINTER(GList)),
        ("misc_frame_info", c.c_int64 * 4),
        ("pipeline_width", c.c_uint),
        ("pipeline_height", c.c_uint),
        ("sensor_info", c.c_uint64 * 4),
        ("reserved", c.c_int64 * 4),
    )


class NvOSD_RectParams(c.Structure):  # noqa: N801 - NVIDIA's name
    _fields_ = (
        ("left", c.c_float),
        ("top", c.c_float),
        ("width", c.c_float),
        ("height", c.c_float),
        ("border_width", c.c_uint),
        ("border_color", c.c_double * 4),
        ("has_bg_color", c.c_uint),
        ("reserved", c.c_uint),
        ("bg_color", c.c_double * 4),
        ("has_color_info", c.c_int),
        ("color_id", c.c_int),
        ("rotation_angle", c.c_float),
    )


class NvDsObjectMeta(c.Structure):
    _fields_ = (
        ("base_meta", NvDsBaseMeta),
        ("parent", c.c_void_p),
        ("unique_component_id", c.c_int),
        ("class_id", c.c_int),
        ("object_id", c.c_uint64),
        ("detector_bbox_info", c.c_float * 4),
        ("tracker_bbox_info", c.c_float * 4),
        ("confidence", c.c_float),
        ("tracker_confidence", c.c_float),
        ("rect_params", NvOSD_RectParams),
        ("mask_params", c.c_uint64 * 3),
        ("text_params", c.c_uint64 * 13),
        ("obj_label", c.c_char * LABEL_SIZE),
        ("classifier_meta_list", c.POINTER(GList)),
        ("obj_user_meta_list", c.POINTER(GList)),
        ("misc_obj_info", c.c_int64 * 4),
        ("reserved", c.c_int64 * 4),
    )


class NvDsUserMeta(c.Structure):
    _fields_ = (("base_meta", NvDsBaseMeta), ("user_meta_data", c.c_void_p))


class NvDsInferDims(c.Structure):
    _fields_ = (("numDims", c.c_uint), ("d", c.c_uint * MAX_DIMS), ("numElements", c.c_uint))


class NvDsInferLayerInfo(c.Structure):
    _fields_ = (
        ("dataType", c.c_int),
        ("inferDims", NvDsInferDims),
        ("bindingIndex", c.c_int),
        ("layerName", c.c_char_p),
        ("buffer", c.c_void_p),
        ("isInput", c.c_int),
    )


class NvDsInferTensorMeta(c.Structure):
    _fields_ = (
        ("unique_id", c.c_uint),
        ("num_output_layers", c.c_uint),
        ("output_layers_info", c.POINTER(NvDsInferLayerInfo)),
        ("out_buf_ptrs_host", c.POINTER(c.c_void_p)),
        ("out_buf_ptrs_dev", c.POINTER(c.c_void_p)),
        ("gpu_id", c.c_int),
        ("priv_data", c.c_void_p),
        ("network_info", c.c_uint * 3),
        ("maintain_aspect_ratio", c.c_int),
        ("symmetric_padding", c.c_int),
    )


class NvDsTargetMiscDataFrame(c.Structure):
    _fields_ = (
        ("frameNum", c.c_uint32),
        ("tBbox", NvOSD_RectParams),
        ("confidence", c.c_float),
        ("age", c.c_uint32),
        ("trackerState", c.c_int),
        ("visibility", c.c_float),
        ("ptWorldFeet", c.c_float * 2),
    )


class NvDsTargetMiscDataObject(c.Structure):
    _fields_ = (
        ("list", c.POINTER(NvDsTargetMiscDataFrame)),
        ("numObj", c.c_uint32),
        ("numAllocated", c.c_uint32),
        ("uniqueId", c.c_uint64),
        ("classId", c.c_uint16),
        ("objLabel", c.c_char * LABEL_SIZE),
    )


class NvDsTargetMiscDataStream(c.Structure):
    _fields_ = (
        ("list", c.POINTER(NvDsTargetMiscDataObject)),
        ("streamID", c.c_uint32),
        ("surfaceStreamID", c.c_uint64),
        ("numAllocated", c.c_uint32),
        ("numFilled", c.c_uint32),
    )


class NvDsTargetMiscDataBatch(c.Structure):
    _fields_ = (
        ("list", c.POINTER(NvDsTargetMiscDataStream)),
        ("numAllocated", c.c_uint32),
        ("numFilled", c.c_uint32),
        ("priv_data", c.c_void_p),
    )


class NvDsObjReid(c.Structure):
    _fields_ = (("featureSize", c.c_uint32), ("ptr_host", c.c_void_p), ("ptr_dev", c.c_void_p))


class NvDsObjEncOutParams(c.Structure):
    _fields_ = (("outBuffer", c.c_void_p), ("outLen", c.c_uint64))


class NvDsMeta(c.Structure):
    """What libnvdsgst_meta hangs on a GstBuffer; the first 16 bytes are GstMeta."""

    _fields_ = (
        ("flags", c.c_int),
        ("info", c.c_void_p),
        ("meta_data", c.c_void_p),
        ("user_data", c.c_void_p),
        ("meta_type", c.c_int),
        ("copyfunc", c.c_void_p),
        ("freefunc", c.c_void_p),
        ("gst_to_nvds_meta_transform_func", c.c_void_p),
        ("gst_to_nvds_meta_release_func", c.c_void_p),
    )
