"""``reidstream demo``: the whole job on a made-up scene, offline."""

from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reidstream.cli.common import console, console_error, print_json
from reidstream.cli.options import DETECTOR, JSON, REID, given
from reidstream.cli.terminal import TerminalTable

if TYPE_CHECKING:
    from reidstream.config import Config
    from reidstream.demo import Comparison
    from reidstream.demo.query import Wanted
    from reidstream.gallery import Gallery
    from reidstream.identities.profiles import Profile
    from reidstream.pipeline import RunSummary
    from reidstream.search import Answer
    from reidstream.synthetic import SceneTruth
    from reidstream.types import Match

CLIP_SECONDS = 12.0


def demo(
    out: Path = typer.Option(Path("demo"), "--out", help="Folder for everything the demo makes."),
    detector: str | None = DETECTOR,
    reid: str | None = REID,
    json: bool = JSON,
) -> None:
    """Make a scene of three cameras, build a gallery of its people, and check it against the truth.

    Needs no network and no video of your own. Running it again uses what is there already.

    Example: reidstream demo --out demo
    """
    from reidstream.config import load_config
    from reidstream.demo import compare
    from reidstream.demo.query import choose_wanted
    from reidstream.gallery import Gallery
    from reidstream.identities.profiles import profiles_of

    config = load_config(None, given(detector__model=detector, embedding__model=reid))
    begun = time.monotonic()
    scene = _scene(out, json)
    summary = _run(scene, out / "gallery", config, json)
    with Gallery.open(out / "gallery") as gallery:
        comparison = compare(scene, gallery.tracklets())
        wanted = choose_wanted(scene)
        answer = _search(gallery, wanted, config, out)
        matches = list(answer.matches)
        _pictures(gallery, scene, wanted, answer, out)
        profiles = profiles_of(gallery)
    seconds = time.monotonic() - begun
    if json:
        plain = _plain(comparison, wanted, matches, summary, out, seconds)
        print_json({**plain, "gallery_people": len(profiles), "answer": answer.identity.as_dict()})
        return
    _report(comparison, wanted, answer, profiles, gallery_rows=_where(out, matches))
    _pointers(out, seconds)


