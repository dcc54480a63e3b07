"""Somebody else's ONNX, in every awkward form, made deployable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from reidstream.errors import ModelDegenerate, ModelError, ModelMismatch, ModelNotFound, ReIDStreamError
from reidstream.models import Preprocessing, resolve_model
from reidstream.models.exporting import Description
from reidstream.models.onnx_file import external_data_files
from reidstream.models.parity import crops_for
from reidstream.models.preparing import prepare_model

from .small_networks import (
    HEIGHT,
    SIZE,
    WIDTH,
    Tail,
    expanded,
    flatten,
    reshape_computed,
    reshape_constant,
    reshape_merged,
    reshape_open_rest,
    run,
    small_reid,
)

MEAN, STD = (123.0, 116.0, 103.0), (58.0, 57.0, 61.0)
SAID = Description(preprocessing=Preprocessing(mean=MEAN, std=STD), training_data="nothing", terms="none")


def expected(
    source: Path, batch: int, crops: npt.NDArray[np.uint8], *, bgr: bool = False, nhwc: bool = False
) -> npt.NDArray[np.float32]:
    """Unit-length embeddings of the source, worked out by hand, ``batch`` crops at a time."""
    pixels = crops[..., ::-1] if bgr else crops
    images = ((pixels.astype(np.float32) - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    images = images if nhwc else images.transpose(0, 3, 1, 2)
    rows = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        rows.append(run(source, np.resize(part, (batch, *part.shape[1:]))).reshape(batch, -1)[: len(part)])
    vectors = np.concatenate(rows)
    unit: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


CASES: dict[str, tuple[int | str, Tail, dict[str, Any]]] = {
    "open batch": ("n", flatten, {}),
    "open batch, target computed": ("n", reshape_computed, {}),
    "batch of 1, everything squeezed": (1, flatten, {"four_axes": True, "squeezed": True}),
    "batch of 1, constant target": (1, reshape_constant, {}),
    "batch of 16, constant target": (16, reshape_constant, {}),
    "batch of 4, rest open": (4, reshape_open_rest, {}),
    "batch of 3, target computed": (3, reshape_computed, {}),
    "batch of 4, merged with channels": (4, reshape_merged, {}),
    "batch of 8, which is also the number of channels": (8, reshape_constant, {}),
    "batch of 4, expanded": (4, expanded, {}),
    "opset 7, weights listed as inputs": (2, reshape_constant, {"opset": 7, "listed_weights": True}),
    "opset 17": ("n", flatten, {"opset": 17}),
    "opset 21": ("n", flatten, {"opset": 21}),
    "weights in a second file": (4, reshape_constant, {"external": True}),
    "NHWC": ("n", flatten, {"nhwc": True}),
    "NHWC, batch of 2": (2, reshape_constant, {"nhwc": True}),
    "unit length already": ("n", flatten, {"unit_length": True}),
    "output with four axes": ("n", flatten, {"four_axes": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_form_ends_as_the_same_deployable_model(case: str, tmp_path: Path) -> None:
    batch, tail, options = CASES[case]
    source = small_reid(tmp_path / "theirs.onnx", batch, tail, **options)
    output = tmp_path / "ours.onnx"
    written = prepare_model(source, output, SAID)
    crops = crops_for((HEIGHT, WIDTH), count=9)
    own = batch if isinstance(batch, int) else 8
    wanted = expected(source, own, crops, nhwc=options.get("nhwc", False))
    raw = crops.transpose(0, 3, 1, 2).astype(np.float32)
    assert run(output, raw[:0]).shape == (0, SIZE)
    for number in (1, own, own + 1):
        got = np.concatenate([run(output, raw[i : i + number]) for i in range(0, len(raw), number)])
        np.testing.assert_allclose(got, wanted, atol=2e-6)
    model = onnx.load(output)
    assert external_data_files(model) == []
    assert [(port.name, port.type.tensor_type.shape.dim[0].dim_param) for port in model.graph.input] == [
        ("images", "batch")
    ]
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [0, SIZE]
    assert model.opset_import[0].version >= 17
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    resolved = resolve_model(str(output), "reid")
    assert resolved.spec == written.spec
    assert resolved.spec.normalised and resolved.spec.embedding_size == SIZE
    assert resolved.spec.preprocessing == Preprocessing()
    assert resolved.spec.inside is not None and resolved.spec.inside.mean == MEAN
    assert written.parity.lowest_cosine >= 0.9999
    assert {path.name for path in tmp_path.iterdir()} <= {"theirs.onnx", "theirs.onnx.data", "ours.onnx"}


def test_bgr_networks_get_rgb_input(tmp_path: Path) -> None:
    source = small_reid(tmp_path / "theirs.onnx")
    said = Description(preprocessing=Preprocessing(color="BGR", mean=MEAN, std=STD))
    prepare_model(source, tmp_path / "ours.onnx", said)
    crops = crops_for((HEIGHT, WIDTH), count=5)
    got = run(tmp_path / "ours.onnx", crops.transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_allclose(got, expected(source, 5, crops, bgr=True), atol=2e-6)
    assert np.abs(got - expected(source, 5, crops)).max() > 1e-3


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    prepare_model(small_reid(tmp_path / "theirs.onnx", 4, reshape_constant), tmp_path / "once.onnx", SAID)
    twice = prepare_model(tmp_path / "once.onnx", tmp_path / "twice.onnx")
    assert twice.changes == ("already of unit length",)
    raw = crops_for((HEIGHT, WIDTH), count=3).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_array_equal(run(tmp_path / "once.onnx", raw), run(tmp_path / "twice.onnx", raw))
    assert twice.spec.training_data == "nothing" and twice.spec.inside == Preprocessing()


def test_half_precision_is_close_and_smaller(tmp_path: Path) -> None:
    source = small_reid(tmp_path / "theirs.onnx", 4, reshape_constant)
    written = prepare_model(source, tmp_path / "half.onnx", SAID, half=True)
    assert written.parity.lowest_cosine >= 0.999
    kinds = {
        tensor.data_type for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer if tensor.dims[:1] == [8]
    }
    assert kinds == {TensorProto.FLOAT16}


def test_half_precision_is_refused_where_it_is_not_safe(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="cannot be written in FP16 because of LpNormalization"):
        prepare_model(small_reid(tmp_path / "a.onnx", unit_length=True), tmp_path / "half.onnx", SAID, half=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_one_of_several_outputs_has_to_be_chosen(tmp_path: Path) -> None:
    source = small_reid(tmp_path / "theirs.onnx", second_output=True)
    with pytest.raises(ModelMismatch, match=r"2 outputs \(gemm_\d+, globalaveragepool_\d+\).*--output-name"):
        prepare_model(source, tmp_path / "ours.onnx", SAID)
    with pytest.raises(ModelMismatch, match="no output called 'x'"):
        prepare_model(source, tmp_path / "ours.onnx", SAID, output_name="x")
    name = onnx.load(source).graph.output[1].name
    assert prepare_model(source, tmp_path / "ours.onnx", SAID, output_name=name).spec.embedding_size == 8


def refused(source: Path, tmp_path: Path, kind: type[ReIDStreamError], problem: str, **options: Any) -> None:
    """Preparing fails with this message and leaves nothing."""
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(kind, match=problem):
        prepare_model(source, tmp_path / "ours.onnx", options.pop("said", SAID), **options)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_unknown_preprocessing_is_not_guessed(tmp_path: Path) -> None:
    source = small_reid(tmp_path / "a.onnx")
    refused(source, tmp_path, ModelMismatch, "nothing says how[\\s\\S]*--mean", said=Description())


def test_missing_second_file_is_named(tmp_path: Path) -> None:
    source = small_reid(tmp_path / "a.onnx", external=True)
    (tmp_path / "a.onnx.data").unlink()
    refused(source, tmp_path, ModelNotFound, r"keeps its weights in a\.onnx\.data")


def test_truncated_second_file_is_refused(tmp_path: Path) -> None:
    source = small_reid(tmp_path / "a.onnx", external=True)
    (tmp_path / "a.onnx.data").write_bytes(b"too short")
    refused(source, tmp_path, ModelMismatch, "cannot be read|cannot load")


@pytest.mark.parametrize("kernel", [0.0, float("nan"), 1e-8])
def test_degenerate_networks_are_refused(tmp_path: Path, kernel: float) -> None:
    refused(
        small_reid(tmp_path / "a.onnx", kernel=kernel), tmp_path, ModelDegenerate, "same embedding|not finite|zeros"
    )


def test_contradicting_size_task_and_channels_are_refused(tmp_path: Path) -> None:
    source = small_reid(tmp_path / "a.onnx")
    said = Description(preprocessing=Preprocessing(), input_size=(256, 128))
    refused(source, tmp_path, ModelMismatch, "16x8, but 256x128 was stated", said=said)
    prepared = tmp_path / "known.onnx"
    prepare_model(source, prepared, SAID)
    refused(prepared, tmp_path, ModelMismatch, "described as a model for reid, but --task says", task="detector")


def make(path: Path, kind: int, shape: list[Any], nodes: list[Any], weights: list[Any], inputs: int = 1) -> Path:
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info(f"x{i}" if i else "x", kind, shape) for i in range(inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_networks_that_take_no_images_are_refused(tmp_path: Path) -> None:
    cast = [helper.make_node("Cast", ["x"], ["f"], to=1), helper.make_node("Flatten", ["f"], ["y"])]
    path = make(tmp_path / "a.onnx", TensorProto.UINT8, ["n", 3, 8, 4], cast, [])
    refused(path, tmp_path, ModelMismatch, "must be float .* found uint8")
    flat = [helper.make_node("Flatten", ["x"], ["y"])]
    path = make(tmp_path / "a.onnx", TensorProto.FLOAT, ["n", 512], flat, [])
    refused(path, tmp_path, ModelMismatch, "must have four axes")
    path = make(tmp_path / "a.onnx", TensorProto.FLOAT, ["n", 1, 8, 4], flat, [])
    refused(path, tmp_path, ModelMismatch, "must have 3 channels")
    path = make(tmp_path / "a.onnx", TensorProto.FLOAT, ["n", 3, "h", "w"], flat, [])
    refused(path, tmp_path, ModelMismatch, "leaves the size of its input open")
    added = [helper.make_node("Add", ["x", "x1"], ["f"]), helper.make_node("Flatten", ["f"], ["y"])]
    path = make(tmp_path / "a.onnx", TensorProto.FLOAT, ["n", 3, 8, 4], added, [], inputs=2)
    refused(path, tmp_path, ModelMismatch, "one input, the images, was expected; found x, x1")


def test_batch_that_cannot_be_opened_is_found_out(tmp_path: Path) -> None:
    """A constant of the batch's length added to the embeddings: no shape to rewrite."""
    offsets = numpy_helper.from_array(np.arange(4, dtype=np.float32).reshape(4, 1) * 1000, "offsets")
    nodes = [
        helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Add", ["f", "offsets"], ["y"]),
    ]
    path = make(tmp_path / "a.onnx", TensorProto.FLOAT, [4, 3, 8, 4], nodes, [offsets])
    said = Description(preprocessing=Preprocessing(mean=(1e3, -2e3, 500.0), std=STD))
    refused(path, tmp_path, ModelMismatch, "does not work for 1 images at once[\\s\\S]*dynamic batch axis", said=said)


