"""The exact truth of a scene on disk: MOTChallenge folders, one per camera, and the table of who is who."""

from __future__ import annotations

import configparser
import csv
import io
from dataclasses import dataclass, field
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
class ThingRows:
    """What looks like a person and is none, on one camera. frames: int64 (k,), from 0. ids: int64 (k,), of ThingTruth.
    boxes: float32 (k, 4), xyxy clipped to the frame. visibility: float32 (k,), 0..1.
    """

    frames: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ids: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    boxes: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    visibility: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class CameraTruth:
    """What one camera saw.

    name: the camera's. video: its file. size: (width, height). fps: frames per second. length: number of frames.
    frames: int64 (m,), from 0. track_ids: uint64 (m,). boxes: float32 (m, 4), xyxy clipped to the frame.
    visibility: float32 (m,), 0..1. considered: bool (m,), False for rows that MOTChallenge scoring ignores.
    Rows are ordered by frame, then track. things: rows of what looks like people.
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
    things: ThingRows = field(default_factory=ThingRows)


@dataclass(frozen=True, slots=True)
class ThingTruth:
    """kind: mannequin, coat stand, poster, display, mirror, bird, shadow, or reflection: somebody in a mirror."""

    camera: str
    thing_id: int
    kind: str


@dataclass(frozen=True, slots=True)
class TrackTruth:
    """Who a track is. person: number of the person, from 0. first_frame, last_frame: from 0, inclusive. posture:
    walking, standing, sitting or waiting (who comes, stands and goes).
    """

    camera: str
    track_id: int
    person: int
    first_frame: int
    last_frame: int
    posture: str = "walking"


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """A scene as it lies in a folder. parameters: what the world was made with (scene.json). things: what was put in
    that looks like people, nothing in most scenes.
    """

    folder: Path
    cameras: tuple[CameraTruth, ...]
    tracks: tuple[TrackTruth, ...]
    parameters: dict[str, Any]
    things: tuple[ThingTruth, ...] = ()

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


def write_things(folder: Path, rows: ThingRows) -> None:
    """Write gt/things.txt of one camera: as gt.txt, with 0 in the seventh column, MOTChallenge's class of what is none
    (8, distractor) in the eighth, and the thing's id where the track's is.
    """
    lines = []
    for row in np.lexsort((rows.ids, rows.frames)):
        x1, y1, x2, y2 = (float(n) for n in rows.boxes[row])
        box = f"{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
        lines.append(f"{rows.frames[row] + 1},{rows.ids[row]},{box},0,8,{float(rows.visibility[row]):.3f}\n")
    (folder / "gt" / "things.txt").write_text("".join(lines), encoding="ascii")


def write_identities(path: Path, tracks: list[TrackTruth], postures: bool = False) -> None:
    """The table that links every track to its person; frames count from 1 as in gt.txt. postures: a column of them."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["camera", "track_id", "person", "first_frame", "last_frame", *(["posture"] if postures else [])])
    for track in tracks:
        row = [track.camera, track.track_id, track.person, track.first_frame + 1, track.last_frame + 1]
        table.writerow([*row, *([track.posture] if postures else [])])
    path.write_text(text.getvalue(), encoding="ascii")


def write_thing_table(path: Path, things: list[ThingTruth]) -> None:
    """The table of what kind each thing is."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["camera", "thing_id", "kind"])
    table.writerows([thing.camera, thing.thing_id, thing.kind] for thing in things)
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
                    posture=row.get("posture") or "walking",
                )
                for row in csv.DictReader(file)
            )
        things: tuple[ThingTruth, ...] = ()
        if (folder / "things.csv").is_file():
            with (folder / "things.csv").open(encoding="ascii", newline="") as file:
                things = tuple(
                    ThingTruth(row["camera"], int(row["thing_id"]), row["kind"]) for row in csv.DictReader(file)
                )
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise SourceBroken(
            f"the scene in {folder} cannot be read: {type(error).__name__}: {error}; make it again"
        ) from None
    names = {camera.name for camera in cameras}
    missing = sorted({track.camera for track in tracks} - names)
    if missing:
        raise SourceBroken(f"{table} names cameras without a folder: {', '.join(missing)}; make the scene again")
    return SceneTruth(folder, cameras, tracks, parameters, things)


def _load_camera(folder: Path) -> CameraTruth:
    info = configparser.ConfigParser()
    truth = folder / "gt" / "gt.txt"
    try:
        info.read_string((folder / "seqinfo.ini").read_text(encoding="utf-8"))
        sequence = info["Sequence"]
        rows = _rows_of(truth)
        beside = folder / "gt" / "things.txt"
        of_things = _rows_of(beside) if beside.is_file() else np.zeros((0, 9))
        return CameraTruth(
            name=sequence["name"],
            video=folder / sequence["video"],
            size=(int(sequence["imWidth"]), int(sequence["imHeight"])),
            fps=float(sequence["frameRate"]),
            length=int(sequence["seqLength"]),
            frames=rows[:, 0].astype(np.int64) - 1,
            track_ids=rows[:, 1].astype(np.uint64),
            boxes=_corners(rows),
            visibility=rows[:, 8].astype(np.float32),
            considered=rows[:, 6] > 0,
            things=ThingRows(
                frames=of_things[:, 0].astype(np.int64) - 1,
                ids=of_things[:, 1].astype(np.int64),
                boxes=_corners(of_things),
                visibility=of_things[:, 8].astype(np.float32),
            ),
        )
    except (KeyError, ValueError, OSError, configparser.Error) as error:
        raise SourceBroken(f"the truth of camera {folder} cannot be read: {type(error).__name__}: {error}") from None


def _rows_of(file: Path) -> npt.NDArray[np.float64]:
    text = file.read_text(encoding="ascii")
    rows = np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2) if text else np.zeros((0, 9))
    if rows.shape[1] != 9:
        raise ValueError(f"{file}: expected 9 columns, found {rows.shape[1]}")
    return rows


def _corners(rows: npt.NDArray[np.float64]) -> FloatArray:
    return np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1).astype(np.float32)


def _natural(path: Path) -> tuple[int, str]:
    """cam2 before cam10."""
    return len(path.parent.name), path.parent.name
