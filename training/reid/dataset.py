"""Crops of people, packed into one file: Market-1501 with identities, other cameras' crops without."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.sequences import crop

# People of Market-1501's training set that no shipped weights are trained on: every one whose rank, when the 751 ids
# are shuffled with this seed, is below HELD_OUT. They are 150 of 751, by person; of fewer people, a fifth.
HELD_OUT, HELD_OUT_SEED = 150, 1501

# Synthetic worlds to train on: so many people each, most of them dressed much like somebody else of their world. Each
# has cameras of its own. The worlds for choices are others.
WORLDS, WORLDS_ASIDE = range(50_000, 50_400), range(60_000, 60_008)
WORLD_PEOPLE, WORLD_CAMERAS = 30, 4

NAME = re.compile(r"(\d{4})_c(\d)s\d_\d+_\d+\.jpg$")


@dataclass(frozen=True)
class Crops:
    """Pictures as JPEG, and who is on them: ``people`` int64 (n,), -1 unknown; ``cameras`` int64 (n,)."""

    jpegs: list[bytes]
    people: NDArray[np.int64]
    cameras: NDArray[np.int64]

    def chosen(self, rows: NDArray[np.int64]) -> Crops:
        """The crops of these rows alone."""
        return Crops([self.jpegs[i] for i in rows], self.people[rows], self.cameras[rows])

    def write(self, path: Path) -> None:
        lengths = np.array([len(j) for j in self.jpegs])
        blob = np.frombuffer(b"".join(self.jpegs), np.uint8)
        np.savez(path, blob=blob, ends=np.cumsum(lengths), people=self.people, cameras=self.cameras)

    @classmethod
    def read(cls, path: Path) -> Crops:
        stored = np.load(path)
        ends, blob = stored["ends"], stored["blob"].tobytes()
        jpegs = [blob[a:b] for a, b in zip(np.r_[0, ends[:-1]], ends, strict=True)]
        return cls(jpegs, stored["people"], stored["cameras"])

    def pictures(self, height: int, width: int) -> NDArray[np.uint8]:
        """(n, 3, height, width) RGB."""

        def one(jpeg: bytes) -> NDArray[np.uint8]:
            bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            if bgr is None:
                raise ValueError("a crop is no JPEG file: pack them again")
            if bgr.shape[:2] != (height, width):
                bgr = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_LINEAR)
            return np.asarray(bgr[..., ::-1].transpose(2, 0, 1), np.uint8)

        with ThreadPoolExecutor(8) as pool:
            return np.stack(list(pool.map(one, self.jpegs)))


def market(tar: Path) -> Crops:
    """Market-1501's ``bounding_box_train`` as it comes."""
    jpegs, people, cameras = [], [], []
    with tarfile.open(tar) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            match = NAME.search(member.name)
            if match and (file := archive.extractfile(member)) is not None:
                jpegs.append(file.read())
                people.append(int(match[1]))
                cameras.append(int(match[2]))
    if not jpegs:
        raise ValueError(f"{tar}: no file of it is named like Market-1501's crops")
    return Crops(jpegs, np.array(people), np.array(cameras))


def held_out(people: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which crops show the people set aside."""
    everyone = np.unique(people)
    shuffled = np.random.default_rng(HELD_OUT_SEED).permutation(everyone)
    return np.isin(people, shuffled[: min(HELD_OUT, max(len(everyone) // 5, 1))])


def encode(
    crops: Iterable[tuple[NDArray[np.uint8], int, int]], height: int = 192, width: int = 96, quality: int = 88
) -> Crops:
    """Crops (BGR, person, camera) brought to one size."""
    jpegs, people, cameras = [], [], []
    for picture, person, camera in crops:
        sized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        jpegs.append(cv2.imencode(".jpg", sized, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
        people.append(person)
        cameras.append(camera)
    return Crops(jpegs, np.array(people, np.int64), np.array(cameras, np.int64))


def from_pictures(pack: Path) -> Iterable[tuple[NDArray[np.uint8], int, int]]:
    """The people on the detector's packed pictures, of unknown identity; each source counts as a camera."""
    stored = np.load(pack)
    ends, blob, boxes = stored["ends"], stored["blob"], stored["boxes"]
    sources = np.unique(stored["sources"], return_inverse=True)[1]
    for number, (start, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
        picture = np.asarray(cv2.imdecode(blob[start:end], cv2.IMREAD_COLOR), np.uint8)
        for box in boxes[(boxes[:, 0] == number) & (boxes[:, 5] == 1), 1:5]:
            piece = crop(picture, box)
            if piece is not None and piece.shape[0] >= 40 and piece.shape[0] > 1.2 * piece.shape[1]:
                yield piece, -1, int(sources[number])


def world(seed: int) -> Crops:
    """Everybody of one synthetic world by all its cameras; people and cameras counted from 0."""
    from reidstream.synthetic import render_crops

    made = render_crops(WORLD_PEOPLE, seed, cameras=WORLD_CAMERAS, per_camera=3, similar=0.65, min_visibility=0.45)
    return encode(((c.image, c.person, c.camera) for c in made), 144, 72, 85)


def worlds(seeds: Sequence[int]) -> Crops:
    """Several worlds, on all cores; people of the k-th are numbered from k times WORLD_PEOPLE, cameras likewise."""
    with ProcessPoolExecutor() as pool:
        each = list(pool.map(world, seeds))
    return Crops(
        [jpeg for crops in each for jpeg in crops.jpegs],
        np.concatenate([crops.people + k * WORLD_PEOPLE for k, crops in enumerate(each)]),
        np.concatenate([crops.cameras + k * WORLD_CAMERAS for k, crops in enumerate(each)]),
    )
