"""Crops of single people under many cameras, for training and checking embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.synthetic.body import Body, make_body
from reidstream.synthetic.crowd import Visit
from reidstream.synthetic.places import make_view
from reidstream.synthetic.render import Painter
from reidstream.synthetic.wardrobe import make_wardrobe


@dataclass(frozen=True, slots=True)
class Crop:
    """One person cut out of a frame. image: uint8 (h, w, 3) BGR of any size. person: from 0. camera: from 0.
    visibility: share of the whole person that can be seen."""

    image: npt.NDArray[np.uint8]
    person: int
    camera: int
    visibility: float


def render_crops(
    people: int,
    seed: int,
    *,
    cameras: int = 6,
    per_camera: int = 3,
    similar: float = 0.25,
    size: tuple[int, int] = (960, 540),
    min_height: int = 64,
    min_visibility: float = 0.5,
) -> Iterator[Crop]:
    """Up to ``per_camera`` crops of each person by each camera, camera by camera.

    People stand or walk at random spots, in random directions, a few at a time, so that backgrounds hold other people
    and furniture hides some. Those lower than ``min_height`` pixels or less visible than
    ``min_visibility`` are left out.
    The same arguments give the same crops.
    """
    looks, _ = make_wardrobe(np.random.default_rng([seed, 2]), people, similar)
    bodies: dict[int, Body] = {person: make_body(look) for person, look in enumerate(looks)}
    for camera in range(cameras):
        place = make_view(camera, seed, size)
        painter = Painter(place, bodies, place.seed)
        rng = np.random.default_rng([seed, 7, camera])
        for turn in range(per_camera):
            order = rng.permutation(people)
            for first in range(0, people, 4):
                group = order[first : first + 4]
                visits = []
                for person in group:
                    spot = np.array(place.floor_spot(rng))
                    heading = rng.uniform(0, 2 * np.pi)
                    walking = 1.0 if rng.random() < 0.8 else 0.0
                    visits.append(
                        Visit(
                            person=int(person),
                            camera=camera,
                            start=0.0,
                            way=np.stack([spot, spot]),
                            heading=np.array([heading, heading]),
                            walking=np.array([walking, walking]),
                            distance=np.full(2, rng.uniform(0, 3)),
                        )
                    )
                frame = painter.frame(turn * people + first, 0.0, list(enumerate(visits)))
                for person, box, seen in zip(frame.persons, frame.boxes, frame.visibility, strict=True):
                    x1, y1, x2, y2 = (int(n) for n in (*np.floor(box[:2]), *np.ceil(box[2:])))
                    if y2 - y1 >= min_height and seen >= min_visibility:
                        yield Crop(frame.image[y1:y2, x1:x2].copy(), int(person), camera, float(seen))
