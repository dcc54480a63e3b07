"""What the rendered DeepStream files promise."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from reidstream.config import Config, load_config
from reidstream.engines.deepstream.files.nvinfer_config import RenderedConfigs, render_configs
from reidstream.errors import ConfigError, ModelNotFound
from reidstream.models.spec import Preprocessing

Writer = Callable[..., Path]
IMAGENET = Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def _config(reid: Path, *overrides: str) -> Config:
    return load_config(None, [f"embedding.model={reid}", *overrides])


def _keys(path: Path, group: str = "property") -> dict[str, str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return dict(parser[group])


@pytest.fixture
def reid(write_reid: Writer, tmp_path: Path) -> Path:
    return write_reid(tmp_path / "osnet.onnx")


@pytest.fixture
def rendered(reid: Path, tmp_path: Path) -> RenderedConfigs:
    return render_configs(_config(reid), tmp_path / "configs")


def test_the_reid_network_gives_tensors_for_every_person_of_the_detector(rendered: RenderedConfigs) -> None:
    pgie, sgie = _keys(rendered.pgie), _keys(rendered.sgie or Path())
    assert sgie["process-mode"] == "2"
    assert sgie["network-type"] == "100"
    assert sgie["output-tensor-meta"] == "1"
    assert sgie["operate-on-gie-id"] == pgie["gie-unique-id"]
    assert sgie["operate-on-class-ids"] == "2"  # car, bicycle, person, roadsign
    assert sgie["output-blob-names"] == rendered.layer == "embedding"
    assert sgie["infer-dims"] == "3;64;32"
    assert rendered.embedding_size == 8


def test_a_model_with_preprocessing_inside_gets_scale_one_and_no_offsets(rendered: RenderedConfigs) -> None:
    sgie = _keys(rendered.sgie or Path())
    assert sgie["net-scale-factor"] == "1"
    assert "offsets" not in sgie
    assert sgie["scaling-filter"] == "1"
    assert not [w for w in rendered.warnings if "osnet" in w]


def test_a_std_per_channel_becomes_the_nearest_scalar_and_a_warning(write_reid: Writer, tmp_path: Path) -> None:
    rendered = render_configs(_config(write_reid(tmp_path / "plain.onnx", IMAGENET)), tmp_path / "configs")
    sgie = _keys(rendered.sgie or Path())
    # The scalar that NVIDIA's own TAO Re-ID configuration uses.
    assert float(sgie["net-scale-factor"]) == pytest.approx(0.01735207357279195)
    assert sgie["offsets"] == "123.675;116.28;103.53"
    assert any("standard deviation per channel" in warning for warning in rendered.warnings)


def test_one_std_for_all_channels_needs_no_warning(write_reid: Writer, tmp_path: Path) -> None:
    exact = Preprocessing(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
    rendered = render_configs(_config(write_reid(tmp_path / "plain.onnx", exact)), tmp_path / "configs")
    assert float(_keys(rendered.sgie or Path())["net-scale-factor"]) == pytest.approx(1 / 127.5)
    assert not [w for w in rendered.warnings if "plain" in w]


def test_engines_are_named_as_nvinfer_writes_them(reid: Path, tmp_path: Path) -> None:
    config = _config(reid, "deepstream.gpu_id=1", "deepstream.sgie.precision=fp32", "deepstream.sgie.batch=4")
    rendered = render_configs(config, tmp_path / "configs")
    assert rendered.reid_engine == Path(f"{reid}_b4_gpu1_fp32.engine")
    sgie = _keys(rendered.sgie or Path())
    assert sgie["model-engine-file"] == str(rendered.reid_engine)
    assert (sgie["batch-size"], sgie["gpu-id"], sgie["network-mode"]) == ("4", "1", "0")


def test_the_detector_batch_follows_the_number_of_sources(reid: Path, tmp_path: Path) -> None:
    config = _config(reid, 'sources=[{uri="a.mp4"},{uri="rtsp://camera/1"},{uri="c.mp4"}]')
    rendered = render_configs(config, tmp_path / "configs")
    assert rendered.batch == 3
    assert _keys(rendered.pgie)["batch-size"] == "3"
    assert rendered.elements["nvstreammux"]["batch-size"] == 3
    assert rendered.elements["nvstreammux"]["live-source"] is True
    assert "_b3_gpu0_" in rendered.pgie_engine.name


def test_paths_are_absolute_even_from_a_relative_folder(
    reid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rendered = render_configs(_config(Path("osnet.onnx")), Path("relative/configs"))
    assert all(path.is_absolute() and path.is_file() for path in rendered.files)
    for keys in (_keys(rendered.pgie), _keys(rendered.sgie or Path())):
        for key in ("onnx-file", "model-engine-file", "labelfile-path"):
            assert Path(keys.get(key, "/")).is_absolute()
    assert Path(_keys(rendered.sgie or Path())["onnx-file"]) == reid


@pytest.mark.setting("deepstream.pgie.labels")
def test_the_person_is_found_in_the_labels_file_whatever_its_number(
    write_detector: Writer, reid: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("bag\nface\nPerson\n")
    detector = tmp_path / "peoplenet.onnx"
    write_detector(detector)
    config = _config(
        reid,
        "deepstream.pgie.preset=peoplenet",
        f"deepstream.pgie.model={detector}",
        f"deepstream.pgie.labels={labels}",
    )
    rendered = render_configs(config, tmp_path / "configs")
    assert rendered.person_class_id == 2
    assert _keys(rendered.sgie or Path())["operate-on-class-ids"] == "2"
    assert _keys(rendered.pgie)["filter-out-class-ids"] == "0;1"
    assert _keys(rendered.pgie)["labelfile-path"] == str(labels)


def test_a_class_that_the_labels_do_not_hold_is_refused_with_what_they_hold(reid: Path, tmp_path: Path) -> None:
    config = _config(reid, "deepstream.pgie.person_class=pedestrian")
    with pytest.raises(ConfigError, match=r"'pedestrian'.*car, bicycle, person, roadsign"):
        render_configs(config, tmp_path / "configs")
    assert not (tmp_path / "configs").exists()


def test_peoplenet_writes_its_own_labels(write_detector: Writer, reid: Path, tmp_path: Path) -> None:
    detector = write_detector(tmp_path / "peoplenet.onnx")
    config = _config(reid, "deepstream.pgie.preset=peoplenet", f"deepstream.pgie.model={detector}")
    rendered = render_configs(config, tmp_path / "configs")
    assert Path(_keys(rendered.pgie)["labelfile-path"]).read_text().split() == ["Person", "Bag", "Face"]
    assert rendered.person_class_id == 0


@pytest.mark.setting("deepstream.pgie.preset")
def test_peoplenet_without_its_file_says_where_to_get_it(reid: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NGC"):
        render_configs(_config(reid, "deepstream.pgie.preset=peoplenet"), tmp_path / "configs")


@pytest.mark.setting("deepstream.pgie.model", "deepstream.pgie.parser_library", "deepstream.pgie.parser_function")
def test_a_yolox_detector_is_described_by_its_model(write_detector: Writer, reid: Path, tmp_path: Path) -> None:
    detector = write_detector(tmp_path / "yolox.onnx")
    config = _config(
        reid,
        "deepstream.pgie.preset=yolox",
        f"deepstream.pgie.model={detector}",
        "deepstream.pgie.parser_library=/opt/lib/libyolox.so",
        "deepstream.pgie.parser_function=NvDsInferParseYoloX",
    )
    rendered = render_configs(config, tmp_path / "configs")
    pgie = _keys(rendered.pgie)
    assert rendered.labels == ("bicycle", "person")
    assert rendered.person_class_id == 1
    assert (pgie["model-color-format"], pgie["maintain-aspect-ratio"], pgie["net-scale-factor"]) == ("1", "1", "1")
    assert pgie["parse-bbox-func-name"] == "NvDsInferParseYoloX"
    assert pgie["infer-dims"] == "3;64;96"


def test_a_yolox_detector_without_a_parser_is_refused(reid: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="parser_library"):
        render_configs(_config(reid, "deepstream.pgie.preset=yolox"), tmp_path / "configs")


@pytest.mark.setting("embedding.model")
def test_a_missing_reid_model_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        render_configs(_config(tmp_path / "absent.onnx"), tmp_path / "configs")
    assert not (tmp_path / "configs").exists()


def test_a_fixed_batch_is_named_with_its_cure(write_reid: Writer, tmp_path: Path) -> None:
    rendered = render_configs(_config(write_reid(tmp_path / "fixed.onnx", batch=16)), tmp_path / "configs")
    assert any("fixed batch of 16" in warning and "models prepare" in warning for warning in rendered.warnings)


def test_the_classifier_type_needs_its_interval(reid: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reinfer_interval"):
        _config(reid, "deepstream.sgie.network_type=1")
    with pytest.raises(ConfigError, match="no effect"):
        _config(reid, "deepstream.sgie.reinfer_interval=5")
    config = _config(reid, "deepstream.sgie={network_type=1, reinfer_interval=5}")
    sgie = _keys(render_configs(config, tmp_path / "configs").sgie or Path())
    assert (sgie["network-type"], sgie["secondary-reinfer-interval"], sgie["classifier-async-mode"]) == ("1", "5", "0")


def test_tracker_times_come_from_seconds(reid: Path, tmp_path: Path) -> None:
    config = _config(reid, "tracker.timeout=2.5", "tracker.confirm=0.2", "deepstream.tracker.fps=10")
    text = render_configs(config, tmp_path / "configs").tracker.read_text()
    assert text.startswith("%YAML:1.0\n")
    assert "  maxShadowTrackingAge: 25\n" in text
    assert "  probationAge: 2\n" in text
    assert "  outputTerminatedTracks: 1\n" in text


@pytest.mark.parametrize(
    ("batch", "targets", "listed"),
    [(1, 150, True), (16, 150, True), (64, 150, False), (64, 40, True), (1, 10_000, False)],
)
def test_lists_of_ended_tracks_are_left_out_where_they_would_reserve_too_much(
    batch: int, targets: int, listed: bool, reid: Path, tmp_path: Path
) -> None:
    config = _config(reid, f"deepstream.mux.batch={batch}", f"deepstream.tracker.max_targets={targets}")
    rendered = render_configs(config, tmp_path / "configs")
    assert f"  outputTerminatedTracks: {int(listed)}\n" in rendered.tracker.read_text()
    assert any("end by time-out" in text for text in rendered.warnings) is not listed
    # nvtracker's usual 32 would reserve as much again three times.
    pool = rendered.elements["nvtracker"]["user-meta-pool-size"]
    assert isinstance(pool, int)
    assert 4 < pool < 32


def test_who_wants_no_lists_is_not_told_that_there_are_none_and_a_pool_of_ones_own_wins(
    reid: Path, tmp_path: Path
) -> None:
    config = _config(
        reid,
        "deepstream.mux.batch=64",
        "deepstream.tracker.terminated_tracks=false",
        "deepstream.tracker.properties={user-meta-pool-size=20}",
    )
    rendered = render_configs(config, tmp_path / "configs")
    assert not any("time-out" in text for text in rendered.warnings)
    assert rendered.elements["nvtracker"]["user-meta-pool-size"] == 20


@pytest.mark.parametrize("preset", ["nvdcf_perf", "nvdcf_accuracy", "nvsort", "iou"])
def test_every_tracker_preset_is_valid_yaml_of_sections(preset: str, reid: Path, tmp_path: Path) -> None:
    import yaml

    config = _config(reid, f"deepstream.tracker.preset={preset}")
    text = render_configs(config, tmp_path / "configs").tracker.read_text()
    sections = yaml.safe_load(text.replace("%YAML:1.0\n", ""))
    assert {"BaseConfig", "TargetManagement", "TrajectoryManagement", "DataAssociator"} <= set(sections)
    assert ("VisualTracker" in sections) == preset.startswith("nvdcf")


@pytest.mark.setting("deepstream.embeddings")
def test_the_tracker_can_embed_instead_of_an_sgie(write_reid: Writer, tmp_path: Path) -> None:
    import yaml

    reid = write_reid(tmp_path / "plain.onnx", IMAGENET)
    rendered = render_configs(_config(reid, "deepstream.embeddings=tracker"), tmp_path / "configs")
    assert rendered.sgie is None and rendered.sgie_id is None and "sgie" not in rendered.elements
    section = yaml.safe_load(rendered.tracker.read_text().replace("%YAML:1.0\n", ""))["ReID"]
    assert section["outputReidTensor"] == 1
    assert section["reidFeatureSize"] == 8
    assert section["inferDims"] == [3, 64, 32]
    # The tracker counts precisions differently: 1 is FP16 here, 2 is FP16 in nvinfer.
    assert section["networkMode"] == 1
    assert section["offsets"] == [123.675, 116.28, 103.53]


@pytest.mark.setting("deepstream.models")
def test_models_are_copied_where_engines_can_be_written(reid: Path, tmp_path: Path) -> None:
    config = _config(reid, f"deepstream.models={tmp_path / 'engines'}")
    rendered = render_configs(config, tmp_path / "configs")
    assert rendered.reid_onnx == tmp_path / "engines/osnet.onnx"
    assert rendered.reid_onnx.read_bytes() == reid.read_bytes()
    assert rendered.reid_engine.parent == tmp_path / "engines"
    before = rendered.reid_onnx.stat().st_mtime_ns
    assert render_configs(config, tmp_path / "configs").reid_onnx.stat().st_mtime_ns == before
    assert [path.name for path in (tmp_path / "engines").iterdir()] == ["osnet.onnx"]


def test_a_read_only_model_folder_is_named(reid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The superuser may write everywhere, so the answer of the system is replaced and not the folder's mode.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    rendered = render_configs(_config(reid), tmp_path / "configs")
    assert any("deepstream.models" in warning for warning in rendered.warnings)


def test_extra_keys_and_properties_are_set_as_they_are(reid: Path, tmp_path: Path) -> None:
    config = _config(
        reid,
        "deepstream.sgie.keys={workspace-size = 512, scaling-filter = 2}",
        "deepstream.mux.properties={enable-padding = true}",
        "deepstream.tracker.properties={tracking-id-reset-mode = 3}",
    )
    rendered = render_configs(config, tmp_path / "configs")
    sgie = _keys(rendered.sgie or Path())
    assert (sgie["workspace-size"], sgie["scaling-filter"]) == ("512", "2")
    pipeline = tomllib.loads(rendered.pipeline.read_text())
    assert pipeline["nvstreammux"]["enable-padding"] is True
    assert pipeline["nvtracker"]["tracking-id-reset-mode"] == 3
    assert {name: dict(properties) for name, properties in rendered.elements.items()} == pipeline


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("{scaling-filtr = 1}", "did you mean scaling-filter"),
        ("{batch-size = 4000}", "between 1 and 1024"),
        ("{network-mode = 7}", "one of 0, 1, 2, 3"),
        ('{offsets = "1,2,3"}', "numbers with ; between them"),
    ],
)
def test_extra_keys_that_nvinfer_would_not_take_are_refused(
    keys: str, message: str, reid: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        render_configs(_config(reid, f"deepstream.sgie.keys={keys}"), tmp_path / "configs")
    assert not (tmp_path / "configs").exists()


def test_trafficcamnets_own_labels_are_read_where_it_is_installed(
    write_detector: Writer, reid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reidstream.engines.deepstream.files import detector_presets

    sample = tmp_path / "Primary_Detector"
    sample.mkdir()
    write_detector(sample / "resnet18_trafficcamnet_pruned.onnx")
    (sample / "labels.txt").write_text("Person\nCar\n")
    monkeypatch.setattr(detector_presets, "_TRAFFICCAMNET", sample)
    rendered = render_configs(_config(reid), tmp_path / "configs")
    assert (rendered.person_class_id, rendered.labels) == (0, ("Person", "Car"))
    assert not rendered.warnings
    assert _keys(rendered.pgie)["labelfile-path"] == str(sample / "labels.txt")
    assert _keys(rendered.pgie)["infer-dims"] == "3;64;96"


def test_the_new_mux_gets_no_size(reid: Path, tmp_path: Path) -> None:
    rendered = render_configs(_config(reid, "deepstream.mux.new_mux=true"), tmp_path / "configs")
    assert "width" not in rendered.elements["nvstreammux"]


def test_the_new_mux_is_told_in_its_own_file_how_long_it_waits(reid: Path, tmp_path: Path) -> None:
    """It forgets the property batched-push-timeout."""
    settings = ["deepstream.mux.new_mux=true", "deepstream.mux.timeout_us=50000", "deepstream.mux.batch=3"]
    rendered = render_configs(_config(reid, *settings), tmp_path / "configs")
    assert rendered.mux is not None
    assert rendered.elements["nvstreammux"]["config-file-path"] == str(rendered.mux)
    assert rendered.mux in rendered.files
    keys = _keys(rendered.mux)
    assert int(keys["overall-min-fps-n"]) / int(keys["overall-min-fps-d"]) == 20
    assert int(keys["overall-max-fps-n"]) / int(keys["overall-max-fps-d"]) > 20
    assert keys["batch-size"] == "3"


def test_a_file_of_one_s_own_for_the_mux_stays(reid: Path, tmp_path: Path) -> None:
    settings = ["deepstream.mux.new_mux=true", 'deepstream.mux.properties={"config-file-path"="/own/mux.txt"}']
    rendered = render_configs(_config(reid, *settings), tmp_path / "configs")
    assert rendered.mux is None
    assert rendered.elements["nvstreammux"]["config-file-path"] == "/own/mux.txt"
    assert not (tmp_path / "configs" / "mux.txt").exists()


def test_the_legacy_mux_gets_no_file(reid: Path, tmp_path: Path) -> None:
    rendered = render_configs(_config(reid), tmp_path / "configs")
    assert rendered.mux is None
    assert "config-file-path" not in rendered.elements["nvstreammux"]


def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing(reid: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        render_configs(_config(reid), tmp_path / "file" / "configs")
    folder = tmp_path / "configs"
    (folder / "tracker.yml").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        render_configs(_config(reid), folder)
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_rendering_twice_gives_the_same_bytes(reid: Path, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in render_configs(_config(reid), tmp_path / "configs").files]
    second = [path.read_bytes() for path in render_configs(_config(reid), tmp_path / "configs").files]
    assert first == second


def test_the_package_is_importable_without_gstreamer() -> None:
    code = (
        "import sys; sys.modules['gi'] = None; sys.modules['pyds'] = None\n"
        "import reidstream.engines.deepstream.files.nvinfer_config"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
