"""The sections and keys of NvMultiObjectTracker's YAML file (DeepStream 8.0), with type and range.

Source: NVIDIA's developer guide, table of NvMultiObjectTracker parameters. The library is closed, so ranges are
those that the guide states; it ignores what it does not know without a word.
"""

from __future__ import annotations

from collections.abc import Mapping

from reidstream.engines.deepstream.keys.nvinfer import Key, Kind


def _keys(*rows: tuple[str, Kind] | tuple[str, Kind, float | None, float | None]) -> dict[str, Key]:
    keys = {}
    for row in rows:
        low, high = (row[2], row[3]) if len(row) == 4 else (None, None)
        keys[row[0]] = Key(row[0], row[1], "element", low, high)
    return keys


PROPERTIES: Mapping[str, Key] = _keys(
    ("enable", "bool"),
    ("ll-lib-file", "path"),
    ("ll-config-file", "paths"),
    ("tracker-width", "int", 1, None),
    ("tracker-height", "int", 1, None),
    ("gpu-id", "int", 0, None),
    ("display-tracking-id", "bool"),
    ("tracking-id-reset-mode", "int", 0, 3),
    ("user-meta-pool-size", "int", 1, None),
    ("sub-batches", "text"),
    ("sub-batch-err-recovery-trial-cnt", "int", -1, None),
    ("tracking-surface-type", "int", 0, None),
    ("compute-hw", "int", 0, 2),
    ("input-tensor-meta", "bool"),
    ("tensor-meta-gie-id", "int", 0, None),
)
"""[tracker] of the files from which applications set nvtracker's properties."""

GONE_PROPERTIES: Mapping[str, str] = {
    "enable-batch-process": "batches are always used",
    "enable-past-frame": "it is TargetManagement.enablePastFrame in the low-level file",
    "operate-on-class-ids": "only DeepStream 9 has it",
}
"""Properties that nvtracker of 8.0 does not have; setting one is a GObject warning, or an exception in Python."""

NEWER_PROPERTIES = frozenset({"operate-on-class-ids"})
"""Those of them that DeepStream 9 has."""

_NETWORK = _keys(
    ("batchSize", "int", 1, None),
    ("workspaceSize", "int", 1, None),
    ("inferDims", "ints", 1, None),
    ("networkMode", "int", 0, 2),
    ("inputOrder", "int", 0, 1),
    ("colorFormat", "int", 0, 1),
    ("offsets", "floats"),
    ("netScaleFactor", "float", 0, None),
    ("useVPICropScaler", "bool"),
    ("tltEncodedModel", "path"),
    ("tltModelKey", "text"),
    ("onnxFile", "path"),
    ("modelEngineFile", "path"),
    ("calibrationTableFile", "path"),
)

