"""What a GPU is given: a fixed number of pictures as bytes, for callers of many threads. Tried on the processor."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from reidstream.config import Config, DetectorConfig, EmbeddingConfig, load_config
from reidstream.engines import EngineStatus
from reidstream.engines.local.models import open_models
from reidstream.errors import ConfigError, DeviceError, ModelMismatch
from reidstream.inference import factory, fixed_session, open_detector, open_embedder
from reidstream.inference.fixed_graph import fixed_graph
from reidstream.inference.fixed_session import FixedSession
from reidstream.inference.placing import Image
from reidstream.inference.session import Session
from reidstream.inference.shared_batch import SharedBatch
from reidstream.models import resolve_model
from reidstream.models.spec import ResolvedModel
from reidstream.runtime import Missing, onnxruntime
from reidstream.sources.frame import ArrayPicture, Picture, Pixels
from reidstream.types import Detections, EmbeddingSpace, FloatArray
from tests.gpu.standin import HostGpu

MakeModel = Callable[..., ResolvedModel]


@pytest.fixture
def gpu_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """device="cuda" takes all of its way, but the session at its end is one on the processor."""
    monkeypatch.setattr(
        factory, "FixedSession", lambda fixed, device, gpu, urgent=False: FixedSession(fixed, "cpu", gpu)
    )


def _crops(count: int) -> list[Pixels]:
    random = np.random.default_rng(count)
    return [
        random.integers(0, 256, (random.integers(8, 90), random.integers(8, 40), 3), np.uint8) for _ in range(count)
    ]


@pytest.mark.usefixtures("gpu_on_the_processor")
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_preprocessing_inside_the_graph_is_that_outside(layout: str, embedder_model: MakeModel, tmp_path: Path) -> None:
    described = {"color": "RGB", "mean": (3, 5, 7), "std": (2, 3, 4)}
    if layout == "NCHW":
        model = embedder_model(preprocessing=described)
    else:
        model = _nhwc_embedder(embedder_model, tmp_path, described)
    crops = _crops(7)
    expected = open_embedder(model, EmbeddingConfig()).embed(crops)
    np.testing.assert_allclose(open_embedder(model, EmbeddingConfig(), "cuda").embed(crops), expected, atol=1e-6)


def _nhwc_embedder(make: MakeModel, folder: Path, preprocessing: dict[str, object]) -> ResolvedModel:
    import onnx
    from onnx import helper

    model = make(preprocessing={**preprocessing, "layout": "NHWC"})
    graph = onnx.load(model.path)
    graph.graph.node.insert(0, helper.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]))
    graph.graph.node[1].input[0] = "planes"
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    shape[1].dim_value, shape[2].dim_value, shape[3].dim_value = 8, 4, 3
    path = folder / "nhwc.onnx"
    onnx.save(graph, path)
    return ResolvedModel(model.spec, path, model.sha256)


@pytest.mark.slow
@pytest.mark.usefixtures("gpu_on_the_processor")
def test_the_embedded_models_give_the_same_with_fixed_sizes() -> None:
    crops = _crops(20)
    model = resolve_model("person-reid", "reid")
    expected = open_embedder(model, EmbeddingConfig()).embed(crops)
    np.testing.assert_allclose(open_embedder(model, EmbeddingConfig(batch=8), "cuda").embed(crops), expected, atol=1e-5)
    pictures = [ArrayPicture(np.kron(crop[:8, :8], np.ones((20, 30, 1), np.uint8))) for crop in crops[:3]]
    model = resolve_model("person-detector", "detector")
    config = DetectorConfig(confidence=0.001)
    pairs = zip(
        open_detector(model, config).detect(pictures),
        open_detector(model, config, "cuda").detect(pictures),
        strict=True,
    )
    for expected_people, found in pairs:
        np.testing.assert_allclose(found.boxes, expected_people.boxes, atol=0.05)
        np.testing.assert_allclose(found.scores, expected_people.scores, atol=1e-4)


@pytest.mark.usefixtures("gpu_on_the_processor")
@pytest.mark.setting("local.precision")
def test_models_compute_in_fp16_where_that_is_asked_for() -> None:
    crops = [np.kron(crop, np.ones((2, 2, 1), np.uint8)) for crop in _crops(6)]

    def vectors(precision: str) -> tuple[EmbeddingSpace, FloatArray]:
        local = {"device": "cuda", "decode": "cpu", "precision": precision}
        models = open_models(Config.model_validate({"local": local}), [], EngineStatus(), detector=_Nobody())
        return models.embedder.space, models.embedder.embed(crops)

    (space, full), (half_space, half) = vectors("fp32"), vectors("fp16")
    assert half_space == space
    assert 1e-5 < np.abs(half - full).max() < 2e-2
    assert np.sum(half * full, axis=1).min() > 0.999


class _Nobody:
    """A detector that is not asked."""

    input_size = 1, 1

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        raise AssertionError


def test_fp16_is_for_gpus() -> None:
    with pytest.raises(ConfigError, match="precision fp16 is for GPUs"):
        load_config(None, ["local.precision=fp16"])
    assert load_config(None, ["local.precision=fp16", "local.device=cuda"]).local.half


def test_fp16_is_refused_where_numbers_leave_its_range(embedder_model: MakeModel, tmp_path: Path) -> None:
    import onnx
    from onnx import helper, numpy_helper

    model = embedder_model()
    graph = onnx.load(model.path)
    graph.graph.initializer.append(numpy_helper.from_array(np.array(1e4, np.float32), "much"))
    graph.graph.node[-1].input[0] = "raised"
    graph.graph.node.append(helper.make_node("Mul", ["pooled", "much"], ["raised"]))
    graph.graph.node.insert(2, graph.graph.node.pop())
    path = tmp_path / "large.onnx"
    onnx.save(graph, path)
    session = Session(path)
    assert fixed_graph(session, model.spec, 2).rows == 2
    with pytest.raises(ModelMismatch, match=r"local\.precision.*differ by inf"):
        fixed_graph(session, model.spec, 2, half=True)


@pytest.mark.usefixtures("gpu_on_the_processor")
@pytest.mark.parametrize("batch", [1, 3, 16, "n"])
@pytest.mark.parametrize("count", [0, 1, 16, 37])
def test_any_number_of_crops_fits(embedder_model: MakeModel, batch: int | str, count: int) -> None:
    embedder = open_embedder(embedder_model(batch), EmbeddingConfig(batch=8), "cuda")
    crops = _crops(count)
    vectors = embedder.embed(crops)
    assert (vectors.shape, vectors.dtype) == ((count, 3), np.float32)
    one_by_one = [embedder.embed([crop])[0] for crop in crops]
    np.testing.assert_array_equal(vectors, np.array(one_by_one, np.float32).reshape(count, 3))


def test_a_row_does_not_depend_on_its_neighbours_or_its_place() -> None:
    model = resolve_model("person-reid", "reid")
    session = FixedSession(fixed_graph(Session(model.path), model.spec, 6), "cpu")
    random = np.random.default_rng(4)
    pictures = list(random.integers(0, 256, (6, 256, 128, 3), np.uint8))
    together = session.run(pictures)
    np.testing.assert_array_equal(session.run(pictures[::-1])[::-1], together)
    np.testing.assert_array_equal(session.run([pictures[4]])[0], together[4])


def test_a_run_on_a_gpu_says_which_graph_it_replays(embedder_model: MakeModel) -> None:
    """Else ONNX Runtime raises and catches an exception in every run."""
    model = embedder_model()
    session = FixedSession(fixed_graph(Session(model.path), model.spec, 6), "cpu", HostGpu())
    assert session._options.get_run_config_entry("gpu_graph_id") == "0"


class _Recording:
    """Answers with each picture's first byte, and remembers how many came together and in which thread."""

    path = Path("recording.onnx")
    rows = 4
    takes_cuts = False

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.thread = threading.get_ident()
        self.gate = threading.Event()
        self.gate.set()
        self.under_way = self.most = 0

    def begin(self, pictures: Sequence[Image]) -> Sequence[Image]:
        assert threading.get_ident() == self.thread
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return pictures

    def joined(self, parts: Sequence[FloatArray]) -> FloatArray:
        return np.concatenate(parts)

    def end(self, pictures: Sequence[Image]) -> FloatArray:
        assert threading.get_ident() == self.thread
        self.under_way -= 1
        self.gate.wait()
        self.sizes.append(len(pictures))
        values = [int(picture[0, 0, 0]) for picture in pictures if isinstance(picture, np.ndarray)]
        if 255 in values:
            raise DeviceError("the device is gone")
        return np.array([[float(value)] for value in values], np.float32)


