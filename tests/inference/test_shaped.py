"""The detector's input follows the shape of the pictures, so that wide views are not shown small above a grey bar."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config import DetectorConfig
from reidstream.errors import ModelMismatch
from reidstream.inference import open_detector, shaped
from reidstream.inference.shaped import ShapedDetector, ShapedOnGpu
from reidstream.models import resolve_model
from reidstream.models.input_shape import STEP, fitting_shape, shape_for
from reidstream.models.spec import ResolvedModel
from reidstream.sources.frame import ArrayPicture, Picture
from reidstream.synthetic import World
from reidstream.types import Detections


@pytest.mark.parametrize(
    ("picture", "shape"),
    [((1920, 1080), (576, 320)), ((640, 480), (480, 352)), ((1080, 1920), (320, 544)), ((500, 500), (416, 416))],
)
def test_the_input_has_the_shape_of_the_picture(picture: tuple[int, int], shape: tuple[int, int]) -> None:
    assert fitting_shape((416, 416), picture) == shape


@given(
    st.tuples(st.integers(160, 4000), st.integers(160, 4000)).filter(lambda size: 0.4 < size[0] / size[1] < 2.5),
    st.sampled_from([(416, 416), (640, 640), (960, 544)]),
)
def test_it_has_about_as_many_pixels_whatever_the_shape(picture: tuple[int, int], own: tuple[int, int]) -> None:
    width, height = fitting_shape(own, picture)
    assert width % STEP == 0 and height % STEP == 0
    assert width * height == pytest.approx(own[0] * own[1], rel=0.2)
    shown = min(width / picture[0], height / picture[1])
    assert shown >= 0.9 * min(own[0] / picture[0], own[1] / picture[1])


def test_a_shape_that_shows_people_hardly_larger_is_not_taken() -> None:
    assert shape_for((416, 416), (1920, 1080)) == (576, 320)
    assert shape_for((416, 416), (640, 480)) == (416, 416)
    assert shape_for((416, 416), (640, 480), 2.0) == (832, 832)
    assert shape_for((960, 544), (1920, 1080)) == (960, 544)


@given(st.tuples(st.integers(160, 4000), st.integers(160, 4000)), st.floats(0.5, 3))
def test_the_shape_taken_never_shows_people_smaller(picture: tuple[int, int], scale: float) -> None:
    taken, own = shape_for((416, 416), picture, scale), fitting_shape((416, 416), (416, 416), scale)
    assert min(taken[0] / picture[0], taken[1] / picture[1]) >= min(own[0] / picture[0], own[1] / picture[1])


def test_a_strip_still_has_an_input() -> None:
    width, height = fitting_shape((416, 416), (8000, 40))
    assert height == STEP and width % STEP == 0


def test_larger_by_the_scale() -> None:
    assert fitting_shape((416, 416), (500, 500), 2.0) == (832, 832)


@dataclass
class Reporting:
    """Says as its one box's score which shape it is for, and keeps what it was given."""

    shape: tuple[int, int]
    seen: list[int] = field(default_factory=list)

    @property
    def input_size(self) -> tuple[int, int]:
        return self.shape

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        self.seen.append(len(pictures))
        return [
            Detections(np.array([[0, 0, *picture.size]], np.float32), np.array([self.shape[0] / 1000], np.float32))
            for picture in pictures
        ]


def pictures_of(*sizes: tuple[int, int]) -> list[Picture]:
    return [ArrayPicture(np.zeros((height, width, 3), np.uint8)) for width, height in sizes]


def test_pictures_of_several_shapes_keep_their_places() -> None:
    made: list[Reporting] = []

    def opened(shape: tuple[int, int]) -> Reporting:
        made.append(Reporting(shape))
        return made[-1]

    detector = ShapedDetector((416, 416), 1.0, opened, likely=(1920, 1080))
    assert [d.shape for d in made] == [(576, 320)]
    found = detector.detect(pictures_of((360, 640), (1280, 720), (180, 320), (1920, 1080)))
    assert [tuple(d.boxes[0, 2:]) for d in found] == [(360, 640), (1280, 720), (180, 320), (1920, 1080)]
    np.testing.assert_allclose([d.scores[0] for d in found], [0.32, 0.576, 0.32, 0.576])
    assert {d.shape: d.seen for d in made} == {(576, 320): [2], (320, 544): [2]}
    assert detector.input_size == (416, 416)
    assert detector.detect([]) == []


def test_pictures_of_several_shapes_need_not_be_waited_for() -> None:
    under_way: list[Future[list[Detections]]] = []

    class Later(Reporting):
        def start(self, pictures: Sequence[Picture]) -> Future[list[Detections]]:
            under_way.append(Future())
            answers.append(self.detect(pictures))
            return under_way[-1]

    answers: list[list[Detections]] = []
    detector = ShapedOnGpu((416, 416), 1.0, Later, likely=(1920, 1080))
    sizes = (360, 640), (180, 320), (1280, 720), (320, 640)
    found = detector.start(pictures_of(*sizes))
    assert len(under_way) == 3
    for future, answer in reversed(list(zip(under_way, answers, strict=True))):
        assert not found.done()
        future.set_result(answer)
    assert [tuple(d.boxes[0, 2:]) for d in found.result(0)] == list(sizes)
    (alone,) = pictures_of((1280, 720))
    wrong = detector.start([alone])
    under_way[-1].set_exception(ModelMismatch("the device is gone"))
    with pytest.raises(ModelMismatch, match="gone"):
        wrong.result(0)


