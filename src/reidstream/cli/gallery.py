"""``reidstream gallery``: look into a gallery, check it, and take people out of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.erasure import print_proof, print_served, progress_bar
from reidstream.cli.filters import FROM, SINCE, SOURCE, TO, UNTIL, filter_of, wall_time
from reidstream.cli.gallery_lists import list_command, zones
from reidstream.cli.options import GALLERY, JSON, SETTINGS, page
from reidstream.cli.reembed import reembed
from reidstream.cli.terminal import TerminalTable
from reidstream.config.redaction import redacted
from reidstream.errors import ConfigError
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.identities.archive import Imported

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
    out.print(f"made from: {_made_from(facts['crops_used'])}", markup=False)
    if facts["moving_to"]:
        moving = facts["moving_to"]
        of = f"{moving['done']} of {counted(facts['tracklets'], 'tracklet')}"
        out.print(f"moving to: {moving['model']}, {of} done; `gallery reembed` goes on with it", markup=False)
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


def _made_from(crops_used: dict[str, int]) -> str:
    """From how many crops the vectors are, in words: few say less of a person than many."""
    groups = (("1 crop", 1, 1), ("2 to 4 crops", 2, 4), ("5 crops and more", 5, None))
    parts = []
    for name, least, most in groups:
        of_it = [n for used, n in crops_used.items() if int(used) >= least and (most is None or int(used) <= most)]
        if of_it:
            parts.append(f"{name} {sum(of_it)}")
    return ", ".join(parts) or "nothing yet"


app.command("list")(list_command)
app.command()(reembed)
app.command()(zones)


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
