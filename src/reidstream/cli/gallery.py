"""``reidstream gallery``: look into a gallery, check it, and take people out of it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.erasure import print_proof, print_served, progress_bar
from reidstream.cli.filters import FROM, SINCE, SOURCE, TO, UNTIL, filter_of, media_time, wall_time
from reidstream.cli.options import GALLERY, JSON, SETTINGS, page
from reidstream.cli.terminal import TerminalTable
from reidstream.config.redaction import redacted
from reidstream.errors import ConfigError
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.gallery import Gallery
    from reidstream.identities.archive import Imported
    from reidstream.regions import Zones

app = typer.Typer(help="Look into a gallery, check it, and take people out of it.", no_args_is_help=True)


@app.command()
def info(gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """What is in a gallery: model, sources, numbers, state of the index.

    Example: reidstream gallery info --gallery shop
    """

    from reidstream.cli.asked import asking
    from reidstream.gallery.sheet import wall_clock

    with asking(gallery) as asked:
        facts = asked.facts()
    if as_json:
        print_json(facts)
        return
    out = console()
    space, behind = facts["embedding_space"], facts["index_behind"]
    people = f"{counted(facts['people'], 'person')}, {counted(facts['undecided'], 'tracklet')} undecided"
    made = wall_clock(facts["created"])
    out.print(f"{facts['gallery']}: {counted(facts['tracklets'], 'tracklet')}, {people}, made {made}", markup=False)
    model = f", opened as {facts['model']}" if facts["model"] not in {"", space["model"]} else ""
    fingerprint = space["fingerprint"][:12]
    out.print(f"embeddings: {space['model']}, {space['size']} dimensions, space {fingerprint}{model}", markup=False)
    state = (
        "up to date" if not behind else f"up to {counted(behind, 'tracklet')} behind; searches compare those exactly"
    )
    out.print(f"index: {facts['index']}, {state}", markup=False)
    if facts["kept_out"]:
        out.print(f"{counted(facts['kept_out'], 'erased tracklet')} came again and stayed out")
    table = TerminalTable("source", "state", "tracklets", "frames", "begun", "from", box=None, pad_edge=False)
    for recording in facts["recordings"]:
        state = recording["state"] + (f" ({recording['error']})" if recording["error"] else "")
        frames = "" if recording["frames"] is None else str(recording["frames"])
        begun = wall_clock(recording["started_wall"])
        table.add_row(recording["source"], state, str(recording["tracklets"]), frames, begun, recording["uri"])
    out.print(table)


def whose(record: dict[str, Any]) -> str:
    """Whose a tracklet is, for a table: a name or number; that it is undecided; nothing without a person."""
    if record["person"] is None:
        return ""
    if record["undecided"]:
        return "undecided"
    return str(record["person_name"]) or f"person {record['person_number']}"


@app.command("list")
def list_command(
    gallery: str = GALLERY,
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    zone: list[str] | None = typer.Option(None, "--zone", help="Only who was in this named zone; repeatable."),
    left_out: bool = typer.Option(False, "--left-out", help="What was seen and not stored, and why, in order of time."),
    limit: int = typer.Option(100, "--limit", "-n", min=1, help="Print at most this many."),
    as_json: bool = JSON,
) -> None:
    """The tracklets of a gallery, in the order in which they were stored.

    Example: reidstream gallery list --gallery shop --source entrance --since 2026-01-31T17:00
    Example: reidstream gallery list --gallery shop --zone till
    Example: reidstream gallery list --gallery shop --left-out
    """
    from rich.table import Column

    from reidstream.cli.asked import Here, asking
    from reidstream.gallery.sheet import clock, wall_clock

    if left_out:
        _list_left_out(gallery, (source, since, until, start, stop), limit, as_json)
        return
    with asking(gallery) as asked:
        if isinstance(asked, Here):
            where = replace(filter_of(asked.gallery, source, since, until, start, stop), zones=tuple(zone or ()))
            document = asked.tracklets(where, limit)
        else:
            zones_asked = {"zone": zone} if zone else {}
            document = asked.tracklets(limit, **zones_asked, **_filters(source, since, until, start, stop))
    records = document["tracklets"]
    if as_json:
        print_json(document)
        return
    table = TerminalTable(
        Column("id", no_wrap=True),
        "source",
        "track",
        "person",
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
        place = (r["id"][:12], r["source"], track, whose(r), clock(r["start_media"]))
        table.add_row(*place, seconds, seen, *numbers)
    out = console()
    out.print(table)
    if document["total"] > len(records):
        out.print(f"{len(records)} of {document['total']} tracklets; --limit shows more")


@app.command()
def zones(
    gallery: str = GALLERY,
    source: list[str] | None = SOURCE,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    start: str | None = FROM,
    stop: str | None = TO,
    cameras: Path | None = typer.Option(
        None, "--cameras", help="A camera list whose zones have changed: note the stays of what is stored anew first."
    ),
    as_json: bool = JSON,
) -> None:
    """How many were in the named zones of the cameras, and for how long.

    Zones stand in the camera list: `zones.till = [[0.1, 0.5], [0.4, 0.5], [0.4, 1], [0.1, 1]]`.

    Example: reidstream gallery zones --gallery shop --since 2026-01-31
    Example: reidstream gallery zones --gallery shop --cameras cameras.toml
    """
    from reidstream.gallery import Gallery
    from reidstream.gallery.sheet import wall_clock
    from reidstream.gallery.zones import note_zones, zone_numbers

    with Gallery.open(gallery, write=cameras is not None) as opened:
        if cameras is not None:
            note_zones(opened, _zones_in(cameras, opened))
        numbers = zone_numbers(opened, filter_of(opened, source, since, until, start, stop))
    if as_json:
        print_json({"zones": [asdict(one) for one in numbers]})
        return
    columns = ("source", "zone", "visits", "people", "stays", "median s", "longest s", "in all s", "last (UTC)")
    table = TerminalTable(*columns, box=None)
    for one in numbers:
        counts = (str(one.visits), "" if one.people is None else str(one.people), str(one.stays))
        lengths = (f"{one.median:.1f}", f"{one.longest:.1f}", f"{one.seconds:.0f}")
        table.add_row(one.source, one.zone, *counts, *lengths, wall_clock(one.last_wall))
    out = console()
    if numbers:
        out.print(table)
    else:
        out.print("nobody was in a named zone; zones stand in the camera list (docs/sources.md)", markup=False)


def _zones_in(cameras: Path, gallery: Gallery) -> dict[str, Zones]:
    """The zones of a camera list's sources that the gallery holds."""
    from reidstream.regions import Zones
    from reidstream.sources import expand_sources, source_ids

    configs = expand_sources([str(cameras)])
    known = {recording.source for recording in gallery.sources()}
    found = {
        name: Zones(config.zones) for name, config in zip(source_ids(configs), configs, strict=True) if name in known
    }
    if not found:
        raise ConfigError(f"none of the sources of {cameras} is in gallery {gallery.place}")
    return found


