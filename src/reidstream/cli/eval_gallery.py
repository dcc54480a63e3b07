"""``reidstream eval gallery``: how well a gallery's identities agree with people."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import CONFIG, GALLERY, JSON, REPORT, SETTINGS, page
from reidstream.cli.terminal import TerminalTable
from reidstream.errors import ConfigError

if TYPE_CHECKING:
    from reidstream.config import Config
    from reidstream.evaluation.gallery_truth import PersonBoxes
    from reidstream.gallery import Gallery


def gallery(
    gallery: str = GALLERY,
    truth: list[str] | None = typer.Option(
        None, "--truth", "-t", help="A folder that `synth` made, or SOURCE=gt.txt (MOTChallenge); repeatable."
    ),
    from_labels: bool = typer.Option(False, "--from-labels", help="Score against the gallery's own review labels."),
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    out: Path | None = REPORT,
    html: Path | None = page("Also write a page with plots and the worst cases.", "--html"),
    json_output: bool = JSON,
) -> None:
    """Score a gallery's identities: pairwise and B-cubed precision, recall and F1, splits, merges, tracklet purity.

    Example: reidstream eval gallery -g shop --truth entrance=entrance/gt.txt --html report.html

    A number means the same person in every gt.txt. With --from-labels nothing but reviews (merge, split, move, reject,
    names) is needed: what the program would decide without them is compared with what they say. With --truth, what was
    said of memberships is compared with what is so: Brier score, calibration error, and per tenth how much was right.
    """
    from reidstream.config import load_config
    from reidstream.gallery import Gallery

    if bool(truth) == from_labels:
        raise ConfigError("say what to compare with: --truth FOLDER, --truth SOURCE=gt.txt, or --from-labels")
    if from_labels and html is not None:
        raise ConfigError("--html shows cases of a truth; it does not go with --from-labels")
    tree = load_config(config, settings or [])
    with Gallery.open(gallery) as opened:
        if from_labels:
            report, columns, rows = _labels(opened, tree)
        else:
            report, columns, rows = _truth(opened, tree, truth or [], html)
    if out is not None:
        from reidstream.evaluation.report import write_json

        write_json(out, report)
    if json_output:
        print_json(report)
        return

    table = TerminalTable(columns[0], box=None, pad_edge=False)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _truth(
    gallery: Gallery, tree: Config, words: list[str], html: Path | None
) -> tuple[dict[str, Any], tuple[str, ...], tuple[tuple[str, ...], ...]]:
    from reidstream.evaluation.gallery_report import reliability_rows, score_rows, write_gallery_report
    from reidstream.evaluation.gallery_scores import identities_of, score_gallery
    from reidstream.evaluation.gallery_truth import match_tracklets, people_in
    from reidstream.evaluation.reliability import memberships, reliability
    from reidstream.identities.people import list_people

    truth = _read(words)
    sources = {recording.source for recording in gallery.sources()}
    strange = sorted(set(truth) - sources)
    if len(strange) == len(truth):
        raise ConfigError(
            f"the truth is about {', '.join(strange)}, but gallery {gallery.place} holds "
            f"{', '.join(sorted(sources)) or 'nothing'}; name sources as the gallery does"
        )
    truth = {source: boxes for source, boxes in truth.items() if source in sources}
    identities = identities_of(gallery)
    if not identities:
        raise ConfigError(f"nobody has been decided in gallery {gallery.place} yet; run `reidstream people resolve`")
    matched = match_tracklets(gallery.tracklets(), truth)
    scores = score_gallery(matched, identities, people_in(truth, _rates(gallery, truth)))
    probability = {
        t: p for person in list_people(gallery) for t, p in zip(person.tracklets, person.probability, strict=True)
    }
    sure = reliability(*memberships(matched, identities, probability))
    facts = _facts(gallery, tree)
    report = {
        "truth": sorted(truth),
        "not_in_gallery": strange,
        "scores": scores.as_dict(),
        "reliability": sure.as_dict(),
        **facts,
    }
    if html is not None:
        write_gallery_report(html, gallery, scores, sure, matched, identities, facts)
    return report, ("", "all cameras", "across cameras"), (*score_rows(scores), *reliability_rows(sure))


def _labels(gallery: Gallery, tree: Config) -> tuple[dict[str, Any], tuple[str, ...], tuple[tuple[str, ...], ...]]:
    from reidstream.evaluation.gallery_scores import decided_alone, identities_of, labels_of, score_labels

    labels = labels_of(gallery)
    if not len(labels.rows):
        raise ConfigError(
            f"gallery {gallery.place} has no review labels yet; `reidstream people merge`, `split`, `move`, `reject` "
            "and `label` make them"
        )
    now = score_labels(labels, identities_of(gallery))
    alone = score_labels(labels, decided_alone(gallery, tree.identities))
    report = {
        "labelled_tracklets": len(labels.rows),
        "without_reviews": asdict(alone),
        "as_it_is": asdict(now),
        **_facts(gallery, tree),
    }
    rows = tuple((key.replace("_", " "), _cell(value), _cell(asdict(now)[key])) for key, value in asdict(alone).items())
    return report, ("", "without reviews", "as it is"), rows


def _read(words: list[str]) -> dict[str, PersonBoxes]:
    """The truth by source. Raises ConfigError for what is neither a folder nor SOURCE=FILE, or named twice."""
    from reidstream.evaluation.gallery_truth import truth_of_file, truth_of_scene

    found: dict[str, PersonBoxes] = {}
    for word in words:
        source, equals, path = word.partition("=")
        if Path(word).is_dir():
            new = truth_of_scene(Path(word))
        elif equals and source and path:
            new = {source: truth_of_file(Path(path))}
        else:
            raise ConfigError(f"--truth must be a folder that `reidstream synth` made, or SOURCE=gt.txt; got {word!r}")
        twice = sorted(set(new) & set(found))
        if twice:
            raise ConfigError(f"--truth speaks twice of {', '.join(twice)}")
        found.update(new)
    return found


def _rates(gallery: Gallery, truth: dict[str, PersonBoxes]) -> dict[str, float]:
    """Frames per second of each source, from its tracklets: frames and seconds that they last."""
    rows = gallery.rows()
    found = {}
    for source in truth:
        here = rows.source == source
        seconds = float((rows.end_media - rows.start_media)[here].sum())
        found[source] = float((rows.end_frame - rows.start_frame)[here].sum()) / seconds if seconds > 0 else 0.0
    return found


def _facts(gallery: Gallery, tree: Config) -> dict[str, Any]:
    recordings = gallery.sources()
    return {
        "gallery": str(gallery.place),
        "models": {"embedding": {"name": gallery.model, **asdict(gallery.space)}},
        "settings": {recording.source: recording.settings for recording in recordings},
        "config": tree.model_dump(mode="json", include={"identities"}),
    }


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"