def _held() -> tuple[SharedBatch, _Recording]:
    """A batch, and its session, which runs nothing until its gate is set."""
    made: list[_Recording] = []

    def opened() -> _Recording:
        made.append(_Recording())
        return made[-1]

    shared = SharedBatch(opened)
    made[0].gate.clear()
    return shared, made[0]


def _picture(value: int) -> Pixels:
    return np.full((2, 2, 3), value, np.uint8)


def test_what_waits_is_run_together_and_everybody_gets_their_own() -> None:
    shared, session = _held()
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(shared.run, [_picture(n), _picture(n + 100)]) for n in range(12)]
        session.gate.set()
        for number, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.result(), [[number], [number + 100]])
    assert sum(session.sizes) == 24
    assert max(session.sizes) <= 4
    np.testing.assert_array_equal(shared.run([_picture(n) for n in range(9)]).ravel(), range(9))
    assert session.sizes[-3:] == [4, 4, 1]


def test_what_was_started_need_not_be_waited_for() -> None:
    shared, session = _held()
    answers = [shared.start([_picture(n)]) for n in range(9)]
    session.gate.set()
    assert [answer().tolist() for answer in reversed(answers)] == [[[n]] for n in reversed(range(9))]
    assert sum(session.sizes) == 9
    # Whichever came while the first was under way went together, and the device had the next run before it was done.
    assert len(session.sizes) <= 4
    assert session.most == 2