_WHY = {
    "too_short": "too short",
    "no_crop": "no usable crop",
    "guessed": "mostly guessed",
    "thing": "a thing: stays and looks the same",
    "no_person": "no person in its pictures",
}


def _list_left_out(
    gallery: str,
    wanted: tuple[list[str] | None, str | None, str | None, str | None, str | None],
    limit: int,
    as_json: bool,
) -> None:
    """What was not stored, and why."""
    from reidstream.cli.asked import Here, asking
    from reidstream.gallery.sheet import clock, wall_clock

    with asking(gallery) as asked:
        if isinstance(asked, Here):
            document = asked.left_out(filter_of(asked.gallery, *wanted), limit)
        else:
            document = asked.left_out(limit, **_filters(*wanted))
    if as_json:
        print_json(document)
        return
    columns = ("source", "track", "why", "in video", "seconds", "seen (UTC)", "frames", "score", "box")
    table = TerminalTable(*columns, box=None)
    for one in document["left_out"]:
        table.add_row(
            one["source"],
            f"{one['track_id']}" + (f" part {one['part'] + 1}" if one["part"] else ""),
            _WHY.get(one["why"], one["why"]),
            clock(one["start_media"]),
            f"{one['end_media'] - one['start_media']:.1f}",
            wall_clock(one["start_wall"]),
            str(one["observations"]),
            f"{one['confidence']:.2f}",
            ",".join(f"{side:.0f}" for side in one["box"]),
        )
    out = console()
    out.print(table)
    said = ", ".join(f"{count} {_WHY.get(why, why)}" for why, count in document["counts"].items())
    out.print(f"{counted(document['total'], 'track')} not stored" + (f": {said}" if said else ""))
    if document["total"] > len(document["left_out"]):
        out.print(f"{len(document['left_out'])} are shown; --limit shows more")


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
    from reidstream.cli.asked import Here, asking
    from reidstream.errors import GalleryError
    from reidstream.files import whole_file

    with asking(gallery) as asked:
        values = asked.tracklet(tracklet)
        jpeg = None
        if crop is not None and values["crop"] is not None:
            jpeg = asked.gallery.crop(values["id"]) if isinstance(asked, Here) else asked.crop(values["id"])
    if crop is not None:
        if jpeg is None:
            raise GalleryError(f"no crop was kept of tracklet {values['id']}")
        with whole_file(crop, GalleryError) as partial:
            partial.write_bytes(jpeg)
    if as_json:
        print_json(values)
        return
    out = console()
    for name, value in values.items():
        if name == "crop":
            value = "none" if value is None else f"{value} bytes of JPEG"
        elif hasattr(value, "shape"):
            value = f"{value.dtype} {tuple(value.shape)}"
        elif isinstance(value, list) and name != "crop_box":
            value = f"{len(value)} values"
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
        console().print(f"wrote {counted(count, 'tracklet')} to {file}", markup=False)


