"""The kernels compute what their twins do, on a real GPU."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.gpu.copies import crops_of
from reidstream.gpu.cuts import Cut, table
from reidstream.gpu.driver import Gpu
from reidstream.gpu.people import KEPT, PeopleFinder, Reading
from reidstream.gpu.picture import DevicePicture
from reidstream.gpu.sampling import Sampler
from reidstream.gpu.surfaces import Surface
from reidstream.gpu.twins import cut_out, judged
from reidstream.inference.yolox_rows import YoloxRows, grid, shown_in
from reidstream.sources.picture import Orientation
from reidstream.sources.planes import yuv_matrix
from tests.gpu.pictures import TURNS, host_planes, planes

pytestmark = pytest.mark.gpu

_SIZE = 97, 131


@pytest.fixture(scope="module")
def gpu() -> Gpu:
    return Gpu()


def _uploaded(gpu: Gpu, deep: bool) -> Surface:
    luma, chroma = planes(_SIZE, deep)
    pitch = 512
    lines = np.zeros((len(luma) + len(chroma), pitch), np.uint8)
    lines[: len(luma), : luma.shape[1] * luma.itemsize] = luma.view(np.uint8)
    flat = chroma.reshape(len(chroma), -1)
    lines[len(luma) :, : flat.shape[1] * flat.itemsize] = flat.view(np.uint8)
    address = gpu.allocate(lines.nbytes)
    gpu.write(address, lines)
    gpu.wait()
    return Surface(address, address + len(luma) * pitch, pitch, deep, _SIZE, yuv_matrix(1, False), None)


@pytest.mark.parametrize("deep", [False, True])
def test_what_is_cut_out_is_what_numpy_cuts_out(gpu: Gpu, deep: bool) -> None:
    surface = _uploaded(gpu, deep)
    random = np.random.default_rng(0)
    cuts = [Cut(surface, turn, (0, 0, *_SIZE), (0, 0, 64, 90), True) for turn in TURNS]
    for turn in TURNS * 4:
        (left, right), (top, bottom) = (np.sort(random.choice(side + 1, 2, replace=False)).tolist() for side in _SIZE)
        cuts.append(Cut(surface, turn, (left, top, right, bottom), (5, 7, 50, 100), False))
    size, rows = (64, 128), len(cuts) + 3
    address = gpu.allocate(rows * size[1] * size[0] * 3)
    found = np.zeros((rows, size[1], size[0], 3), np.uint8)
    gpu.write(address, found)
    places = random.permutation(rows)[: len(cuts)].tolist()
    Sampler(gpu, address, rows, size).fill(cuts, places)
    gpu.read(found, address)
    luma, chroma = planes(_SIZE, deep)
    for cut, place in zip(cuts, places, strict=True):
        np.testing.assert_array_equal(found[place], cut_out(table([cut])[0], luma, chroma, size))
    untouched = sorted(set(range(rows)) - set(places))
    assert not found[untouched].any()


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("deep", [False, True])
def test_what_comes_back_to_the_processor_is_what_its_own_decoder_gives(
    gpu: Gpu, deep: bool, turn: Orientation
) -> None:
    expected = host_planes(_SIZE, deep)
    whole = turn.upright(expected.crop(0, 0, *_SIZE))
    picture = DevicePicture(gpu, _uploaded(gpu, deep), turn)
    for box in ((3, 5, 60, 77), (0, 0, 1, 1), (10, 10, 11, 13), (0, 0, *picture.size)):
        left, top, right, bottom = box
        np.testing.assert_array_equal(picture.crop(*box), whole[top:bottom, left:right])
    np.testing.assert_array_equal(picture.scaled(40, 30), turn.upright(expected.scaled(*turn.size(40, 30))))
    np.testing.assert_array_equal(picture.bgr(), whole)


@pytest.mark.parametrize("decoded", [False, True])
def test_people_are_those_that_numpy_finds(gpu: Gpu, decoded: bool) -> None:
    random = np.random.default_rng(int(decoded))
    cells = np.concatenate(grid((416, 416)), axis=1)
    output = random.normal(0, 1, (4, len(cells), 6)).astype(np.float32)
    output[..., 4:] = random.uniform(0, 1, (4, len(cells), 2)) ** np.array([4, 12, 40, 1]).reshape(4, 1, 1)
    if decoded:
        output[..., :2] *= 200
        output[..., 2:4] = np.abs(output[..., 2:4]) * 60
    output[0, 5, 0] = output[2, 8, 4] = np.nan
    output[0, 6, 3], output[1, 7, 2] = np.inf, -np.inf
    output[2, :50, 4:] = 0.9
    sizes, inner = [(1920, 1080), (640, 480), (97, 131), (640, 480)], [(416, 234), (416, 312), (308, 416), (416, 312)]
    reading = YoloxRows(cells, 5, decoded, 0.1, 0.65)
    expected = reading.people(output, shown_in(sizes, inner))
    address = gpu.allocate(output.nbytes)
    gpu.write(address, output)
    there = Reading(address, 4, 6, 5, decoded, 0.1, 0.65, cells)
    finder = PeopleFinder(gpu, there, Sampler(gpu, address, 4, (8, 8)))
    found = finder.finished(finder.start(shown_in(sizes, inner)))
    assert found.counts.tolist() == [len(one) if len(one) <= KEPT else -1 for one in expected]
    assert max(found.counts.tolist()) > 30 and min(found.counts.tolist()) == -1
    for count, people, one in zip(found.counts.tolist(), found.boxes, expected, strict=True):
        if count >= 0:
            np.testing.assert_array_equal(people[:count, :4], one.boxes)
            np.testing.assert_array_equal(people[:count, 4], one.scores)


@pytest.mark.parametrize("turn", TURNS)
def test_sharpness_is_what_opencv_sees(gpu: Gpu, turn: Orientation) -> None:
    surface = _uploaded(gpu, False)
    random = np.random.default_rng(5)
    width, height = turn.size(*_SIZE)
    people = np.zeros((2, KEPT, 5), np.float32)
    corners = random.uniform(-5, [width + 5, height + 5], (40, 2, 2))
    people[1, :40, :4] = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    people[1, 0, :4] = 0, 0, 48, 96
    counts, sums = np.array([0, 40], np.int32), np.zeros((2, KEPT, 3), np.uint64)
    addresses = [gpu.allocate(array.nbytes) for array in (people, counts, sums)]
    for address, array in zip(addresses, (people, counts, sums), strict=True):
        gpu.write(address, array)
    sampler = Sampler(gpu, gpu.allocate(2 * 64 * 64 * 3), 2, (64, 64))
    cut = Cut(surface, turn, (0, 0, *_SIZE), (0, 0, 64, 64), True)
    sampler.fill([cut], [1])
    sampler.judge(*addresses, KEPT, 4)
    gpu.read(sums, addresses[2])
    luma, chroma = planes(_SIZE, False)
    expected = [judged(table([cut])[0], luma, chroma, box[:4]) for box in people[1, :40]]
    np.testing.assert_array_equal(sums[1, :40], np.array(expected, np.uint64))
    assert not sums[0].any()


@pytest.mark.parametrize("turn", TURNS)
def test_crops_come_back_as_they_are(gpu: Gpu, turn: Orientation) -> None:
    picture = DevicePicture(gpu, _uploaded(gpu, False), turn)
    boxes = [(3, 5, 60, 77), (0, 0, 1, 1), (10, 10, 11, 13), (0, 0, *picture.size)]
    for pixels, box in zip(crops_of([picture] * 4, boxes), boxes, strict=True):
        np.testing.assert_array_equal(pixels, picture.crop(*box))
