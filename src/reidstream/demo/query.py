"""A person to search for: cut out of one camera's video where the truth says they can be seen well."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from reidstream.errors import SourceBroken
from reidstream.sources.frame import Pixels
from reidstream.synthetic import SceneTruth


@dataclass(frozen=True, slots=True)
class Wanted:
    """crop: uint8 (h, w, 3) BGR. person, camera, frame: who it is and where it was taken."""

    crop: Pixels
    person: int
    camera: str
    frame: int


def choose_wanted(scene: SceneTruth) -> Wanted:
    """Somebody whom several cameras saw, at the moment when one of them saw most of them.

    Raises SourceBroken when nobody in the scene can be seen well.
    """
    cameras_of: defaultdict[int, set[str]] = defaultdict(set)
    for track in scene.tracks:
        cameras_of[track.person].add(track.camera)
    best: tuple[int, float] = (0, 0.0)
    chosen: tuple[int, str, int] | None = None
    person_of = scene.person_of()
    for camera in scene.cameras:
        width, height = camera.size
        x1, y1, x2, y2 = camera.boxes.T
        inside = (x1 > 2) & (y1 > 2) & (x2 < width - 2) & (y2 < height - 2)
        clear = np.where(inside & (camera.visibility > 0.98), y2 - y1, 0)
        for track_id in np.unique(camera.track_ids):
            rows = np.flatnonzero(camera.track_ids == track_id)
            row = int(rows[clear[rows].argmax()])
            person = person_of[camera.name, int(track_id)]
            merit = (len(cameras_of[person]), float(clear[row]))
            if clear[row] > 0 and merit > best:
                best, chosen = merit, (person, camera.name, row)
    if chosen is None:
        raise SourceBroken(f"nobody in the scene in {scene.folder} can be seen completely")
    person, name, row = chosen
    camera = scene.camera(name)
    x1, y1, x2, y2 = (int(n) for n in camera.boxes[row].round())
    frame = int(camera.frames[row])
    return Wanted(_frame(scene, name, frame)[y1:y2, x1:x2].copy(), person, name, frame)


def _frame(scene: SceneTruth, name: str, index: int) -> Pixels:
    from reidstream.config import SourceConfig
    from reidstream.sources import open_source

    video = scene.camera(name).video
    with open_source(SourceConfig(uri=str(video)), name) as source:
        for frame in source:
            if frame.index == index:
                return frame.picture.bgr()
    raise SourceBroken(f"{video} has no frame {index}; make the scene again")
