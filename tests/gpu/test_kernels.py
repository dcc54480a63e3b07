"""The kernels compute what their twins do, on a real GPU."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.gpu.cuts import Cut, table
from reidstream.gpu.driver import Gpu
from reidstream.gpu.picture import DevicePicture
from reidstream.gpu.sampling import Sampler
from reidstream.gpu.surfaces import Surface
from reidstream.gpu.twins import cut_out
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
