"""People who stay: how they stand, sit and wait, never quite still.

Who stands shifts the weight, turns, looks about and does something with the hands; who sits leans and moves the feet.
Between that they are still for seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from reidstream.synthetic.crowd import STEP, Visit
from reidstream.synthetic.gait import Skeleton, skeleton
from reidstream.synthetic.places import View
from reidstream.synthetic.wardrobe import Look, random_look

Array = npt.NDArray[np.float64]

MOMENTS = 64
"""Poses of one round of fidgeting."""
_ROUND = 24.0
"""Seconds that a round takes."""
_SPEED = 1.2
"""Metres a second of who comes and goes."""
_SEATS = {
    "bench": (((-0.45, -0.02), (0.0, -1.0)), ((0.42, -0.02), (0.0, -1.0))),
    "table": (((-0.7, 0.1), (1.0, 0.0)), ((0.7, 0.1), (-1.0, 0.0))),
}
"""Where one sits on furniture, and where one looks then, metres in its own axes."""
_IDLE_ARMS = (("pocket", "phone"), ("carry", "strap"), ("phone", "phone"), ("pocket", "pocket"), ("strap", "carry"))


def fidgeting(look: Look, seated: bool) -> Skeleton:
    """The joints over one round of somebody who stays, MOMENTS of them; the round ends as it begins."""
    rng = np.random.default_rng([look.wear, 9])
    cycle = np.arange(MOMENTS) / MOMENTS
    one = skeleton(look.build, look.arms, cycle, 0.0, seated)
    other = skeleton(look.build, _IDLE_ARMS[rng.integers(len(_IDLE_ARMS))], cycle, 0.0, seated)
    share: Array = (0.5 + 0.5 * _restless(rng, cycle, 2))[:, None]
    turn, lean, bow = (_restless(rng, cycle, 3) * np.radians(size) for size in (14.0, 2.5, 4.0))
    bow = bow + np.radians(4.0) * seated

    def moved(joint: Array) -> Array:
        """Turned and bent about the pelvis."""
        x, y, z = (joint - one.pelvis).T
        x, z = x * np.cos(lean) + z * np.sin(lean), z * np.cos(lean) - x * np.sin(lean)
        y, z = y * np.cos(bow) + z * np.sin(bow), z * np.cos(bow) - y * np.sin(bow)
        x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
        result: Array = one.pelvis + np.stack([x, y, z], -1)
        return result

    def pair(name: str) -> tuple[Array, Array]:
        left, right = (
            moved(getattr(one, name)[side] * (1 - share) + getattr(other, name)[side] * share) for side in (0, 1)
        )
        return left, right

    return replace(
        one,
        neck=moved(one.neck),
        head=moved(one.head),
        crown=moved(one.crown),
        shoulders=pair("shoulders"),
        elbows=pair("elbows"),
        wrists=pair("wrists"),
        fingers=pair("fingers"),
        across=np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1),
    )


def _restless(rng: np.random.Generator, at: npt.NDArray[np.floating], waves: int) -> Array:
    """-1..1 over a round (0..1): rests, and changes from one rest to the next."""
    total = np.zeros(len(at))
    for number in range(waves):
        total += rng.uniform(0.6, 1.0) * np.sin(2 * np.pi * (number + 1) * at + rng.uniform(0, 6.28))
    changed: Array = np.tanh(2.5 * total)
    return changed


def people_who_stay(
    places: tuple[View, ...],
    taken: Sequence[Sequence[tuple[float, float]]],
    first: int,
    seconds: float,
    rng: np.random.Generator,
) -> tuple[list[Look], list[Visit]]:
    """Two who sit, one who stands and one who waits for each place, as far as there is room: looks and visits.

    taken: spots of each place where something stands. first: number of the first of these people. Who waits walks in
    and out again; the others are there from the beginning to the end.
    """
    looks: list[Look] = []
    visits: list[Visit] = []
    for camera, place in enumerate(places):
        spots = list(taken[camera])
        seats = _seats(place)
        order = rng.permutation(len(seats))[:2]
        wanted = [("sitting", *seats[index]) for index in order.tolist()]
        for posture in ("standing", "waiting"):
            spot = _free_spot(place, spots, rng)
            if spot is not None:
                spots.append(spot)
                # Towards the camera as often as away from it.
                wanted.append((posture, spot, float(rng.uniform(-np.pi, np.pi))))
        for posture, spot, heading in wanted:
            look = random_look(rng)
            # Bags would hang in the air as the arms move.
            look = replace(look, bag="none")
            if posture == "sitting":
                # Skirts and coats are sewn for people who stand.
                look = replace(
                    look,
                    top="jacket" if look.top in {"coat", "dress"} else look.top,
                    bottom="jeans" if look.bottom == "skirt" else look.bottom,
                    hem=1.0,
                )
            person = first + len(looks)
            looks.append(look)
            visits.append(_stay(person, camera, place, posture, spot, heading, seconds, rng))
    return looks, visits


def _seats(place: View) -> list[tuple[tuple[float, float], float]]:
    """Place and heading of every seat."""
    found = []
    for piece in place.furniture:
        c, s = np.cos(piece.turn), np.sin(piece.turn)
        for (x, y), (towards_x, towards_y) in _SEATS.get(piece.kind, ()):
            spot = (piece.place[0] + x * c - y * s, piece.place[1] + x * s + y * c)
            heading = np.arctan2(towards_x * c - towards_y * s, towards_x * s + towards_y * c)
            found.append(((float(spot[0]), float(spot[1])), float(heading)))
    return found


def _free_spot(place: View, spots: list[tuple[float, float]], rng: np.random.Generator) -> tuple[float, float] | None:
    for _ in range(60):
        x, y = place.floor_spot(rng)
        ways = [portal.inside for portal in place.portals]
        if all(np.hypot(x - a, y - b) > 1.3 for a, b in (*spots, *ways)):
            return x, y
    return None


def _stay(
    person: int,
    camera: int,
    place: View,
    posture: str,
    spot: tuple[float, float],
    heading: float,
    seconds: float,
    rng: np.random.Generator,
) -> Visit:
    steps = round(seconds / STEP) + 1
    times = np.arange(steps) * STEP
    way = np.tile(np.array(spot), (steps, 1))
    walking = np.zeros(steps)
    faces = np.full(steps, heading)
    if posture != "sitting":
        # A step to the side and a turn to somebody else, now and then.
        for axis in (0, 1):
            way[:, axis] += 0.05 * _restless(rng, times / 40.0 % 1.0, 3)
        faces = faces + np.radians(25.0) * _restless(rng, times / 55.0 % 1.0, 4)
    if posture == "waiting":
        portal = place.portals[int(rng.integers(len(place.portals)))]
        legs = np.array([portal.outside, portal.inside, spot], float)
        lengths = np.hypot(*np.diff(legs, axis=0).T)
        arrival = float(lengths.sum() / _SPEED)
        begins = float(rng.uniform(0.0, 0.12)) * seconds
        leaves = max(begins + arrival + 1.0, seconds * float(rng.uniform(0.75, 0.9)))
        done = np.clip((times - begins) / arrival, 0, 1)
        back = np.clip((times - leaves) / arrival, 0, 1)
        along = (done - back) * lengths.sum()
        knots = np.concatenate([[0.0], np.cumsum(lengths)])
        coming = np.column_stack([np.interp(along, knots, legs[:, axis]) for axis in (0, 1)])
        moving = (done < 1) | (back > 0)
        way = np.where(moving[:, None], coming, way)
        walking = np.convolve(moving.astype(float), np.full(5, 0.2), "same")
        ahead = np.gradient(coming, axis=0)
        faces = np.where(moving, np.arctan2(ahead[:, 0], ahead[:, 1]), faces)
        faces = np.unwrap(faces)
        faces = np.convolve(np.pad(faces, 3, "edge"), np.full(7, 1 / 7), "valid")
        there = (times >= begins) & (times <= leaves + arrival)
        first, last = np.flatnonzero(there)[[0, -1]]
        part = slice(int(first), int(last) + 1)
        times, way, walking, faces = times[part], way[part], walking[part], faces[part]
    steps_taken = np.hypot(*np.diff(way, axis=0).T) * (walking[1:] > 0)
    phase = float(rng.uniform(0, 1))
    return Visit(
        person=person,
        camera=camera,
        start=float(round(times[0], 6)),
        way=way,
        heading=np.unwrap(faces),
        walking=walking,
        distance=np.concatenate([[0.0], np.cumsum(steps_taken)]),
        posture=posture,
        idle=(times / _ROUND + phase) % 1.0 + np.floor(times / _ROUND + phase),
    )
