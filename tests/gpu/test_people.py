"""A detector that keeps its output on the GPU finds what the processor's finds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import numpy as np
import pytest

from reidstream.config import Config
from reidstream.engines.local.sampling import CropSamplers, FrameCrops, TrackedFrame, pictures_of
from reidstream.gpu import people
from reidstream.gpu.copies import crops_of
from reidstream.gpu.picture import DevicePicture
from reidstream.gpu.surfaces import Surface
from reidstream.inference import factory, open_detector
from reidstream.inference.fixed_session import FixedSession
from reidstream.inference.yolox_on_gpu import YoloxOnGpu
from reidstream.models import resolve_model
from reidstream.sharpness import sharpness
from reidstream.sources.frame import ArrayPicture, Pixels
from reidstream.sources.planes import yuv_matrix
from reidstream.tracking import Tracks
from reidstream.types import Detections
from tests.blobs import ColourEmbedder
from tests.gpu.pictures import TURNS
from tests.gpu.standin import HostGpu


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostGpu]:
    monkeypatch.setattr(
        factory, "FixedSession", lambda fixed, device, gpu, urgent=False: FixedSession(fixed, "cpu", gpu)
    )
    yield HostGpu()


def _picture(gpu: HostGpu, size: tuple[int, int], seed: int, turn: int = 0) -> DevicePicture:
    """Coarse noise, in which a detector of low confidence sees much."""
    random = np.random.default_rng(seed)
    width, height = size
    lines = np.kron(random.integers(0, 256, (3 * height // 32 + 1, width // 16 + 1)), np.ones((16, 16)))
    lines = np.ascontiguousarray(lines[: 3 * height // 2, :width].astype(np.uint8))
    surface = Surface(
        lines.ctypes.data, lines.ctypes.data + height * width, width, False, size, yuv_matrix(1, False), lines
    )
    return DevicePicture(gpu, surface, TURNS[turn])


@pytest.mark.slow
def test_people_and_their_sharpness_are_those_of_the_processor(gpu: HostGpu) -> None:
    config = Config().detector.model_copy(update={"confidence": 0.0001, "shape": "model"})
    model = resolve_model("person-detector", "detector")
    there, here = open_detector(model, config, "cuda", gpu=gpu), open_detector(model, config)
    assert isinstance(there, YoloxOnGpu)
    # Pictures that are wider than high, whose padding is not computed, and others.
    assert len(there._forms) == 2
    sizes = [(640, 360), (320, 320), (256, 64), (320, 240), (640, 360)]
    pictures = [_picture(gpu, size, n, n % len(TURNS)) for n, size in enumerate(sizes)]
    expected = here.detect(pictures)
    assert sum(len(one) for one in expected) > 10
    for picture, one, other in zip(pictures, there.detect(pictures), expected, strict=True):
        assert len(one) == len(other)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.01)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        assert one.sharpness is not None
        judged = FrameCrops(picture, Detections(one.boxes, one.scores), ColourEmbedder())
        np.testing.assert_array_equal(one.sharpness, judged.sharpness(np.arange(len(one))))
        for row in range(len(one)):
            assert one.sharpness[row] == np.float32(sharpness(judged.crop(row)))
    brought = [ArrayPicture(pictures[0].bgr())]
    (uploaded,), (processed,) = there.detect(brought), here.detect(brought)
    assert uploaded.sharpness is None and len(uploaded) == len(processed) > 0


@pytest.mark.slow
def test_a_crowd_that_is_too_large_for_the_kernel_is_found_here(gpu: HostGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config().detector.model_copy(update={"confidence": 0.0001, "shape": "model"})
    model = resolve_model("person-detector", "detector")
    pictures = [_picture(gpu, (640, 360), n) for n in range(3)]
    whole = open_detector(model, config, "cuda", gpu=gpu).detect(pictures)
    monkeypatch.setattr(people, "KEPT", sorted(len(one) for one in whole)[1])
    found = open_detector(model, config, "cuda", gpu=gpu).detect(pictures)
    assert sorted(one.sharpness is None for one in found) == [False, False, True]
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_crops_of_pictures_here_and_there_come_together(gpu: HostGpu) -> None:
    there = [_picture(gpu, (64, 48), n, n) for n in range(3)]
    here = ArrayPicture(np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8))
    pictures = [there[0], here, there[1], there[2], there[0]]
    boxes = [(3, 5, 40, 41), (0, 0, 60, 50), (0, 0, 1, 1), (10, 11, 12, 40), (20, 3, 21, 9)]
    for picture, box, pixels in zip(pictures, boxes, crops_of(pictures, boxes), strict=True):
        np.testing.assert_array_equal(pixels, picture.crop(*box))
    assert crops_of([], []) == []
    large = crops_of([there[0]] * 40, [(0, 0, *there[0].size)] * 40)
    assert len(large) == 40 and all(np.array_equal(one, there[0].bgr()) for one in large)


def test_what_is_sampled_of_a_source_does_not_depend_on_the_others() -> None:
    random = np.random.default_rng(1)
    config = Config().embedding.model_copy(update={"per_track": 2})

    def frame(source: str, n: int) -> TrackedFrame:
        pixels: Pixels = random.integers(0, 256, (240, 320, 3), np.uint8)
        count = int(random.integers(0, 4))
        corners = random.uniform([0, 0], [200, 60], (count, 2))
        sides = np.stack([corners, corners + random.uniform([30, 40], [80, 160], (count, 2))], axis=1)
        boxes = sides.reshape(count, 4).astype(np.float32)
        scores = random.uniform(0.3, 1, count).astype(np.float32)
        rows = np.where(random.random(count) < 0.2, -1, np.arange(count))
        tracks = Tracks(np.arange(1, count + 1, dtype=np.uint64), boxes + 1, scores, rows)
        crops = FrameCrops(ArrayPicture(pixels), Detections(boxes, scores), ColourEmbedder())
        return TrackedFrame(source, crops, tracks, n / 10)

    together, alone = CropSamplers(config), {source: CropSamplers(config) for source in "abc"}
    sampled = 0
    for samplers in (together, *alone.values()):
        for source in "abc":
            samplers.begin(source, (320, 240))
    for n in range(30):
        frames = [frame(source, n) for source in "abc"]
        for one, found in zip(frames, together.sample(frames), strict=True):
            (expected,) = alone[one.source].sample([one])
            assert (found is None) == (expected is None)
            if found is None or expected is None:
                continue
            ours, theirs = found.finished(), expected.finished()
            np.testing.assert_array_equal(ours.rows, theirs.rows)
            np.testing.assert_array_equal(ours.quality, theirs.quality)
            np.testing.assert_array_equal(ours.embeddings, theirs.embeddings)
            assert ours.crops == theirs.crops
            sampled += len(found)
        if n == 20:
            together.forget("b", 1)
            alone["b"].forget("b", 1)
    assert sampled > 20
    assert pictures_of([], lambda pixels: Future()) == []
