"""Every key that DeepStream 8.0's nvinfer reads from its file, with type, range and owner.

Source: gstnvinfer_property_parser.{h,cpp} and gstnvinfer_yaml_parser.cpp of DeepStream 8.0: 76 keys of [property]
and 17 of [class-attrs-*]. Keys are refused by range only where the parser itself refuses them, or where a value
outside has no meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["int", "bool", "float", "text", "path", "ints", "floats", "texts", "paths"]
Owner = Literal["element", "engine", "model", "preprocessing", "custom", "type", "objects", "class"]


@dataclass(frozen=True, slots=True)
class Key:
    """kind: how the value is read; lists use ``;``. low, high: inclusive. choices: the only values allowed."""

    name: str
    kind: Kind
    owner: Owner
    low: float | None = None
    high: float | None = None
    choices: tuple[int, ...] = ()
    length: int | None = None


_KEYS = (
    Key("gie-unique-id", "int", "element", 1),
    Key("process-mode", "int", "element", choices=(1, 2)),
    Key("interval", "int", "element", 0),
    Key("labelfile-path", "path", "element"),
    Key("gpu-id", "int", "element", 0),
    Key("secondary-reinfer-interval", "int", "element", 0),
    Key("output-tensor-meta", "bool", "element"),
    Key("disable-output-host-copy", "int", "element", 0, 1),
    Key("auto-inc-mem", "int", "element", 0, 1),
    Key("max-gpu-mem-per", "int", "element", 0, 100),
    Key("enable-dla", "bool", "element"),
    Key("use-dla-core", "int", "element", 0),
    Key("dump-input-tensor", "int", "element", 0),
    Key("dump-output-tensor", "int", "element", 0),
    Key("overwrite-input-tensor", "int", "element", 0),
    Key("overwrite-output-tensor", "int", "element", 0),
    Key("ip-tensor-file", "path", "element"),
    Key("op-tensor-files", "paths", "element"),
    Key("raw-output-file-write", "bool", "element"),
    Key("batch-size", "int", "engine", 1, 1024),
    Key("tensor-meta-pool-size", "int", "engine", 0),
    Key("network-mode", "int", "engine", choices=(0, 1, 2, 3)),
    Key("model-engine-file", "path", "engine"),
    Key("int8-calib-file", "path", "engine"),
    Key("workspace-size", "int", "engine", 0),
    Key("output-blob-names", "texts", "model"),
    Key("is-classifier", "bool", "model"),
    Key("network-type", "int", "model", choices=(0, 1, 2, 3, 100)),
    Key("force-implicit-batch-dim", "bool", "model"),
    Key("infer-dims", "ints", "model", 1, length=3),
    Key("output-io-formats", "texts", "model"),
    Key("layer-device-precision", "texts", "model"),
    Key("model-file", "path", "model"),
    Key("proto-file", "path", "model"),
    Key("uff-file", "path", "model"),
    Key("uff-input-order", "int", "model", choices=(0, 1, 2)),
    Key("input-dims", "ints", "model", length=4),
    Key("uff-input-dims", "ints", "model", length=4),
    Key("uff-input-blob-name", "text", "model"),
    Key("tlt-encoded-model", "path", "model"),
    Key("tlt-model-key", "text", "model"),
    Key("onnx-file", "path", "model"),
    Key("model-color-format", "int", "preprocessing", choices=(0, 1, 2)),
    Key("net-scale-factor", "float", "preprocessing"),
    Key("offsets", "floats", "preprocessing"),
    Key("mean-file", "path", "preprocessing"),
    Key("maintain-aspect-ratio", "bool", "preprocessing"),
    Key("symmetric-padding", "bool", "preprocessing"),
    Key("scaling-filter", "int", "preprocessing", choices=(0, 1, 2, 3, 4, 5, 6)),
    Key("scaling-compute-hw", "int", "preprocessing", choices=(0, 1, 2)),
    Key("network-input-order", "int", "preprocessing", choices=(0, 1)),
    Key("input-tensor-from-meta", "bool", "preprocessing"),
    Key("custom-lib-path", "path", "custom"),
    Key("parse-bbox-func-name", "text", "custom"),
    Key("parse-bbox-instance-mask-func-name", "text", "custom"),
    Key("parse-segmentation-func-name", "text", "custom"),
    Key("engine-create-func-name", "text", "custom"),
    Key("parse-classifier-func-name", "text", "custom"),
    Key("custom-network-config", "text", "custom"),
    Key("num-detected-classes", "int", "type", 0),
    Key("enable-dbscan", "bool", "type"),
    Key("cluster-mode", "int", "type", choices=(0, 1, 2, 3, 4)),
    Key("crop-objects-to-roi-boundary", "bool", "type"),
    Key("classifier-type", "text", "type"),
    Key("classifier-threshold", "float", "type", 0),
    Key("classifier-async-mode", "bool", "type"),
    Key("segmentation-threshold", "float", "type", 0),
    Key("segmentation-output-order", "int", "type", choices=(0, 1)),
    Key("output-instance-mask", "bool", "type"),
    Key("input-object-min-width", "int", "objects", 0),
    Key("input-object-min-height", "int", "objects", 0),
    Key("input-object-max-width", "int", "objects", 0),
    Key("input-object-max-height", "int", "objects", 0),
    Key("operate-on-gie-id", "int", "objects", -1),
    Key("operate-on-class-ids", "ints", "objects", 0),
    Key("filter-out-class-ids", "ints", "objects", 0),
)
_CLASS_KEYS = (
    Key("threshold", "float", "class", 0),
    Key("pre-cluster-threshold", "float", "class", 0),
    Key("post-cluster-threshold", "float", "class", 0),
    Key("eps", "float", "class", 0),
    Key("group-threshold", "int", "class", 0),
    Key("minBoxes", "int", "class", 0),
    Key("dbscan-min-score", "float", "class", 0),
    Key("nms-iou-threshold", "float", "class", 0, 1),
    Key("topk", "int", "class", 0),
    Key("roi-top-offset", "int", "class", 0),
    Key("roi-bottom-offset", "int", "class", 0),
    Key("detected-min-w", "int", "class", 0),
    Key("detected-min-h", "int", "class", 0),
    Key("detected-max-w", "int", "class", 0),
    Key("detected-max-h", "int", "class", 0),
    Key("border-color", "floats", "class", 0, 1, length=4),
    Key("bg-color", "floats", "class", 0, 1, length=4),
)

PROPERTY_KEYS: Mapping[str, Key] = {key.name: key for key in _KEYS}
CLASS_KEYS: Mapping[str, Key] = {key.name: key for key in _CLASS_KEYS}


@dataclass(frozen=True, slots=True)
class Legacy:
    """A key that is still read, or was once. replacement: the key that took its place, None when nothing did."""

    cause: str
    cure: str
    replacement: str | None = None
    removable: bool = False
    fatal: bool = False


_NO_PARSER = "TensorRT 10, which DeepStream 8.0 uses, has no {} parser any more"
_TO_ONNX = "export the model to ONNX and name it in onnx-file"

LEGACY: Mapping[str, Legacy] = {
    "is-classifier": Legacy("is-classifier was replaced by network-type", "set network-type", "network-type"),
    "force-implicit-batch-dim": Legacy(
        "TensorRT 10 knows explicit batches only, so force-implicit-batch-dim has no effect or breaks the build",
        "remove it",
        removable=True,
    ),
    "model-file": Legacy(_NO_PARSER.format("Caffe"), _TO_ONNX, fatal=True),
    "proto-file": Legacy(_NO_PARSER.format("Caffe"), _TO_ONNX, fatal=True),
    "uff-file": Legacy(_NO_PARSER.format("UFF"), _TO_ONNX, fatal=True),
    "uff-input-order": Legacy(_NO_PARSER.format("UFF"), "remove it", removable=True),
    "uff-input-blob-name": Legacy(_NO_PARSER.format("UFF"), "remove it", removable=True),
    "uff-input-dims": Legacy("uff-input-dims was replaced by infer-dims", "set infer-dims=c;h;w", "infer-dims"),
    "input-dims": Legacy("input-dims was replaced by infer-dims", "set infer-dims=c;h;w", "infer-dims"),
    "tlt-encoded-model": Legacy("encoded TAO models (.etlt) are no longer given out", _TO_ONNX),
    "tlt-model-key": Legacy("encoded TAO models (.etlt) are no longer given out", "remove it with tlt-encoded-model"),
    "enable-dbscan": Legacy("enable-dbscan was replaced by cluster-mode", "set cluster-mode=1", "cluster-mode"),
    "threshold": Legacy(
        "threshold was replaced by pre-cluster-threshold", "use pre-cluster-threshold", "pre-cluster-threshold"
    ),
}

ELSEWHERE: Mapping[str, str] = {
    "unique-id": "it is a property of the element; in the file it is called gie-unique-id",
    "infer-on-gie-id": "it is a property of the element; in the file it is called operate-on-gie-id",
    "infer-on-class-ids": "it is a property of the element; in the file it is called operate-on-class-ids, with ;",
    "input-tensor-meta": "it is a property of the element; in the file it is called input-tensor-from-meta",
    "config-file-path": "it is a property of the element and names this file",
    "config-file": "it belongs to [primary-gie] or [secondary-gie] of a deepstream-app file",
    "enable": "it belongs to a deepstream-app file",
    "plugin-type": "it belongs to a deepstream-app file",
    "nvbuf-memory-type": "it is a property of nvstreammux, or belongs to a deepstream-app file",
    "width": "it is a property of nvstreammux; nvinfer takes infer-dims=c;h;w",
    "height": "it is a property of nvstreammux; nvinfer takes infer-dims=c;h;w",
    "batched-push-timeout": "it is a property of nvstreammux",
    "live-source": "it is a property of nvstreammux",
    "tracker-width": "it is a property of nvtracker",
    "tracker-height": "it is a property of nvtracker",
    "ll-lib-file": "it is a property of nvtracker",
    "ll-config-file": "it is a property of nvtracker",
    "parse-func": "no version since 5.0 reads it",
    "strongly-typed": "DeepStream 9.1 reads it, 8.0 does not",
    "warmup-engine": "DeepStream 9.1 reads it, 8.0 does not",
    "stabilize-buffer-count": "DeepStream 9.1 reads it, 8.0 does not",
    "dynamic-properties": "DeepStream 9.1 reads it, 8.0 does not",
}
"""Keys that belong somewhere else, and where."""

NEWER = frozenset({"strongly-typed", "warmup-engine", "stabilize-buffer-count", "dynamic-properties"})
"""Those of them that DeepStream 9.1 reads."""

RENAMED: Mapping[str, str] = {
    "unique-id": "gie-unique-id",
    "infer-on-gie-id": "operate-on-gie-id",
    "infer-on-class-ids": "operate-on-class-ids",
    "input-tensor-meta": "input-tensor-from-meta",
}
"""Those of them whose name in the file is certain."""

APPLICATION_GROUPS = frozenset(
    {"application", "tiled-display", "streammux", "tests", "img-save", "analytics", "secure-gie"}
)
"""Groups of a deepstream-app file; sources, sinks and gies have numbers behind their names."""

SCALING_FILTERS = {
    0: "nearest",
    1: "bilinear",
    2: "cubic",
    3: "super-sampling",
    4: "Lanczos",
    5: "nicest",
    6: "default",
}
NETWORK_MODES = {0: "fp32", 1: "int8", 2: "fp16", 3: "best"}
NETWORK_TYPES = {0: "detector", 1: "classifier", 2: "segmentation", 3: "instance segmentation", 100: "other"}
