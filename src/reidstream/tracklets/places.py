"""What stands at one place again and again: displays, and things whose tracks break off when somebody passes.

One short track says little: people, too, stand still for three seconds. But nobody takes somebody else's place to the
pixel, motionless, without ever having walked there. And what was seen five times for three seconds at one place, always
with the same picture, has been there all the time.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reidstream.tracklets.observations import TrackPath
from reidstream.tracklets.stillness import SAME_PICTURE, overlaps, picture_likeness, walked
from reidstream.types import FloatArray

_SAME_PLACE = 0.5
"""Overlap (IoU) of median boxes from which two tracks were at one place: a display shows people of several sizes."""
_UNMOVING = 0.94
"""Correlation of a track's own pictures from which it has not moved. On synthetic scenes what displays show for a few
seconds comes to .95 and more, and people who sit or stand to .93 and less, where their tracks are as short."""
_STILL = 0.06
"""Where there are too few pictures: how far, in heights, the box moves at most. On a display it moves by .01 to .06,
and that of people whose tracks are as short by .1 and more."""
_SOMEBODY_ELSE = 0.6
"""Cosine of two tracks' embeddings below which they are of different people."""
_CHANGES = 2
"""So often something else has come to a place before it is a display."""
_MOST_PLACES, _MOST_VISITS, _MOST_PICTURES = 64, 8, 6
"""Kept for each source: places, tracks of each, and pictures of each track."""


@dataclass(frozen=True, slots=True)
class _Stay:
    """One track that never left its place. look: float32 (d,), unit length. unmoving: whether its pictures say so."""

    start: float
    end: float
    look: FloatArray
    unmoving: bool
    times: tuple[float, ...]
    boxes: tuple[FloatArray, ...]
    crops: tuple[bytes | None, ...]


@dataclass(slots=True)
class _Place:
    box: npt.NDArray[np.float64]
    stays: list[_Stay] = field(default_factory=list)


class StillPlaces:
    """The places of one source at which tracks were that never walked. seconds: for how long a thing is seen."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._places: list[_Place] = []

    def says_thing(
        self,
        path: TrackPath,
        times: Sequence[float],
        boxes: Sequence[FloatArray],
        crops: Sequence[bytes | None],
        embeddings: Sequence[FloatArray],
        remembers: bool = True,
    ) -> bool:
        """Whether a track is that of a thing, by what was at its place before.

        The arguments are those of ``is_thing``, with the embedding of each picture, float32 (d,). remembers: the track
        is over, and counts when it is asked for the next one.
        """
        if walked(path):
            return False
        likeness = picture_likeness(times, boxes, crops)
        few = np.linspace(0, len(times) - 1, min(len(times), _MOST_PICTURES)).round().astype(int).tolist()
        look = np.mean(embeddings, axis=0)
        stay = _Stay(
            start=float(path.media[0]),
            end=float(path.media[-1]),
            look=(look / max(float(np.linalg.norm(look)), 1e-9)).astype(np.float32),
            unmoving=path.travel() <= _STILL if likeness is None else likeness >= _UNMOVING,
            times=tuple(times[row] for row in few),
            boxes=tuple(boxes[row] for row in few),
            crops=tuple(crops[row] for row in few),
        )
        box = np.median(path.boxes[path.confidences >= 0], axis=0).astype(np.float64)
        place = self._place_of(box, remembers)
        stays = [*place.stays, stay][-_MOST_VISITS:]
        if remembers:
            place.stays = stays
        still = [stay for stay in stays if stay.unmoving]
        if not stay.unmoving or stay.end - still[0].start < self._seconds:
            return False
        return _changes(still) >= _CHANGES or self._always_the_same(still)

    def _place_of(self, box: npt.NDArray[np.float64], remembers: bool) -> _Place:
        """The place that a box lies on, a new one when there is none; the one used last is the last."""
        place = _Place(box)
        if self._places:
            shared = overlaps(np.stack([place.box for place in self._places]), box)
            if shared.max() >= _SAME_PLACE:
                place = self._places[int(shared.argmax())]
        if remembers:
            others = [other for other in self._places if other is not place]
            self._places = [*others[-(_MOST_PLACES - 1) :], place]
        return place

    def _always_the_same(self, stays: Sequence[_Stay]) -> bool:
        """Whether the last and earlier tracks show one picture over a time in which a person would have moved."""
        last = stays[-1]
        like = [stay for stay in stays if float(stay.look @ last.look) >= _SOMEBODY_ELSE]
        if len(like) < 2 or last.end - like[0].start < self._seconds:
            return False
        likeness = picture_likeness(
            [time for stay in like for time in stay.times],
            [box for stay in like for box in stay.boxes],
            [crop for stay in like for crop in stay.crops],
        )
        return likeness is not None and likeness >= SAME_PICTURE


def _changes(stays: Sequence[_Stay]) -> int:
    """How often somebody else took the place, among those who did not move."""
    pairs = itertools.pairwise(stays)
    return sum(float(one.look @ other.look) < _SOMEBODY_ELSE for one, other in pairs)
