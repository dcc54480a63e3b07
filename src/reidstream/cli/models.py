"""``reidstream models``: which models there are, getting them, and making them deployable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import CONFIG, JSON, SETTINGS
from reidstream.cli.terminal import TerminalConsole, TerminalTable
from reidstream.errors import ConfigError, ModelNotFound

if TYPE_CHECKING:
    from reidstream.models.exporting import Description, WrittenModel
    from reidstream.models.manifest import KnownModel
    from reidstream.models.resolving import Task

app = typer.Typer(
    help="Known models, fetching them, and making your own deployable.",
    no_args_is_help=True,
)

NAME = typer.Option(
    None, help="What the model is to be called; from the manifest or the file name.", show_default=False
)
MEAN = typer.Option(None, metavar="R,G,B", help="Subtracted per channel, on the 0-255 scale.", show_default=False)
STD = typer.Option(None, metavar="R,G,B", help="Divided by per channel, on the 0-255 scale.", show_default=False)
COLOR = typer.Option(None, metavar="RGB|BGR", help="Channel order that the network wants.", show_default=False)
SIZE = typer.Option(None, metavar="HEIGHTxWIDTH", help="Size of the network's input.", show_default=False)
TRAINING = typer.Option(None, "--training-data", help="What the weights were trained on.", show_default=False)
TERMS = typer.Option(None, help="Under which terms weights and training data may be used.", show_default=False)
HALF = typer.Option(False, "--fp16", help="Compute in FP16; input and output stay FP32.")
IMAGES = typer.Option(None, help="Folder of real crops for the comparison; made-up people otherwise.")
FORCE = typer.Option(False, "--force", help="Overwrite the result if it exists.")


@app.command("list")
def list_command(as_json: bool = JSON) -> None:
    """Show the known models and which of them are on this machine.

    Example: reidstream models list
    """

    from reidstream.models.manifest import load_manifest

    entries = load_manifest()
    if as_json:
        print_json([_as_dict(entry) for entry in entries.values()])
        return
    out = console()
    if not out.is_terminal:
        for entry in entries.values():
            spec = entry.spec
            out.print(f"{spec.name}\t{spec.task}\t{_state(entry)}\t{spec.training_data}\t{spec.terms}", markup=False)
        return
    table = TerminalTable(box=None, pad_edge=False)
    for title in ("name", "task", "here", "trained on", "terms"):
        table.add_column(title)
    for entry in entries.values():
        table.add_row(entry.spec.name, entry.spec.task, _state(entry), entry.spec.training_data, entry.spec.terms)
    out.print(table)


@app.command("show")
def show_command(
    model: str = typer.Argument(..., help="Name from the manifest, or path of an ONNX file."), as_json: bool = JSON
) -> None:
    """Say everything that is known about a model.

    Example: reidstream models show person-reid
    """
    from reidstream.models.manifest import load_manifest
    from reidstream.models.resolving import describe_path, resolve_entry

    entry = load_manifest().get(model)
    if entry is not None:
        shown = _as_dict(entry)
        if entry.found() is not None:
            shown["checksum"] = "right" if resolve_entry(entry).sha256 else ""
    else:
        resolved = describe_path(model)
        shown = {"path": str(resolved.path), **resolved.spec.model_dump(mode="json"), "sha256": resolved.sha256}
    if as_json:
        print_json(shown)
        return
    out = console()
    for key, value in shown.items():
        if value not in (None, "", [], {}):
            out.print(f"{key:<15} {_words(value)}", markup=False, highlight=False)


@app.command("fetch")
def fetch_command(
    names: list[str] = typer.Argument(..., help="Names from the manifest."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Show no progress."),
    as_json: bool = JSON,
) -> None:
    """Fetch models into the cache: resumable, checked by sha256, from the mirror folder if REIDSTREAM_MODELS names one.

    Example: reidstream models fetch osnet_x0_25_msmt17
    """
    from reidstream.models.fetching import fetch_model
    from reidstream.models.manifest import load_manifest

    entries = load_manifest()
    unknown = [name for name in names if name not in entries]
    if unknown:
        raise ModelNotFound(f"no model is called {', '.join(unknown)}; `reidstream models list` shows the known ones")
    fetched = []
    for name in names:
        with _Download(name, shown=not (quiet or as_json)) as progress:
            model, now = fetch_model(entries[name], progress)
        fetched.append({"name": name, "path": str(model.path), "sha256": model.sha256, "fetched": now})
        if not as_json:
            console().print(f"{name}: {'fetched to' if now else 'already at'} {model.path}", markup=False)
    if as_json:
        print_json(fetched)


@app.command("export")
def export_command(
    source: Path = typer.Argument(..., help="Checkpoint of an OSNet (.pth, .pth.tar, .pt, .safetensors), or its ONNX."),
    output: Path = typer.Option(..., "--output", "-o", help="The ONNX file to write."),
    architecture: str | None = typer.Option(None, help="Such as osnet_x0_25; found from the weights when left out."),
    name: str | None = NAME,
    training_data: str | None = TRAINING,
    terms: str | None = TERMS,
    mean: str | None = MEAN,
    std: str | None = STD,
    color: str | None = COLOR,
    size: str | None = SIZE,
    fp16: bool = HALF,
    bare: bool = typer.Option(
        False, "--bare", help="Leave preprocessing and normalisation to unit length out of the graph."
    ),
    yes_imagenet: bool = typer.Option(
        False, "--yes-imagenet", help="Export weights trained on ImageNet alone, which know no people."
    ),
    images: Path | None = IMAGES,
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Turn an OSNet checkpoint into one deployable ONNX file, and prove that it computes the same.

    Preprocessing is torchreid's (ImageNet mean and std) unless --mean and --std say otherwise.

    Example: reidstream models export osnet_x0_25_market1501.pt -o reid.onnx --images crops/
    """
    from reidstream.models.exporting import export_checkpoint

    said = _described(name, training_data, terms, mean, std, color, size)
    written = export_checkpoint(
        source.expanduser(),
        output.expanduser(),
        said,
        architecture=architecture,
        half=fp16,
        bare=bare,
        imagenet=yes_imagenet,
        images=images,
        overwrite=force,
    )
    _show_written(written, as_json)


