"""From the typed configuration to the files that nvinfer and nvtracker read.

``render_configs`` is the one place where models, labels, batch sizes and ids meet, so that they cannot differ
between the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from reidstream.config import Config
from reidstream.config.deepstream import PropertyValue
from reidstream.engines.deepstream.files.detector_presets import DetectorModel, detector_model
from reidstream.engines.deepstream.files.frame_shapes import Size, file_sizes, is_live, mux_size, shape_warnings
from reidstream.engines.deepstream.files.gie_keys import (
    Keys,
    Network,
    ini_text,
    pgie_class_attributes,
    pgie_keys,
    refuse_wrong_keys,
    sgie_keys,
)
from reidstream.engines.deepstream.files.labels import class_id_of
from reidstream.engines.deepstream.files.model_places import in_place
from reidstream.engines.deepstream.files.mux_file import mux_text
from reidstream.engines.deepstream.files.nvtracker_config import (
    BATCHES_HELD,
    ReidNetwork,
    reserved_for_ended,
    says_which_ended,
    tracker_sections,
    yaml_text,
)
from reidstream.engines.deepstream.files.onnx_facts import OnnxFacts, read_onnx_facts
from reidstream.engines.deepstream.files.pipeline_file import pipeline_text
from reidstream.engines.deepstream.files.preprocessing import nearest_scalar
from reidstream.errors import ConfigError, ModelMismatch
from reidstream.files import whole_file
from reidstream.models.engine_name import engine_path
from reidstream.models.resolving import resolve_model
from reidstream.models.spec import ResolvedModel


@dataclass(frozen=True, slots=True)
class RenderedConfigs:
    """The files of one pipeline, and what its parts have to agree on.

    pgie, sgie, tracker, mux, pipeline: absolute paths of the files; sgie is None when the tracker embeds, mux where it
    has none of ours.
    labels, person_class_id: the detector's class names, and which of them is a person.
    pgie_id, sgie_id: gie-unique-id of both; layer: output layer with the embedding; embedding_size: its length,
    None when the graph leaves it open. pgie_engine, reid_engine: where nvinfer looks for TensorRT engines.
    reid: the Re-ID model as it was resolved; reid_onnx, pgie_onnx: the files that are used; detector: the network of
    the PGIE.
    mux_size: width and height; batch: frames per batch, reid_batch: crops per inference.
    elements: GObject properties by element: "nvurisrcbin", "nvstreammux", "pgie", "nvtracker" and "sgie".
    warnings: what is not as good as it could be, for people to read.
    """

    folder: Path
    pgie: Path
    sgie: Path | None
    tracker: Path
    mux: Path | None
    pipeline: Path
    labels: tuple[str, ...]
    person_class_id: int
    pgie_id: int
    sgie_id: int | None
    layer: str
    embedding_size: int | None
    pgie_onnx: Path
    reid_onnx: Path
    pgie_engine: Path
    reid_engine: Path
    reid: ResolvedModel
    detector: Network
    mux_size: tuple[int, int]
    batch: int
    reid_batch: int
    elements: Mapping[str, Mapping[str, PropertyValue]]
    warnings: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """Every configuration file, the detector's first."""
        return tuple(path for path in (self.pgie, self.sgie, self.tracker, self.mux, self.pipeline) if path is not None)