def _scene(out: Path, silent: bool) -> SceneTruth:
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    from reidstream.demo.scene import demo_world, prepare_scene

    world = demo_world()
    shown = console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} frames"),
    )
    if not silent:
        shown.print(
            f"[bold]1. A scene[/]: {world.cameras} cameras, {world.people} people, {world.minutes:g} minute each",
            markup=True,
        )
    with Progress(*columns, console=shown, transient=True, disable=silent or not shown.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(camera: str, done: int, total: int) -> None:
            if camera not in tasks:
                tasks[camera] = bars.add_task(camera, total=total)
            bars.update(tasks[camera], completed=done)

        scene, made = prepare_scene(out, world, progress)
    if not silent:
        shown.print(f"   {'made' if made else 'there already'}: {scene.folder}")
        shown.print("[bold]2. The gallery[/]: detect, track, embed and store, all cameras at once", markup=True)
    return scene


def _run(scene: SceneTruth, gallery: Path, config: Config, silent: bool) -> RunSummary:
    from reidstream.errors import EngineError, GalleryMismatch

    try:
        summary = _built(scene, gallery, config, silent)
    except GalleryMismatch:
        # From an earlier demo with other models: it is the demo's own, so it is made anew.
        shutil.rmtree(gallery)
        summary = _built(scene, gallery, config, silent)
    if summary.stopped:
        console_error("stopped; run the demo again to go on from here")
        raise typer.Exit(130)
    for failed in summary.failed:
        raise EngineError(f"{failed.source} could not be read to its end: {failed.error}")
    if not silent:
        shown = console()
        if summary.frames:
            rate = summary.frames / max(summary.seconds, 1e-9)
            shown.print(f"   {summary.frames} frames in {summary.seconds:.0f} s ({rate:.0f} frames/s)")
        else:
            shown.print("   there already")
    return summary


def _built(scene: SceneTruth, gallery: Path, config: Config, silent: bool) -> RunSummary:
    from reidstream.cli.progress import RunProgress
    from reidstream.cli.run import interruptible
    from reidstream.pipeline import open_run

    with (
        open_run([camera.video for camera in scene.cameras], config, gallery) as run,
        interruptible(run, silent),
        RunProgress(run.summary, shown=not silent),
    ):
        return run.run()


def _search(gallery: Gallery, wanted: Wanted, config: Config, out: Path) -> Answer:
    import cv2

    from reidstream.inference import open_embedder
    from reidstream.models import resolve_model
    from reidstream.search import Query, ask

    cv2.imwrite(str(out / "query.jpg"), wanted.crop, [cv2.IMWRITE_JPEG_QUALITY, 95])
    embedder = open_embedder(resolve_model(config.embedding.model, "reid"), config.embedding)
    query = Query(embedder.embed([wanted.crop])[0], "query.jpg", (out / "query.jpg").read_bytes())
    return ask(gallery, query, config.identities, k=5)


def _pictures(gallery: Gallery, scene: SceneTruth, wanted: Wanted, answer: Answer, out: Path) -> None:
    from reidstream.demo.clips import write_clip
    from reidstream.gallery.rows import Filter
    from reidstream.gallery.sheet import write_search_sheet
    from reidstream.identities.people import list_people
    from reidstream.identities.people_sheet import write_people_sheet

    write_people_sheet(gallery, out / "people.html")
    title, who = f"Who is this, seen by {wanted.camera}?", answer.identity
    write_search_sheet(
        gallery, out / "found.html", title, answer.query.crop, list(answer.matches), who.titles, who.sentence
    )
    (out / "clips").mkdir(exist_ok=True)
    people = {tracklet: person for person in list_people(gallery) for tracklet in person.tracklets}
    for camera in scene.cameras:
        tracklets = list(gallery.tracklets(Filter(sources=(camera.name,))))
        write_clip(camera, tracklets, out / "clips" / f"{camera.name}.mp4", CLIP_SECONDS, people)


def _where(out: Path, matches: list[Match]) -> dict[str, tuple[str, float]]:
    """Source and start (seconds) of the tracklets found."""
    from reidstream.gallery import Gallery

    with Gallery.open(out / "gallery") as gallery:
        found = [gallery.tracklet(match.tracklet) for match in matches]
    return {tracklet.id: (tracklet.source, tracklet.start_media) for tracklet in found}


def _report(
    comparison: Comparison,
    wanted: Wanted,
    answer: Answer,
    profiles: list[Profile],
    gallery_rows: dict[str, tuple[str, float]],
) -> None:
    from reidstream.gallery.sheet import wall_clock

    shown = console()
    shown.print("[bold]3. Against the truth[/]", markup=True)
    shown.print(f"   people found: {len(comparison.found)} of {len(comparison.persons)}")
    shown.print(f"   visits found: {comparison.visits_found} of {comparison.visits}")
    shown.print(
        f"   tracks: {comparison.tracklets}, {comparison.tracklets_per_person:.1f} per person, "
        f"{comparison.tracklets_per_visit:.2f} per visit"
    )
    shown.print(f"   mixed tracks (two people in one): {len(comparison.mixed)}; of nobody: {len(comparison.nobody)}")
    shown.print(f"[bold]4. Who is who[/]: {len(profiles)} people", markup=True)
    table = TerminalTable("   person", "visits", "cameras", "first seen (UTC)", "last seen", "least sure", box=None)
    for profile in profiles:
        person = profile.person
        when = wall_clock(profile.first_seen), wall_clock(profile.last_seen).split()[1]
        sure = f"{min(person.probability):.2f}"
        table.add_row(f"   {person.title}", str(len(person.tracklets)), ", ".join(profile.cameras), *when, sure)
    shown.print(table)
    shown.print(f"[bold]5. A search[/]: who is in query.jpg, seen by {wanted.camera}?", markup=True)
    shown.print(f"   {answer.identity.sentence}")
    table = TerminalTable("   similarity", "person", "camera", "at", "right", box=None, pad_edge=False)
    for match in answer.matches:
        source, start = gallery_rows[match.tracklet]
        right = comparison.person_of.get(match.tracklet) == wanted.person
        who = answer.identity.titles.get(match.tracklet, "")
        table.add_row(f"   {match.similarity:.3f}", who, source, f"{start:.0f} s", "yes" if right else "no")
    shown.print(table)


def _pointers(out: Path, seconds: float) -> None:
    shown = console()
    place = shlex.quote(str(out))
    shown.print(f"[bold]Made in {seconds:.0f} s. Look at[/]", markup=True)
    for path, what in (
        ("people.html", "who was where, when, and how sure that is"),
        ("found.html", "who it is, and what looks alike"),
        ("clips", "the busiest moments, everybody with their number"),
    ):
        shown.print(f"   {out / path}: {what}")
    shown.print("[bold]Try next[/]", markup=True)
    for command in (
        f"reidstream serve --gallery {place}/gallery   (then open http://localhost:8400)",
        f"reidstream search {place}/query.jpg --whole --gallery {place}/gallery",
        f"reidstream people label 1 --name Grace --gallery {place}/gallery",
        "reidstream run YOUR_VIDEO.mp4 --gallery mine",
        "reidstream synth scene --cameras 4 --people 30 --minutes 2 --seed 7",
    ):
        shown.print(f"   {command}", markup=False)


def _plain(
    comparison: Comparison, wanted: Wanted, matches: list[Match], summary: RunSummary, out: Path, seconds: float
) -> dict[str, Any]:
    return {
        "folder": out,
        "seconds": round(seconds, 2),
        "frames": summary.frames,
        "run_seconds": round(summary.seconds, 2),
        "people": len(comparison.persons),
        "people_found": len(comparison.found),
        "visits": comparison.visits,
        "visits_found": comparison.visits_found,
        "tracklets": comparison.tracklets,
        "tracklets_per_person": round(comparison.tracklets_per_person, 3),
        "tracklets_per_visit": round(comparison.tracklets_per_visit, 3),
        "mixed": len(comparison.mixed),
        "nobody": len(comparison.nobody),
        "search": [
            {
                "tracklet": match.tracklet,
                "similarity": round(match.similarity, 4),
                "right": comparison.person_of.get(match.tracklet) == wanted.person,
            }
            for match in matches
        ],
    }
