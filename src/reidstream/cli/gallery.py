"""``reidstream gallery``: look into a gallery, check it, and take people out of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.erasure import print_proof, progress_bar
from reidstream.cli.filters import FROM, SINCE, SOURCE, TO, UNTIL, filter_of
from reidstream.cli.options import GALLERY, JSON, page
from reidstream.errors import ConfigError

app = typer.Typer(help="Look into a gallery, check it, and take people out of it.", no_args_is_help=True)


@app.command()
def info(gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """What is in a gallery: model, sources, numbers, state of the index.

    Example: reidstream gallery info --gallery shop
    """
    from rich.table import Table

    from reidstream.gallery import Gallery
    from reidstream.gallery.sheet import wall_clock

    with Gallery.open(gallery) as opened:
        facts, recordings, count = opened.facts(), opened.sources(), len(opened)
        place = str(opened.place)
    behind = facts.revision - facts.indexed if facts.index != "exact" else 0
    if as_json:
        print_json(
            {
                "gallery": place,
                "tracklets": count,
                "embedding_space": asdict(facts.space),
                "model": facts.model,
                "index": facts.index,
                "index_behind": behind,
                "created": facts.created,
                "recordings": [asdict(recording) for recording in recordings],
            }
        )
        return
    out = console()
    out.print(f"{place}: {count} tracklets, made {wall_clock(facts.created)}", markup=False)
    model = f", opened as {facts.model}" if facts.model not in {"", facts.space.model} else ""
    fingerprint = facts.space.fingerprint[:12]
    out.print(
        f"embeddings: {facts.space.model}, {facts.space.size} dimensions, space {fingerprint}{model}", markup=False
    )
    state = "up to date" if not behind else f"up to {behind} tracklets behind; searches compare those exactly"
    out.print(f"index: {facts.index}, {state}", markup=False)
    table = Table("source", "state", "tracklets", "frames", "begun", "from", box=None, pad_edge=False)
    for recording in recordings:
        state = recording.state + (f" ({recording.error})" if recording.error else "")
        frames = "" if recording.frames is None else str(recording.frames)
        begun = wall_clock(recording.started_wall)
        table.add_row(recording.source, state, str(recording.tracklets), frames, begun, recording.uri)
    out.print(table)


@app.command("list")
def list_command(
    gallery: str = GALLERY,
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    limit: int = typer.Option(100, "--limit", "-n", min=1, help="Print at most this many."),
    as_json: bool = JSON,
) -> None:
    """The tracklets of a gallery, in the order in which they were stored.

    Example: reidstream gallery list --gallery shop --source entrance --since 2026-01-31T17:00
    """
    from rich.table import Column, Table

    from reidstream.gallery import Gallery
    from reidstream.gallery.sheet import clock, wall_clock

    with Gallery.open(gallery) as opened:
        rows = opened.rows(filter_of(opened, source, since, until, start, stop))
    records = list(rows.records())[:limit]
    if as_json:
        print_json({"tracklets": records, "total": len(rows)})
        return
    table = Table(
        Column("id", no_wrap=True),
        "source",
        "track",
        "in video",
        "seconds",
        "seen (UTC)",
        "frames",
        "purity",
        "quality",
        box=None,
    )
    for r in records:
        track = f"{r['track_id']}" + (f" {r['part'] + 1}/{r['parts']}" if r["parts"] > 1 else "")
        seconds = f"{r['end_media'] - r['start_media']:.1f}"
        seen = wall_clock(r["start_wall"])
        numbers = (str(r["observations"]), f"{r['purity']:.2f}", f"{r['quality']:.2f}")
        table.add_row(r["id"][:12], r["source"], track, clock(r["start_media"]), seconds, seen, *numbers)
    out = console()
    out.print(table)
    if len(rows) > len(records):
        out.print(f"{len(records)} of {len(rows)} tracklets; --limit shows more")


@app.command()
def show(
    tracklet: str = typer.Argument(..., help="Tracklet id, or a beginning that only one has."),
    gallery: str = GALLERY,
    crop: Path | None = typer.Option(None, "--crop", help="Write the tracklet's best crop to this JPEG file."),
    as_json: bool = JSON,
) -> None:
    """Everything about one tracklet.

    Example: reidstream gallery show 3fa1 --gallery shop --crop person.jpg
    """
    from dataclasses import fields

    from reidstream.errors import GalleryError
    from reidstream.gallery import Gallery

    with Gallery.open(gallery) as opened:
        found = opened.tracklet(opened.find(tracklet))
    if crop is not None:
        if found.crop is None:
            raise GalleryError(f"no crop was kept of tracklet {found.id}")
        try:
            crop.write_bytes(found.crop)
        except OSError as error:
            raise GalleryError(f"{crop} cannot be written: {error.strerror or error}") from None
    values: dict[str, Any] = {f.name: getattr(found, f.name) for f in fields(found)}
    values["crop"] = None if found.crop is None else len(found.crop)
    if as_json:
        print_json(values)
        return
    out = console()
    for name, value in values.items():
        if name == "crop":
            value = "none" if value is None else f"{value} bytes of JPEG"
        elif hasattr(value, "shape"):
            value = f"{value.dtype} {tuple(value.shape)}"
        out.print(f"{name:18} {value}", markup=False)


@app.command()
def export(
    file: Path = typer.Argument(
        ..., help="Where to: a new folder, for import; .parquet (tracklets), .npz (vectors), .csv or .json (metadata)."
    ),
    gallery: str = GALLERY,
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    as_json: bool = JSON,
) -> None:
    """Write tracklets to a folder that can be imported, with people and decisions, or to a file for other programs.

    A name without an ending is a folder; an ending says which kind of file.

    Example: reidstream gallery export shop-export --gallery shop
    Example: reidstream gallery export people.parquet --gallery shop
    """
    from reidstream.gallery import Gallery
    from reidstream.gallery.exporting import export as write
    from reidstream.identities.archive import export_gallery

    with Gallery.open(gallery) as opened:
        where = filter_of(opened, source, since, until, start, stop)
        count = write(opened, file, where) if file.suffix else export_gallery(opened, file, where)
    if as_json:
        print_json({"file": str(file), "tracklets": count})
    else:
        console().print(f"wrote {count} tracklets to {file}", markup=False)


@app.command("import")
def import_command(
    folder: Path = typer.Argument(..., help="A folder that `gallery export FOLDER` wrote."),
    gallery: str = GALLERY,
    as_json: bool = JSON,
) -> None:
    """Add an exported gallery, with its people and decisions, to a gallery; it is made if there is none.

    Importing the same again adds nothing.

    Example: reidstream gallery import shop-export --gallery all-shops
    """
    from reidstream.gallery import Gallery
    from reidstream.identities.archive import import_gallery, open_archive

    archive = open_archive(folder)
    with Gallery.open(gallery, write=True, create=True, space=archive.space, model=archive.model) as opened:
        done = import_gallery(opened, archive)
    if as_json:
        print_json({"gallery": gallery, **asdict(done)})
        return
    out = console()
    out.print(
        f"added {done.tracklets} tracklets, {done.people} people and {done.operations} decisions to {gallery}",
        markup=False,
    )
    if done.kept:
        out.print(f"{done.kept} decisions were left out: later ones in {gallery} contradict them", markup=False)


@app.command()
def sheet(
    file: Path | None = typer.Argument(None, help="The page to write; sheet.html by default."),
    html: Path | None = page("The same, as in other verbs."),
    gallery: str = GALLERY,
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    limit: int = typer.Option(2000, "--limit", "-n", min=1, help="Show at most this many."),
    as_json: bool = JSON,
) -> None:
    """Draw a contact sheet: one HTML page with everybody's best crop, to search and sort in any browser.

    Example: reidstream gallery sheet people.html --gallery shop --source entrance
    """
    from reidstream.gallery import Gallery
    from reidstream.gallery.sheet import write_gallery_sheet

    with Gallery.open(gallery) as opened:
        where = filter_of(opened, source, since, until, start, stop)
        file = file or html or Path("sheet.html")
        shown, total = write_gallery_sheet(opened, file, where, limit)
    if as_json:
        print_json({"file": str(file), "shown": shown, "total": total})
    else:
        rest = f" of {total} (--limit shows more)" if shown < total else ""
        console().print(f"wrote {shown}{rest} tracklets to {file}", markup=False)


@app.command()
def check(gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """Look for anything that contradicts itself: facts, vectors, index, files. Exits with 1 if there is something.

    Example: reidstream gallery check --gallery shop
    """
    from reidstream.gallery import Gallery

    with Gallery.open(gallery) as opened:
        found = opened.check()
    if as_json:
        print_json(asdict(found))
    else:
        out = console()
        for problem in found.problems:
            out.print(f"{problem.kind}: {problem.message}; {problem.remedy}", markup=False)
        if found.unchecked:
            out.print(f"not checked: {found.unchecked}", markup=False)
        held = "" if found.indexed is None else f", {found.indexed} vectors in the index"
        verdict = "no problems" if not found.problems else f"{len(found.problems)} problems"
        out.print(f"{found.tracklets} tracklets{held}: {verdict}", markup=False)
    if found.problems:
        raise typer.Exit(1)


@app.command()
def rebuild(gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """Make the index's files anew from the rows.

    Example: reidstream gallery rebuild --gallery shop
    """
    from reidstream.gallery import Gallery

    with Gallery.open(gallery, write=True) as opened:
        count = len(opened)
        with progress_bar("indexing", not as_json) as progress:
            opened.rebuild(progress)
        kind = opened.facts().index
    if as_json:
        print_json({"gallery": gallery, "tracklets": count, "index": kind})
    elif kind == "exact":
        console().print("this gallery's index has no files; there is nothing to make")
    else:
        console().print(f"the index was made anew from {count} tracklets")


@app.command()
def erase(
    tracklets: list[str] | None = typer.Argument(None, help="Tracklet ids, or beginnings that only one has."),
    gallery: str = GALLERY,
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask first."),
    as_json: bool = JSON,
) -> None:
    """Erase tracklets, whole sources or times from every file of a gallery, and prove it by a byte search.

    A tracklet counts for a time when any of it lies in between. A source that is erased without a time can be
    ingested again later.

    Example: reidstream gallery erase 3fa1 77c0 --gallery shop
    Example: reidstream gallery erase --source entrance --until 2026-01-31 --gallery shop --yes
    """
    from reidstream.gallery import Gallery

    times = (since, until, start, stop)
    by_filter = bool(source) or any(value is not None for value in times)
    if bool(tracklets) == by_filter:
        raise ConfigError("name the tracklets to erase, or a source or time (--source, --since, --until, --from, --to)")
    if as_json and not yes:
        raise ConfigError("--json cannot ask; add --yes")
    with Gallery.open(gallery, write=True) as opened:
        contents: list[str] = []
        if tracklets:
            ids = list(dict.fromkeys(opened.find(i) for i in tracklets))
        else:
            ids = opened.rows(filter_of(opened, source, *times)).id.tolist()
            if all(value is None for value in times):
                contents = [r.content for r in opened.sources() if r.source in (source or ())]
        if not ids and not contents:
            raise ConfigError("no tracklet is meant by these conditions; nothing was erased")
        if not yes:
            typer.confirm(f"Erase {len(ids)} of {len(opened)} tracklets from {opened.place} for good?", abort=True)
        with progress_bar("indexing what remains", not as_json) as progress:
            erasure = opened.erase(ids, contents, progress)
    if as_json:
        print_json({**asdict(erasure), "proven": erasure.proven})
    else:
        print_proof(erasure)
