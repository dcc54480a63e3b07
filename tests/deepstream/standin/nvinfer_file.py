"""Reads an nvinfer configuration as NVIDIA's parser does: GLib's key file, paths from the file's folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from gi.repository import GLib

# Every key of DeepStream 8.0's parser; anything else is only worth a line on stderr to it.
PROPERTY_KEYS = frozenset(
    [
        "gie-unique-id",
        "process-mode",
        "interval",
        "labelfile-path",
        "gpu-id",
        "secondary-reinfer-interval",
        "output-tensor-meta",
        "disable-output-host-copy",
        "auto-inc-mem",
        "max-gpu-mem-per",
        "enable-dla",
        "use-dla-core",
        "dump-input-tensor",
        "dump-output-tensor",
        "overwrite-input-tensor",
        "overwrite-output-tensor",
        "ip-tensor-file",
        "op-tensor-files",
        "raw-output-file-write",
        "batch-size",
        "tensor-meta-pool-size",
        "network-mode",
        "model-engine-file",
        "int8-calib-file",
        "workspace-size",
        "output-blob-names",
        "is-classifier",
        "network-type",
        "force-implicit-batch-dim",
        "infer-dims",
        "output-io-formats",
        "layer-device-precision",
        "model-file",
        "proto-file",
        "uff-file",
        "uff-input-order",
        "input-dims",
        "uff-input-dims",
        "uff-input-blob-name",
        "tlt-encoded-model",
        "tlt-model-key",
        "onnx-file",
        "model-color-format",
        "net-scale-factor",
        "offsets",
        "mean-file",
        "maintain-aspect-ratio",
        "symmetric-padding",
        "scaling-filter",
        "scaling-compute-hw",
        "network-input-order",
        "input-tensor-from-meta",
        "custom-lib-path",
        "parse-bbox-func-name",
        "parse-bbox-instance-mask-func-name",
        "parse-segmentation-func-name",
        "engine-create-func-name",
        "parse-classifier-func-name",
        "custom-network-config",
        "num-detected-classes",
        "enable-dbscan",
        "cluster-mode",
        "crop-objects-to-roi-boundary",
        "classifier-type",
        "classifier-threshold",
        "classifier-async-mode",
        "segmentation-threshold",
        "segmentation-output-order",
        "output-instance-mask",
        "input-object-min-width",
        "input-object-min-height",
        "input-object-max-width",
        "input-object-max-height",
        "operate-on-gie-id",
        "operate-on-class-ids",
        "filter-out-class-ids",
    ]
)
CLASS_KEYS = frozenset(
    [
        "threshold",
        "pre-cluster-threshold",
        "post-cluster-threshold",
        "eps",
        "group-threshold",
        "minBoxes",
        "dbscan-min-score",
        "nms-iou-threshold",
        "topk",
        "roi-top-offset",
        "roi-bottom-offset",
        "detected-min-w",
        "detected-min-h",
        "detected-max-w",
        "detected-max-h",
        "border-color",
        "bg-color",
    ]
)


class BadConfig(Exception):
    """nvinfer would not start with this file."""


@dataclass(frozen=True)
class NvinferFile:
    path: Path
    values: dict[str, str]
    classes: dict[str, dict[str, str]]
    unknown: list[str] = field(default_factory=list)

    def text(self, key: str, default: str = "") -> str:
        return self.values.get(key, default)

    def integer(self, key: str, default: int) -> int:
        return int(self.values.get(key, default))

    def number(self, key: str, default: float) -> float:
        return float(self.values.get(key, default))

    def listed(self, key: str) -> list[str]:
        return [part.strip() for part in self.values.get(key, "").split(";") if part.strip()]

    def file(self, key: str) -> Path | None:
        """A path: absolute as it stands, else from the folder of the configuration file."""
        if key not in self.values:
            return None
        path = Path(self.values[key])
        return path if path.is_absolute() else self.path.resolve().parent / path

    def class_number(self, class_id: int, key: str, default: float) -> float:
        own = self.classes.get(str(class_id), {})
        return float(own.get(key, self.classes.get("all", {}).get(key, default)))


def read_nvinfer_file(path: Path) -> NvinferFile:
    if path.suffix in (".yml", ".yaml"):
        raise BadConfig("this stand-in reads key files only")
    keys = GLib.KeyFile.new()
    try:
        keys.load_from_file(str(path), GLib.KeyFileFlags.NONE)
    except GLib.Error as error:
        raise BadConfig(f"Failed to load config file: {error.message}") from None
    if not keys.has_group("property"):
        raise BadConfig("Could not find group property")
    unknown: list[str] = []
    groups: dict[str, dict[str, str]] = {}
    for group in keys.get_groups()[0]:
        known = PROPERTY_KEYS if group == "property" else CLASS_KEYS
        groups[group] = {}
        for key in keys.get_keys(group)[0]:
            groups[group][key] = keys.get_value(group, key).strip()
            if key not in known:
                unknown.append(f"{group}.{key}")
                print(f"Unknown or legacy key specified '{key}' for group [{group}]", file=sys.stderr)
    values = groups.pop("property")
    if int(values.get("gie-unique-id", 0)) <= 0:
        raise BadConfig("Unique ID not set")
    if values.get("process-mode", "1") not in ("1", "2"):
        raise BadConfig("Invalid process-mode")
    classes = {name.removeprefix("class-attrs-"): values for name, values in groups.items()}
    return NvinferFile(path, values, classes, unknown)
