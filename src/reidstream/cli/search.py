"""``reidstream search``: find people who look like this."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.filters import FROM, GALLERY, JSON, SINCE, SOURCE, TO, UNTIL, filter_of
from reidstream.errors import ConfigError, TrackletNotFound

if TYPE_CHECKING:
    from reidstream.gallery import Gallery
    from reidstream.identities.asking import Identity
    from reidstream.query import Box, Query
    from reidstream.types import Match


def search(
    query: str = typer.Argument(..., help="A photo, a tracklet id (or its beginning), or a .npy file with a vector."),
    gallery: str = GALLERY,
    k: int = typer.Option(10, "-k", min=1, max=10000, help="How many to find."),
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    box: str | None = typer.Option(None, "--box", help="The person in the photo, as x1,y1,x2,y2 in pixels."),
    whole: bool = typer.Option(False, "--whole", help="The whole photo is the person; do not look for people in it."),
    detector: str | None = typer.Option(None, "--detector", help="Detection model: a name or an ONNX file."),
    reid: str | None = typer.Option(None, "--reid", help="Re-ID model, if it is no longer where the gallery says."),
    false_merges: float | None = typer.Option(
        None, "--false-merges", help="Accepted risk that the person named is wrong, 0 to 0.5; else it is nobody."
    ),
    sheet: Path | None = typer.Option(None, "--sheet", help="Also write an HTML page with the crops."),
    as_json: bool = JSON,
) -> None:
    """Say who a person is, or that it is nobody known, and find the tracklets that look most like them.

    In a photo people are looked for, and the largest is taken.

    Example: reidstream search person.jpg --gallery shop -k 5 --sheet found.html
    Example: reidstream search 3fa1 --gallery shop --source entrance
    """
    from reidstream.config import load_config
    from reidstream.gallery import Gallery
    from reidstream.identities.asking import who_is

    config = load_config(None, [] if false_merges is None else [f"identities.false_merges={false_merges}"]).identities
    region = None if box is None else _box(box)
    if whole and region is not None:
        raise ConfigError("--whole and --box exclude each other")
    with Gallery.open(gallery) as opened:
        where = filter_of(opened, source, since, until, start, stop)
        asked = _query(opened, query, region, whole, detector, reid)
        # A tracklet is most like itself; that is not what is asked.
        found = opened.search(asked.vector, k + (asked.tracklet is not None), where)[0]
        matches = [match for match in found if match.tracklet != asked.tracklet][:k]
        records = _records(opened, matches)
        identity = who_is(opened, asked, config, [match.tracklet for match in matches])
        if sheet is not None:
            from reidstream.gallery.sheet import write_search_sheet

            write_search_sheet(
                opened, sheet, f"People like {asked.about}", asked.crop, matches, identity.titles, identity.sentence
            )
    if as_json:
        question = {"query": asked.about, "box": asked.box, "people_in_photo": asked.people}
        for record in records:
            record["person"] = identity.person_of(record["id"])
        print_json({**question, **identity.as_dict(), "matches": records, **({"sheet": str(sheet)} if sheet else {})})
    else:
        _print(asked, records, identity, sheet)


def _query(gallery: Gallery, text: str, box: Box | None, whole: bool, detector: str | None, reid: str | None) -> Query:
    from reidstream.query import photo_query, tracklet_query, unknown_query, vector_query

    path = Path(text)
    if path.suffix.lower() == ".npy":
        return vector_query(path, gallery.space.size)
    if not path.is_file():
        try:
            return tracklet_query(gallery, text)
        except TrackletNotFound as error:
            raise unknown_query(text, gallery) from error

    from reidstream.config import DetectorConfig, EmbeddingConfig
    from reidstream.gallery.facts import check_space
    from reidstream.inference import open_detector, open_embedder
    from reidstream.models import resolve_model

    embedding = EmbeddingConfig(model=reid or gallery.model or EmbeddingConfig().model)
    embedder = open_embedder(resolve_model(embedding.model, "reid"), embedding)
    check_space(str(gallery.place), gallery.space, embedder.space)
    detection = DetectorConfig(model=detector or DetectorConfig().model)
    return photo_query(
        path,
        embedder,
        lambda: open_detector(resolve_model(detection.model, "detector"), detection),
        box=box,
        whole=whole,
    )


def _box(text: str) -> Box:
    try:
        x1, y1, x2, y2 = (int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--box must be x1,y1,x2,y2 in pixels, got {text!r}") from None
    if x2 <= x1 or y2 <= y1:
        raise ConfigError(f"--box must have x1 < x2 and y1 < y2, got {text!r}")
    return x1, y1, x2, y2


def _records(gallery: Gallery, matches: list[Match]) -> list[dict[str, Any]]:
    rows = {record["id"]: record for record in gallery.rows(ids=[match.tracklet for match in matches]).records()}
    # A tracklet that was erased a moment ago is no answer any more.
    return [{"similarity": m.similarity, **rows[m.tracklet]} for m in matches if m.tracklet in rows]


def _print(asked: Query, records: list[dict[str, Any]], identity: Identity, sheet: Path | None) -> None:
    from rich.markup import escape
    from rich.table import Column, Table

    from reidstream.gallery.sheet import clock, wall_clock

    out = console()
    if asked.people is not None and asked.people > 1:
        out.print(
            f"{asked.people} people in {asked.about}; the largest is searched for (--box names another)", markup=False
        )
    out.print(identity.sentence, markup=False)
    table = Table(
        "similarity",
        "person",
        Column("tracklet", no_wrap=True),
        "source",
        "in video",
        "seconds",
        "seen (UTC)",
        "purity",
        box=None,
    )
    for r in records:
        seconds = f"{r['end_media'] - r['start_media']:.1f}"
        seen, purity = wall_clock(r["start_wall"]), f"{r['purity']:.2f}"
        similarity = f"{r['similarity']:.3f}"
        person = escape(identity.titles.get(r["id"], ""))
        table.add_row(similarity, person, r["id"][:12], r["source"], clock(r["start_media"]), seconds, seen, purity)
    out.print(table if records else "no tracklet fits")
    if sheet is not None:
        out.print(f"wrote {sheet}", markup=False)
