"""From a model on disk and the configuration to a detector or embedder that runs."""

from __future__ import annotations

import logging
import time
from functools import partial

import numpy as np

from reidstream.config.local import DetectorConfig, EmbeddingConfig
from reidstream.errors import ModelMismatch
from reidstream.gpu.driver import Gpu
from reidstream.inference.embedder import OnnxEmbedder
from reidstream.inference.fixed_graph import FixedGraph, fixed_graph
from reidstream.inference.fixed_session import Device, FixedSession
from reidstream.inference.input import Packer, demand_fitting_type, input_size
from reidstream.inference.lean_graph import columns_of, only_person, without_padding
from reidstream.inference.network import Network, PackedSession
from reidstream.inference.open_batch import with_any_batch
from reidstream.inference.people import PeopleDetector
from reidstream.inference.protocols import Detector, Embedder
from reidstream.inference.session import Session
from reidstream.inference.shaped import ShapedDetector, ShapedOnGpu
from reidstream.inference.shared_batch import SharedBatch
from reidstream.inference.yolox import Elsewhere, YoloxDetector, class_index
from reidstream.inference.yolox_on_gpu import Form, PeopleSession, Shown, YoloxOnGpu
from reidstream.inference.yolox_rows import BOX_COLUMNS, YoloxRows, grid
from reidstream.models.detectors import image_size, ports_of
from reidstream.models.families import FAMILIES, OTHER_NAMES, Family, family_named
from reidstream.models.recognising import listed
from reidstream.models.spec import ModelSpec, ResolvedModel
from reidstream.types import Detections, FloatArray

logger = logging.getLogger(__name__)

DETECTED_TOGETHER = 16
"""Pictures, of all sources of a process, in one run of a detector on a GPU. YOLOX-nano on an H200 makes boxes of 2,970
pictures a second when 8 share a run, 4,410 with 16, 5,850 with 32 and 6,570 with 64, and one alone takes 3.4, 4.0, 6.0
and 10.1 ms."""
EMBEDDED_TOGETHER = 32
"""Crops, of all sources of a process, in one run of a Re-ID model on a GPU, at least. OSNet x0.25 on an H200 takes
1.6 ms for 8, 2.0 for 16, 2.6 for 32 and 3.7 for 64."""
# Seconds that pictures wait for others before they are run in a batch that is not full. Trackers have frames left that
# were looked at before, so that nobody waits with them; a run for three pictures keeps the device as long as for all.
_PATIENCE = 0.006
# Part of the input that wide pictures take at most where a form of the network of their own is worth a session.
_WORTH_IT = 0.8


def open_detector(
    model: ResolvedModel,
    config: DetectorConfig,
    device: Device = "cpu",
    threads: int = 1,
    lean: bool = True,
    gpu: Gpu | None = None,
    many: bool = False,
) -> Detector:
    """The detector, loaded, warm and checked against its description.

    threads: ONNX Runtime threads inside one call, on the processor. lean: leave out what costs time and changes
    nothing; False runs the file as it is. gpu: pictures that lie in its memory are used there. many: of several
    sources, so that batches there are worth waiting for. Raises ModelMismatch, ModelNotFound or DeviceError.
    """
    if model.spec.task != "detector":
        raise ModelMismatch(f"{model.path}: expected a detector, but it is described as {model.spec.task!r}")
    family = family_named(model.spec.family)
    if family is None:
        known = ", ".join([*FAMILIES, *OTHER_NAMES])
        raise ModelMismatch(f"{model.path}: unknown detector family {model.spec.family!r}; known are {known}")
    if not family.name.startswith("yolox") or model.spec.fit not in {None, family.fit}:
        return _people_detector(model, family, config, device, threads, gpu)
    session = _with_rows_alone(Session(model.path, intra=threads))

    def opened(shape: tuple[int, int] | None = None) -> Detector:
        spec = model.spec if shape is None else model.spec.model_copy(update={"input_size": shape[::-1]})
        return _yolox_detector(session, spec, family, config, device, lean, gpu, _PATIENCE if many else 0.0)

    if config.shape == "model" or not _takes_any_size(session, model.spec):
        return opened()
    own = input_size(session, model.spec)
    shaped = ShapedDetector if gpu is None else ShapedOnGpu
    return shaped(own, config.scale, opened, likely=(1920, 1080))


