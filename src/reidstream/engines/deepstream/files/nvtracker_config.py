"""The YAML file of nvtracker's low-level library, rendered from the typed configuration.

Section and key names are those of NVIDIA's NvMultiObjectTracker (DeepStream 8.0 developer guide). The values are
our own starting points, round on purpose; a tuned file of one's own goes in with ``deepstream.tracker.config``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reidstream.config import Config
from reidstream.config.deepstream import Precision

BATCHES_HELD = 8
"""Batches behind nvtracker that may hold lists of ended tracks: four in the queue before the SGIE, as many in it."""
USUAL_POOL = 32
"""nvtracker's own user-meta-pool-size."""
# Frames that nvtracker reserves for each target's history, and bytes of each (NvDsTargetMiscDataFrame).
_HISTORY, _FRAME_BYTES = 2000, 128
MOST_RESERVED = 12 * 2**30
"""Bytes of address space that lists of ended tracks may reserve; with many sources they become memory that is used."""

YamlValue = int | float | str | tuple[int | float, ...]

_NETWORK_MODE: Mapping[Precision, int] = {"fp32": 0, "fp16": 1, "int8": 2}
"""ReID.networkMode counts differently from nvinfer's network-mode (0 FP32, 2 FP16, 1 INT8)."""


@dataclass(frozen=True, slots=True)
class ReidNetwork:
    """The network inside the tracker. size: height and width; scale, offsets: ``y = scale * (x - offset)``."""

    onnx: Path
    engine: Path
    batch: int
    precision: Precision
    embedding_size: int
    size: tuple[int, int]
    scale: float
    offsets: tuple[float, float, float]
    color: str
    nhwc: bool


def shadow_frames(config: Config) -> int:
    """Frames for which an unseen target is kept, from the time-out in seconds."""
    return max(1, math.ceil(config.tracker.timeout * config.deepstream.tracker.fps))


def probation_frames(config: Config) -> int:
    """Frames over which a new target must be seen before it is reported."""
    return max(0, math.ceil(config.tracker.confirm * config.deepstream.tracker.fps))


def reserved_for_ended(pool: int, batch: int, targets: int) -> int:
    """Bytes that nvtracker reserves at its start for lists of ended tracks.

    pool: user-meta-pool-size. batch: places of the mux. targets: maxTargetsPerStream.
    """
    return pool * batch * targets * _HISTORY * _FRAME_BYTES


def says_which_ended(config: Config, batch: int) -> bool:
    """Whether the tracker says which tracks are over; with too many sources the time-out alone has to."""
    tracker = config.deepstream.tracker
    return tracker.terminated_tracks and reserved_for_ended(BATCHES_HELD, batch, tracker.max_targets) <= MOST_RESERVED


def tracker_sections(config: Config, reid: ReidNetwork | None, batch: int) -> dict[str, dict[str, YamlValue]]:
    """The sections of the low-level configuration in the order in which they are written. batch: the mux's places."""
    tracker = config.deepstream.tracker
    cascaded = tracker.preset != "iou"
    visual = tracker.preset.startswith("nvdcf")
    sections: dict[str, dict[str, YamlValue]] = {
        "BaseConfig": {"minDetectorConfidence": config.tracker.low},
        "TargetManagement": {
            "maxTargetsPerStream": tracker.max_targets,
            "minIouDiff4NewTarget": 0.7,
            "probationAge": probation_frames(config),
            "maxShadowTrackingAge": shadow_frames(config),
            "earlyTerminationAge": 1,
            "outputTerminatedTracks": int(says_which_ended(config, batch)),
        },
        # Ids are unique inside one source only, which is what the engine keys tracks by.
        "TrajectoryManagement": {"useUniqueID": 0},
        "DataAssociator": {
            "dataAssociatorType": 0,
            "associationMatcherType": int(cascaded),
            "checkClassMatch": 1,
            "minMatchingScore4Overall": 0.1,
            "minMatchingScore4SizeSimilarity": 0.3,
            "minMatchingScore4Iou": 0.1,
            "matchingScoreWeight4SizeSimilarity": 0.4,
            "matchingScoreWeight4Iou": 0.6,
        },
    }
    if cascaded:
        sections["DataAssociator"] |= {
            "tentativeDetectorConfidence": config.tracker.high,
            "minMatchingScore4TentativeIou": 0.3,
        }
    if tracker.preset == "nvsort":
        sections["TargetManagement"]["minTrackerConfidence"] = 0.5
        sections["DataAssociator"]["usePrediction4Assoc"] = 1
        sections["StateEstimator"] = {
            "stateEstimatorType": 2,
            "noiseWeightVar4Loc": 0.05,
            "noiseWeightVar4Vel": 0.005,
            "useAspectRatio": 1,
        }
    if visual:
        accurate = tracker.preset == "nvdcf_accuracy"
        sections["TargetManagement"] |= {"enableBboxUnClipping": 1, "minTrackerConfidence": 0.2}
        sections["DataAssociator"] |= {
            "minMatchingScore4VisualSimilarity": 0.5,
            "matchingScoreWeight4VisualSimilarity": 0.4,
        }
        sections["StateEstimator"] = {
            "stateEstimatorType": 1,
            "processNoiseVar4Loc": 2.0,
            "processNoiseVar4Size": 1.0,
            "processNoiseVar4Vel": 0.1,
            "measurementNoiseVar4Detector": 4.0,
            "measurementNoiseVar4Tracker": 16.0,
        }
        # ColorNames gives 10 channels and HOG 18; level 2 is 18x18 and level 3 is 24x24 pixels a channel.
        sections["VisualTracker"] = {
            "visualTrackerType": 2,
            "useColorNames": 1,
            "useHog": int(accurate),
            "featureImgSizeLevel": 3 if accurate else 2,
            "featureFocusOffsetFactor_y": -0.2,
            "filterLr": 0.075,
            "filterChannelWeightsLr": 0.1,
            "gaussianSigma": 0.75,
        }
    if reid is not None:
        sections["ReID"] = _reid_section(reid)
    return sections


def _reid_section(reid: ReidNetwork) -> dict[str, YamlValue]:
    height, width = reid.size
    return {
        # 2: the vectors serve re-association and output, matching itself stays with the preset.
        "reidType": 2,
        "outputReidTensor": 1,
        "batchSize": reid.batch,
        "workspaceSize": 1000,
        "reidFeatureSize": reid.embedding_size,
        "reidHistorySize": 100,
        "inferDims": (3, height, width),
        "networkMode": _NETWORK_MODE[reid.precision],
        "inputOrder": int(reid.nhwc),
        "colorFormat": 0 if reid.color == "RGB" else 1,
        "offsets": reid.offsets,
        "netScaleFactor": reid.scale,
        "keepAspc": 0,
        "addFeatureNormalization": 1,
        "onnxFile": str(reid.onnx),
        "modelEngineFile": str(reid.engine),
    }


def yaml_text(sections: Mapping[str, Mapping[str, YamlValue]]) -> str:
    """The sections as the YAML that the library reads (OpenCV's dialect, hence the first line)."""
    lines = [
        "%YAML:1.0",
        "# Rendered by `reidstream deepstream config`; changes here are lost with the next rendering.",
    ]
    for name, keys in sections.items():
        lines += ["", f"{name}:", *(f"  {key}: {_scalar(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def _scalar(value: YamlValue) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
