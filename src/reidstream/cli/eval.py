"""``reidstream eval``: how good the answers are, against a truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.eval_gallery import gallery
from reidstream.cli.eval_retrieval import retrieval
from reidstream.cli.options import CONFIG, DETECTOR, JSON, REID, REPORT, SETTINGS, given, page
from reidstream.cli.terminal import TerminalTable

if TYPE_CHECKING:
    from reidstream.config import Config
    from reidstream.evaluation.motchallenge import TrackedBoxes
    from reidstream.evaluation.sequences import LabelledSequence
    from reidstream.evaluation.tracking import TrackingScores

app = typer.Typer(no_args_is_help=True)
app.command()(retrieval)
app.command()(gallery)

COLUMNS = {
    "HOTA": "hota",
    "DetA": "deta",
    "AssA": "assa",
    "LocA": "loca",
    "IDF1": "idf1",
    "MOTA": "mota",
    "MOTP": "motp",
    "recall": "recall",
    "precision": "precision",
    "switches": "switches",
    "fragments": "fragments",
    "MT": "mostly_tracked",
    "ML": "mostly_lost",
}
PIPED_WIDTH = 200
"""Characters a line when nobody says how wide the reader is."""


@app.callback()
def _eval() -> None:
    """Measure against a truth.

    Example: reidstream eval tracking MOT17/train
    """


@app.command()
def tracking(
    folder: Path = typer.Argument(
        ..., metavar="FOLDER", help="A MOTChallenge sequence (img1/ or a video, with gt/gt.txt), or a folder of them."
    ),
    tracks: Path | None = typer.Option(
        None, "--tracks", help="Score the files <sequence>.txt in this folder instead of tracking here."
    ),
    write: Path | None = typer.Option(None, "--write", help="Also write the tracks found, as <sequence>.txt, here."),
    detector: str | None = DETECTOR,
    reid: str | None = REID,
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    out: Path | None = REPORT,
    html: Path | None = page("Also write a page with plots and the worst cases.", "--html"),
    json_output: bool = JSON,
) -> None:
    """Score tracks against MOTChallenge ground truth: HOTA, IDF1, MOTA and what they are made of.

    Example: reidstream eval tracking MOT17/train --detector street.onnx --set tracker.timeout=3

    The numbers agree with TrackEval. Fractions are 0 to 1; MT and ML count people mostly tracked and mostly lost.
    """
    from reidstream.config import load_config
    from reidstream.errors import ConfigError
    from reidstream.evaluation.motchallenge import read_ground_truth, write_tracks
    from reidstream.evaluation.sequences import find_sequences
    from reidstream.evaluation.tracking import combined, count_tracks, scores

    models = given(detector__model=detector, embedding__model=reid)
    if tracks is not None and (config is not None or settings or models or write is not None):
        raise ConfigError(
            "--tracks scores files that are there already; --detector, --reid, --config, --set and --write do not go "
            "with it"
        )
    tree = load_config(config, [*(settings or []), *models])
    sequences = find_sequences(folder)
    truths = [read_ground_truth(sequence.truth) for sequence in sequences]
    report: dict[str, Any] = {}
    if tracks is not None:
        answers = _read(sequences, tracks)
        report["tracks"] = str(tracks)
    else:
        answers, report["models"] = _found(sequences, tree, quiet=json_output)
        report["config"] = tree.model_dump(mode="json", include={"detector", "tracker", "embedding", "local"})
        if write is not None:
            write.mkdir(parents=True, exist_ok=True)
            for sequence, answer in zip(sequences, answers, strict=True):
                write_tracks(write / f"{sequence.name}.txt", answer)
    counts = [count_tracks(truth, answer) for truth, answer in zip(truths, answers, strict=True)]
    results = {sequence.name: scores(count) for sequence, count in zip(sequences, counts, strict=True)}
    total = combined(counts)
    report["sequences"] = {name: result.as_dict() for name, result in results.items()}
    report["combined"] = total.as_dict()
    if out is not None:
        from reidstream.evaluation.report import write_json

        write_json(out, report)
    columns, rows = ("sequence", *COLUMNS), _rows(results, total)
    if html is not None:
        from reidstream.evaluation.report import Table
        from reidstream.evaluation.tracking_report import write_tracking_report

        facts = {key: value for key, value in report.items() if key in {"models", "config", "tracks"}}
        table = Table("Scores", columns, rows)
        write_tracking_report(html, sequences, truths, answers, counts, table, facts)
    if json_output:
        print_json(report)
    else:
        _print_table(columns, rows)


def _read(sequences: list[LabelledSequence], folder: Path) -> list[TrackedBoxes]:
    from reidstream.errors import SourceNotFound
    from reidstream.evaluation.motchallenge import read_tracks

    missing = [s.name for s in sequences if not (folder / f"{s.name}.txt").is_file()]
    if missing:
        raise SourceNotFound(f"{folder}: expected {', '.join(f'{name}.txt' for name in missing)}, one file a sequence")
    return [read_tracks(folder / f"{sequence.name}.txt") for sequence in sequences]


def _found(
    sequences: list[LabelledSequence], tree: Config, quiet: bool
) -> tuple[list[TrackedBoxes], dict[str, dict[str, str]]]:
    """The engine's tracks of each sequence, and the models that made them."""
    from rich.progress import Progress, TaskID

    from reidstream.evaluation.sequences import tracked_by_engine
    from reidstream.inference import open_detector, open_embedder
    from reidstream.models import resolve_model
    from reidstream.runtime import see_only

    for sequence in sequences:
        _ = sequence.frames  # a missing video shows now, not after an hour
    models = {
        "detector": resolve_model(tree.detector.model, "detector"),
        "embedding": resolve_model(tree.embedding.model, "reid"),
    }
    see_only(tree.local.device, tree.local.gpus)
    detector = open_detector(models["detector"], tree.detector, tree.local.device)
    embedder = open_embedder(models["embedding"], tree.embedding, tree.local.device, half=tree.local.half)
    answers = []
    shown = console()
    with Progress(console=shown, disable=quiet or not shown.is_terminal, transient=True) as bars:
        for sequence in sequences:
            task = bars.add_task(sequence.name, total=None)

            def progress(frame: int, task: TaskID = task) -> None:
                bars.update(task, completed=frame + 1)

            answers.append(tracked_by_engine(sequence, tree, detector, embedder, progress))
    return answers, {key: {"name": m.spec.name, "sha256": m.sha256} for key, m in models.items()}


def _rows(results: dict[str, TrackingScores], total: TrackingScores) -> tuple[tuple[str, ...], ...]:
    """The table's rows: one per sequence, and all together if there are several."""
    named = list(results.items()) + ([("all", total)] if len(results) > 1 else [])
    rows = []
    for name, result in named:
        values = (getattr(result, attribute) for attribute in COLUMNS.values())
        rows.append((name, *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in values)))
    return tuple(rows)


def _print_table(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:

    table = TerminalTable(columns[0])
    for name in columns[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    shown = console()
    if not shown.is_terminal:
        shown.width = PIPED_WIDTH
    shown.print(table)
