"""The exact truth of a scene on disk: MOTChallenge folders, one per camera, and the table of who is who."""

from __future__ import annotations

import configparser
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.foreign_documents import parsed_json
from reidstream.types import FloatArray, IntArray, TrackIds

CONSIDERED_FROM = 0.1
"""Rows of which less can be seen carry 0 in MOTChallenge's seventh column (to be ignored) and begin or end no track."""


@dataclass(frozen=True, slots=True)
class CameraTruth:
    """What one camera saw.

    name: the camera's. video: its file. size: (width, height). fps: frames per second. length: number of frames.
    frames: int64 (m,), from 0. track_ids: uint64 (m,). boxes: float32 (m, 4), xyxy clipped to the frame.
    visibility: float32 (m,), 0..1. considered: bool (m,), False for rows that MOTChallenge scoring ignores.
    Rows are ordered by frame, then track.
    """

    name: str
    video: Path
    size: tuple[int, int]
    fps: float
    length: int
    frames: IntArray
    track_ids: TrackIds
    boxes: FloatArray
    visibility: FloatArray
    considered: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrackTruth:
    """Who a track is. person: number of the person, from 0. first_frame, last_frame: from 0, inclusive."""

    camera: str
    track_id: int
    person: int
    first_frame: int
    last_frame: int


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """A scene as it lies in a folder. parameters: what the world was made with (scene.json)."""

    folder: Path
    cameras: tuple[CameraTruth, ...]
    tracks: tuple[TrackTruth, ...]
    parameters: dict[str, Any]

    @property
    def persons(self) -> tuple[int, ...]:
        """Everybody who was seen by some camera, ascending."""
        return tuple(sorted({track.person for track in self.tracks}))

    def person_of(self) -> dict[tuple[str, int], int]:
        """(camera, track id) -> person."""
        return {(track.camera, track.track_id): track.person for track in self.tracks}

    def camera(self, name: str) -> CameraTruth:
        """The truth of one camera; KeyError when there is none of that name."""
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Sighting:
    """All rows of one camera before tracks are numbered: frames from 0, visits, persons, boxes xyxy, visibility."""

    frames: IntArray
    visits: IntArray
    persons: IntArray
    boxes: FloatArray
    visibility: FloatArray


def split_tracks(sighting: Sighting, fps: float, gap: float = 2.0) -> tuple[TrackIds, npt.NDArray[np.bool_]]:
    """Number the tracks of one camera from 1, in the order of their first frames.

    A track is one visit as long as it is not out of the picture for more than ``gap`` seconds; it begins and ends
    with a frame in which at least CONSIDERED_FROM of the person can be seen. Returns the ids (m,) and which rows are
    part of a track at all.
    """
    ids = np.zeros(len(sighting.frames), np.uint64)
    pieces: list[tuple[int, int, IntArray]] = []
    for visit in np.unique(sighting.visits):
        rows = np.flatnonzero(sighting.visits == visit)
        for piece in np.split(rows, np.flatnonzero(np.diff(sighting.frames[rows]) > gap * fps) + 1):
            clear = np.flatnonzero(sighting.visibility[piece] >= CONSIDERED_FROM)
            if len(clear):
                piece = piece[clear[0] : clear[-1] + 1]
                pieces.append((int(sighting.frames[piece[0]]), int(visit), piece))
    for number, (_, _, piece) in enumerate(sorted(pieces, key=lambda item: item[:2]), start=1):
        ids[piece] = number
    return ids, ids > 0


