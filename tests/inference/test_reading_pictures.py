"""Pictures into a network's input and its rows back into boxes, with networks that answer what a test says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidstream.inference.input import Packer
from reidstream.inference.network import Answer
from reidstream.inference.people import PeopleDetector
from reidstream.inference.placing import PAD, Image
from reidstream.models.families import FAMILIES
from reidstream.models.spec import Preprocessing
from reidstream.sources.frame import ArrayPicture, Pixels
from reidstream.types import FloatArray

CENTRE = FAMILIES["yolov8"]


class Answering:
    """A network that has seen these rows, and keeps what it was shown."""

    path = Path("people.onnx")
    takes_cuts = False

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self._rows = np.array(rows, np.float32).reshape(1, -1, 5)
        self.shown: list[Pixels] = []

    def run(self, images: Sequence[Image]) -> FloatArray:
        self.shown += [image for image in images if isinstance(image, np.ndarray)]
        return np.repeat(self._rows, len(images), axis=0)

    def start(self, images: Sequence[Image]) -> Answer:
        found = self.run(images)
        return lambda: found


def white(width: int, height: int) -> ArrayPicture:
    return ArrayPicture(np.full((height, width, 3), 255, np.uint8))


@pytest.mark.parametrize(("fit", "left", "top"), [("corner", 0, 0), ("centre", 0, 16), ("stretch", 0, 0)])
def test_a_picture_lies_in_the_input_where_its_family_says_and_boxes_come_back_from_there(
    fit: str, left: int, top: int
) -> None:
    # 128 x 64 into a square of 64: 64 x 32, with grey around it, or stretched.
    network = Answering([[left + 8, top + 8, left + 16, top + 24, 0.9]])
    detector = PeopleDetector(network, replace(CENTRE, fit=fit), (64, 64), 0.5, 0.5)  # type: ignore[arg-type]
    (found,) = detector.detect([white(128, 64)])
    tall = 1.0 if fit == "stretch" else 2.0
    np.testing.assert_allclose(found.boxes, [[16, 8 * tall, 32, 24 * tall]])
    rows = np.flatnonzero((network.shown[0] == 255).all(axis=(1, 2)))
    height = 64 if fit == "stretch" else 32
    assert (rows[0], rows[-1]) == (top, top + height - 1)
    assert set(np.unique(network.shown[0])) <= {PAD, 255}


def test_boxes_that_are_no_boxes_are_left_out_and_others_are_clipped() -> None:
    nan, inf = float("nan"), float("inf")
    rows = [
        [10, 10, 20, 30, 0.9],
        [nan, 10, 20, 30, 0.9],
        [10, 10, inf, 30, 0.95],
        [20, 10, 10, 30, 0.9],
        [40, 10, 90, 30, 0.8],
        [30, 40, 35, 50, 0.2],
        [70, 10, 90, 30, 0.9],
    ]
    detector = PeopleDetector(Answering(rows), replace(CENTRE, suppress=False), (64, 64), 0.5, 0.5)
    (found,) = detector.detect([white(64, 64)])
    np.testing.assert_allclose(found.boxes, [[10, 10, 20, 30], [40, 10, 64, 30]])
    np.testing.assert_allclose(found.scores, [0.9, 0.8])


def test_one_person_in_two_boxes_is_one_where_the_family_says_so() -> None:
    rows = [[10, 10, 20, 30, 0.8], [10, 10, 20, 31, 0.9], [40, 10, 50, 30, 0.7]]
    for suppress, count in ((True, 2), (False, 3)):
        detector = PeopleDetector(Answering(rows), replace(CENTRE, suppress=suppress), (64, 64), 0.5, 0.5)
        (found,) = detector.detect([white(64, 64)])
        assert len(found) == count
        assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_pixels_are_packed_in_the_order_and_scale_that_is_said_and_rows_left_over_repeat_the_last(
    layout: str, color: str
) -> None:
    pre = Preprocessing.model_validate({"color": color, "layout": layout, "mean": [1, 2, 3], "std": [2, 4, 8]})
    images = [np.full((2, 3, 3), (10, 20, 30), np.uint8), np.full((2, 3, 3), (40, 50, 60), np.uint8)]
    packed = Packer(pre)(images, 4)
    channels_first = packed if layout == "NCHW" else packed.transpose(0, 3, 1, 2)
    assert channels_first.shape == (4, 3, 2, 3)
    wanted = [(10, 20, 30), (40, 50, 60)]
    for row, blue_green_red in enumerate([*wanted, wanted[-1], wanted[-1]]):
        values = blue_green_red[::-1] if color == "RGB" else blue_green_red
        expected = [(v - m) / s for v, m, s in zip(values, (1, 2, 3), (2, 4, 8), strict=True)]
        np.testing.assert_allclose(channels_first[row, :, 0, 0], expected)
        assert (channels_first[row] == channels_first[row][:, :1, :1]).all()
