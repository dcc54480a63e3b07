"""What kind of detector the PGIE is: its file, classes, input and preprocessing, from a preset or the model.

Facts of the presets: NVIDIA's DeepStream 8.0 sample configurations (TrafficCamNet: 3x544x960, scale 1/255,
classes car, bicycle, person, roadsign) and the PeopleNet labels of DeepStream 9.1 (Person, Bag, Face).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reidstream.config import Config
from reidstream.config.deepstream import SDK, PgieConfig
from reidstream.engines.deepstream.files.labels import labels_from_text
from reidstream.engines.deepstream.files.onnx_facts import read_onnx_facts
from reidstream.engines.deepstream.files.preprocessing import ScalarPreprocessing, nearest_scalar
from reidstream.errors import ConfigError, ModelMismatch, ModelNotFound
from reidstream.models.resolving import resolve_model
from reidstream.models.spec import ModelSpec

_TRAFFICCAMNET = Path(SDK) / "samples/models/Primary_Detector"
_NO_OFFSETS = (0.0, 0.0, 0.0)
_UNIT_RANGE = ScalarPreprocessing(1 / 255, _NO_OFFSETS, 0.0)


@dataclass(frozen=True, slots=True)
class DetectorModel:
    """A detector as the PGIE needs it. labels_file: None when it has to be written from ``labels``."""

    onnx: Path
    labels: tuple[str, ...]
    labels_file: Path | None
    labels_from: str
    size: tuple[int, int]
    preprocessing: ScalarPreprocessing
    color: str
    nhwc: bool = False
    calibration: str | None = None


def detector_model(config: Config, warnings: list[str]) -> DetectorModel:
    """The detector of ``deepstream.pgie``; ``warnings`` is added to. Raises ConfigError and ModelError."""
    pgie = config.deepstream.pgie
    if pgie.preset == "trafficcamnet":
        return _nvidia(
            pgie,
            Path(pgie.model) if pgie.model else _TRAFFICCAMNET / "resnet18_trafficcamnet_pruned.onnx",
            ("car", "bicycle", "person", "roadsign"),
            _TRAFFICCAMNET / "labels.txt" if pgie.model is None else None,
            warnings,
        )
    if pgie.preset == "peoplenet":
        if pgie.model is None:
            raise ConfigError(
                "PeopleNet does not come with DeepStream: download its ONNX file from NVIDIA NGC "
                "(nvidia/tao/peoplenet) and set deepstream.pgie.model to it"
            )
        return _nvidia(pgie, Path(pgie.model), ("Person", "Bag", "Face"), None, warnings)
    if pgie.preset == "yolox" and pgie.parser_library is None:
        raise ConfigError(
            "nvinfer cannot read the output of a YOLOX by itself: set deepstream.pgie.parser_library to a shared "
            "library that can, and deepstream.pgie.parser_function to the name of its function"
        )
    return _described(config, pgie, warnings)


def _nvidia(
    pgie: PgieConfig, onnx: Path, classes: tuple[str, ...], sample_labels: Path | None, warnings: list[str]
) -> DetectorModel:
    """A detector of NVIDIA's DetectNet_v2 family, which may be absent where the files are only rendered."""
    onnx = onnx.expanduser().absolute()
    size = pgie.input_size or (544, 960)
    if onnx.is_file():
        facts = read_onnx_facts(onnx)
        height, width = facts.size
        if height is not None and width is not None:
            size = (height, width)
    elif pgie.model is not None:
        raise ModelNotFound(f"deepstream.pgie.model names a file that does not exist: {onnx}")
    else:
        warnings.append(f"{onnx} is not on this machine; it comes with DeepStream's samples image")
    labels, labels_file, origin = classes, None, f"the classes of {pgie.preset}"
    if pgie.labels is not None:
        labels, labels_file = _read_labels(pgie.labels)
        origin = str(labels_file)
    elif sample_labels is not None:
        labels_file = sample_labels
        if sample_labels.is_file():
            labels, _ = _read_labels(str(sample_labels))
            origin = str(sample_labels)
        else:
            warnings.append(f"{sample_labels} is not on this machine; its classes are taken to be {', '.join(classes)}")
    return DetectorModel(
        onnx,
        labels,
        labels_file,
        origin,
        size,
        ScalarPreprocessing(pgie.scale or _UNIT_RANGE.scale, pgie.offsets or _NO_OFFSETS, 0.0),
        pgie.color or "RGB",
        calibration=pgie.calibration or (str(_TRAFFICCAMNET / "cal_trt.bin") if sample_labels is not None else None),
    )


def _described(config: Config, pgie: PgieConfig, warnings: list[str]) -> DetectorModel:
    """A detector whose manifest entry, metadata or settings say what it is."""
    name = pgie.model or config.detector.model
    spec: ModelSpec | None = None
    if pgie.scale is not None and pgie.labels is not None and Path(name).expanduser().is_file():
        # Everything that a description would say is stated in the configuration.
        onnx = Path(name).expanduser()
    else:
        resolved = resolve_model(name, "detector")
        onnx, spec = resolved.path, resolved.spec
    facts = read_onnx_facts(onnx)
    height, width = facts.size
    size = (height, width) if height is not None and width is not None else pgie.input_size
    if size is None and spec is not None:
        size = spec.input_size
    if size is None:
        raise ModelMismatch(f"{onnx} leaves height and width open: set deepstream.pgie.input_size")
    if pgie.labels is not None:
        labels, labels_file = _read_labels(pgie.labels)
        origin = str(labels_file)
    elif spec is not None and spec.classes:
        labels, labels_file, origin = spec.classes, None, f"the description of {onnx.name}"
    else:
        raise ConfigError(f"nothing says which classes {onnx} knows: set deepstream.pgie.labels to its labels file")
    exact = nearest_scalar(spec.preprocessing) if spec is not None else ScalarPreprocessing(1.0, _NO_OFFSETS, 0.0)
    preprocessing = ScalarPreprocessing(pgie.scale or exact.scale, pgie.offsets or exact.offsets, exact.error)
    color = pgie.color or (spec.preprocessing.color if spec is not None else "RGB")
    if preprocessing.error:
        warnings.append(
            f"{onnx.name} wants a standard deviation per channel, nvinfer has one scale for all: the nearest is up to "
            f"{preprocessing.error:.1%} off"
        )
    if facts.batch is not None:
        warnings.append(
            f"{onnx.name} has a fixed batch of {facts.batch}; nvinfer builds engines with an open batch: run "
            f"`reidstream models prepare {onnx} -o NEW.onnx` and use the result"
        )
    return DetectorModel(onnx, labels, labels_file, origin, size, preprocessing, color, facts.nhwc, pgie.calibration)


def _read_labels(name: str) -> tuple[tuple[str, ...], Path]:
    path = Path(name).expanduser().absolute()
    try:
        labels = labels_from_text(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the labels file {path} cannot be read: {error}") from None
    if not labels:
        raise ConfigError(f"the labels file {path} is empty: one class name per line was expected")
    return labels, path
