"""`reidstream deepstream build`: both engines where a run looks for them, with a stand-in for trtexec."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import load_config
from reidstream.engines.deepstream.files.nvinfer_config import render_configs
from reidstream.errors import ConfigError, EngineError, ModelError, ModelNotFound

Writer = Callable[..., Path]


@pytest.fixture
def settings(tmp_path: Path, write_reid: Writer, write_detector: Writer) -> list[str]:
    models = tmp_path / "read-only"
    models.mkdir()
    return [
        f"embedding.model={write_reid(models / 'osnet.onnx')}",
        "embedding.batch=12",
        "deepstream.pgie.preset=peoplenet",
        f"deepstream.pgie.model={write_detector(models / 'peoplenet.onnx')}",
    ]


@pytest.fixture
def trtexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trtexec that writes its engine, and notes how often it was called."""
    program = tmp_path / "bin" / "trtexec"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "options = dict(a.split('=', 1) for a in sys.argv[1:] if '=' in a)\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(options['--onnx'] + '\\n')\n"
        "open(options['--saveEngine'], 'w').write('engine')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "calls"


def build(settings: list[str], *arguments: str) -> Any:
    given = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["deepstream", "build", *arguments, *given, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_both_engines_come_to_lie_where_the_rendered_files_look_for_them(
    tmp_path: Path, settings: list[str], trtexec: Path
) -> None:
    settings = [*settings, f"deepstream.models={tmp_path / 'volume'}"]
    built = build(settings, "rtsp://10.0.0.7/a", "rtsp://10.0.0.7/b")
    assert [engine["built"] for engine in built] == [True, True]
    config = load_config(None, settings)
    config = config.model_copy(update={"sources": load_config(None, [
        'sources=[{uri="rtsp://10.0.0.7/a"},{uri="rtsp://10.0.0.7/b"}]']).sources})  # fmt: skip
    rendered = render_configs(config, tmp_path / "configs")
    assert [Path(engine["engine"]) for engine in built] == [rendered.pgie_engine, rendered.reid_engine]
    for path in (rendered.pgie_engine, rendered.reid_engine):
        assert path.is_file() and path.parent == tmp_path / "volume"
    assert rendered.pgie_engine.name.endswith("_b2_gpu0_fp16.engine"), "for so many sources"
    assert (tmp_path / "volume" / "osnet.onnx").is_file(), "nobody had to copy it"


def test_what_is_there_is_not_built_again_unless_its_model_is_newer(
    tmp_path: Path, settings: list[str], trtexec: Path
) -> None:
    settings = [*settings, f"deepstream.models={tmp_path / 'volume'}"]
    build(settings)
    assert [engine["there"] for engine in build(settings)] == [True, True]
    assert len(trtexec.read_text().splitlines()) == 2
    engine = next((tmp_path / "volume").glob("osnet*.engine"))
    os.utime(engine, (1, 1))
    assert [engine["built"] for engine in build(settings)] == [False, True]
    assert [engine["built"] for engine in build(settings, "--force")] == [True, True]


@pytest.mark.setting("deepstream.models")
def test_the_image_names_the_folder_once(
    tmp_path: Path, settings: list[str], trtexec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable stands in for the setting, which wins where it says something."""
    monkeypatch.setenv("REIDSTREAM_DEEPSTREAM_MODELS", str(tmp_path / "image"))
    assert {Path(engine["engine"]).parent for engine in build(settings)} == {tmp_path / "image"}
    assert render_configs(load_config(None, settings), tmp_path / "a").reid_onnx.parent == tmp_path / "image"
    told = [*settings, f"deepstream.models={tmp_path / 'own'}"]
    assert render_configs(load_config(None, told), tmp_path / "b").reid_onnx.parent == tmp_path / "own"


def test_a_single_build_copies_its_model_too(tmp_path: Path, settings: list[str], trtexec: Path) -> None:
    """It used to say that the file is not there yet."""
    given = [p for s in [*settings, f"deepstream.models={tmp_path / 'volume'}"] for p in ("--set", s)]
    result = CliRunner().invoke(app, ["models", "build", *given, "--json"], catch_exceptions=False)
    assert Path(json.loads(result.stdout)["engine"]).parent == tmp_path / "volume"


def test_a_dry_run_builds_nothing(tmp_path: Path, settings: list[str], trtexec: Path) -> None:
    shown = build(settings, "--dry-run")
    assert all("trtexec" in engine["command"] for engine in shown)
    assert not trtexec.exists()
    assert not list(tmp_path.rglob("*.engine"))


def test_a_detector_that_is_not_here_is_named_before_anything_is_built(
    tmp_path: Path, settings: list[str], trtexec: Path
) -> None:
    with pytest.raises(ModelNotFound, match=r"resnet18_trafficcamnet_pruned.onnx is not on this machine"):
        build([s for s in settings if "pgie" not in s])
    assert not trtexec.exists()


def test_a_failing_build_says_so(tmp_path: Path, settings: list[str], trtexec: Path) -> None:
    program = tmp_path / "bin" / "trtexec"
    program.write_text(f"#!{sys.executable}\nprint('no memory')\nraise SystemExit(1)\n")
    with pytest.raises(EngineError, match="no memory"):
        build(settings)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, settings: list[str], trtexec: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match=r"deepstream\.models"):
        build([*settings, f"deepstream.models={blocked / 'models'}"])


def test_int8_takes_an_engine_that_was_built_here_and_says_what_nvinfer_would_do(
    tmp_path: Path, settings: list[str], trtexec: Path
) -> None:
    """Without a calibration nvinfer builds FP16 of any model, under another name, at every start."""
    quantised = [*settings, "deepstream.sgie.precision=int8"]
    rendered = render_configs(load_config(None, quantised), tmp_path / "a")
    (warning,) = [text for text in rendered.warnings if "deepstream.sgie.precision" in text]
    assert "reidstream deepstream build" in warning
    with pytest.raises(ModelError, match="is not quantised"):
        build(quantised)
    rendered.reid_engine.write_text("engine")
    again = render_configs(load_config(None, quantised), tmp_path / "a")
    assert not [text for text in again.warnings if "deepstream.sgie.precision" in text]
