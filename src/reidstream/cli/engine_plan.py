"""Which engine ``reidstream models build`` builds: the one that the configured pipeline looks for."""

from __future__ import annotations

import tempfile
from pathlib import Path

from reidstream.config import Config
from reidstream.errors import ConfigError, ModelNotFound
from reidstream.models.engine_build import EnginePlan, Mode, plan_engine


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
            raise ConfigError("--detector takes the configured detector: set deepstream.pgie.model instead of a name")
        onnx, default_batch = _detector(config)
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


def _reid(config: Config, model: str | None) -> tuple[Path, tuple[int, int] | None]:
    from reidstream.models.resolving import resolve_model

    resolved = resolve_model(model or config.deepstream.sgie.model or config.embedding.model, "reid")
    if config.deepstream.models is None or model is not None:
        return resolved.path, resolved.spec.input_size
    copied = Path(config.deepstream.models).expanduser() / resolved.path.name
    if not copied.is_file():
        raise ModelNotFound(f"{copied} is not there yet: `reidstream deepstream config` copies {resolved.path} to it")
    return copied, resolved.spec.input_size


def _detector(config: Config) -> tuple[Path, int]:
    from reidstream.engines.deepstream.files.nvinfer_config import render_configs

    with tempfile.TemporaryDirectory(prefix="reidstream-") as folder:
        rendered = render_configs(config, Path(folder))
    return rendered.pgie_onnx, config.deepstream.pgie.batch or rendered.batch
