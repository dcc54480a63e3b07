"""Where everybody is at every moment: walking through places, meeting, pausing, going on to the next camera.

Steering follows the social force model (Helbing & Molnar, 1995): a pull towards the next way point, and pushes
away from other people and from furniture that fall off exponentially with distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reidstream.synthetic.places import View

STEP = 0.1
"""Seconds of simulation per step; positions between steps are interpolated."""

_RELAXATION = 0.45
_REACH = 0.35
_BODY = 0.5
_ENDLESS = 45.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One person's way through one place, from the moment they come in to the moment they are gone.

    start: seconds. way: float64 (n, 2) metres, one row per STEP. heading: (n,) radians, unwrapped. walking: (n,) 0..1.
    distance: (n,) metres walked so far. posture: walking; standing, sitting or waiting of who stays. idle: (n,) rounds
    of fidgeting so far of who stays, see ``staying``.
    """

    person: int
    camera: int
    start: float
    way: npt.NDArray[np.float64]
    heading: npt.NDArray[np.float64]
    walking: npt.NDArray[np.float64]
    distance: npt.NDArray[np.float64]
    posture: str = "walking"
    idle: npt.NDArray[np.float64] | None = None

    @property
    def end(self) -> float:
        return self.start + (len(self.way) - 1) * STEP

    def at(self, time: float) -> tuple[npt.NDArray[np.float64], float, float, float, float | None] | None:
        """Place (2,), heading, walking, distance and idling at ``time`` seconds; None when not there."""
        step = (time - self.start) / STEP
        if step < 0 or step > len(self.way) - 1:
            return None
        low = min(int(step), len(self.way) - 2)
        part = step - low

        def between(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            result: npt.NDArray[np.float64] = values[low] + part * (values[low + 1] - values[low])
            return result

        return (
            between(self.way),
            float(between(self.heading)),
            float(between(self.walking)),
            float(between(self.distance)),
            None if self.idle is None else float(between(self.idle)),
        )


@dataclass(slots=True)
class _Walker:
    person: int
    speed: float
    companion: int | None
    camera: int = -1
    arrives: float = 0.0
    portal: int = -1
    x: float = 0.0
    y: float = 0.0
    vx: float = 0.0
    vy: float = 0.0
    facing: float = 0.0
    gait: float = 1.0
    targets: list[tuple[float, float, float]] = field(default_factory=list)
    exit: int = -1
    pause: float = 0.0
    look: tuple[float, float] | None = None
    entered: float = 0.0
    left_from: int = -1
    left_at: float = 0.0
    meets: bool = False
    log: list[tuple[float, float, float, float]] = field(default_factory=list)


def simulate(
    places: tuple[View, ...], people: int, seconds: float, rng: np.random.Generator, strides: list[float]
) -> list[Visit]:
    """All visits of ``people`` persons to the places within ``seconds``, ordered by start, then person.

    strides: metres per gait cycle of each person; feet would slide if everybody's steps were of one length.
    """
    walkers = []
    partner: int | None = None
    for person in range(people):
        speed = float(np.clip(rng.normal(1.28, 0.16), 0.9, 1.75))
        if partner is None and person + 1 < people and rng.random() < 0.18:
            partner = person
            walkers.append(_Walker(person, speed, None))
        elif partner is not None:
            walkers.append(_Walker(person, walkers[partner].speed, partner))
            partner = None
        else:
            walkers.append(_Walker(person, speed, None))
    crowd = _Crowd(places, walkers, rng, strides)
    crowd.scatter(seconds)
    for step in range(round(seconds / STEP) + 1):
        crowd.advance(step * STEP)
    crowd.close()
    return sorted(crowd.visits, key=lambda visit: (visit.start, visit.person))


class _Crowd:
    def __init__(
        self, places: tuple[View, ...], walkers: list[_Walker], rng: np.random.Generator, strides: list[float]
    ) -> None:
        self.places = places
        self.walkers = walkers
        self.rng = rng
        self.strides = strides
        self.visits: list[Visit] = []

    def scatter(self, seconds: float) -> None:
        """Give everybody a first camera and time: nearly half is there from the start, the rest comes soon after."""
        order = self.rng.permutation(len(self.walkers))
        for rank, index in enumerate(order):
            walker = self.walkers[index]
            if walker.companion is not None:
                continue
            walker.camera = int(rank % len(self.places))
            share = rank / max(len(order) - 1, 1)
            walker.arrives = 0.0 if share < 0.45 else float((share - 0.4) * min(0.7 * seconds, 60.0))
            walker.portal = int(self.rng.integers(len(self.places[walker.camera].portals)))
        for walker in self.walkers:
            if walker.companion is not None:
                leader = self.walkers[walker.companion]
                walker.camera, walker.portal = leader.camera, leader.portal
                walker.arrives = leader.arrives + 0.5

    def advance(self, now: float) -> None:
        """One step: let people in, steer, move, let people out."""
        for walker in self.walkers:
            if not walker.log and walker.arrives <= now:
                self._enter(walker, now)
        for camera, place in enumerate(self.places):
            present = [w for w in self.walkers if w.log and w.camera == camera]
            forces = [self._force(walker, present, place) for walker in present]
            for walker, (ax, ay) in zip(present, forces, strict=True):
                self._move(walker, ax, ay)
            _push_apart(present)
            for walker in present:
                walker.log.append((walker.x, walker.y, walker.facing, walker.gait))
                self._follow_plan(walker, now)

    def close(self) -> None:
        """The scene ends: whoever is still somewhere is written down."""
        for walker in self.walkers:
            self._record(walker)

    def _enter(self, walker: _Walker, now: float) -> None:
        place = self.places[walker.camera]
        portal = place.portals[walker.portal]
        beginning = now == 0.0
        walker.x, walker.y = place.floor_spot(self.rng) if beginning else portal.outside
        choices = [i for i in range(len(place.portals)) if i != walker.portal]
        walker.exit = int(self.rng.choice(choices))
        leader = self.walkers[walker.companion] if walker.companion is not None else None
        side = 0.0
        if leader is not None and leader.log and leader.camera == walker.camera:
            # A couple: the same way, an arm's length apart.
            walker.exit, side = leader.exit, 0.62
            walker.targets = [(x + side, y + 0.1, pause) for x, y, pause in leader.targets]
            if beginning:
                walker.x, walker.y = leader.x + side, leader.y
        else:
            walker.targets = [] if beginning else [(*portal.inside, 0.0)]
            for _ in range(int(self.rng.integers(0, 3))):
                pause = float(self.rng.uniform(1.5, 4.0)) if self.rng.random() < 0.25 else 0.0
                walker.targets.append((*place.floor_spot(self.rng), pause))
            walker.targets.append((*place.portals[walker.exit].inside, 0.0))
        walker.targets.append((*place.portals[walker.exit].outside, 0.0))
        tx, ty, _ = walker.targets[0]
        walker.facing = math.atan2(tx - walker.x, ty - walker.y)
        walker.vx, walker.vy = walker.speed * math.sin(walker.facing), walker.speed * math.cos(walker.facing)
        walker.entered, walker.pause, walker.look, walker.meets = now, 0.0, None, False
        walker.log = [(walker.x, walker.y, walker.facing, 1.0)]
        self._arrange_meeting(walker)

    def _arrange_meeting(self, walker: _Walker) -> None:
        """Now and then two people who cross the same place stop for a word."""
        if walker.companion is not None or self.rng.random() > 0.3:
            return
        others = [
            w for w in self.walkers
            if w is not walker and w.log and w.camera == walker.camera and not w.meets and w.companion is None
            and len(w.targets) >= 3 and not any(v.companion == w.person for v in self.walkers)
        ]  # fmt: skip
        if not others or any(v.companion == walker.person for v in self.walkers):
            return
        other = others[int(self.rng.integers(len(others)))]
        x, y = self.places[walker.camera].floor_spot(self.rng)
        pause = float(self.rng.uniform(2.5, 5.0))
        for one, offset in ((walker, 0.42), (other, -0.42)):
            one.targets.insert(max(0, len(one.targets) - 2), (x + offset, y, pause))
            one.look, one.meets = (x, y), True

    def _force(self, walker: _Walker, present: list[_Walker], place: View) -> tuple[float, float]:
        if walker.pause > 0:
            return -walker.vx / 0.25, -walker.vy / 0.25
        tx, ty, _ = walker.targets[0]
        dx, dy = tx - walker.x, ty - walker.y
        away = math.hypot(dx, dy) or 1.0
        speed = walker.speed
        ax = (speed * dx / away - walker.vx) / _RELAXATION
        ay = (speed * dy / away - walker.vy) / _RELAXATION
        for other in present:
            if other is walker:
                continue
            ox, oy = walker.x - other.x, walker.y - other.y
            gap = math.hypot(ox, oy)
            if gap < 2.2:
                gap = max(gap, 0.05)
                push = 4.5 * math.exp((0.5 - gap) / 0.26)
                # Sidestep to the right, so that two who walk straight at each other get past.
                ax += push * (ox - 0.5 * oy) / gap
                ay += push * (oy + 0.5 * ox) / gap
        for piece in place.furniture:
            ox, oy = walker.x - piece.place[0], walker.y - piece.place[1]
            gap = math.hypot(ox, oy)
            if gap < piece.radius + 1.2:
                gap = max(gap, 0.05)
                push = 5.0 * math.exp((piece.radius + 0.12 - gap) / 0.22)
                turn = 0.8 if ox * walker.vy - oy * walker.vx < 0 else -0.8
                ax += push * (ox - turn * oy) / gap
                ay += push * (oy + turn * ox) / gap
        return ax, ay

    def _move(self, walker: _Walker, ax: float, ay: float) -> None:
        walker.vx += ax * STEP
        walker.vy += ay * STEP
        speed = math.hypot(walker.vx, walker.vy)
        limit = 1.25 * walker.speed
        if speed > limit:
            walker.vx, walker.vy, speed = walker.vx * limit / speed, walker.vy * limit / speed, limit
        walker.x += walker.vx * STEP
        walker.y += walker.vy * STEP
        if walker.pause > 0 and walker.look is not None:
            wanted = math.atan2(walker.look[0] - walker.x, walker.look[1] - walker.y)
        elif speed > 0.25:
            wanted = math.atan2(walker.vx, walker.vy)
        else:
            wanted = walker.facing
        turn = (wanted - walker.facing + math.pi) % (2 * math.pi) - math.pi
        walker.facing += max(-0.32, min(0.32, 0.45 * turn))
        walker.gait = min(1.0, speed / (0.7 * walker.speed))

    def _follow_plan(self, walker: _Walker, now: float) -> None:
        if walker.pause > 0:
            walker.pause -= STEP
            return
        tx, ty, pause = walker.targets[0]
        last = len(walker.targets) == 1
        if math.hypot(tx - walker.x, ty - walker.y) < (0.5 if last else _REACH if pause else 0.9):
            walker.targets.pop(0)
            walker.pause = pause
            if last:
                self._leave(walker, now)
        elif now - walker.entered > _ENDLESS and len(walker.targets) > 1:
            del walker.targets[:-1]

    def _leave(self, walker: _Walker, now: float) -> None:
        self._record(walker)
        here = walker.camera
        leader = self.walkers[walker.companion] if walker.companion is not None else None
        walker.left_from, walker.left_at = here, now
        if leader is not None and not leader.log and leader.left_from == here and walker.exit == leader.exit:
            walker.camera, walker.portal = leader.camera, leader.portal
            walker.arrives = now + leader.arrives - leader.left_at
            return
        back_again = len(self.places) == 1 or self.rng.random() < 0.22
        if back_again:
            walker.portal = walker.exit
            walker.arrives = now + float(self.rng.uniform(5, 14))
            return
        sites = np.array([place.site for place in self.places])
        away = np.hypot(*(sites - sites[here]).T)
        weight = np.where(np.arange(len(sites)) == here, 0, 1 / np.maximum(away, 1))
        walker.camera = int(self.rng.choice(len(sites), p=weight / weight.sum()))
        walker.portal = int(self.rng.integers(len(self.places[walker.camera].portals)))
        # The picture's edge is some ten metres from the middle of its place, on either side.
        distance = max(8.0, float(away[walker.camera]) - 18.0)
        walker.arrives = now + distance / walker.speed * float(self.rng.uniform(1.0, 1.25))

    def _record(self, walker: _Walker) -> None:
        if len(walker.log) >= 2:
            log = np.array(walker.log)
            steps = np.hypot(*np.diff(log[:, :2], axis=0).T)
            offset = (walker.person * 0.37) % 1.0 * self.strides[walker.person]
            self.visits.append(
                Visit(
                    person=walker.person,
                    camera=walker.camera,
                    start=round(walker.entered, 6),
                    way=log[:, :2].copy(),
                    heading=np.unwrap(log[:, 2]),
                    walking=log[:, 3].copy(),
                    distance=np.concatenate([[0.0], np.cumsum(steps)]) + offset,
                )
            )
        walker.log = []


def _push_apart(present: list[_Walker]) -> None:
    """Nobody walks through anybody: who stands closer than a body's width is moved aside a little."""
    for number, one in enumerate(present):
        for other in present[number + 1 :]:
            dx, dy = other.x - one.x, other.y - one.y
            gap = math.hypot(dx, dy)
            if gap < _BODY:
                if gap < 0.01:
                    dx, dy, gap = 0.01, 0.0, 0.01
                step = min(0.25 * (_BODY - gap), 0.04)
                one.x, one.y = one.x - step * dx / gap, one.y - step * dy / gap
                other.x, other.y = other.x + step * dx / gap, other.y + step * dy / gap
