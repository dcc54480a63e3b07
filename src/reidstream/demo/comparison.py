"""A gallery's tracklets against the truth of the scene they were made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reidstream.boxes import pairwise_iou
from reidstream.synthetic import CameraTruth, SceneTruth
from reidstream.types import Tracklet

OVERLAP = 0.5
MIXED_FROM = 0.1
"""A tracklet is mixed when this share of its boxes, or more, shows somebody else than most of them do."""
SEEN_TALL, SEEN_VISIBLE, SEEN_SECONDS = 40.0, 0.5, 1.0
"""A visit can be found when somebody was at least so many pixels tall and so far visible for so long."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the people of a scene.

    persons: who could be found at all. found: those of them who have a tracklet. visits: (camera, track) pairs of the
    truth that could be found. visits_found: those with a tracklet. person_of: tracklet id -> person; tracklets that
    show nobody are absent. mixed: tracklets that hold two people. nobody: tracklets that show no person for most
    of their length.
    """

    persons: frozenset[int]
    found: frozenset[int]
    visits: int
    visits_found: int
    tracklets: int
    person_of: dict[str, int]
    mixed: tuple[str, ...]
    nobody: tuple[str, ...]

    @property
    def tracklets_per_visit(self) -> float:
        """How many pieces a visit was cut into, on average; 1 is best."""
        return len(self.person_of) / max(self.visits_found, 1)

    @property
    def tracklets_per_person(self) -> float:
        """Tracklets per person found; one per visit is best."""
        return len(self.person_of) / max(len(self.found), 1)


def compare(scene: SceneTruth, tracklets: Iterable[Tracklet]) -> Comparison:
    """Say of each tracklet whose it is: each of its boxes votes for the person it overlaps most (IoU at least 0.5).

    The tracklets' sources must be called like the scene's cameras; raises KeyError otherwise.
    """
    person_of_track = scene.person_of()
    visible = {(camera.name, track_id) for camera in scene.cameras for track_id in _noticeable(camera)}
    persons = frozenset(person_of_track[visit] for visit in visible)
    person_of: dict[str, int] = {}
    visits_found: set[tuple[str, int]] = set()
    mixed, nobody, count = [], [], 0
    by_frame = {camera.name: _rows_by_frame(camera) for camera in scene.cameras}
    for tracklet in tracklets:
        count += 1
        camera = scene.camera(tracklet.source)
        votes: Counter[int] = Counter()
        tracks: Counter[int] = Counter()
        for frame, box in zip(tracklet.frames.tolist(), tracklet.boxes, strict=True):
            rows = by_frame[camera.name].get(frame)
            if rows is None:
                continue
            overlap = pairwise_iou(box[None], camera.boxes[rows])[0]
            if overlap.max() >= OVERLAP:
                track = int(camera.track_ids[rows[int(overlap.argmax())]])
                votes[person_of_track[camera.name, track]] += 1
                tracks[track] += 1
        matched = sum(votes.values())
        if matched < 0.5 * len(tracklet.frames):
            nobody.append(tracklet.id)
            continue
        person, most = votes.most_common(1)[0]
        person_of[tracklet.id] = person
        visits_found |= {(camera.name, track) for track, n in tracks.items() if n >= MIXED_FROM * matched}
        if matched - most >= MIXED_FROM * matched:
            mixed.append(tracklet.id)
    return Comparison(
        persons=persons,
        found=frozenset(person_of.values()) & persons,
        visits=len(visible),
        visits_found=len(visits_found & visible),
        tracklets=count,
        person_of=person_of,
        mixed=tuple(mixed),
        nobody=tuple(nobody),
    )


def _noticeable(camera: CameraTruth) -> list[int]:
    tall = camera.boxes[:, 3] - camera.boxes[:, 1] >= SEEN_TALL
    clear = tall & (camera.visibility >= SEEN_VISIBLE)
    ids, counts = np.unique(camera.track_ids[clear], return_counts=True)
    return [int(i) for i in ids[counts >= SEEN_SECONDS * camera.fps]]


def _rows_by_frame(camera: CameraTruth) -> dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    frames, starts = np.unique(camera.frames, return_index=True)
    parts = np.split(np.arange(len(camera.frames)), starts[1:])
    return dict(zip(frames.tolist(), parts, strict=True))