def write_camera(
    folder: Path, name: str, sighting: Sighting, size: tuple[int, int], fps: float, length: int
) -> list[TrackTruth]:
    """Write gt/gt.txt and seqinfo.ini of one camera into ``folder`` and return its tracks."""
    ids, kept = split_tracks(sighting, fps)
    order = np.lexsort((ids, sighting.frames))
    order = order[kept[order]]
    lines = []
    for row in order:
        x1, y1, x2, y2 = (float(n) for n in sighting.boxes[row])
        seen = float(sighting.visibility[row])
        considered = int(seen >= CONSIDERED_FROM)
        box = f"{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
        lines.append(f"{sighting.frames[row] + 1},{ids[row]},{box},{considered},1,{seen:.3f}\n")
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    (folder / "gt" / "gt.txt").write_text("".join(lines), encoding="ascii")
    info = {
        "name": name, "imDir": "", "video": f"{name}.mp4", "frameRate": f"{fps:g}", "seqLength": str(length),
        "imWidth": str(size[0]), "imHeight": str(size[1]), "imExt": "",
    }  # fmt: skip
    text = "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in info.items() if value)
    (folder / "seqinfo.ini").write_text(text, encoding="ascii")
    tracks = []
    for track_id in range(1, int(ids.max(initial=0)) + 1):
        rows = np.flatnonzero(ids == track_id)
        frames = sighting.frames[rows]
        tracks.append(TrackTruth(name, track_id, int(sighting.persons[rows[0]]), int(frames.min()), int(frames.max())))
    return tracks


def write_identities(path: Path, tracks: list[TrackTruth]) -> None:
    """The table that links every track to its person; frames count from 1 as in gt.txt."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["camera", "track_id", "person", "first_frame", "last_frame"])
    for track in tracks:
        table.writerow([track.camera, track.track_id, track.person, track.first_frame + 1, track.last_frame + 1])
    path.write_text(text.getvalue(), encoding="ascii")


def load_scene(folder: Path | str) -> SceneTruth:
    """Read back what ``write_scene`` wrote.

    Raises SourceNotFound when the folder holds no scene, SourceBroken when a file of it does not fit.
    """
    folder = Path(folder)
    table = folder / "identities.csv"
    if not table.is_file():
        raise SourceNotFound(
            f"no scene in {folder}: expected identities.csv there; `reidstream synth {folder}` makes one"
        )
    cameras = tuple(_load_camera(info.parent) for info in sorted(folder.glob("*/seqinfo.ini"), key=_natural))
    try:
        parameters = parsed_json((folder / "scene.json").read_text(encoding="utf-8"))
        with table.open(encoding="ascii", newline="") as file:
            tracks = tuple(
                TrackTruth(
                    camera=row["camera"],
                    track_id=int(row["track_id"]),
                    person=int(row["person"]),
                    first_frame=int(row["first_frame"]) - 1,
                    last_frame=int(row["last_frame"]) - 1,
                )
                for row in csv.DictReader(file)
            )
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise SourceBroken(
            f"the scene in {folder} cannot be read: {type(error).__name__}: {error}; make it again"
        ) from None
    names = {camera.name for camera in cameras}
    missing = sorted({track.camera for track in tracks} - names)
    if missing:
        raise SourceBroken(f"{table} names cameras without a folder: {', '.join(missing)}; make the scene again")
    return SceneTruth(folder, cameras, tracks, parameters)


def _load_camera(folder: Path) -> CameraTruth:
    info = configparser.ConfigParser()
    truth = folder / "gt" / "gt.txt"
    try:
        info.read_string((folder / "seqinfo.ini").read_text(encoding="utf-8"))
        sequence = info["Sequence"]
        text = truth.read_text(encoding="ascii")
        rows = np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2) if text else np.zeros((0, 9))
        if rows.shape[1] != 9:
            raise ValueError(f"{truth}: expected 9 columns, found {rows.shape[1]}")
        return CameraTruth(
            name=sequence["name"],
            video=folder / sequence["video"],
            size=(int(sequence["imWidth"]), int(sequence["imHeight"])),
            fps=float(sequence["frameRate"]),
            length=int(sequence["seqLength"]),
            frames=rows[:, 0].astype(np.int64) - 1,
            track_ids=rows[:, 1].astype(np.uint64),
            boxes=np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1).astype(np.float32),
            visibility=rows[:, 8].astype(np.float32),
            considered=rows[:, 6] > 0,
        )
    except (KeyError, ValueError, OSError, configparser.Error) as error:
        raise SourceBroken(f"the truth of camera {folder} cannot be read: {type(error).__name__}: {error}") from None


def _natural(path: Path) -> tuple[int, str]:
    """cam2 before cam10."""
    return len(path.parent.name), path.parent.name
