"""What stands at one place again and again: displays, and things whose tracks break off when somebody passes.

One short track says little: people, too, stand still for three seconds. But nobody takes somebody else's place to the
pixel, motionless, without ever having walked there. And what was seen five times for three seconds at one place, always
with the same picture, has been there all the time. So whoever was at one place for a short time waits for what comes
there next (``Stay.waits``), and is told from a thing by what was there before and after. Who was there for long and
moved as the living do is somebody, and the place is theirs: people sit for hours, and others pass in front of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reidstream.tracklets.held import HeldCrops
from reidstream.tracklets.observations import TrackPath
from reidstream.tracklets.stillness import SAME_PICTURE, is_picture, overlaps, picture_likeness, walked
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


@dataclass(slots=True)
class Stay:
    """One track that never left its place.

    look: float32 (d,), unit length. unmoving: whether its pictures, or its box where there are too few, say so. lived:
    whether it was seen for as long as a thing has to be, and its pictures changed as those of somebody living. waits:
    whether what comes to its place is to be seen before it is stored. thing: whether it is one, which may become known
    later.
    """

    start: float
    end: float
    look: FloatArray
    unmoving: bool
    lived: bool
    waits: bool
    times: tuple[float, ...]
    boxes: tuple[FloatArray, ...]
    crops: tuple[bytes | None, ...]
    thing: bool = False


@dataclass(slots=True)
class _Place:
    """display: something else came to it again and again, and none of it walked there. somebody: who was seen to live
    there last."""

    box: npt.NDArray[np.float64]
    stays: list[Stay] = field(default_factory=list)
    display: bool = False
    somebody: Stay | None = None

    def is_of(self, stay: Stay) -> bool:
        """Whether a stay is one of whoever lived there."""
        return self.somebody is not None and float(self.somebody.look @ stay.look) >= _SOMEBODY_ELSE


def longest_wait(seconds: float) -> float:
    """Seconds since its beginning after which a stay that waits has waited long enough; seconds: as in StillPlaces.

    It is shorter than a thing has to be seen, and then a display has shown another picture twice.
    """
    return seconds + (_CHANGES + 1) * seconds


class StillPlaces:
    """The places of one source at which tracks were that never walked. seconds: for how long a thing is seen."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._places: list[_Place] = []

    @property
    def patience(self) -> float:
        """Seconds since its end after which a stay that waits has waited long enough."""
        return longest_wait(self._seconds) - self._seconds

    def stay(self, path: TrackPath, held: HeldCrops, remembers: bool = True) -> Stay | None:
        """A track's stay at its place, judged by what was there before; None for one that walked.

        remembers: the track is over, and counts when it is asked for the next one.
        """
        if walked(path):
            return None
        stay = self._stay_of(path, held)
        place = self._place_of(_median_box(path), remembers)
        if stay.lived:
            # Somebody sits or stands there. Who passed in front of them made it look like a display before.
            if remembers:
                place.stays, place.display, place.somebody = [], False, stay
            return stay
        if place.is_of(stay):
            stay.waits = False
            return stay
        known, display = self._things(place, stay)
        if remembers:
            place.stays = [*place.stays, stay][-_MOST_VISITS:]
            place.display |= display
            for one in known:
                one.thing = True
        stay.thing = bool(known) or place.display
        return stay

    def known_by(self, path: TrackPath, held: HeldCrops) -> list[Stay]:
        """The earlier stays that are those of a thing by what an open track shows so far."""
        if walked(path):
            return []
        stay = self._stay_of(path, held)
        place = self._place_of(_median_box(path), False)
        return [] if stay.lived or place.is_of(stay) else self._things(place, stay)[0]

    def _stay_of(self, path: TrackPath, held: HeldCrops) -> Stay:
        likeness = picture_likeness(held.times, held.boxes, held.crops)
        few = np.linspace(0, len(held.times) - 1, min(len(held.times), _MOST_PICTURES)).round().astype(int).tolist()
        look = np.mean(held.embeddings, axis=0)
        start, end = float(path.media[0]), float(path.media[-1])
        unmoving = path.travel() <= _STILL if likeness is None else likeness >= _UNMOVING
        return Stay(
            start=start,
            end=end,
            look=(look / max(float(np.linalg.norm(look)), 1e-9)).astype(np.float32),
            unmoving=unmoving,
            lived=end - start >= self._seconds and likeness is not None and likeness < SAME_PICTURE,
            # Without pictures there is hardly any telling what came before and after.
            waits=end - start < self._seconds and any(is_picture(crop) for crop in held.crops),
            times=tuple(held.times[row] for row in few),
            boxes=tuple(held.boxes[row] for row in few),
            crops=tuple(held.crops[row] for row in few),
        )

    def _things(self, place: _Place, stay: Stay) -> tuple[list[Stay], bool]:
        """What is known to be a thing by a stay and those before it, and whether the place is a display's."""
        still = [one for one in [*place.stays, stay][-_MOST_VISITS:] if one.unmoving]
        if not stay.unmoving or stay.end - still[0].start < self._seconds:
            return [], False
        if _changes(still) >= _CHANGES:
            # Displays show people who walk on the spot, too.
            return [*place.stays, stay], True
        return self._always_the_same(still), False

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

    def _always_the_same(self, stays: Sequence[Stay]) -> list[Stay]:
        """The last and earlier tracks, where they show one picture over a time in which a person would have moved."""
        last = stays[-1]
        like = [stay for stay in stays if float(stay.look @ last.look) >= _SOMEBODY_ELSE]
        if len(like) < 2 or last.end - like[0].start < self._seconds:
            return []
        likeness = picture_likeness(
            [time for stay in like for time in stay.times],
            [box for stay in like for box in stay.boxes],
            [crop for stay in like for crop in stay.crops],
        )
        return like if likeness is not None and likeness >= SAME_PICTURE else []


def _median_box(path: TrackPath) -> npt.NDArray[np.float64]:
    return np.asarray(np.median(path.boxes[path.confidences >= 0], axis=0), np.float64)


def _changes(stays: Sequence[Stay]) -> int:
    """How often somebody else took the place, among those who did not move."""
    pairs = itertools.pairwise(stays)
    return sum(float(one.look @ other.look) < _SOMEBODY_ELSE for one, other in pairs)