def render_configs(config: Config, folder: Path) -> RenderedConfigs:
    """Write ``pgie.txt``, ``sgie.txt``, ``tracker.yml``, ``mux.txt`` (new mux only) and ``pipeline.toml`` into
    ``folder`` (made if missing).

    All paths in them are absolute. Raises ConfigError when settings contradict each other or the models,
    ModelError when a model is missing or cannot be described; nothing is written then.
    """
    deepstream = config.deepstream
    folder = folder.expanduser().absolute()
    refuse_wrong_keys(deepstream.pgie.keys, "deepstream.pgie.keys")
    refuse_wrong_keys(deepstream.sgie.keys, "deepstream.sgie.keys")
    warnings: list[str] = []
    batch = deepstream.mux.batch or max(1, len(config.sources))
    sizes = file_sizes(config.sources)
    batched = mux_size(config, sizes)

    detector = detector_model(config, warnings)
    warnings += shape_warnings(config, batched, detector.size, sizes)
    person = class_id_of(deepstream.pgie.person_class, detector.labels, detector.labels_from)
    reid = resolve_model(deepstream.sgie.model or config.embedding.model, "reid")
    facts = read_onnx_facts(reid.path)
    layer = _layer(facts, deepstream.sgie.layer)
    size = _input_size(facts, reid)

    pgie_onnx = in_place(detector.onnx, config, warnings)
    reid_onnx = in_place(reid.path, config, warnings)
    pgie_batch = deepstream.pgie.batch or batch
    reid_batch = deepstream.sgie.batch or config.embedding.batch
    if facts.batch is not None:
        warnings.append(
            f"{reid.path.name} has a fixed batch of {facts.batch}; nvinfer builds engines with an open batch, which "
            f"such a graph rarely survives: run `reidstream models prepare {reid.path} -o NEW.onnx` and use the result"
        )
    preprocessing = nearest_scalar(reid.spec.preprocessing)
    if preprocessing.error:
        warnings.append(
            f"{reid.path.name} wants a standard deviation per channel, nvinfer has one scale for all: the nearest is "
            f"up to {preprocessing.error:.1%} off, and embeddings differ from the local engine's; "
            f"`reidstream models prepare {reid.path} -o NEW.onnx` builds the exact numbers into the model"
        )
    pgie = Network(
        pgie_onnx,
        engine_path(pgie_onnx, pgie_batch, deepstream.gpu_id, deepstream.pgie.precision),
        pgie_batch,
        detector.size,
        detector.preprocessing,
        detector.color,
        detector.nhwc,
        detector.calibration,
    )
    sgie = Network(
        reid_onnx,
        engine_path(reid_onnx, reid_batch, deepstream.gpu_id, deepstream.sgie.precision),
        reid_batch,
        size,
        preprocessing,
        reid.spec.preprocessing.color,
        facts.nhwc,
        deepstream.sgie.calibration,
    )

    for name, network, precision in (
        ("pgie", pgie, deepstream.pgie.precision),
        ("sgie", sgie, deepstream.sgie.precision),
    ):
        if precision == "int8" and network.calibration is None and not network.engine.is_file():
            warnings.append(
                f"deepstream.{name}.precision is int8 without a calibration file. Of that nvinfer makes FP16, at every "
                "start anew: for a quantised model (QDQ) build the engine with `reidstream deepstream build`, for any "
                f"other set deepstream.{name}.calibration, or use fp16"
            )

    labels_file = detector.labels_file or folder / "labels.txt"
    texts = {folder / "pgie.txt": _pgie_text(config, pgie, labels_file, detector, person)}
    if detector.labels_file is None:
        texts[labels_file] = "\n".join(detector.labels) + "\n"
    sgie_file: Path | None = None
    reid_in_tracker: ReidNetwork | None = None
    embedding_size = reid.spec.embedding_size or layer[1]
    if deepstream.embeddings == "sgie":
        sgie_file = folder / "sgie.txt"
        texts[sgie_file] = ini_text({"property": sgie_keys(config, sgie, layer[0], person)})
    else:
        reid_in_tracker = _in_tracker(sgie, config, embedding_size)
    tracker_file = _tracker_file(config, folder)
    if deepstream.tracker.config is None:
        texts[tracker_file] = yaml_text(tracker_sections(config, reid_in_tracker, batch))
        if deepstream.tracker.terminated_tracks and not says_which_ended(config, batch):
            reserved = reserved_for_ended(BATCHES_HELD, batch, deepstream.tracker.max_targets) / 2**30
            warnings.append(
                f"for {batch} sources of {deepstream.tracker.max_targets} targets the tracker's list of ended tracks "
                f"would reserve {reserved:.0f} GiB, so it is off and tracks end by time-out; "
                "fewer deepstream.tracker.max_targets bring it back"
            )
    mux_file: Path | None = None
    if deepstream.mux.new_mux and "config-file-path" not in deepstream.mux.properties:
        mux_file = folder / "mux.txt"
        texts[mux_file] = mux_text(deepstream.mux.timeout_us, batch)
    elements = _elements(config, batch, batched, folder / "pgie.txt", sgie_file, tracker_file, mux_file)
    pipeline = folder / "pipeline.toml"
    texts[pipeline] = pipeline_text(elements)
    _write(texts)
    return RenderedConfigs(
        folder=folder,
        pgie=folder / "pgie.txt",
        sgie=sgie_file,
        tracker=tracker_file,
        mux=mux_file,
        pipeline=pipeline,
        labels=detector.labels,
        person_class_id=person,
        pgie_id=deepstream.pgie.unique_id,
        sgie_id=deepstream.sgie.unique_id if sgie_file is not None else None,
        layer=layer[0],
        embedding_size=embedding_size,
        pgie_onnx=pgie_onnx,
        reid_onnx=reid_onnx,
        pgie_engine=pgie.engine,
        reid_engine=sgie.engine,
        reid=reid,
        detector=pgie,
        mux_size=batched,
        batch=batch,
        reid_batch=reid_batch,
        elements=elements,
        warnings=tuple(warnings),
    )