def test_existing_results_and_the_source_are_not_overwritten(tmp_path: Path) -> None:
    source = small_reid(tmp_path / "theirs.onnx")
    output = tmp_path / "ours.onnx"
    output.write_bytes(b"precious")
    with pytest.raises(ModelError, match=r"exists already.*--force"):
        prepare_model(source, output, SAID)
    with pytest.raises(ModelError, match="is the source itself"):
        prepare_model(source, source, SAID, overwrite=True)
    with pytest.raises(ModelError, match=r"folder .* does not exist"):
        prepare_model(source, tmp_path / "no" / "ours.onnx", SAID)
    with pytest.raises(ModelError, match="is a folder"):
        prepare_model(source, tmp_path, SAID)
    assert output.read_bytes() == b"precious"
    prepare_model(source, output, SAID, overwrite=True)
    assert onnx.load(output).graph.output[0].name == "embeddings"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mangled_files_give_errors_of_ours_or_work(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("mangled")
    content = bytearray(small_reid(folder / "a.onnx", 4, reshape_constant).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    (folder / "a.onnx").write_bytes(bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]))
    try:
        prepare_model(folder / "a.onnx", folder / "ours.onnx", SAID)
    except ReIDStreamError as error:
        assert str(error)
        assert [path.name for path in folder.iterdir()] == ["a.onnx"]


@pytest.mark.shared
def test_fixed_msmt17_model_becomes_deployable(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data.parent / "models" / "osnet_x0_25_msmt17.onnx"
    written = prepare_model(source, tmp_path / "reid.onnx")
    assert written.parity.lowest_cosine > 0.999999
    assert {"opset 10 lifted to 17", "80 BatchNorm layers folded"} <= set(written.changes)
    assert any(change.endswith("denormal weights set to 0") for change in written.changes)
    assert run(tmp_path / "reid.onnx", np.zeros((17, 3, 256, 128), np.float32)).shape == (17, 512)


@pytest.mark.shared
def test_fixed_detector_takes_batches_and_keeps_its_boxes(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data.parent / "models" / "yolox_nano_416x416.onnx"
    written = prepare_model(source, tmp_path / "detector.onnx")
    assert written.spec.task == "detector" and written.spec.classes[0] == "person"
    images = np.random.default_rng(0).uniform(0, 255, (3, 3, 416, 416)).astype(np.float32)
    got = run(tmp_path / "detector.onnx", images)
    wanted = np.concatenate([run(source, images[i : i + 1, ::-1]) for i in range(3)])
    np.testing.assert_allclose(got, wanted, atol=1e-4)
