"""Where tracks went wrong: switches, people who were missed, tracks of nobody; with the frames that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from reidstream.config import SourceConfig
from reidstream.errors import SourceNotFound
from reidstream.evaluation.motchallenge import Numbers, TrackedBoxes
from reidstream.evaluation.pairs import Indices, paired
from reidstream.evaluation.report import Case, Exhibit
from reidstream.evaluation.sequences import LabelledSequence
from reidstream.evaluation.tracking import clear_matches
from reidstream.sources import open_source
from reidstream.sources.frame import Pixels

_PEOPLE, _RIGHT, _WRONG, _OTHERS = (90, 200, 60), (235, 140, 40), (40, 40, 220), (150, 150, 150)
_MISSED = (30, 220, 250)
# A picture shows so many times a person's height, in this many pixels.
_AROUND, _WIDTH, _HEIGHT = 2.6, 400, 300


@dataclass(frozen=True, slots=True)
class Switch:
    """A person who goes on under another track. frame, earlier: file numbers (from 1) of the first frame with the new
    track and the last one with the old. pieces: matched frames of the person with the old and with the new track."""

    person: int
    earlier: int
    frame: int
    old: int
    new: int
    pieces: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Matches:
    """One sequence: who was matched with what, one row per matched box. frames from 1.

    frames, persons, tracks: int64 (m,), ids as in the files. truth, answer: all boxes.
    """

    truth: TrackedBoxes
    answer: TrackedBoxes
    frames: Indices
    persons: Indices
    tracks: Indices

    def coverage(self) -> dict[int, float]:
        """Of each labelled person the share of boxes that a track covers."""
        people, counts = np.unique(self.truth.ids, return_counts=True)
        found = {int(p): 0 for p in people} | _counted(self.persons)
        return {int(p): found[int(p)] / int(n) for p, n in zip(people, counts, strict=True)}

    def surplus(self) -> dict[int, int]:
        """Of each track the number of boxes that lie on nobody."""
        matched = _counted(self.tracks)
        return {track: n - matched.get(track, 0) for track, n in _counted(self.answer.ids).items()}

    def tracks_per_person(self) -> list[int]:
        """How many tracks each person who was found has."""
        return [len(np.unique(self.tracks[self.persons == person])) for person in np.unique(self.persons)]

    def switches(self) -> list[Switch]:
        """Every switch, the worst first: those between the longest pieces."""
        found = []
        for person in np.unique(self.persons).tolist():
            rows = np.flatnonzero(self.persons == person)
            tracks, frames = self.tracks[rows], self.frames[rows]
            together = _counted(tracks)
            for k in np.flatnonzero(np.diff(tracks)).tolist():
                old, new = int(tracks[k]), int(tracks[k + 1])
                pieces = together[old], together[new]
                found.append(Switch(person, int(frames[k]), int(frames[k + 1]), old, new, pieces))
        return sorted(found, key=lambda s: (-min(s.pieces), s.frame, s.person))


def match_sequence(truth: TrackedBoxes, answer: TrackedBoxes) -> Matches:
    """The matches that CLEAR MOT counts: IoU of at least 0.5, those of the frame before kept."""
    pair = paired(truth, answer)
    people, tracks = np.unique(truth.ids), np.unique(answer.ids)
    numbers = np.union1d(truth.frames, answer.frames)
    columns: tuple[list[Indices], ...] = ([np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)])
    for number, frame, (rows, cells) in zip(numbers.tolist(), pair.frames, clear_matches(pair), strict=True):
        columns[0].append(np.full(len(rows), number))
        columns[1].append(people[frame.truth[rows]])
        columns[2].append(tracks[frame.tracks[cells]])
    return Matches(truth, answer, *(np.concatenate(column) for column in columns))


@dataclass(frozen=True, slots=True)
class _Shot:
    """A picture to be cut out of a frame. frame: from 1. box: what it is about. wrong, right: tracks drawn so."""

    frame: int
    box: Numbers
    caption: str
    tone: str
    right: int | None = None
    wrong: int | None = None


def switch_cases(sequence: LabelledSequence, matches: Matches, most: int) -> list[tuple[float, Case]]:
    """The worst switches as pictures before and after, with how bad each is."""
    found = matches.switches()[:most]
    plans = []
    for switch in found:
        before = _box(matches.truth, switch.earlier, switch.person)
        after = _box(matches.truth, switch.frame, switch.person)
        shots = [
            _Shot(switch.earlier, before, f"frame {switch.earlier}: track {switch.old}", "good", right=switch.old),
            _Shot(switch.frame, after, f"frame {switch.frame}: track {switch.new}", "bad", switch.old, switch.new),
        ]
        title = (
            f"{sequence.name}, person {switch.person}: track {switch.old} ({switch.pieces[0]} frames) becomes "
            f"{switch.new} ({switch.pieces[1]} frames)"
        )
        plans.append((float(min(switch.pieces)), title, shots))
    return _drawn(sequence, matches, plans)


def missed_cases(sequence: LabelledSequence, matches: Matches, most: int) -> list[tuple[float, Case]]:
    """The people of whom most boxes were missed, each in three frames without a track."""
    plans = []
    for person, share in matches.coverage().items():
        rows = np.flatnonzero(matches.truth.ids == person)
        covered = np.isin(matches.truth.frames[rows], matches.frames[matches.persons == person])
        missed = rows[~covered]
        if len(missed):
            shots = [
                _Shot(
                    int(matches.truth.frames[row]), matches.truth.boxes[row], f"frame {matches.truth.frames[row]}", ""
                )
                for row in _spread(missed)
            ]
            plans.append(
                (float(len(missed)), f"{sequence.name}, person {person}: {share:.0%} of {len(rows)} boxes", shots)
            )
    return _drawn(sequence, matches, _worst(plans, most))


def surplus_cases(sequence: LabelledSequence, matches: Matches, most: int) -> list[tuple[float, Case]]:
    """The tracks with the most boxes that lie on nobody, each in three such frames."""
    plans = []
    for track, surplus in matches.surplus().items():
        if surplus:
            rows = np.flatnonzero(matches.answer.ids == track)
            right = np.isin(matches.answer.frames[rows], matches.frames[matches.tracks == track])
            shots = [_shot(matches.answer, row, "bad", wrong=track) for row in _spread(rows[~right])]
            title = f"{sequence.name}, track {track}: {surplus} of {len(rows)} boxes on nobody"
            plans.append((float(surplus), title, shots))
    return _drawn(sequence, matches, _worst(plans, most))


_Plan = tuple[float, str, list[_Shot]]


def _shot(boxes: TrackedBoxes, row: int, tone: str, wrong: int | None = None) -> _Shot:
    frame = int(boxes.frames[row])
    return _Shot(frame, boxes.boxes[row], f"frame {frame}", tone, wrong=wrong)


def _worst(plans: list[_Plan], most: int) -> list[_Plan]:
    return sorted(plans, key=lambda plan: (-plan[0], plan[1]))[:most]


def _spread(rows: Indices) -> list[int]:
    """Up to three of the rows, from their beginning, middle and end."""
    chosen: list[int] = rows[np.unique(np.linspace(0, len(rows) - 1, 3).astype(np.int64))].tolist()
    return chosen


def _drawn(sequence: LabelledSequence, matches: Matches, plans: Sequence[_Plan]) -> list[tuple[float, Case]]:
    """The plans as cases; without pictures where the frames are not at hand."""
    wanted: dict[int, list[_Shot]] = {}
    for _, _, shots in plans:
        for shot in shots:
            wanted.setdefault(shot.frame, []).append(shot)
    pictures: dict[int, bytes] = {}
    if wanted:
        try:
            with open_source(SourceConfig(uri=str(sequence.frames)), sequence.name) as source:
                last = max(wanted)
                for frame in source:
                    for shot in wanted.get(frame.index + 1, ()):
                        pictures[id(shot)] = _cut(frame.picture.bgr(), shot, matches)
                    if frame.index + 1 >= last:
                        break
        except SourceNotFound:
            # Files of tracks can be scored where the video is not.
            pictures = {}
    return [
        (badness, Case(title, tuple(Exhibit(pictures.get(id(s)), s.caption, s.tone, wide=True) for s in shots)))
        for badness, title, shots in plans
    ]


def _cut(image: Pixels, shot: _Shot, matches: Matches) -> bytes:
    """The surroundings of a box, scaled, with people (thin) and tracks (thick, numbered) drawn in."""
    x1, y1, x2, y2 = shot.box.tolist()
    height = _AROUND * max(y2 - y1, 1.0)
    width = height * _WIDTH / _HEIGHT
    left, top = (x1 + x2 - width) / 2, (y1 + y2 - height) / 2
    scale = _HEIGHT / height
    place = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    canvas = cv2.warpAffine(image, place, (_WIDTH, _HEIGHT), flags=cv2.INTER_LINEAR, borderValue=(40, 40, 40))

    def draw(boxes: TrackedBoxes, thickness: int, colour_of: dict[int, tuple[int, int, int]] | None) -> None:
        for row in np.flatnonzero(boxes.frames == shot.frame).tolist():
            a, b, c, d = ((boxes.boxes[row] - [left, top, left, top]) * scale).round().astype(int).tolist()
            identity = int(boxes.ids[row])
            colour = _PEOPLE if colour_of is None else colour_of.get(identity, _OTHERS)
            cv2.rectangle(canvas, (a, b), (c, d), colour, thickness)
            if colour_of is not None:
                cv2.putText(
                    canvas, str(identity), (a + 3, b + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA
                )

    colours = {}
    if shot.right is not None:
        colours[shot.right] = _RIGHT
    if shot.wrong is not None:
        colours[shot.wrong] = _WRONG
    draw(matches.answer, 2, colours)
    draw(matches.truth, 1, None)
    if not colours:
        a, b, c, d = ((shot.box - [left, top, left, top]) * scale).round().astype(int).tolist()
        cv2.rectangle(canvas, (a, b), (c, d), _MISSED, 2)
    done, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return data.tobytes()


def _box(boxes: TrackedBoxes, frame: int, identity: int) -> Numbers:
    found: Numbers = boxes.boxes[(boxes.frames == frame) & (boxes.ids == identity)][0]
    return found


def _counted(values: Indices) -> dict[int, int]:
    unique, counts = np.unique(values, return_counts=True)
    return {int(value): int(count) for value, count in zip(unique, counts, strict=True)}
