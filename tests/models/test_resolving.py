"""From a name or a path to a model and its description."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reidstream.errors import ConfigError, ModelMismatch, ModelNotFound
from reidstream.models import ModelSpec, Preprocessing, load_manifest, resolve_model
from reidstream.models.checksum import file_sha256
from reidstream.models.manifest import PACKAGE_MANIFEST, read_manifest
from reidstream.models.metadata import VERSION_KEY, metadata_of, spec_from_metadata


def tiny_model(path: Path, metadata: dict[str, str] | None = None) -> Path:
    """Mean colour of an image as its embedding."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["images"], ["embeddings"], axes=[2, 3], keepdims=0)],
        "mean colour",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 8, 4])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


SPEC = ModelSpec(
    name="mean-colour",
    task="reid",
    input_size=(8, 4),
    embedding_size=3,
    preprocessing=Preprocessing(color="BGR", mean=(1.0, 2.0, 3.5), std=(4.0, 5.0, 6.0)),
    source="a test",
    terms="äöü",
)


def write_manifest(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_entry_of_the_package_can_be_found_or_recognised() -> None:
    for name, entry in read_manifest(PACKAGE_MANIFEST).items():
        assert entry.spec.sha256, f"{name} has no checksum"
        assert entry.spec.file or entry.spec.url, f"{name} names no file"
        assert entry.spec.source and entry.spec.training_data and entry.spec.terms, f"{name} says too little"
    sums = [checksum for entry in load_manifest().values() for checksum in entry.spec.checksums]
    assert len(sums) == len(set(sums))


def test_users_may_name_lists_of_classes(tmp_path: Path) -> None:
    text = "[class_lists]\nzoo = ['gnu']\n[models.x]\ntask = 'detector'\nclasses = 'zoo'\n"
    entries = read_manifest(
        write_manifest(tmp_path / "own.toml", text + "[models.y]\ntask = 'detector'\nclasses='coco'")
    )
    assert entries["x"].spec.classes == ("gnu",) and len(entries["y"].spec.classes) == 80


def test_coco_names_are_complete() -> None:
    classes = load_manifest()["yolox_nano"].spec.classes
    assert len(classes) == len(set(classes)) == 80
    assert (classes[0], classes[79], classes[39]) == ("person", "toothbrush", "bottle")


def test_unknown_name_suggests_the_near_one() -> None:
    with pytest.raises(ModelNotFound, match="did you mean yolox_nano"):
        resolve_model("yolox_nan", "detector")


def test_missing_file_says_how_to_get_it() -> None:
    with pytest.raises(ModelNotFound, match="reidstream models fetch osnet_x0_25_msmt17"):
        resolve_model("osnet_x0_25_msmt17", "reid")
    with pytest.raises(ModelNotFound, match="no model file at gone"):
        resolve_model("gone.onnx", "reid")


def test_user_manifest_beside_its_file(folders: dict[str, Path]) -> None:
    model = tiny_model(folders["config"].parent / "mine.onnx")
    write_manifest(
        folders["config"] / "reidstream" / "models.toml",
        f'[models.mine]\ntask = "reid"\nfile = "{model}"\nsha256 = "{file_sha256(model)}"\n',
    )
    resolved = resolve_model("mine", "reid")
    assert resolved.path == model
    assert resolved.spec.name == "mine"
    with pytest.raises(ModelMismatch, match="mine is a Re-ID model, but a detector is needed"):
        resolve_model("mine", "detector")


def test_mirror_and_cache_are_searched_and_checked(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(tmp_path / "source.onnx")
    manifest = write_manifest(
        tmp_path / "own.toml",
        f'[models.far]\ntask = "reid"\nurl = "https://example.org/a/far%20away.onnx?x=1"\n'
        f'sha256 = "{file_sha256(model)}"\n',
    )
    monkeypatch.setenv("REIDSTREAM_MANIFEST", str(manifest))
    cached = folders["cache"] / "reidstream" / "models" / "far" / "far away.onnx"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(model.read_bytes())
    assert resolve_model("far", "reid").path == cached
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("REIDSTREAM_MODELS", str(mirror))
    (mirror / "far away.onnx").write_bytes(b"something else")
    with pytest.raises(ModelMismatch, match=r"mirror/far away\.onnx is not the file.*models fetch far"):
        resolve_model("far", "reid")
    (mirror / "far away.onnx").write_bytes(model.read_bytes())
    assert resolve_model("far", "reid").path == mirror / "far away.onnx"


def test_path_is_described_by_the_manifest_with_its_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(tmp_path / "renamed.onnx")
    manifest = write_manifest(
        tmp_path / "own.toml", f'[models.known]\ntask = "reid"\nsha256 = "{file_sha256(model)}"\n'
    )
    monkeypatch.setenv("REIDSTREAM_MANIFEST", str(manifest))
    assert resolve_model(str(model), "reid").spec.name == "known"


def test_path_is_described_by_its_own_metadata(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "prepared.onnx", metadata_of(SPEC))
    resolved = resolve_model(str(model), "reid")
    assert resolved.spec == SPEC
    assert resolved.sha256 == file_sha256(model)


def test_path_is_described_by_the_file_beside_it(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "bare.onnx")
    with pytest.raises(ModelMismatch, match=r"nothing says how the input[\s\S]*models prepare[\s\S]*bare\.onnx\.toml"):
        resolve_model(str(model), "reid")
    (tmp_path / "bare.onnx.toml").write_text("[preprocessing]\nmean = [1.0, 2.0, 3.0]\n")
    spec = resolve_model(str(model), "reid").spec
    assert (spec.name, spec.task, spec.preprocessing.mean) == ("bare", "reid", (1.0, 2.0, 3.0))


def test_two_contradicting_descriptions_are_refused(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "both.onnx", metadata_of(SPEC))
    (tmp_path / "both.onnx.toml").write_text("[preprocessing]\nmean = [9.0, 2.0, 3.0]\n")
    with pytest.raises(ModelMismatch, match="remove the wrong one"):
        resolve_model(str(model), "reid")


def test_weights_in_a_second_file_are_refused(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [weights],
    )
    path = tmp_path / "split.onnx"
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, location="split.onnx.data", size_threshold=0)
    with pytest.raises(ModelMismatch, match=r"keeps its weights in split\.onnx\.data: run `reidstream models prepare"):
        resolve_model(str(path), "reid")


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x00" * 100, b"<html>404</html>"])
def test_files_that_are_no_models_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelMismatch, match="cannot be read as an ONNX model"):
        resolve_model(str(path), "reid")


