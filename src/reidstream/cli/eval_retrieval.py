"""``reidstream eval retrieval``: how well a Re-ID model finds people again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import CONFIG, JSON, REPORT, SETTINGS, page

if TYPE_CHECKING:
    from reidstream.evaluation.market1501 import ImageFiles
    from reidstream.evaluation.report import Case
    from reidstream.evaluation.retrieval import LabelledImages, RetrievalScores
    from reidstream.gallery.reranking import Reranking

_WORST, _ANSWERS = 12, 9
_TIMED = 100


def retrieval(
    folder: Path = typer.Argument(
        ...,
        metavar="FOLDER",
        help="A folder with query/ and bounding_box_test/, files <person>_c<camera>..., as Market-1501.",
    ),
    reid: str | None = typer.Option(
        None, "--reid", help="Re-ID model: a name or an ONNX file; default: as configured."
    ),
    rerank: bool = typer.Option(False, "--rerank", help="Also score the order after k-reciprocal re-ranking."),
    k1: int = typer.Option(20, "--k1", min=1, help="Re-ranking: neighbours that may be reciprocal."),
    k2: int = typer.Option(6, "--k2", min=1, help="Re-ranking: neighbours whose encodings are averaged; k1 at most."),
    weight: float = typer.Option(0.3, "--lambda", min=0, max=1, help="Re-ranking: share of the plain distance."),
    candidates: int = typer.Option(200, "--candidates", min=2, max=1000, help="Re-ranking: first answers reordered."),
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    out: Path | None = REPORT,
    html: Path | None = page("Also write a page with plots and the worst queries.", "--html"),
    json_output: bool = JSON,
) -> None:
    """Score a Re-ID model on a benchmark folder: mAP, Rank-1/5/10/20 and mINP by the rules of Market-1501.

    Example: reidstream eval retrieval Market-1501-v15.09.15 --reid person-reid --html report.html

    Images of person -1 are left out, those of the query's own camera do not count; numbers agree with torchreid.
    """
    from rich.progress import Progress

    from reidstream.config import load_config
    from reidstream.errors import ConfigError, SourceBroken
    from reidstream.evaluation.market1501 import embedded, read_folder
    from reidstream.evaluation.report import write_html, write_json
    from reidstream.evaluation.retrieval import score_retrieval
    from reidstream.gallery.reranking import Reranking
    from reidstream.inference import open_embedder
    from reidstream.models import resolve_model
    from reidstream.runtime import see_only

    tree = load_config(config, settings or [])
    try:
        reranking = Reranking(k1, k2, weight, candidates) if rerank else None
    except ValueError as error:
        raise ConfigError(str(error)) from None
    files = read_folder(folder)
    model = resolve_model(reid or tree.embedding.model, "reid")
    see_only(tree.local.device, tree.local.gpus)
    embedder = open_embedder(model, tree.embedding, tree.local.device, half=tree.local.half)
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
        columns = {model.spec.name: scores}
        if reranking is not None:
            scores = score_retrieval(queries, gallery, reranking=reranking)
            columns["re-ranked"] = scores
    except ValueError as error:
        raise SourceBroken(f"{folder}: {error}") from None
    plain = columns[model.spec.name]
    rows = tuple(
        (key, _cell(value), *(_cell(other.as_dict()[key]) for name, other in columns.items() if other is not plain))
        for key, value in plain.as_dict().items()
    )
    report = {
        "folder": str(folder),
        "scores": plain.as_dict(),
        **(
            {}
            if reranking is None
            else {
                "reranked": scores.as_dict(),
                "reranking": {"k1": k1, "k2": k2, "lambda": weight, "candidates": candidates},
                "reranking_ms_per_query": _milliseconds(queries, gallery, reranking),
            }
        ),
        "models": {"embedding": {"name": model.spec.name, "sha256": model.sha256, "space": embedder.space.fingerprint}},
        "config": tree.model_dump(mode="json", include={"embedding", "local"}),
    }
    if out is not None:
        write_json(out, report)
    if html is not None:
        from reidstream.evaluation import plots
        from reidstream.evaluation.report import Chapter, Table

        precision = {name: found.average_precision[found.average_precision >= 0] for name, found in columns.items()}
        write_html(
            html,
            f"Retrieval on {folder.name}",
            f"{model.spec.name}: {scores.queries} queries, {scores.gallery} gallery images",
            [Table("Scores", ("", *columns), rows)],
            [
                plots.curve(
                    "CMC" + (" after re-ranking" if rerank else ""), "rank", range(1, len(scores.cmc) + 1), scores.cmc
                ),
                plots.histogram("Average precision of the queries", "", precision, 0, 1, 20),
            ],
            [
                Chapter(
                    "Worst queries",
                    "The query, then the answers, best first; green: the right person, red: somebody else.",
                    _worst(files, queries, gallery, scores, reranking),
                )
            ],
            {key: report[key] for key in ("models", "config", "reranking") if key in report},
        )
    if json_output:
        print_json(report)
        return
    from reidstream.cli.terminal import TerminalTable

    table = TerminalTable("", *columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    shown.print(table)
    if reranking is not None:
        shown.print(f"re-ranking: {report['reranking_ms_per_query']:.1f} ms per query")


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _milliseconds(queries: LabelledImages, gallery: LabelledImages, reranking: Reranking) -> float:
    """What re-ranking costs a query, the median of some of them, in milliseconds of wall time."""
    import time

    import numpy as np

    spent = []
    for query in queries.vectors[:_TIMED]:
        near = np.argsort(-(gallery.vectors @ query), kind="stable")[: reranking.candidates]
        begun = time.perf_counter()
        reranking.distances(query, gallery.vectors[near])
        spent.append(1000 * (time.perf_counter() - begun))
    return float(np.median(spent))


def _worst(
    files: tuple[ImageFiles, ImageFiles],
    queries: LabelledImages,
    gallery: LabelledImages,
    scores: RetrievalScores,
    reranking: Reranking | None,
) -> tuple[Case, ...]:
    """The queries with the least average precision, with their first answers."""
    import numpy as np

    from reidstream.evaluation.report import Case, Exhibit
    from reidstream.evaluation.retrieval import answers

    cases = []
    answered = np.flatnonzero(scores.average_precision >= 0)
    order = answered[np.argsort(scores.average_precision[answered], kind="stable")]
    for row in order[:_WORST].tolist():
        pictures = [Exhibit(_jpeg(files[0].paths[row]), f"query: {files[0].paths[row].name}")]
        for place, (k, similarity, right) in enumerate(answers(queries, gallery, row, _ANSWERS, reranking), start=1):
            path = files[1].paths[k]
            pictures.append(Exhibit(_jpeg(path), f"{place}: {similarity:.2f} {path.name}", "good" if right else "bad"))
        title = f"person {queries.persons[row]}: average precision {scores.average_precision[row]:.3f}"
        cases.append(Case(title, tuple(pictures)))
    return tuple(cases)


def _jpeg(path: Path) -> bytes:
    import cv2

    from reidstream.evaluation.market1501 import read_image

    if path.suffix.lower() in (".jpg", ".jpeg"):
        return path.read_bytes()
    return cv2.imencode(".jpg", read_image(path))[1].tobytes()
