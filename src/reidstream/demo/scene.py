"""The scene that the demo and the end-to-end tests share, and where it lies."""

from __future__ import annotations

import shutil
from pathlib import Path

from reidstream.errors import ConfigError, ReIDStreamError
from reidstream.synthetic import SceneTruth, World, load_scene, write_scene
from reidstream.synthetic.scene import Progress, parameters_of


def demo_world(minutes: float = 1.0, fps: float = 15.0) -> World:
    """Three cameras and a dozen people, always the same; 15 frames a second is what many cameras deliver."""
    return World(seed=18, cameras=3, people=12, minutes=minutes, fps=fps)


def prepare_scene(out: Path, world: World, progress: Progress | None = None) -> tuple[SceneTruth, bool]:
    """The scene of ``world`` in ``out/scene``, and whether it had to be made.

    A complete one from an earlier demo is used again; one of another world is made anew, and what was built on
    it is removed. Raises ConfigError when ``out`` holds anything that is not a demo's.
    """
    folder = out / "scene"
    _refuse_foreign(out)
    try:
        scene = load_scene(folder)
        if scene.parameters == parameters_of(world) and all(camera.video.is_file() for camera in scene.cameras):
            return scene, False
    except ReIDStreamError:
        pass
    for left in out.glob("*") if out.is_dir() else ():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return write_scene(folder, world, progress=progress, overwrite=True), True


_OURS = {"scene", "gallery", "clips", "people.html", "found.html", "query.jpg"}


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; the demo needs a folder (--out)")
    if out.is_dir():
        foreign = sorted(
            path.name for path in out.iterdir() if path.name not in _OURS and not path.name.startswith(".")
        )
        if foreign:
            raise ConfigError(f"{out} holds {foreign[0]}, which is not the demo's; choose another folder (--out)")