@app.command("prepare")
def prepare_command(
    source: Path = typer.Argument(..., help="Somebody else's ONNX file."),
    output: Path = typer.Option(..., "--output", "-o", help="The ONNX file to write."),
    task: str | None = typer.Option(None, metavar="reid|detector", help="What it does.", show_default="manifest, reid"),
    output_name: str | None = typer.Option(None, help="The output to keep, if there are several."),
    name: str | None = NAME,
    training_data: str | None = TRAINING,
    terms: str | None = TERMS,
    mean: str | None = MEAN,
    std: str | None = STD,
    color: str | None = COLOR,
    size: str | None = SIZE,
    family: str | None = typer.Option(None, help="How a detector's output is read."),
    classes: str | None = typer.Option(None, metavar="A,B,...", help="A detector's class names, in order."),
    fp16: bool = HALF,
    images: Path | None = IMAGES,
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Turn any ONNX model into the form that is deployed: one file, any batch, raw RGB in, unit-length vectors out.

    Example: reidstream models prepare theirs.onnx -o reid.onnx --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375
    """
    from reidstream.models.preparing import prepare_model

    tasks: dict[str, Task] = {"reid": "reid", "detector": "detector"}
    if task is not None and task not in tasks:
        raise ConfigError(f"--task must be reid or detector, got {task!r}")
    said = _described(name, training_data, terms, mean, std, color, size, family, classes)
    written = prepare_model(
        source.expanduser(),
        output.expanduser(),
        said,
        task=None if task is None else tasks[task],
        output_name=output_name,
        half=fp16,
        images=images,
        overwrite=force,
    )
    _show_written(written, as_json)


@app.command("build")
def build_command(
    model: str | None = typer.Argument(None, help="Name or ONNX path; the configured Re-ID model when left out."),
    pgie: bool = typer.Option(False, "--pgie", help="Build the configured detector (PGIE) instead."),
    config: Path | None = CONFIG,
    override: list[str] | None = SETTINGS,
    mode: str | None = typer.Option(None, metavar="fp32|fp16|int8|best", help="Instead of the configured precision."),
    batch: int | None = typer.Option(None, min=1, max=1024, help="Instead of the configured batch."),
    best_batch: int | None = typer.Option(None, min=1, help="The batch to tune for; the largest when left out."),
    calibration: Path | None = typer.Option(None, help="INT8 calibration cache."),
    workspace: int | None = typer.Option(None, min=1, help="MiB that TensorRT may use while it tries kernels."),
    size: str | None = SIZE,
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show the command."),
    as_json: bool = JSON,
) -> None:
    """Build the TensorRT engine that nvinfer looks for, with the shapes that the pipeline runs with.

    Example: reidstream models build --config reidstream.toml --dry-run
    """
    from reidstream.cli.engine_plan import plan_from_config
    from reidstream.config import load_config
    from reidstream.models.engine_build import MODES, build_engine

    if mode is not None and mode not in MODES:
        raise ConfigError(f"--mode must be one of {', '.join(MODES)}, got {mode!r}")
    plan = plan_from_config(
        load_config(config, override or []),
        model,
        detector=pgie,
        mode=mode,
        batch=batch,
        best_batch=best_batch,
        calibration=calibration,
        workspace=workspace,
        input_size=_size(size),
    )
    shown: dict[str, Any] = {"engine": str(plan.engine), "log": str(plan.log), "command": plan.command}
    out = console()
    if not as_json:
        out.print(plan.command, markup=False, highlight=False)
    if not dry_run:
        quiet = (lambda line: None) if as_json else (lambda line: out.print(line, markup=False, highlight=False))
        shown["seconds"] = round(build_engine(plan, quiet), 1)
        if not as_json:
            out.print(f"built {plan.engine} in {shown['seconds']} s; log in {plan.log}", markup=False)
    elif not as_json:
        out.print(f"would write {plan.engine} and {plan.log}", markup=False)
    if as_json:
        print_json(shown)


def _described(
    name: str | None,
    training_data: str | None,
    terms: str | None,
    mean: str | None,
    std: str | None,
    color: str | None,
    size: str | None,
    family: str | None = None,
    classes: str | None = None,
) -> Description:
    from pydantic import ValidationError

    from reidstream.models.exporting import Description
    from reidstream.models.spec import Preprocessing

    preprocessing = None
    if mean is not None or std is not None or color is not None:
        if (mean is None) != (std is None):
            raise ConfigError("--mean and --std belong together: give both (0,0,0 and 1,1,1 change nothing)")
        given = {"mean": _numbers("--mean", mean), "std": _numbers("--std", std), "color": color and color.upper()}
        try:
            preprocessing = Preprocessing.model_validate({key: value for key, value in given.items() if value})
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"--{first['loc'][0]}: {first['msg']}, got {first['input']!r}") from None
        if 0 in preprocessing.std:
            raise ConfigError("--std must not hold zeros")
    listed = tuple(part.strip() for part in classes.split(",")) if classes else ()
    return Description(name, preprocessing, _size(size), training_data, terms, family, listed)


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 3:
        raise ConfigError(f"{option} must be three numbers such as 123.675,116.28,103.53, got {text!r}")
    return numbers


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, separator, width = text.lower().partition("x")
    if not (separator and height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise ConfigError(f"--size must look like 256x128, height first, got {text!r}")
    return int(height), int(width)


def _show_written(written: WrittenModel, as_json: bool) -> None:
    spec, parity = written.spec, written.parity
    if as_json:
        print_json(
            {
                "path": str(written.path),
                "sha256": written.sha256,
                "changes": written.changes,
                "parity": {
                    "crops": parity.crops,
                    "real": parity.real,
                    "lowest_cosine": parity.lowest_cosine,
                    "largest_error": parity.largest_error,
                    "likeness": parity.likeness,
                },
                "spec": spec.model_dump(mode="json"),
            }
        )
        return
    out = console()
    for change in written.changes:
        out.print(f"- {change}", markup=False, highlight=False)
    out.print(f"parity on {parity}", markup=False, highlight=False)
    kilobytes = written.path.stat().st_size / 1000
    out.print(f"wrote {written.path} ({kilobytes:,.0f} kB, sha256 {written.sha256})", markup=False, highlight=False)
    out.print(f"trained on: {spec.training_data or 'not stated'}", markup=False, highlight=False)


def _as_dict(entry: KnownModel) -> dict[str, Any]:
    found = entry.found()
    return {**entry.spec.model_dump(mode="json"), "path": None if found is None else str(found)}


def _state(entry: KnownModel) -> str:
    if entry.found() is not None:
        return "yes"
    return "can be fetched" if entry.spec.url else "no"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)


class _Download:
    """A progress bar on a terminal, a line every ten percent elsewhere."""

    def __init__(self, name: str, shown: bool) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        error = TerminalConsole(stderr=True)
        self._name, self._console = name, error if shown else None
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = Progress(*columns, console=error, transient=True, disable=not (shown and error.is_terminal))
        self._task = self._bar.add_task(name, total=None)
        self._tenth = 0

    def __enter__(self) -> _Download:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, have: int, total: int | None) -> None:
        self._bar.update(self._task, completed=have, total=total)
        if self._console is None or self._console.is_terminal or not total:
            return
        tenth = 10 * have // total
        if tenth > self._tenth:
            self._tenth = tenth
            self._console.print(f"{self._name}: {have:,} of {total:,} bytes", markup=False, highlight=False)
