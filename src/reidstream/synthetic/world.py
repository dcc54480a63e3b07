"""The synthetic world: who lives in it, what its cameras see, and where everybody walks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from reidstream.synthetic.body import Body, make_body
from reidstream.synthetic.crowd import Visit, simulate
from reidstream.synthetic.gait import stride_length
from reidstream.synthetic.places import View, make_view
from reidstream.synthetic.render import Painter, RenderedFrame
from reidstream.synthetic.staying import fidgeting, people_who_stay
from reidstream.synthetic.things import Thing, make_things
from reidstream.synthetic.wardrobe import Look, make_wardrobe


@dataclass(frozen=True)
class World:
    """A scene that is fully decided by its arguments; the same arguments always give the same scene.

    cameras: 1 to 64. people: 1 to 1,000. minutes: length of the scene, the same for every camera. size: width and
    height in pixels, both even. fps: frames per second. similar: share of people who are dressed much like somebody
    else, 0..1. things: put things in that look like people, and up to four more people for each camera, who sit, stand
    and wait; their numbers follow those of the others.

    Raises ValueError when an argument is out of range.
    """

    seed: int = 0
    cameras: int = 4
    people: int = 30
    minutes: float = 2.0
    size: tuple[int, int] = (960, 540)
    fps: float = 25.0
    similar: float = 0.25
    things: bool = False
    places: tuple[View, ...] = field(init=False, repr=False, compare=False)
    looks: tuple[Look, ...] = field(init=False, repr=False, compare=False)
    models: tuple[int | None, ...] = field(init=False, repr=False, compare=False)
    visits: tuple[Visit, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _in_range("seed", self.seed, 0, 2**63 - 1)
        _in_range("cameras", self.cameras, 1, 64)
        _in_range("people", self.people, 1, 1000)
        _in_range("minutes", self.minutes, 0.01, 24 * 60)
        _in_range("fps", self.fps, 1, 120)
        _in_range("similar", self.similar, 0, 1)
        for name, value in zip(("width", "height"), self.size, strict=True):
            _in_range(name, value, 160, 3840)
            if value % 2:
                raise ValueError(f"{name} must be even (H.264 halves the colour planes), got {value}")
        looks, models = make_wardrobe(np.random.default_rng([self.seed, 2]), self.people, self.similar)
        places = tuple(make_view(index, self.seed, self.size) for index in range(self.cameras))
        strides = [stride_length(look.build) for look in looks]
        seconds = self.minutes * 60
        taken: list[list[tuple[float, float]]] = [[] for _ in places]
        staying: list[Visit] = []
        if self.things:
            for spots, place in zip(taken, places, strict=True):
                spots += [thing.ground for thing in make_things(place, seconds) if thing.ground is not None]
            more, staying = people_who_stay(places, taken, self.people, seconds, np.random.default_rng([self.seed, 6]))
            looks, models = [*looks, *more], [*models, *[None] * len(more)]
            for visit in staying:
                taken[visit.camera].append((float(np.median(visit.way[:, 0])), float(np.median(visit.way[:, 1]))))
        walked = tuple(place.kept_clear(spots) for place, spots in zip(places, taken, strict=True))
        visits = simulate(walked, self.people, seconds, np.random.default_rng([self.seed, 3]), strides)
        visits = sorted([*visits, *staying], key=lambda visit: (visit.start, visit.person))
        object.__setattr__(self, "places", places)
        object.__setattr__(self, "looks", tuple(looks))
        object.__setattr__(self, "models", tuple(models))
        object.__setattr__(self, "visits", tuple(visits))

    @property
    def frames(self) -> int:
        """Frames per camera."""
        return max(1, round(self.minutes * 60 * self.fps))

    def bodies(self, camera: int | None = None) -> dict[int, Body]:
        """The bodies of all people, or of those who come to one camera, by person."""
        wanted = {visit.person for visit in self.visits if camera is None or visit.camera == camera}
        seated = {visit.person: visit.posture == "sitting" for visit in self.visits if visit.posture != "walking"}
        return {
            person: make_body(
                self.looks[person], fidgeting(self.looks[person], seated[person]) if person in seated else None
            )
            for person in sorted(wanted)
        }

    def put_in(self, camera: int) -> tuple[Thing, ...]:
        """What looks like people at one camera, made anew."""
        return make_things(self.places[camera], self.minutes * 60) if self.things else ()

    def render_frames(self, camera: int, every: int = 1) -> Iterator[RenderedFrame]:
        """Frames of one camera (numbered from 0) with boxes, visibility and person ids, as arrays in memory.

        every: give only each n-th frame, for training sets that want variety rather than motion.
        """
        place = self.places[camera]
        painter = Painter(place, self.bodies(camera), place.seed, self.put_in(camera))
        visits = [(number, visit) for number, visit in enumerate(self.visits) if visit.camera == camera]
        for index in range(0, self.frames, every):
            time = index / self.fps
            yield painter.frame(index, time, [(n, visit) for n, visit in visits if visit.start <= time <= visit.end])


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g}, got {value}")
