"""The keys of the two nvinfer files, from the typed configuration and what is known of the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from reidstream.config import Config
from reidstream.config.deepstream import Precision, PropertyValue
from reidstream.engines.deepstream.files.preprocessing import COLOR_FORMAT, ScalarPreprocessing
from reidstream.engines.deepstream.keys.nvinfer import PROPERTY_KEYS
from reidstream.engines.deepstream.keys.values import flaw_of
from reidstream.errors import ConfigError

Keys = dict[str, PropertyValue]

NETWORK_MODE: Mapping[Precision, int] = {"fp32": 0, "int8": 1, "fp16": 2}
CLUSTER_MODE = {"dbscan": 1, "nms": 2, "hybrid": 3, "none": 4}


@dataclass(frozen=True, slots=True)
class Network:
    """A network as nvinfer is told about it. size: height and width of its input."""

    onnx: Path
    engine: Path
    batch: int
    size: tuple[int, int]
    preprocessing: ScalarPreprocessing
    color: str
    nhwc: bool = False
    calibration: str | None = None


def refuse_wrong_keys(keys: Mapping[str, PropertyValue], where: str) -> None:
    """ConfigError for a further key that nvinfer of DeepStream 8.0 does not read, or a value that it would refuse."""
    for name, value in keys.items():
        known = PROPERTY_KEYS.get(name)
        if known is None:
            close = get_close_matches(name, PROPERTY_KEYS, 1, 0.7)
            hint = f"did you mean {close[0]}?" if close else f"it knows {', '.join(PROPERTY_KEYS)}"
            raise ConfigError(f"{where}: nvinfer of DeepStream 8.0 has no key {name!r}; {hint}")
        text = str(int(value)) if isinstance(value, bool) else str(value)
        flaw = flaw_of(known, text, yaml=False)
        if flaw is not None:
            raise ConfigError(f"{where}: {flaw[0]}")


def pgie_keys(config: Config, network: Network, labels_file: Path, labels: Sequence[str], person: int) -> Keys:
    """[property] of the detector. Classes other than persons are filtered out before the tracker sees them."""
    pgie = config.deepstream.pgie
    letterbox = pgie.letterbox if pgie.letterbox is not None else pgie.preset == "yolox"
    keys = _network_keys(config, network, pgie.precision)
    keys |= {
        "process-mode": 1,
        "gie-unique-id": pgie.unique_id,
        "network-type": 0,
        "num-detected-classes": len(labels),
        "labelfile-path": str(labels_file),
        "interval": pgie.interval,
        "cluster-mode": CLUSTER_MODE[pgie.cluster],
        "maintain-aspect-ratio": int(letterbox),
    }
    if letterbox:
        keys["symmetric-padding"] = 0
    others = [str(number) for number in range(len(labels)) if number != person]
    if others:
        keys["filter-out-class-ids"] = ";".join(others)
    if pgie.parser_library is not None and pgie.parser_function is not None:
        keys["custom-lib-path"] = pgie.parser_library
        keys["parse-bbox-func-name"] = pgie.parser_function
    return keys | pgie.keys


def pgie_class_attributes(config: Config) -> Keys:
    """[class-attrs-all] of the detector."""
    pgie = config.deepstream.pgie
    keys: Keys = {"pre-cluster-threshold": pgie.threshold, "topk": pgie.topk}
    if pgie.cluster in ("nms", "hybrid"):
        keys["nms-iou-threshold"] = pgie.nms_iou
    if pgie.cluster in ("dbscan", "hybrid"):
        keys |= {"eps": 0.2, "minBoxes": 1}
    if pgie.min_width:
        keys["detected-min-w"] = pgie.min_width
    if pgie.min_height:
        keys["detected-min-h"] = pgie.min_height
    return keys


def sgie_keys(config: Config, network: Network, layer: str, person: int) -> Keys:
    """[property] of the Re-ID network: every person of the detector, the raw output attached as tensor meta."""
    deepstream = config.deepstream
    sgie = deepstream.sgie
    keys = _network_keys(config, network, sgie.precision)
    keys |= {
        "process-mode": 2,
        "gie-unique-id": sgie.unique_id,
        "operate-on-gie-id": deepstream.pgie.unique_id,
        "operate-on-class-ids": person,
        "network-type": sgie.network_type,
        "output-tensor-meta": 1,
        "output-blob-names": layer,
        "maintain-aspect-ratio": 0,
        "input-object-min-width": sgie.min_width,
        "input-object-min-height": sgie.min_height or config.embedding.min_height,
    }
    if sgie.network_type == 1 and sgie.reinfer_interval is not None:
        # In asynchronous mode tensor meta is never attached. The threshold keeps nvinfer from inventing classes
        # out of the numbers of a unit vector, which never exceed one.
        keys |= {
            "secondary-reinfer-interval": sgie.reinfer_interval,
            "classifier-async-mode": 0,
            "classifier-threshold": 1.0,
        }
    return keys | sgie.keys


def _network_keys(config: Config, network: Network, precision: Precision) -> Keys:
    height, width = network.size
    keys: Keys = {
        "gpu-id": config.deepstream.gpu_id,
        "onnx-file": str(network.onnx),
        "model-engine-file": str(network.engine),
        "infer-dims": f"3;{height};{width}",
        "batch-size": network.batch,
        "network-mode": NETWORK_MODE[precision],
        "model-color-format": COLOR_FORMAT[network.color],
        "net-scale-factor": _number(network.preprocessing.scale),
        # nvinfer's own default is the nearest neighbour; models are trained on bilinear pictures.
        "scaling-filter": 1,
        "scaling-compute-hw": 1,
    }
    if any(network.preprocessing.offsets):
        keys["offsets"] = ";".join(f"{_number(offset)}" for offset in network.preprocessing.offsets)
    if network.nhwc:
        keys["network-input-order"] = 1
    if precision == "int8" and network.calibration is not None:
        keys["int8-calib-file"] = str(Path(network.calibration).expanduser().absolute())
    return keys


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def ini_text(groups: Mapping[str, Mapping[str, PropertyValue]]) -> str:
    """Groups as the key file that nvinfer reads; booleans become 0 and 1."""
    lines = ["# Rendered by `reidstream deepstream config`; changes here are lost with the next rendering."]
    for name, keys in groups.items():
        lines += ["", f"[{name}]"]
        lines += [f"{key}={int(value) if isinstance(value, bool) else value}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"
