"""A synthetic world: several cameras, many walking people, and exact truth about who is where.

``World(seed=7, cameras=4, people=30, minutes=2)`` plans a scene; ``write_scene(out, world)`` renders it to videos
with truth files and returns a ``SceneTruth``, which ``load_scene(out)`` reads back at any time. Without any
files, ``world.render_frames(camera, every=5)`` yields ``RenderedFrame``s (image, boxes, visibility, person ids) and
``render_crops(people=200, seed=1)`` yields ``Crop``s of single people for training embeddings.
"""

from __future__ import annotations

from reidstream.synthetic.crops import Crop, render_crops
from reidstream.synthetic.render import RenderedFrame
from reidstream.synthetic.scene import write_scene
from reidstream.synthetic.truth import CameraTruth, SceneTruth, ThingRows, ThingTruth, TrackTruth, load_scene
from reidstream.synthetic.world import World

__all__ = [
    "CameraTruth",
    "Crop",
    "RenderedFrame",
    "SceneTruth",
    "ThingRows",
    "ThingTruth",
    "TrackTruth",
    "World",
    "load_scene",
    "render_crops",
    "write_scene",
]
