"""Building engines: which command, and what becomes of its process, with a stand-in for trtexec."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from reidstream.cli.engine_plan import plan_from_config
from reidstream.config import load_config
from reidstream.errors import ConfigError, EngineError, MissingDependency, ModelError, ModelMismatch
from reidstream.models.engine_build import build_engine, plan_engine


def network(path: Path, batch: int | str = "batch", size: tuple[int | str, int | str] = (8, 4)) -> Path:
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["images"], ["means"]), helper.make_node("Flatten", ["means"], ["out"])],
        "means",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, *size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def trtexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trtexec on the PATH; the tests write what it does."""
    program = tmp_path / "bin" / "trtexec"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


def behave(program: Path, body: str) -> None:
    program.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{body}\n")
    program.chmod(0o755)


WRITE = "open([a for a in sys.argv if a.startswith('--saveEngine=')][0][13:], 'w').write('engine')\n"


def test_plan_names_the_engine_as_nvinfer_does_and_covers_every_batch(tmp_path: Path) -> None:
    plan = plan_engine(network(tmp_path / "reid.onnx"), 16, mode="fp16", best_batch=8, gpu=1, workspace=2048)
    assert plan.engine == tmp_path / "reid.onnx_b16_gpu1_fp16.engine"
    assert plan.arguments == (
        f"--onnx={tmp_path}/reid.onnx",
        f"--saveEngine={tmp_path}/reid.onnx_b16_gpu1_fp16.engine",
        "--minShapes=images:1x3x8x4",
        "--optShapes=images:8x3x8x4",
        "--maxShapes=images:16x3x8x4",
        "--fp16",
        "--memPoolSize=workspace:2048",
        "--device=1",
        "--skipInference",
    )


def test_plan_takes_everything_from_the_configuration(tmp_path: Path) -> None:
    model = network(tmp_path / "reid.onnx")
    (tmp_path / "reid.onnx.toml").write_text("[preprocessing]\n")
    settings = [f'embedding.model="{model}"', "embedding.batch=12", "deepstream.gpu_id=2"]
    plan = plan_from_config(load_config(overrides=[*settings, 'deepstream.sgie.precision="fp32"']))
    assert plan.engine.name == "reid.onnx_b12_gpu2_fp32.engine"
    assert "--maxShapes=images:12x3x8x4" in plan.arguments and "--fp16" not in plan.arguments
    plan = plan_from_config(load_config(overrides=[*settings, "deepstream.sgie.batch=3"]), mode="best")
    assert plan.engine.name == "reid.onnx_b3_gpu2_best.engine" and "--best" in plan.arguments
    with pytest.raises(ConfigError, match="configured detector"):
        plan_from_config(load_config(), "reid", detector=True)


def test_plan_refuses_what_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=r"fixed to a batch of 4[\s\S]*models prepare"):
        plan_engine(network(tmp_path / "fixed.onnx", batch=4), 16)
    assert not any("Shapes" in a for a in plan_engine(tmp_path / "fixed.onnx", 4).arguments)
    with pytest.raises(ModelMismatch, match="leaves the size"):
        plan_engine(network(tmp_path / "open.onnx", size=("h", "w")), 4)
    assert "--maxShapes=images:4x3x8x4" in plan_engine(tmp_path / "open.onnx", 4, input_size=(8, 4)).arguments
    good = network(tmp_path / "good.onnx")
    with pytest.raises(ModelError, match="not quantised"):
        plan_engine(good, 4, mode="int8")
    with pytest.raises(ModelError, match="no calibration cache"):
        plan_engine(good, 4, mode="int8", calibration=tmp_path / "none.bin")
    (tmp_path / "cal.bin").write_bytes(b"cache")
    calibrated = plan_engine(good, 4, mode="int8", calibration=tmp_path / "cal.bin").arguments
    # What has no scale, or no form in INT8, is computed in FP16 and not in FP32.
    assert {"--int8", "--fp16"} < set(calibrated) and f"--calib={tmp_path / 'cal.bin'}" in calibrated
    with pytest.raises(ModelError, match="between 1 and the largest"):
        plan_engine(good, 4, best_batch=5)


def test_missing_trtexec_gives_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("reidstream.models.engine_build._KNOWN_PLACES", ())
    plan = plan_engine(network(tmp_path / "reid.onnx"), 4)
    with pytest.raises(MissingDependency, match=r"not on this machine[\s\S]*trtexec --onnx="):
        build_engine(plan, print)
    assert not plan.log.exists()


def test_build_writes_engine_and_log_and_passes_lines_on(tmp_path: Path, trtexec: Path) -> None:
    behave(trtexec, "print('[I] building'); print('[W] odd \\udc80', file=sys.stderr, end='')\n" + WRITE)
    plan = plan_engine(network(tmp_path / "reid.onnx"), 4)
    told: list[str] = []
    build_engine(plan, told.append)
    assert plan.engine.read_text() == "engine"
    assert "[I] building" in told and any(line.startswith("[W] odd") for line in told)
    log = plan.log.read_text()
    assert log.startswith(f"$ {plan.command}\n") and "[I] building" in log
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"} == set()


def test_silence_is_filled_with_progress(tmp_path: Path, trtexec: Path) -> None:
    behave(trtexec, "time.sleep(0.5)\n" + WRITE)
    told: list[str] = []
    build_engine(plan_engine(network(tmp_path / "reid.onnx"), 4), told.append, silence=0.05)
    assert any("trying kernels" in line for line in told)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("print('[E] no GPU here'); sys.exit(3)", r"failed with exit code 3[\s\S]*\[E\] no GPU here"),
        (WRITE + "os.kill(os.getpid(), signal.SIGKILL)", r"ended by SIGKILL[\s\S]*--workspace"),
        ("pass", "wrote no engine"),
    ],
)
def test_failed_build_leaves_only_the_log(tmp_path: Path, trtexec: Path, body: str, problem: str) -> None:
    behave(trtexec, body)
    plan = plan_engine(network(tmp_path / "reid.onnx"), 4)
    with pytest.raises(EngineError, match=problem):
        build_engine(plan, lambda line: None)
    assert {path.name for path in tmp_path.glob("*reid*")} == {"reid.onnx", plan.log.name}


def test_program_that_cannot_be_run_is_an_error(tmp_path: Path, trtexec: Path) -> None:
    trtexec.write_bytes(b"\x7fELF not for this machine")
    trtexec.chmod(0o755)
    with pytest.raises(EngineError, match="cannot be built"):
        build_engine(plan_engine(network(tmp_path / "reid.onnx"), 4), print)


def test_interrupted_build_leaves_no_process(tmp_path: Path, trtexec: Path) -> None:
    pid_file = tmp_path / "pid"
    behave(
        trtexec, f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\nprint('started', flush=True)\ntime.sleep(60)"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    plan = plan_engine(network(tmp_path / "reid.onnx"), 4)
    with pytest.raises(KeyboardInterrupt):
        build_engine(plan, interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert not plan.engine.exists()


def test_dry_run_on_the_command_line_runs_nothing(tmp_path: Path, trtexec: Path) -> None:
    behave(trtexec, f"open({str(tmp_path / 'ran')!r}, 'w')")
    model = network(tmp_path / "reid.onnx")
    (tmp_path / "reid.onnx.toml").write_text("[preprocessing]\n")
    done = subprocess.run(
        [sys.executable, "-m", "reidstream", "models", "build", str(model), "--batch", "2", "--dry-run"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{trtexec} --onnx={model}" in done.stdout and "would write" in done.stdout
    assert not (tmp_path / "ran").exists()
