"""``reidstream search``: find people who look like this."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, console_error, print_json
from reidstream.cli.filters import FROM, SINCE, SOURCE, TO, UNTIL, filter_of, wall_time
from reidstream.cli.options import CONFIG, DETECTOR, GALLERIES, JSON, SETTINGS, page
from reidstream.cli.terminal import TerminalTable
from reidstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reidstream.config.identities import IdentityConfig
    from reidstream.gallery import Filter, Gallery
    from reidstream.gallery.reranking import Reranking
    from reidstream.search.answers import Answer, QueryModels
    from reidstream.search.query import Box


def search(
    queries: list[str] = typer.Argument(
        ...,
        metavar="QUERY...",
        help="A photo, a tracklet id (or its beginning), a .npy file with a vector; or photos and folders of photos.",
    ),
    gallery: list[str] = GALLERIES,
    k: int = typer.Option(10, "-k", min=1, max=10000, help="How many to find."),
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    box: str | None = typer.Option(None, "--box", help="The person in the photo, as x1,y1,x2,y2 in pixels."),
    whole: bool = typer.Option(False, "--whole", help="The whole photo is the person; do not look for people in it."),
    rerank: bool = typer.Option(
        False, "--rerank", help="Put the first answers into a better order by their mutual neighbours (k-reciprocal)."
    ),
    detector: str | None = DETECTOR,
    reid: str | None = typer.Option(None, "--reid", help="Re-ID model, if it is no longer where the gallery says."),
    false_merges: float | None = typer.Option(
        None, "--false-merges", help="Accepted risk that the person named is wrong, 0 to 0.5; else nobody is named."
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Write a table of all photos' answers: .parquet, .csv or .json."
    ),
    sheet: Path | None = page("Also write an HTML page with the crops.", "--sheet"),
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    as_json: bool = JSON,
) -> None:
    """Say who a person is, or that it is nobody known, and find the tracklets that look most like them.

    In a photo people are looked for, and the largest is taken.

    Example: reidstream search person.jpg --gallery shop -k 5 --page found.html
    Example: reidstream search 3fa1 --gallery shop --source entrance
    Example: reidstream search photos/ more/ --gallery shop --out results.parquet
    Example: reidstream search person.jpg --gallery shop --gallery postgresql://db/mall --gallery http://airport:8400
    """
    from reidstream.cli.asked import is_elsewhere
    from reidstream.config import load_config
    from reidstream.gallery import Gallery
    from reidstream.gallery.reranking import Reranking
    from reidstream.search.answers import QueryModels, ask, query_of

    given = [] if false_merges is None else [f"identities.false_merges={false_merges}"]
    identities = load_config(config, [*(settings or []), *given]).identities
    region = None if box is None else _box(box)
    if whole and region is not None:
        raise ConfigError("--whole and --box exclude each other")
    reranking = Reranking() if rerank else None
    many = out is not None or len(queries) > 1 or Path(queries[0]).is_dir()
    if many and (region is not None or sheet is not None):
        raise ConfigError("--box and --page are for one query; leave them out for several photos or --out")
    if many and out is None:
        raise ConfigError("name a file for the answers of several photos with --out: .parquet, .csv or .json")
    if len(gallery) > 1:
        if many or sheet is not None or rerank or start or stop:
            raise ConfigError(
                "several galleries are asked one query; leave out --out, --page, --rerank, --from and --to, "
                "or ask them one by one"
            )
        times = {name: None if text is None else wall_time(text) for name, text in (("since", since), ("until", until))}
        _search_several(gallery, queries[0], k, source, times, region, whole, identities, detector, reid, as_json)
        return
    (place,) = gallery
    if is_elsewhere(place):
        if many or sheet is not None or detector or reid or false_merges is not None or start or stop:
            raise ConfigError(
                "a server is asked for one query, with its own models and risk; leave out the other options"
            )
        _search_there(place, queries[0], k, source, since, until, region, whole, rerank, as_json)
        return
    with Gallery.open(place) as opened:
        where = filter_of(opened, source, since, until, start, stop)
        models = QueryModels(opened, detector, reid)
        if out is not None:
            _search_many(opened, queries, models, identities, k, where, whole, reranking, out, as_json)
            return
        asked = query_of(opened, queries[0], models, box=region, whole=whole)
        answer = ask(opened, asked, identities, k=k, where=where, reranking=reranking)
        if sheet is not None:
            from functools import partial

            from reidstream.clips import clip_of
            from reidstream.gallery.sheet import write_search_sheet

            title, who = f"People like {asked.about}", answer.identity
            write_search_sheet(
                opened,
                sheet,
                title,
                asked.crop,
                list(answer.matches),
                who.titles,
                who.sentence,
                partial(clip_of, opened),
            )
        if as_json:
            print_json({**answer.as_dict(opened), **({"sheet": str(sheet)} if sheet else {})})
        else:
            _print(answer, answer.records(opened), sheet)


def _search_many(
    gallery: Gallery,
    places: list[str],
    models: QueryModels,
    config: IdentityConfig,
    k: int,
    where: Filter,
    whole: bool,
    reranking: Reranking | None,
    out: Path,
    as_json: bool,
) -> None:
    """Photos and folders of photos to a table of answers."""
    from collections import Counter

    from rich.progress import Progress

    from reidstream.search.photos import PhotoAnswer, answer_rows, checked_ending, search_photos, write_answers
    from reidstream.search.query import find_photos

    checked_ending(out)
    photos = list(dict.fromkeys(photo for place in places for photo in find_photos(Path(place))))
    embedder = models.embedder()
    verdicts: Counter[str] = Counter()
    shown = console()
    with Progress(console=shown, disable=as_json or not shown.is_terminal, transient=True) as bars:
        task = bars.add_task("photos", total=len(photos))

        def counted() -> Iterator[PhotoAnswer]:
            for answer in search_photos(
                gallery, photos, embedder, models.detector, config, k=k, where=where, whole=whole, reranking=reranking
            ):
                verdicts["unusable" if answer.identity is None else answer.identity.verdict.value] += 1
                bars.advance(task)
                yield answer

        rows = write_answers(out, answer_rows(gallery, counted()))
    if as_json:
        print_json({"file": str(out), "photos": len(photos), "rows": rows, "verdicts": dict(sorted(verdicts.items()))})
        return
    shown.print(f"wrote {rows} rows about {len(photos)} photos to {out}", markup=False)
    words = {
        "person": "show a person of the gallery",
        "nobody": "show nobody known",
        "unclear": "are unclear",
        "undecided": "could not be decided: the gallery has no people yet (reidstream people resolve)",
        "unusable": "cannot be used (see the column reason)",
    }
    for verdict, text in words.items():
        if verdicts[verdict]:
            shown.print(f"{verdicts[verdict]} {text}", markup=False)


def _box(text: str) -> Box:
    try:
        x1, y1, x2, y2 = (int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--box must be x1,y1,x2,y2 in pixels, got {text!r}") from None
    if x2 <= x1 or y2 <= y1:
        raise ConfigError(f"--box must have x1 < x2 and y1 < y2, got {text!r}")
    return x1, y1, x2, y2


def _search_there(
    gallery: str,
    query: str,
    k: int,
    source: list[str] | None,
    since: str | None,
    until: str | None,
    box: Box | None,
    whole: bool,
    rerank: bool,
    as_json: bool,
) -> None:
    """Ask the server at an address."""
    from reidstream.client import open_client
    from reidstream.search.query import read_vector

    path = Path(query)
    asked: str | Path | list[float] = query
    if path.suffix.lower() == ".npy":
        asked = read_vector(path).tolist()
    elif path.is_file():
        asked = path
    times = {key: wall_time(text) for key, text in (("since", since), ("until", until)) if text is not None}
    with open_client(gallery) as client:
        found = client.search(asked, k, cameras=source or [], box=box, whole=whole, rerank=rerank, **times)
    if as_json:
        print_json(found)
        return
    _print_found(found, _who(found), found["matches"])


def _search_several(
    galleries: list[str],
    query: str,
    k: int,
    source: list[str] | None,
    times: dict[str, float | None],
    box: Box | None,
    whole: bool,
    identities: IdentityConfig,
    detector: str | None,
    reid: str | None,
    as_json: bool,
) -> None:
    """Ask several galleries; ends with 1 when one of them could not be asked."""
    from reidstream.gallery import Filter
    from reidstream.search.galleries import search_galleries

    where = Filter(tuple(source or ()), times["since"], times["until"])
    merged = search_galleries(
        galleries, query, k, where=where, box=box, whole=whole, config=identities, detector=detector, reid=reid
    )
    found = merged.as_dict()
    if as_json:
        print_json(found)
    else:
        answers = [one for one in found["galleries"] if one["error"] is None]
        _print_found(found, "\n".join(f"{one['gallery']}: {_who(one)}" for one in answers), found["matches"])
    for one in merged.unreached:
        console_error(f"{one.gallery} could not be asked: {one.error}")
    if merged.unreached:
        raise typer.Exit(1)


def _who(found: dict[str, Any]) -> str:
    """Who somebody is, for people to read."""
    likely = ", ".join(f"{_title(c)} {c['probability']:.0%}" for c in found["candidates"][:3])
    who = {"person": "", "given": ""}.get(found["verdict"], found["verdict"]) or _title(found["person"])
    return f"who it is: {who}" + (f" ({likely})" if likely else "")


def _title(person: dict[str, Any] | None) -> str:
    return "" if person is None else str(person["name"]) or f"person {person['number']}"


def _print(answer: Answer, records: list[dict[str, Any]], sheet: Path | None) -> None:
    asked = answer.query
    _print_found({"query": asked.about, "people_in_photo": asked.people}, answer.identity.sentence, records)
    if sheet is not None:
        console().print(f"wrote {sheet}", markup=False)


def _print_found(found: dict[str, Any], sentence: str, records: list[dict[str, Any]]) -> None:
    from rich.table import Column

    from reidstream.gallery.sheet import clock, wall_clock

    out = console()
    if found["people_in_photo"] is not None and found["people_in_photo"] > 1:
        out.print(
            f"{found['people_in_photo']} people in {found['query']}; the largest is searched for (--box names another)",
            markup=False,
        )
    out.print(sentence, markup=False)
    several = any("gallery" in r for r in records)
    table = TerminalTable(
        "similarity",
        *(["gallery"] if several else []),
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
        person = _title(r["person"])
        where = [r["gallery"]] if several else []
        table.add_row(
            similarity, *where, person, r["id"][:12], r["source"], clock(r["start_media"]), seconds, seen, purity
        )
    out.print(table if records else "no tracklet fits")
