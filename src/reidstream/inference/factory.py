"""From a model on disk and the configuration to a detector or embedder that runs."""

from __future__ import annotations

import logging
import time
from functools import partial

from reidstream.config.local import DetectorConfig, EmbeddingConfig
from reidstream.errors import ModelMismatch
from reidstream.gpu.driver import Gpu
from reidstream.inference.embedder import OnnxEmbedder
from reidstream.inference.fixed_graph import FixedGraph, fixed_graph
from reidstream.inference.fixed_session import Device, FixedSession
from reidstream.inference.input import Packer, demand_fitting_type, input_size
from reidstream.inference.lean_graph import columns_of, only_person
from reidstream.inference.network import Network, PackedSession
from reidstream.inference.open_batch import with_any_batch
from reidstream.inference.people import PeopleDetector
from reidstream.inference.protocols import Detector, Embedder
from reidstream.inference.session import Session
from reidstream.inference.shaped import ShapedDetector
from reidstream.inference.shared_batch import SharedBatch
from reidstream.inference.yolox import BOX_COLUMNS, Elsewhere, YoloxDetector, class_index
from reidstream.models.detectors import image_size, ports_of
from reidstream.models.families import FAMILIES, OTHER_NAMES, Family, family_named
from reidstream.models.spec import ModelSpec, ResolvedModel

logger = logging.getLogger(__name__)

DETECTED_TOGETHER = 8
"""Pictures, of all sources of a process, in one run of a detector on a GPU. YOLOX-nano on an H200 takes 1.3 ms for
one, 2.2 for 4, 3.0 for 8 and 4.9 for 16, with bringing them there: 2,700 a second are more than processors decode."""


def open_detector(
    model: ResolvedModel,
    config: DetectorConfig,
    device: Device = "cpu",
    threads: int = 1,
    lean: bool = True,
    gpu: Gpu | None = None,
) -> Detector:
    """The detector, loaded, warm and checked against its description.

    threads: ONNX Runtime threads inside one call, on the processor. lean: leave out what costs time and changes
    nothing; False runs the file as it is. gpu: pictures that lie in its memory are used there.
    Raises ModelMismatch, ModelNotFound or DeviceError.
    """
    if model.spec.task != "detector":
        raise ModelMismatch(f"{model.path}: expected a detector, but it is described as {model.spec.task!r}")
    family = family_named(model.spec.family)
    if family is None:
        known = ", ".join([*FAMILIES, *OTHER_NAMES])
        raise ModelMismatch(f"{model.path}: unknown detector family {model.spec.family!r}; known are {known}")
    if not family.name.startswith("yolox"):
        return _people_detector(model, family, config, device, threads, gpu)
    session = Session(model.path, intra=threads)

    def opened(shape: tuple[int, int] | None = None) -> Detector:
        spec = model.spec if shape is None else model.spec.model_copy(update={"input_size": shape[::-1]})
        return _yolox_detector(session, spec, family, config, device, lean, gpu)

    if config.shape == "model" or not _takes_any_size(session, model.spec):
        return opened()
    own = input_size(session, model.spec)
    return ShapedDetector(own, config.scale, opened, likely=(1920, 1080))


def _takes_any_size(session: Session, spec: ModelSpec) -> bool:
    """Whether height and width of the graph's input are open."""
    _, *axes = session.input.shape
    return len(axes) == 3 and (axes[1:] if spec.preprocessing.layout == "NCHW" else axes[:2]) == [None, None]


def _yolox_detector(
    session: Session,
    spec: ModelSpec,
    family: Family,
    config: DetectorConfig,
    device: Device,
    lean: bool,
    gpu: Gpu | None,
) -> Detector:
    make = partial(
        YoloxDetector,
        session,
        spec,
        person_class=config.person_class,
        confidence=config.confidence,
        nms=config.nms,
        decoded=family.name == "yolox-decoded",
    )
    if device == "cpu":
        return make(lean=lean)
    # Whatever does not fit its description is found out before a GPU is touched.
    make(lean=False)
    column = BOX_COLUMNS + class_index(session.path, spec, config.person_class)
    fixed = fixed_graph(
        session,
        spec,
        DETECTED_TOGETHER,
        partial(only_person, column=column) if lean else None,
        lambda answers: answers[:, :, columns_of(column)],
    )
    return make(elsewhere=Elsewhere(_shared(fixed, device, gpu), BOX_COLUMNS if fixed.changed else column))


def _people_detector(
    model: ResolvedModel, family: Family, config: DetectorConfig, device: Device, threads: int, gpu: Gpu | None
) -> Detector:
    """A detector of any other family: its graph gets one output, which is the same for all of them."""
    from reidstream.models.graph.people import give_people
    from reidstream.models.onnx_file import load_structure, load_whole

    spec = model.spec
    ports = ports_of(load_structure(model.path))
    size = image_size(ports, spec.input_size or family.size, spec.preprocessing.layout)
    graph = load_whole(model.path)
    give_people(graph, family.name, class_index(model.path, spec, config.person_class), size)
    session = Session(model.path, intra=threads, graph=graph.SerializeToString())
    demand_fitting_type(session, spec.preprocessing)
    # Rows of an SSD carry the number of their picture; one at a time needs no sorting.
    most = 1 if family.name == "ssd" else DETECTED_TOGETHER
    if device == "cpu":
        network: Network = PackedSession(session, Packer(spec.preprocessing), most)
    else:
        network = _shared(fixed_graph(session, spec, most), device, gpu)
    return PeopleDetector(network, family, size, config.confidence, config.nms)


def open_embedder(
    model: ResolvedModel,
    config: EmbeddingConfig,
    device: Device = "cpu",
    threads: int = 1,
    gpu: Gpu | None = None,
) -> Embedder:
    """The embedder, loaded, warm and checked against its description.

    threads: ONNX Runtime threads inside one call, on the processor. gpu: pictures that lie in its memory stay there.
    Raises ModelMismatch, ModelNotFound or DeviceError.
    """
    if model.spec.task != "reid":
        raise ModelMismatch(f"{model.path}: expected a Re-ID model, but it is described as {model.spec.task!r}")
    session = Session(model.path, intra=threads)
    size = input_size(session, model.spec)
    if device == "cpu":
        packed = PackedSession(with_any_batch(session, threads), Packer(model.spec.preprocessing), config.batch)
        return OnnxEmbedder(packed, model, size)
    return OnnxEmbedder(_shared(fixed_graph(session, model.spec, config.batch), device, gpu), model, size)


def _shared(fixed: FixedGraph, device: Device, gpu: Gpu | None) -> Network:
    before = time.perf_counter()
    network = SharedBatch(lambda: FixedSession(fixed, device, gpu))
    logger.info("%s is warm on %s after %.1f s", fixed.path, device, time.perf_counter() - before)
    return network