@app.command("import")
def import_command(
    folder: Path = typer.Argument(..., help="A folder that `gallery export FOLDER` wrote."),
    gallery: str = GALLERY,
    settings: list[str] | None = SETTINGS,
    as_json: bool = JSON,
) -> None:
    """Add an exported gallery, with its people and decisions, to a gallery; it is made if there is none.

    Importing the same again adds nothing. Settings count when the gallery is made (gallery.index, gallery.group).

    Example: reidstream gallery import shop-export --gallery all-shops
    """
    done = _imported(folder, gallery, settings)
    place = redacted(gallery)
    if as_json:
        print_json({"gallery": place, **asdict(done)})
        return
    out = console()
    out.print(
        f"added {counted(done.tracklets, 'tracklet')}, {counted(done.people, 'person')} and "
        f"{counted(done.operations, 'decision')} to {place}",
        markup=False,
    )
    if done.kept_out:
        out.print(f"{done.kept_out} tracklets were left out: they were erased from {place} before", markup=False)
    if done.kept:
        out.print(f"{done.kept} decisions were left out: later ones in {place} contradict them", markup=False)


def _imported(folder: Path, gallery: str, settings: list[str] | None) -> Imported:
    """Import here, or have the server that owns the gallery do it."""
    from reidstream.cli.asked import is_elsewhere, served
    from reidstream.config import load_config
    from reidstream.gallery import Gallery
    from reidstream.identities.archive import Imported, import_gallery, open_archive

    with served(gallery) as client:
        if client is not None:
            if settings:
                raise ConfigError("settings count when a gallery is made, and a server owns this one")
            # What a server elsewhere reads lies on its machine, not on this one.
            return Imported(**client.import_folder(folder if is_elsewhere(gallery) else folder.resolve()))
    archive = open_archive(folder)
    config = load_config(None, settings or []).gallery
    with Gallery.open(
        gallery,
        write=True,
        create=True,
        space=archive.space,
        model=archive.model,
        config=config,
        keep_empty=False,
    ) as opened:
        return import_gallery(opened, archive)


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
    from functools import partial

    from reidstream.clips import clip_of
    from reidstream.gallery import Gallery
    from reidstream.gallery.sheet import write_gallery_sheet

    with Gallery.open(gallery) as opened:
        where = filter_of(opened, source, since, until, start, stop)
        file = file or html or Path("sheet.html")
        shown, total = write_gallery_sheet(opened, file, where, limit, partial(clip_of, opened))
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
        for warning in found.warnings:
            out.print(f"warning: {warning}", markup=False)
        if found.unchecked:
            out.print(f"not checked: {found.unchecked}", markup=False)
        held = "" if found.indexed is None else f", {found.indexed} vectors in the index"
        verdict = "no problems" if not found.problems else f"{len(found.problems)} problems"
        out.print(f"{counted(found.tracklets, 'tracklet')}{held}: {verdict}", markup=False)
    if found.problems:
        raise typer.Exit(1)