def _with_rows_alone(session: Session) -> Session:
    """A session without the outputs beside the one with three axes, if there are others."""
    from reidstream.models.graph.folding import drop_unused

    rows = [output.name for output in session.outputs if len(output.shape) == 3]
    if len(session.outputs) == 1 or not rows:
        return session
    graph = session.graph()
    kept = [port for port in graph.graph.output if port.name == rows[0]]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)
    drop_unused(graph)
    return session.with_graph(graph.SerializeToString())


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
    patience: float,
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

    def kept(answers: FloatArray) -> FloatArray:
        return answers[:, :, columns_of(column)]

    less_work = partial(only_person, column=column) if lean else None
    fixed = fixed_graph(session, spec, DETECTED_TOGETHER, less_work, kept)
    if gpu is None:
        return make(elsewhere=Elsewhere(_shared(fixed, device, gpu), BOX_COLUMNS if fixed.changed else column))
    size = fixed.size
    cells = np.concatenate(grid(size), axis=1)
    decoded = family.name == "yolox-decoded"

    def form(content: tuple[int, int], fixed: FixedGraph) -> Form:
        reading = YoloxRows(cells, BOX_COLUMNS if fixed.changed else column, decoded, config.confidence, config.nms)
        return Form(content, fixed.size, _opened(fixed, device, gpu, reading, patience))

    forms = [form(size, fixed)]
    wide = size[0], round(size[0] * 9 / 16)
    if lean and wide[1] <= _WORTH_IT * size[1] and spec.preprocessing.layout == "NCHW":
        change = partial(without_padding, column=column, content=wide, size=size)
        try:
            less = fixed_graph(session, spec, fixed.rows, change, kept, wide)
        except ModelMismatch as error:
            logger.info("%s", error)
        else:
            forms.insert(0, form(wide, less))
    return YoloxOnGpu(size, forms)


def _people_detector(
    model: ResolvedModel,
    family: Family,
    config: DetectorConfig,
    device: Device,
    threads: int,
    gpu: Gpu | None,
) -> Detector:
    """A detector of any other family: its graph gets one output, which is the same for all of them."""
    from reidstream.models.graph.people import give_people
    from reidstream.models.onnx_file import load_structure, load_whole

    spec = model.spec
    ports = ports_of(load_structure(model.path))
    size = image_size(ports, spec.input_size or family.size, spec.preprocessing.layout)
    graph = load_whole(model.path)
    person = class_index(model.path, spec, config.person_class)
    # Whoever numbers a single class counts from 0 or, as the background is 0, from 1.
    give_people(graph, family.name, None if len(spec.classes) == 1 and family.name == "ssd" else person, size)
    session = Session(model.path, intra=threads, graph=graph.SerializeToString())
    demand_fitting_type(session, spec.preprocessing)
    # Rows that carry the number of their picture: one at a time needs no sorting.
    most = 1 if family.name == "ssd" or listed(ports[1]) == "numbered" else DETECTED_TOGETHER
    if device == "cpu":
        network: Network = PackedSession(session, Packer(spec.preprocessing), most)
    else:
        network = _shared(fixed_graph(session, spec, most), device, gpu)
    return PeopleDetector(network, family, size, config.confidence, config.nms, spec.fit)


def open_embedder(
    model: ResolvedModel,
    config: EmbeddingConfig,
    device: Device = "cpu",
    threads: int = 1,
    gpu: Gpu | None = None,
    half: bool = False,
) -> Embedder:
    """The embedder, loaded, warm and checked against its description.

    threads: ONNX Runtime threads inside one call, on the processor. gpu: pictures that lie in its memory stay there.
    half: compute in float16, on a GPU; the vectors are of the same space.
    Raises ModelMismatch, ModelNotFound or DeviceError.
    """
    if model.spec.task != "reid":
        raise ModelMismatch(f"{model.path}: expected a Re-ID model, but it is described as {model.spec.task!r}")
    session = Session(model.path, intra=threads)
    size = input_size(session, model.spec)
    if device == "cpu":
        packed = PackedSession(with_any_batch(session, threads), Packer(model.spec.preprocessing), config.batch)
        return OnnxEmbedder(packed, model, size)
    rows = max(config.batch, EMBEDDED_TOGETHER)
    # Trackers wait for vectors, while people are looked for ahead of them.
    fixed = fixed_graph(session, model.spec, rows, half=half)
    return OnnxEmbedder(_shared(fixed, device, gpu, urgent=True), model, size)


def _opened(
    fixed: FixedGraph, device: Device, gpu: Gpu, reading: YoloxRows, patience: float
) -> SharedBatch[Shown, list[Detections]]:
    """A detector's graph, whose people are found on the device."""
    before = time.perf_counter()
    columns = fixed.answers.shape[2]
    batch = SharedBatch(lambda: PeopleSession(FixedSession(fixed, device, gpu), reading, columns, gpu), patience)
    logger.info("%s is warm on %s after %.1f s", fixed.path, device, time.perf_counter() - before)
    return batch


def _shared(fixed: FixedGraph, device: Device, gpu: Gpu | None, urgent: bool = False) -> Network:
    before = time.perf_counter()
    network = SharedBatch(lambda: FixedSession(fixed, device, gpu, urgent))
    logger.info("%s is warm on %s after %.1f s", fixed.path, device, time.perf_counter() - before)
    return network