def _pgie_text(config: Config, network: Network, labels_file: Path, detector: DetectorModel, person: int) -> str:
    keys: Keys = pgie_keys(config, network, labels_file, detector.labels, person)
    return ini_text({"property": keys, "class-attrs-all": pgie_class_attributes(config)})


def _layer(facts: OnnxFacts, wanted: str | None) -> tuple[str, int | None]:
    """Name and length of the output with the embedding."""
    for layer in facts.outputs:
        if wanted is None or layer.name == wanted:
            return layer.name, layer.size
    names = ", ".join(layer.name for layer in facts.outputs)
    raise ConfigError(f"deepstream.sgie.layer is {wanted!r}, but {facts.path} has the outputs {names}")


def _input_size(facts: OnnxFacts, model: ResolvedModel) -> tuple[int, int]:
    height, width = facts.size
    if height is not None and width is not None:
        return height, width
    if model.spec.input_size is None:
        raise ModelMismatch(
            f"{model.path} leaves height and width open and its description does not state input_size: "
            f"run `reidstream models prepare {model.path} -o NEW.onnx` with the size it was trained at"
        )
    return model.spec.input_size


def _in_tracker(network: Network, config: Config, embedding_size: int | None) -> ReidNetwork:
    if embedding_size is None:
        raise ConfigError(
            f"{network.onnx} does not state the length of its embedding, which the tracker must know: "
            'prepare the model with `reidstream models prepare`, or use deepstream.embeddings = "sgie"'
        )
    return ReidNetwork(
        onnx=network.onnx,
        engine=network.engine,
        batch=network.batch,
        precision=config.deepstream.sgie.precision,
        embedding_size=embedding_size,
        size=network.size,
        scale=network.preprocessing.scale,
        offsets=network.preprocessing.offsets,
        color=network.color,
        nhwc=network.nhwc,
    )


def _tracker_file(config: Config, folder: Path) -> Path:
    own = config.deepstream.tracker.config
    if own is None:
        return folder / "tracker.yml"
    path = Path(own).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"deepstream.tracker.config names a file that does not exist: {path}")
    return path


def _elements(
    config: Config, batch: int, size: Size, pgie: Path, sgie: Path | None, tracker: Path, mux_file: Path | None
) -> dict[str, dict[str, PropertyValue]]:
    deepstream = config.deepstream
    mux: dict[str, PropertyValue] = {"batch-size": batch, "batched-push-timeout": deepstream.mux.timeout_us}
    if not deepstream.mux.new_mux:
        live = deepstream.mux.live
        if live is None:
            live = any(map(is_live, config.sources))
        mux |= {
            "width": size[0],
            "height": size[1],
            "live-source": live,
            "gpu-id": deepstream.gpu_id,
        }
    if mux_file is not None:
        mux["config-file-path"] = str(mux_file)
    elements: dict[str, dict[str, PropertyValue]] = {
        "nvurisrcbin": {"gpu-id": deepstream.gpu_id, **deepstream.source.properties},
        "nvstreammux": mux | deepstream.mux.properties,
        "pgie": {"config-file-path": str(pgie), **deepstream.pgie.properties},
        "nvtracker": {
            "ll-lib-file": deepstream.tracker.library,
            "ll-config-file": str(tracker),
            "tracker-width": deepstream.tracker.width,
            "tracker-height": deepstream.tracker.height,
            "gpu-id": deepstream.gpu_id,
            "display-tracking-id": False,
            # Each of nvtracker's usual 32 reserves the whole history of every target.
            "user-meta-pool-size": BATCHES_HELD,
            **deepstream.tracker.properties,
        },
    }
    if sgie is not None:
        elements["sgie"] = {"config-file-path": str(sgie), **deepstream.sgie.properties}
    return elements


def _write(texts: Mapping[Path, str]) -> None:
    """All files or none: they take their places when every one of them is written."""
    with ExitStack() as stack:
        for path, text in texts.items():
            stack.enter_context(whole_file(path, ConfigError)).write_text(text, encoding="utf-8")