SECTIONS: Mapping[str, Mapping[str, Key]] = {
    "BaseConfig": _keys(
        ("minDetectorConfidence", "float", -1, 1),
        # Four of NVIDIA's five templates of DeepStream 9.1 that say it do so here.
        ("checkClassMatch", "bool"),
    ),
    "TargetManagement": _keys(
        ("enableBboxUnClipping", "bool"),
        ("preserveStreamUpdateOrder", "bool"),
        ("maxTargetsPerStream", "int", 1, None),
        ("minIouDiff4NewTarget", "float", 0, 1),
        ("minTrackerConfidence", "float", 0, 1),
        ("probationAge", "int", 0, None),
        ("maxShadowTrackingAge", "int", 0, None),
        ("earlyTerminationAge", "int", 0, None),
        ("searchRegionPaddingScale", "float", 0, None),
        ("outputTerminatedTracks", "bool"),
        ("outputShadowTracks", "bool"),
        ("enablePastFrame", "bool"),
        ("terminatedTrackFilename", "text"),
    ),
    "TrajectoryManagement": _keys(
        ("useUniqueID", "bool"),
        ("enableReAssoc", "bool"),
        ("minMatchingScore4Overall", "float", 0, None),
        ("minTrackletMatchingScore", "float", 0, 1),
        ("minMatchingScore4ReidSimilarity", "float", 0, 1),
        ("matchingScoreWeight4TrackletSimilarity", "float", 0, None),
        ("matchingScoreWeight4ReidSimilarity", "float", 0, None),
        ("minTrajectoryLength4Projection", "int", 0, None),
        ("prepLength4TrajectoryProjection", "int", 0, None),
        ("trajectoryProjectionLength", "int", 0, None),
        ("maxAngle4TrackletMatching", "float", 0, 180),
        ("minSpeedSimilarity4TrackletMatching", "float", 0, 1),
        ("minBboxSizeSimilarity4TrackletMatching", "float", 0, 1),
        ("maxTrackletMatchingTimeSearchRange", "int", 0, None),
        ("trajectoryProjectionProcessNoiseScale", "float", 0, None),
        ("trajectoryProjectionMeasurementNoiseScale", "float", 0, None),
        ("trackletSpacialSearchRegionScale", "float", 0, None),
        ("reidExtractionInterval", "int", -1, None),
    ),
    "DataAssociator": _keys(
        ("dataAssociatorType", "int", 0, 0),
        ("associationMatcherType", "int", 0, 1),
        ("checkClassMatch", "bool"),
        ("usePrediction4Assoc", "bool"),
        ("minMatchingScore4Overall", "float", 0, None),
        ("minMatchingScore4SizeSimilarity", "float", 0, 1),
        ("minMatchingScore4Iou", "float", 0, 1),
        ("minMatchingScore4VisualSimilarity", "float", 0, 1),
        ("minMatchingScore4ReidSimilarity", "float", 0, 1),
        ("matchingScoreWeight4Iou", "float", 0, None),
        ("matchingScoreWeight4SizeSimilarity", "float", 0, None),
        ("matchingScoreWeight4VisualSimilarity", "float", 0, None),
        ("matchingScoreWeight4ReidSimilarity", "float", 0, None),
        ("tentativeDetectorConfidence", "float", 0, 1),
        ("minMatchingScore4TentativeIou", "float", 0, 1),
        ("thresholdMahalanobis", "float"),
    ),
    "StateEstimator": _keys(
        ("stateEstimatorType", "int", 0, 3),
        ("processNoiseVar4Loc", "float", 0, None),
        ("processNoiseVar4Size", "float", 0, None),
        ("processNoiseVar4Vel", "float", 0, None),
        ("measurementNoiseVar4Detector", "float", 0, None),
        ("measurementNoiseVar4Tracker", "float", 0, None),
        ("noiseWeightVar4Loc", "float", 0, None),
        ("noiseWeightVar4Vel", "float", 0, None),
        ("useAspectRatio", "bool"),
    ),
    "VisualTracker": _keys(
        ("visualTrackerType", "int", 0, 2),
        ("vpiBackend4DcfTracker", "int", 1, 2),
        ("useColorNames", "bool"),
        ("useHog", "bool"),
        ("useHighPrecisionFeature", "bool"),
        ("featureImgSizeLevel", "int", 1, 5),
        ("featureFocusOffsetFactor_y", "float", -0.5, 0.5),
        ("filterLr", "float", 0, 1),
        ("filterChannelWeightsLr", "float", 0, 1),
        ("gaussianSigma", "float", 0, None),
    ),
    "ReID": _NETWORK
    | _keys(
        ("reidType", "int", 0, 3),
        ("outputReidTensor", "bool"),
        ("reidFeatureSize", "int", 1, None),
        ("reidHistorySize", "int", 1, None),
        ("keepAspc", "bool"),
        ("addFeatureNormalization", "bool"),
        ("minVisibility4GalleryUpdate", "float", 0, 1),
    ),
    "Segmenter": _keys(("segmenterType", "int", 0, 1), ("segmenterConfigPath", "path")),
    "ObjectModelProjection": _keys(
        ("cameraModelFilepath", "paths"),
        ("outputVisibility", "bool"),
        ("outputFootLocation", "bool"),
        ("outputConvexHull", "bool"),
        ("maxConvexHullSize", "int", 1, None),
        ("minPoseConfidence", "float", 0, 1),
    ),
    "PoseEstimator": _NETWORK | _keys(("poseEstimatorType", "int", 0, 1), ("poseInferenceInterval", "int", -1, None)),
    # Multi-view tracking, a preview in 8.0; its keys change between versions and are not checked.
    "MultiViewAssociator": {},
    "Communicator": {},
}

UNCHECKED = frozenset({"MultiViewAssociator", "Communicator"})

NEWER_KEYS = frozenset(
    {"maxTrajectoryBufferLength", "minMatchingScore4PeerAssocIou", "objectModelType", "useBatchNumForFrameId"}
)
"""Keys of the multi-view tracker of DeepStream 9 in sections that 8.0 has as well, and does not know there."""