def test_checkpoints_have_to_be_exported(tmp_path: Path) -> None:
    path = tmp_path / "model.pth.tar"
    path.write_bytes(b"weights")
    with pytest.raises(ModelMismatch, match="reidstream models export"):
        resolve_model(str(path), "reid")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[models.x]\ntask = 'reid'\ncolour = 'RGB'\n", "colour: no such key"),
        ("[models.x]\ntask = 'reid'\nurl = 'https://a.b/c'\n", "needs the sha256"),
        ("[models.x]\ntask = 'pose'\n", "task: Input should be"),
        ("[models.x]\ntask = 'reid'\nsha256 = 'AB'\n", "sha256: String should match"),
        ("[models.'a b']\ntask = 'reid'\n", "name: String should match"),
        ("[models.x]\ntask = 'reid'\npreprocessing.std = [1.0, 0.0, 1.0]\n", "must not hold zeros"),
        ("[model.x]\ntask = 'reid'\n", "nothing else; found 'model'"),
        ("models = 3\n", "is not a table"),
        ("[models.x]\ntask = 'detector'\nclasses = 'coca'\n", "has only coco"),
        ("[models]\nx = 3\n", "x must be a table"),
        ("[models.yolox_nano]\ntask = 'detector'\n", "is taken"),
        ("[models.x\n", "cannot be read as TOML"),
    ],
)
def test_wrong_manifests_name_file_and_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    path = write_manifest(tmp_path / "own.toml", text)
    monkeypatch.setenv("REIDSTREAM_MANIFEST", str(path))
    with pytest.raises(ConfigError, match=problem) as caught:
        load_manifest()
    assert str(path) in str(caught.value)


def test_manifest_named_by_the_environment_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REIDSTREAM_MANIFEST", "/nowhere/models.toml")
    with pytest.raises(ConfigError, match="does not exist: /nowhere"):
        load_manifest()


def test_metadata_says_the_same_when_read_again() -> None:
    for entry in load_manifest().values():
        again = spec_from_metadata(metadata_of(entry.spec), "x")
        assert again == entry.spec.model_copy(
            update={"file": None, "url": None, "sha256": None, "same_as": (), "format": "onnx"}
        )


def test_damaged_or_newer_metadata_is_refused() -> None:
    properties = metadata_of(SPEC)
    assert spec_from_metadata({}, "x") is None
    with pytest.raises(ModelMismatch, match="newer"):
        spec_from_metadata({**properties, VERSION_KEY: "2"}, "x")
    with pytest.raises(ModelMismatch, match="damaged"):
        spec_from_metadata({**properties, "reidstream.preprocessing": "{"}, "x")
    with pytest.raises(ModelMismatch, match="damaged"):
        spec_from_metadata({**properties, "reidstream.embedding_size": '"many"'}, "x")


def test_a_pointer_of_git_lfs_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "d.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n")
    with pytest.raises(ModelMismatch, match="run `git lfs pull` in its repository"):
        resolve_model(str(path), "detector")