def test_a_failure_reaches_those_who_asked_and_the_others_go_on() -> None:
    shared = SharedBatch(_Recording)
    with pytest.raises(DeviceError, match="the device is gone"):
        shared.run([_picture(255)])
    np.testing.assert_array_equal(shared.run([_picture(7)]), [[7]])


def test_a_session_that_cannot_be_opened_is_an_error_at_once() -> None:
    def fails() -> _Recording:
        raise DeviceError("no such device")

    with pytest.raises(DeviceError, match="no such device"):
        SharedBatch(fails)


def test_the_thread_ends_with_the_last_who_could_ask() -> None:
    before = set(threading.enumerate())
    shared = SharedBatch(_Recording)
    (thread,) = set(threading.enumerate()) - before
    assert thread.is_alive()
    del shared
    gc.collect()
    assert not thread.is_alive()


def test_a_device_that_computes_something_else_is_refused(embedder_model: MakeModel) -> None:
    model, other = embedder_model(), embedder_model(preprocessing={"mean": (100, 0, 0)})
    fixed = fixed_graph(Session(model.path), model.spec, 4)
    wrong = fixed_graph(Session(other.path), other.spec, 4)
    object.__setattr__(fixed, "graph", wrong.graph)
    with pytest.raises(DeviceError, match="gives other numbers on cpu than on the processor"):
        FixedSession(fixed, "cpu")


def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error(
    embedder_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = (Missing("there is no NVIDIA driver", "install it"), Missing("no CUDA", "`reidstream setup cuda`"))
    monkeypatch.setattr(fixed_session, "missing_for_cuda", lambda: missing)
    expected = r"cannot be used: there is no NVIDIA driver: install it; no CUDA: `reidstream setup cuda`"
    with pytest.raises(DeviceError, match=expected):
        open_embedder(embedder_model(), EmbeddingConfig(), "cuda")


def test_a_silent_fallback_to_the_processor_is_an_error(
    embedder_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = embedder_model()
    real = Session(model.path)._session
    fixed = fixed_graph(Session(model.path), model.spec, 4)
    monkeypatch.setattr(fixed_session, "missing_for_cuda", tuple)
    monkeypatch.setattr(onnxruntime(), "InferenceSession", lambda *_, **__: real)
    with pytest.raises(DeviceError, match="ONNX Runtime chose CPUExecutionProvider"):
        FixedSession(fixed, "cuda")


@pytest.mark.parametrize("sizes", [(3,), (6, 6, 2)])
def test_answers_of_several_runs_are_one_array_in_order(embedder_model: MakeModel, sizes: tuple[int, ...]) -> None:
    model = embedder_model()
    session = FixedSession(fixed_graph(Session(model.path), model.spec, 6), "cpu")
    parts = [np.full((size, 2), number, np.float32) for number, size in enumerate(sizes)]
    assert session.joined(parts)[:, 0].tolist() == [n for n, size in enumerate(sizes) for _ in range(size)]