@app.command()
def rebuild(gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """Make the index's files anew from the rows.

    Example: reidstream gallery rebuild --gallery shop
    """
    from reidstream.cli.asked import served
    from reidstream.gallery import Gallery

    with served(gallery) as client:
        if client is not None:
            done = client.rebuild()
            count, kind = done["tracklets"], done["index"]
        else:
            with Gallery.open(gallery, write=True) as opened:
                count = len(opened)
                with progress_bar("indexing", not as_json) as progress:
                    opened.rebuild(progress)
                kind = opened.facts().index
    if as_json:
        print_json({"gallery": redacted(gallery), "tracklets": count, "index": redacted(kind)})
    elif kind == "exact":
        console().print("this gallery's index has no files; there is nothing to make")
    else:
        console().print(f"the index was made anew from {counted(count, 'tracklet')}")


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
    if _erased_there(gallery, tracklets, source, times, yes, as_json):
        return
    with Gallery.open(gallery, write=True) as opened:
        contents: list[str] = []
        left_out: list[str] = []
        if tracklets:
            ids = list(dict.fromkeys(opened.find(i) for i in tracklets))
        else:
            where = filter_of(opened, source, *times)
            ids = opened.rows(where).id.tolist()
            left_out = [one.id for one in opened.left_out(where)]
            if all(value is None for value in times):
                contents = [r.content for r in opened.sources() if r.source in (source or ())]
        if not ids and not contents and not left_out:
            raise ConfigError("no tracklet is meant by these conditions; nothing was erased")
        if not yes:
            typer.confirm(f"Erase {len(ids)} of {len(opened)} tracklets from {opened.place} for good?", abort=True)
        with progress_bar("indexing what remains", not as_json) as progress:
            erasure = opened.erase(ids, contents, progress, left_out=left_out)
    if as_json:
        print_json({**asdict(erasure), "proven": erasure.proven})
    else:
        print_proof(erasure)


def _filters(
    source: list[str] | None, since: str | None, until: str | None, start: str | None, stop: str | None
) -> dict[str, Any]:
    """The options that say which tracklets are meant, as a server takes them."""
    times = {"since": since, "until": until}
    media = {"media_since": start, "media_until": stop}
    found: dict[str, Any] = {key: wall_time(text) for key, text in times.items() if text is not None}
    found |= {key: media_time(text) for key, text in media.items() if text is not None}
    return {**found, **({"camera": source} if source else {})}


def _erased_there(
    gallery: str,
    tracklets: list[str] | None,
    source: list[str] | None,
    times: tuple[str | None, ...],
    yes: bool,
    as_json: bool,
) -> bool:
    """Have the server that owns the gallery erase; False when no server does."""
    from reidstream.cli.asked import served

    with served(gallery) as client:
        if client is None:
            return False
        since, until, start, stop = times
        if start is not None or stop is not None:
            raise ConfigError("a server owns this gallery; it erases by --since and --until, not by --from and --to")
        wanted: dict[str, Any] = {"tracklets": tracklets} if tracklets else {"sources": source or []}
        if not tracklets:
            wanted |= {key: wall_time(text) for key, text in (("since", since), ("until", until)) if text is not None}
            if not source:
                known = {recording["source"] for recording in client.facts()["recordings"]}
                wanted["sources"] = sorted(known)
        if not yes:
            typer.confirm(f"Erase for good what is meant from {gallery}?", abort=True)
        done = client.erase(**wanted)
    if as_json:
        print_json(done)
    else:
        print_served(done)
    return True
