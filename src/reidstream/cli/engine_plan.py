"""Which engines are built: those that the configured pipeline looks for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from reidstream.config import Config
from reidstream.errors import ConfigError, ModelNotFound
from reidstream.models.engine_build import EnginePlan, Mode, plan_engine

if TYPE_CHECKING:
    from reidstream.engines.deepstream.files.gie_keys import Network


def plan_from_config(
    config: Config,
    model: str | None = None,
    *,
    detector: bool = False,
    mode: Mode | None = None,
    batch: int | None = None,
    best_batch: int | None = None,
    calibration: Path | None = None,
    workspace: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> EnginePlan:
    """The plan for the configured Re-ID network, or with ``detector`` for the configured PGIE.

    model: another name or path than the configured one. Arguments that are None come from the configuration, so that
    the engine is the one that nvinfer looks for. Raises ConfigError and ModelError.
    """
    deepstream = config.deepstream
    section = deepstream.pgie if detector else deepstream.sgie
    if calibration is None and section.calibration is not None:
        calibration = Path(section.calibration).expanduser()
    if detector:
        if model is not None:
            raise ConfigError("--pgie builds the configured detector: set deepstream.pgie.model instead of a name")
        network = _detector(config)
        onnx, default_batch = network.onnx, network.batch
        input_size = input_size or network.size
        if calibration is None and network.calibration is not None and (mode or section.precision) == "int8":
            calibration = Path(network.calibration).expanduser()
    else:
        onnx, size = _reid(config, model)
        default_batch = deepstream.sgie.batch or config.embedding.batch
        input_size = input_size or size
    return plan_engine(
        onnx,
        batch or default_batch,
        mode=mode or section.precision,
        best_batch=best_batch,
        gpu=deepstream.gpu_id,
        input_size=input_size,
        calibration=calibration,
        workspace=workspace,
    )


def plans_from_config(config: Config, workspace: int | None = None) -> list[EnginePlan]:
    """Both engines that the configured pipeline looks for, the detector's first."""
    return [plan_from_config(config, detector=detector, workspace=workspace) for detector in (True, False)]


def is_built(plan: EnginePlan) -> bool:
    """Whether the engine is there and not older than its model."""
    try:
        return plan.engine.stat().st_mtime >= plan.onnx.stat().st_mtime and plan.engine.stat().st_size > 0
    except OSError:
        return False


def _reid(config: Config, model: str | None) -> tuple[Path, tuple[int, int] | None]:
    from reidstream.engines.deepstream.files.model_places import in_place
    from reidstream.models.resolving import resolve_model

    resolved = resolve_model(model or config.deepstream.sgie.model or config.embedding.model, "reid")
    # One that is named for this command alone is built where it lies.
    return resolved.path if model is not None else in_place(resolved.path, config, []), resolved.spec.input_size


def _detector(config: Config) -> Network:
    from reidstream.engines.deepstream.files.nvinfer_config import render_configs

    with tempfile.TemporaryDirectory(prefix="reidstream-") as folder:
        rendered = render_configs(config, Path(folder))
    if not rendered.pgie_onnx.is_file():
        raise ModelNotFound(
            f"the detector {rendered.pgie_onnx} is not on this machine: NVIDIA's come with DeepStream's samples image "
            "(trafficcamnet) or are downloaded (peoplenet); deepstream.pgie.model names another"
        )
    return rendered.detector