def test_a_shape_that_cannot_be_had_takes_the_models_own() -> None:
    def opened(shape: tuple[int, int]) -> Reporting:
        if shape != (416, 416):
            raise ModelMismatch("fails on a batch of another size")
        return Reporting(shape)

    detector = ShapedDetector((416, 416), 1.0, opened, likely=(1920, 1080))
    for found in detector.detect(pictures_of((1280, 720), (480, 640), (416, 416))):
        assert found.scores[0] == pytest.approx(0.416)


def test_pictures_do_not_wait_while_another_shape_is_opened() -> None:
    opening, may_open = threading.Event(), threading.Event()

    def opened(shape: tuple[int, int]) -> Reporting:
        if shape != (576, 320):
            opening.set()
            assert may_open.wait(20)
        return Reporting(shape)

    detector = ShapedDetector((416, 416), 1.0, opened, likely=(1920, 1080))
    with ThreadPoolExecutor(2) as pool:
        tall = [pool.submit(detector.detect, pictures_of((360, 640))) for _ in range(2)]
        assert opening.wait(20)
        assert len(detector.detect(pictures_of((1280, 720)))) == 1
        assert not any(found.done() for found in tall)
        may_open.set()
        assert [found.result(20)[0].scores[0] for found in tall] == [np.float32(0.32)] * 2


def test_a_shape_that_failed_is_tried_again() -> None:
    broken = [True]

    def opened(shape: tuple[int, int]) -> Reporting:
        if shape != (576, 320) and broken:
            raise MemoryError("the device is full")
        return Reporting(shape)

    detector = ShapedDetector((416, 416), 1.0, opened, likely=(1920, 1080))
    with pytest.raises(MemoryError):
        detector.detect(pictures_of((360, 640)))
    broken.clear()
    assert len(detector.detect(pictures_of((360, 640)))) == 1


def test_a_model_that_cannot_be_opened_at_all_is_an_error() -> None:
    def opened(shape: tuple[int, int]) -> Reporting:
        raise ModelMismatch("no class 'person'")

    with pytest.raises(ModelMismatch, match="no class"):
        ShapedDetector((416, 416), 1.0, opened, likely=(1920, 1080))


def test_many_shapes_do_not_take_memory_without_end() -> None:
    made: list[Reporting] = []

    def opened(shape: tuple[int, int]) -> Reporting:
        made.append(Reporting(shape))
        return made[-1]

    detector = ShapedDetector((416, 416), 1.0, opened, likely=(1920, 1080))
    sizes = [(width, 300) for width in range(100, 3000, 60)]
    found = detector.detect(pictures_of(*sizes))
    assert [tuple(d.boxes[0, 2:]) for d in found] == sizes
    assert len(made) < len({shape_for((416, 416), size) for size in sizes})


@pytest.fixture(scope="module")
def wide_frames() -> list[tuple[Picture, int]]:
    """Wide pictures, each of four synthetic views side by side, and how many people are there to be found."""
    world = World(seed=77, cameras=4, people=24, minutes=0.2, size=(640, 360))
    views = [list(world.render_frames(camera, 110)) for camera in range(4)]
    pictures = []
    for a, b, c, d in zip(*views, strict=True):
        whole = np.concatenate([np.concatenate([a.image, b.image], 1), np.concatenate([c.image, d.image], 1)])
        pictures.append((ArrayPicture(whole), sum(int((view.visibility >= 0.5).sum()) for view in (a, b, c, d))))
    return pictures


def people_found(frames: list[tuple[Picture, int]], **settings: object) -> int:
    detector = open_detector(resolve_model("person-detector", "detector"), DetectorConfig(confidence=0.5, **settings))
    return sum(min(len(detector.detect([picture])[0]), there) for picture, there in frames)


@pytest.mark.slow
@pytest.mark.setting("detector.shape")
def test_following_the_shape_finds_more_people_in_wide_views(wide_frames: list[tuple[Picture, int]]) -> None:
    assert sum(there for _, there in wide_frames) > 10
    assert people_found(wide_frames, shape="picture") > people_found(wide_frames, shape="model")


@pytest.mark.slow
@pytest.mark.setting("detector.scale")
def test_a_small_input_finds_fewer_people(wide_frames: list[tuple[Picture, int]]) -> None:
    assert people_found(wide_frames, scale=0.4) < people_found(wide_frames)


def test_a_graph_of_one_size_keeps_it(detector_model: Callable[..., ResolvedModel]) -> None:
    detector = open_detector(detector_model(np.zeros((42, 7), np.float32)), DetectorConfig())
    assert not isinstance(detector, ShapedDetector)


def test_beyond_so_many_shapes_pictures_take_the_models_own_which_is_opened_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shaped, "_MOST_SHAPES", 2)
    asked: list[tuple[int, int]] = []

    def opened(shape: tuple[int, int]) -> Reporting:
        asked.append(shape)
        return Reporting(shape)

    detector = ShapedDetector((416, 416), 1.0, opened, likely=(1920, 1080))
    found = detector.detect(pictures_of((360, 640), (1280, 720), (640, 180), (180, 640), (640, 180)))
    assert asked == [(576, 320), (320, 544), (416, 416)]
    np.testing.assert_allclose([d.scores[0] for d in found], [0.32, 0.576, 0.416, 0.416, 0.416])


def test_a_shape_that_could_not_be_had_is_not_asked_for_again() -> None:
    asked: list[tuple[int, int]] = []

    def opened(shape: tuple[int, int]) -> Reporting:
        asked.append(shape)
        if shape != (416, 416):
            raise ModelMismatch("fails on a batch of another size")
        return Reporting(shape)

    detector = ShapedDetector((416, 416), 1.0, opened, likely=(1920, 1080))
    for _ in range(2):
        detector.detect(pictures_of((1280, 720), (360, 640)))
    assert asked == [(576, 320), (416, 416), (320, 544)]
