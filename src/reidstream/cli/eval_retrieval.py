"""``reidstream eval retrieval``: how well a Re-ID model finds people again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reidstream.cli.common import console, print_json

if TYPE_CHECKING:
    from reidstream.evaluation.market1501 import ImageFiles
    from reidstream.evaluation.report import Case
    from reidstream.evaluation.retrieval import LabelledImages, RetrievalScores

_WORST, _ANSWERS = 12, 9


def retrieval(
    folder: Path = typer.Argument(
        ...,
        metavar="FOLDER",
        help="A folder with query/ and bounding_box_test/, files <person>_c<camera>..., as Market-1501.",
    ),
    reid: str | None = typer.Option(
        None, "--reid", help="Re-ID model: a name or an ONNX file; default: as configured."
    ),
    config: Path | None = typer.Option(None, "--config", "-c", help="TOML file with settings."),
    settings: list[str] | None = typer.Option(None, "--set", "-s", help="A setting, as section.key=value; repeatable."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Also write the JSON report to this file."),
    html: Path | None = typer.Option(None, "--html", help="Also write a page with plots and the worst queries."),
    json_output: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Score a Re-ID model on a benchmark folder: mAP, Rank-1/5/10/20 and mINP by the rules of Market-1501.

    Example: reidstream eval retrieval Market-1501-v15.09.15 --reid person-reid --html report.html

    Images of person -1 are left out, those of the query's own camera do not count; numbers agree with torchreid.
    """
    from rich.progress import Progress

    from reidstream.config import load_config
    from reidstream.errors import SourceBroken
    from reidstream.evaluation.market1501 import embedded, read_folder
    from reidstream.evaluation.report import write_html, write_json
    from reidstream.evaluation.retrieval import score_retrieval
    from reidstream.inference import open_embedder
    from reidstream.models import resolve_model

    tree = load_config(config, settings or [])
    files = read_folder(folder)
    model = resolve_model(reid or tree.embedding.model, "reid")
    embedder = open_embedder(model, tree.embedding, tree.local.device)
    shown = console()
    with Progress(console=shown, disable=json_output or not shown.is_terminal, transient=True) as bars:
        task = bars.add_task("images", total=sum(map(len, files)))
        done = 0

        def progress(count: int) -> None:
            bars.update(task, completed=done + count)

        queries = embedded(files[0], embedder, progress)
        done = len(queries)
        gallery = embedded(files[1], embedder, progress)
    try:
        scores = score_retrieval(queries, gallery)
    except ValueError as error:
        raise SourceBroken(f"{folder}: {error}") from None
    report = {
        "folder": str(folder),
        "scores": scores.as_dict(),
        "models": {"embedding": {"name": model.spec.name, "sha256": model.sha256, "space": embedder.space.fingerprint}},
        "config": tree.model_dump(mode="json", include={"embedding", "local"}),
    }
    if out is not None:
        write_json(out, report)
    if html is not None:
        from reidstream.evaluation import plots
        from reidstream.evaluation.report import Chapter, Table

        precision = scores.average_precision[scores.average_precision >= 0]
        write_html(
            html,
            f"Retrieval on {folder.name}",
            f"{model.spec.name}: {scores.queries} queries, {scores.gallery} gallery images",
            [Table("Scores", ("", model.spec.name), tuple((k, _cell(v)) for k, v in scores.as_dict().items()))],
            [
                plots.curve("CMC", "rank", range(1, len(scores.cmc) + 1), scores.cmc),
                plots.histogram("Average precision of the queries", "", {"queries": precision}, 0, 1, 20),
            ],
            [
                Chapter(
                    "Worst queries",
                    "The query, then the answers, best first; green: the right person, red: somebody else.",
                    _worst(files, queries, gallery, scores),
                )
            ],
            {key: report[key] for key in ("models", "config")},
        )
    if json_output:
        print_json(report)
        return
    from rich.table import Table as Shown

    table = Shown("", model.spec.name, box=None, pad_edge=False)
    for key, value in scores.as_dict().items():
        table.add_row(key, _cell(value))
    shown.print(table)


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _worst(
    files: tuple[ImageFiles, ImageFiles],
    queries: LabelledImages,
    gallery: LabelledImages,
    scores: RetrievalScores,
) -> tuple[Case, ...]:
    """The queries with the least average precision, with their first answers."""
    import numpy as np

    from reidstream.evaluation.report import Case, Picture
    from reidstream.evaluation.retrieval import answers

    cases = []
    answered = np.flatnonzero(scores.average_precision >= 0)
    order = answered[np.argsort(scores.average_precision[answered], kind="stable")]
    for row in order[:_WORST].tolist():
        pictures = [Picture(_jpeg(files[0].paths[row]), f"query: {files[0].paths[row].name}")]
        for place, (k, similarity, right) in enumerate(answers(queries, gallery, row, _ANSWERS), start=1):
            path = files[1].paths[k]
            pictures.append(Picture(_jpeg(path), f"{place}: {similarity:.2f} {path.name}", "good" if right else "bad"))
        title = f"person {queries.persons[row]}: average precision {scores.average_precision[row]:.3f}"
        cases.append(Case(title, tuple(pictures)))
    return tuple(cases)


def _jpeg(path: Path) -> bytes:
    import cv2

    from reidstream.evaluation.market1501 import read_image

    if path.suffix.lower() in (".jpg", ".jpeg"):
        return path.read_bytes()
    return cv2.imencode(".jpg", read_image(path))[1].tobytes()
