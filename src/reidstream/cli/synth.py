"""``reidstream synth``: make a synthetic scene with known identities."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import JSON
from reidstream.errors import ConfigError


def synth(
    out: Path = typer.Argument(..., metavar="OUT", help="Folder for the scene; must be new or empty."),
    cameras: int = typer.Option(4, min=1, max=64, help="Number of cameras."),
    people: int = typer.Option(30, min=1, max=1000, help="Number of people."),
    minutes: float = typer.Option(2.0, min=0.01, max=1440, help="Length of the scene, every camera's."),
    seed: int = typer.Option(0, min=0, help="The same seed and options give the same scene."),
    size: str = typer.Option("960x540", help="Frame size, WIDTHxHEIGHT in pixels, both even."),
    fps: float = typer.Option(25.0, min=1, max=120, help="Frames per second."),
    hard: bool = typer.Option(False, "--hard", help="Dress most people much like somebody else."),
    things: bool = typer.Option(
        False,
        "--things",
        help="Put in what looks like people (mannequins, posters, coat stands, displays, mirrors, birds, shadows), and "
        "people who sit, stand and wait.",
    ),
    workers: int | None = typer.Option(None, min=1, help="Processes that render; default: one per core."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier scene in OUT."),
    json: bool = JSON,
) -> None:
    """Make videos of a small world in which it is known who is who.

    Each camera gets a folder with its video and its truth in MOTChallenge format (gt/gt.txt, seqinfo.ini);
    identities.csv links every track to its person.

    Example: reidstream synth scene --cameras 4 --people 30 --minutes 2 --seed 7
    """
    import time

    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from reidstream.synthetic import World, write_scene

    found = re.fullmatch(r"(\d+)x(\d+)", size)
    if found is None:
        raise ConfigError(f"--size must look like 960x540, got {size!r}")
    try:
        world = World(
            seed=seed,
            cameras=cameras,
            people=people,
            minutes=minutes,
            size=(int(found[1]), int(found[2])),
            fps=fps,
            similar=0.8 if hard else 0.25,
            things=things,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    begun = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    shown = console()
    with Progress(*columns, TimeRemainingColumn(), console=shown, disable=json or not shown.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(camera: str, done: int, total: int) -> None:
            if camera not in tasks:
                tasks[camera] = bars.add_task(camera, total=total)
            bars.update(tasks[camera], completed=done)

        scene = write_scene(out, world, workers=workers, progress=progress, overwrite=overwrite)
    seconds = time.monotonic() - begun
    footage = sum(camera.length / camera.fps for camera in scene.cameras)
    if json:
        print_json(
            {
                "folder": scene.folder,
                "cameras": [camera.name for camera in scene.cameras],
                "videos": [camera.video for camera in scene.cameras],
                "persons": len(scene.persons),
                "tracks": len(scene.tracks),
                "things": len(scene.things),
                "boxes": sum(len(camera.frames) for camera in scene.cameras),
                "footage_seconds": round(footage, 2),
                "seconds": round(seconds, 2),
            }
        )
        return
    for camera in scene.cameras:
        tracks = sum(track.camera == camera.name for track in scene.tracks)
        shown.print(
            f"{camera.name}: {camera.length} frames, {tracks} tracks, {len(camera.frames)} boxes: {camera.video}"
        )
    shown.print(
        f"{len(scene.persons)} people, {len(scene.tracks)} tracks; {footage:.0f} s of video in {seconds:.0f} s. "
        f"Who is who: {scene.folder / 'identities.csv'}"
    )
