"""The metadata adapter on NVIDIA's real metadata: real NvDsBatchMeta on real GstBuffers."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reidstream.engines.deepstream.metadata import BatchReader, Layout, open_cutter
from reidstream.engines.deepstream.metadata.bindings import Bindings
from reidstream.engines.deepstream.metadata.reading import UNTRACKED
from reidstream.errors import EngineError, MissingDependency

pytestmark = pytest.mark.gstreamer

LAYOUT = Layout(mux_size=(960, 540), detector_id=1, person_classes=frozenset({0}), embedder_id=2, layer="embedding")
FULL_HD = (1920, 1080)


class Batch:
    """One GstBuffer with a batch on it; ``drop`` frees it and with it everything that hangs there."""

    def __init__(self, frames: int = 1) -> None:
        import nvds
        from gi.repository import Gst

        Gst.init(None)
        self.nvds = nvds
        self.meta = nvds.create_batch(frames)
        self.buffer: Any = Gst.Buffer.new()
        nvds.attach_batch(hash(self.buffer), self.meta)

    def frame(self, pad: int = 0, number: int = 0, size: tuple[int, int] = FULL_HD, **values: int) -> int:
        return int(self.nvds.add_frame(self.meta, pad, number, size, **values))

    def person(self, frame: int, box: tuple[float, ...], object_id: int, **values: Any) -> int:
        return int(self.nvds.add_object(self.meta, frame, box, object_id, **values))

    def tensor(self, obj: int, values: np.ndarray[Any, Any], unique_id: int = 2, name: str = "embedding") -> None:
        self.nvds.add_tensors(self.meta, obj, {name: values}, unique_id)

    def user(self, obj: int, meta_type: int, payload: int | None = None) -> None:
        self.nvds.add_user(self.meta, obj, "obj", meta_type, payload, [])

    def read(self, reader: BatchReader) -> Any:
        return reader.read(hash(self.buffer))

    def drop(self) -> None:
        del self.buffer
        gc.collect()


@pytest.fixture
def ledger() -> Iterator[Any]:
    """The count of payloads attached and released; a test must not leave any behind."""
    import nvds

    gc.collect()
    yield nvds.ledger
    gc.collect()
    assert nvds.ledger.alive == 0


def vectors(n: int, size: int, seed: int = 3) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_the_library_allocates_the_layout_that_the_stand_ins_use() -> None:
    import nvds
    from nvds_layout import NvDsBatchMeta, NvDsInferLayerInfo, NvDsInferTensorMeta, NvDsObjectMeta, NvDsUserMeta

    assert nvds.allocated_sizes(nvds.libraries().meta) == {
        "NvDsFrameMeta": 232,
        "NvDsObjectMeta": 552,
        "NvDsUserMeta": 48,
    }
    assert ctypes.sizeof(NvDsBatchMeta) == 192
    assert ctypes.sizeof(NvDsInferTensorMeta) == ctypes.sizeof(NvDsInferLayerInfo) == 72
    assert (NvDsObjectMeta.class_id.offset, NvDsObjectMeta.object_id.offset) == (52, 56)
    assert (NvDsObjectMeta.rect_params.offset, NvDsObjectMeta.obj_user_meta_list.offset) == (104, 480)
    assert NvDsUserMeta.user_meta_data.offset == 40


def test_ids_boxes_and_embeddings_arrive_unchanged(reads_with: Bindings, ledger: Any) -> None:
    batch, wanted = Batch(), vectors(3, 512)
    frame = batch.frame(pad=4, number=17, buf_pts=1_000_000_000, ntp_timestamp=1_700_000_000_000_000_000)
    for index, object_id in enumerate((7, 1 << 63 | 5, 2)):
        batch.tensor(batch.person(frame, (10.0 + index, 20, 30, 40), object_id, confidence=0.5), wanted[index])
    reader = BatchReader(LAYOUT, reads_with)
    (read,) = batch.read(reader).frames
    batch.drop()
    assert (read.source_index, read.number, read.pts, read.ntp) == (4, 17, 1_000_000_000, 1_700_000_000_000_000_000)
    assert read.object_ids.tolist() == [2, 7, 1 << 63 | 5]
    assert read.boxes.tolist() == [[24, 40, 84, 120], [20, 40, 80, 120], [22, 40, 82, 120]]
    assert read.confidences.tolist() == [0.5] * 3
    np.testing.assert_allclose(read.embeddings, wanted[[2, 0, 1]], atol=1e-7)
    assert (ledger.attached - ledger.alive, ledger.alive) == (ledger.released, 0)


def test_whatever_reads_reads_the_same(bindings: dict[str, Bindings], ledger: Any) -> None:
    """The stand-in for pyds, memory, and a real pyds where one is installed."""
    batch, rng = Batch(8), np.random.default_rng(11)
    for pad in range(8):
        frame = batch.frame(pad, int(rng.integers(1000)), (640, 480))
        for _ in range(int(rng.integers(0, 12))):
            left, top, width, height = rng.uniform(-50, 900, 4)
            obj = batch.person(frame, (left, top, width, height), int(rng.integers(0, 1 << 63)))
            if rng.random() < 0.7:
                batch.tensor(obj, rng.normal(size=64).astype(np.float32))
    batch.nvds.add_terminated(batch.meta, {3: [1 << 40, 9], 5: []})
    readers = {kind: BatchReader(LAYOUT, module) for kind, module in bindings.items()}
    reads = {kind: batch.read(reader) for kind, reader in readers.items()}
    batch.drop()
    first, *others = reads.values()
    for other in others:
        assert [(p, ids.tolist()) for p, ids in first.terminated] == [(p, ids.tolist()) for p, ids in other.terminated]
        for one, two in zip(first.frames, other.frames, strict=True):
            for name in ("object_ids", "boxes", "confidences", "rows", "embeddings"):
                np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert all(reader.counts == readers["stand-in"].counts for reader in readers.values())
    assert [(pad, ids.tolist()) for pad, ids in first.terminated] == [(3, [1 << 40, 9])]


def test_copied_objects_are_what_the_attributes_say(pyds: ModuleType, ledger: Any) -> None:
    """Where an object's numbers lie is learned from pyds itself; where it shows nothing, it is asked for each."""
    from reidstream.engines.deepstream.metadata.pyds_access import AttributeObjects, CopiedObjects, open_object_reader

    def broken() -> None:
        raise AssertionError

    batch, rng = Batch(5), np.random.default_rng(5)
    for pad in range(5):
        frame = batch.frame(pad)
        for _ in range(pad * 7):
            numbers = {"class_id": int(rng.integers(-1, 4)), "component": int(rng.integers(1 << 31))}
            box = tuple(rng.normal(0, 1e3, 4).tolist())
            object_id = int(rng.integers(1 << 64, dtype=np.uint64))
            batch.person(frame, box, object_id, confidence=float(rng.normal()), **numbers)
    node, heads = pyds.gst_buffer_get_nvds_batch_meta(hash(batch.buffer)).frame_meta_list, []
    while node is not None:
        heads.append(pyds.NvDsFrameMeta.cast(node.data).obj_meta_list)
        node = node.next
    assert heads[0] is None
    one, other = CopiedObjects(pyds, broken), AttributeObjects(pyds, broken)
    copied, asked = one.read(heads), other.read(heads)
    assert copied.lists.tolist() == asked.lists.tolist() == [pad for pad in range(5) for _ in range(pad * 7)]
    for name in asked.values.dtype.names:
        np.testing.assert_array_equal(copied.values[name], asked.values[name])
    for a, b in zip(copied.handles, asked.handles, strict=True):
        assert one.meta(a).object_id == other.meta(b).object_id
    assert isinstance(open_object_reader(pyds, broken), CopiedObjects)
    hidden = ModuleType("pyds")
    hidden.NvDsObjectMeta = pyds.NvDsObjectMeta  # type: ignore[attr-defined]
    assert isinstance(open_object_reader(hidden, broken), AttributeObjects)
    batch.drop()


def test_an_object_list_that_leads_back_to_itself_gives_each_object_once(reads_with: Bindings, ledger: Any) -> None:
    from nvds_layout import NvDsFrameMeta

    batch = Batch()
    frame = batch.frame()
    for object_id in (1, 2, 3):
        batch.person(frame, (0, 0, 50, 100), object_id)
    head = NvDsFrameMeta.from_address(frame).obj_meta_list
    last = head.contents.next.contents.next
    last.contents.next = head
    reader = BatchReader(LAYOUT, reads_with)
    (read,) = batch.read(reader).frames
    last.contents.next = None
    batch.drop()
    assert read.object_ids.tolist() == [1, 2, 3]
    assert reader.counts["broken list"] == 1


def test_embeddings_are_copies_that_survive_the_buffer(reads_with: Bindings, ledger: Any) -> None:
    batch = Batch()
    batch.tensor(batch.person(batch.frame(), (0, 0, 50, 100), 1), vectors(1, 128))
    before = ledger.released
    (read,) = batch.read(BatchReader(LAYOUT, reads_with)).frames
    batch.drop()  # nvinfer's memory goes back to its pool: the stand-in overwrites it with NaN
    assert ledger.released == before + 1
    np.testing.assert_allclose(read.embeddings, vectors(1, 128), atol=1e-7)


@pytest.mark.parametrize("size", [1, 128, 256, 512, 2048])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_any_embedding_size_in_float_and_half(
    reads_with: Bindings, ledger: Any, size: int, dtype: type[np.generic]
) -> None:
    batch, wanted = Batch(), vectors(1, size)
    batch.tensor(batch.person(batch.frame(), (0, 0, 50, 100), 1), (wanted * 3).astype(dtype).reshape(1, -1)[0])
    (read,) = batch.read(BatchReader(LAYOUT, reads_with)).frames
    batch.drop()
    assert read.embeddings.dtype == np.float32
    np.testing.assert_allclose(read.embeddings, wanted, atol=2e-3 if dtype == np.float16 else 1e-6)


def test_other_user_metadata_may_come_first_and_last(reads_with: Bindings, ledger: Any) -> None:
    """The reference application loops for ever here."""
    batch = Batch()
    obj = batch.person(batch.frame(), (0, 0, 50, 100), 1)
    batch.user(obj, 8193)
    batch.tensor(obj, vectors(1, 64, seed=1), unique_id=5)
    batch.tensor(obj, vectors(1, 64, seed=2))
    batch.tensor(obj, vectors(1, 64, seed=3), unique_id=6)
    batch.user(obj, 11)
    (read,) = batch.read(BatchReader(LAYOUT, reads_with)).frames
    batch.drop()
    np.testing.assert_allclose(read.embeddings, vectors(1, 64, seed=2), atol=1e-7)


def test_the_layer_is_chosen_by_name(reads_with: Bindings, ledger: Any) -> None:
    batch = Batch()
    obj = batch.person(batch.frame(), (0, 0, 50, 100), 1)
    outputs = {"logits": np.ones(7, np.float32), "embedding": vectors(1, 64)[0], "mask": np.ones((2, 3), np.int32)}
    batch.nvds.add_tensors(batch.meta, obj, outputs, 2)
    (read,) = batch.read(BatchReader(LAYOUT, reads_with)).frames
    np.testing.assert_allclose(read.embeddings, vectors(1, 64), atol=1e-7)
    with pytest.raises(EngineError, match=r"no output 'features'; it has logits, embedding, mask"):
        batch.read(BatchReader(replace(LAYOUT, layer="features"), reads_with))
    with pytest.raises(EngineError, match=r"3 outputs .*deepstream.sgie.layer"):
        batch.read(BatchReader(replace(LAYOUT, layer=None), reads_with))
    with pytest.raises(EngineError, match=r"'mask'.*data type 3"):
        batch.read(BatchReader(replace(LAYOUT, layer="mask"), reads_with))
    batch.drop()


def test_boxes_without_a_track_are_left_out_and_counted(reads_with: Bindings, ledger: Any) -> None:
    batch = Batch()
    frame = batch.frame()
    batch.person(frame, (0, 0, 50, 100), UNTRACKED)
    batch.person(frame, (0, 0, 50, 100), 3, class_id=2)
    batch.person(frame, (0, 0, 50, 100), 4, component=7)
    batch.person(frame, (0, 0, 50, 100), 5, confidence=-0.1)
    reader = BatchReader(LAYOUT, reads_with)
    (read,) = batch.read(reader).frames
    batch.drop()
    assert read.object_ids.tolist() == [5]
    assert read.confidences.tolist() == pytest.approx([-0.1])
    assert len(read.rows) == 0
    assert +reader.counts == {"untracked": 1, "other class": 2, "person-frames": 1, "no embedding": 1}


@pytest.mark.parametrize(
    "box",
    [
        (float("nan"), 0, 10, 10),
        (0, 0, float("inf"), 10),
        (0, 0, -10, 10),
        (5000, 0, 10, 10),
        (-500, -500, 10, 10),
        (0, 0, 0, 0),
        (3.4e38, 0, 3.4e38, 10),
    ],
)
def test_broken_boxes_are_left_out_and_counted(reads_with: Bindings, ledger: Any, box: tuple[float, ...]) -> None:
    batch = Batch()
    frame = batch.frame()
    batch.person(frame, box, 1)
    batch.tensor(batch.person(frame, (0, 0, 50, 100), 2), vectors(1, 64))
    reader = BatchReader(LAYOUT, reads_with)
    (read,) = batch.read(reader).frames
    batch.drop()
    assert np.isfinite(read.boxes).all()
    assert (read.boxes[:, 2:] > read.boxes[:, :2]).all()
    assert 2 in read.object_ids.tolist()
    assert reader.counts["broken box"] + len(read.object_ids) == 2
    assert len(read.embeddings) == 1


def test_broken_tensors_are_left_out_and_counted(reads_with: Bindings, ledger: Any) -> None:
    batch = Batch()
    frame = batch.frame()
    people = [batch.person(frame, (0, 0, 50, 100), object_id) for object_id in range(1, 8)]
    batch.tensor(people[0], vectors(1, 64))
    batch.user(people[1], 12)  # a tensor meta without a payload
    batch.tensor(people[2], np.full(64, np.nan, np.float32))
    batch.tensor(people[3], np.zeros(64, np.float32))
    batch.tensor(people[4], vectors(1, 32)[0])  # another size
    batch.nvds.add_tensors(batch.meta, people[5], {}, 2)
    batch.tensor(people[6], np.zeros(0, np.float32))
    reader = BatchReader(LAYOUT, reads_with)
    (read,) = batch.read(reader).frames
    batch.drop()
    assert read.object_ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert read.rows.tolist() == [0]
    assert reader.counts["broken tensor"] == 6
    assert reader.counts["embeddings"] == 1


def test_a_list_that_leads_back_to_itself_does_not_hold_the_stream(reads_with: Bindings, ledger: Any) -> None:
    from nvds_layout import NvDsObjectMeta

    batch = Batch()
    obj = batch.person(batch.frame(), (0, 0, 50, 100), 1)
    batch.user(obj, 8193)
    head = NvDsObjectMeta.from_address(obj).obj_user_meta_list
    head.contents.next = head
    reader = BatchReader(LAYOUT, reads_with)
    (read,) = batch.read(reader).frames
    head.contents.next = None
    batch.drop()
    assert read.object_ids.tolist() == [1]
    assert reader.counts["broken list"] == 1


def test_no_people_and_no_frames(reads_with: Bindings, ledger: Any) -> None:
    from gi.repository import Gst

    reader = BatchReader(LAYOUT, reads_with)
    empty = Batch()
    assert empty.read(reader).frames == ()
    empty.frame(pad=2, number=9)
    (read,) = empty.read(reader).frames
    assert (read.source_index, read.number, len(read.object_ids), read.boxes.shape) == (2, 9, 0, (0, 4))
    assert reader.read(hash(Gst.Buffer.new())).frames == ()
    assert reader.counts["buffer without a batch"] == 1
    empty.drop()


def test_two_hundred_people_in_one_frame(reads_with: Bindings, ledger: Any) -> None:
    batch, wanted = Batch(), vectors(200, 256)
    frame = batch.frame()
    for index in range(200):
        batch.tensor(batch.person(frame, (index, 0, 50, 100), index + 1), wanted[index])
    (read,) = batch.read(BatchReader(LAYOUT, reads_with)).frames
    batch.drop()
    assert read.object_ids.tolist() == list(range(1, 201))
    np.testing.assert_allclose(read.embeddings, wanted, atol=1e-7)


def test_only_the_rows_that_are_wanted_are_read(reads_with: Bindings, ledger: Any) -> None:
    batch, wanted = Batch(), vectors(5, 64)
    frame = batch.frame(pad=3)
    for index in range(5):
        batch.tensor(batch.person(frame, (index * 60, 0, 50, 100), index + 1), wanted[index])
    asked: list[Any] = []

    class Odd:
        def wanted(self, seen: Any) -> Any:
            asked.append((seen.source_indices, seen.sizes.tolist(), seen.starts.tolist(), seen.object_ids.tolist()))
            return np.array([1, 3]), np.array([0.5, 0.75], np.float32)

        def took(self, seen: Any, rows: Any, quality: Any) -> None:
            asked.append((seen.object_ids[rows].tolist(), quality.tolist()))

    reader = BatchReader(LAYOUT, reads_with, sampling=Odd())
    (read,) = batch.read(reader).frames
    batch.drop()
    assert asked == [([3], [list(FULL_HD)], [0, 5], [1, 2, 3, 4, 5]), ([2, 4], [0.5, 0.75])]
    assert read.quality.tolist() == [0.5, 0.75]
    assert read.rows.tolist() == [1, 3]
    np.testing.assert_allclose(read.embeddings, wanted[[1, 3]], atol=1e-7)
    assert reader.counts["embeddings"] == 2


def test_the_trackers_own_vectors_can_be_used_instead(reads_with: Bindings, ledger: Any) -> None:
    batch, wanted = Batch(), vectors(2, 256)
    frame = batch.frame()
    batch.nvds.add_reid(batch.meta, batch.person(frame, (0, 0, 50, 100), 1), wanted[0] * 4)
    both = batch.person(frame, (0, 0, 50, 100), 2)
    batch.tensor(both, vectors(1, 64))
    batch.nvds.add_reid(batch.meta, both, wanted[1])
    batch.person(frame, (0, 0, 50, 100), 3)
    (read,) = batch.read(BatchReader(replace(LAYOUT, embedder_id=None), reads_with)).frames
    batch.drop()
    assert read.rows.tolist() == [0, 1]
    np.testing.assert_allclose(read.embeddings, wanted, atol=1e-6)


def test_the_new_mux_keeps_the_sources_sizes(reads_with: Bindings, ledger: Any) -> None:
    batch = Batch()
    batch.person(batch.frame(size=(640, 480)), (600, 400, 100, 100), 1)
    (read,) = batch.read(BatchReader(replace(LAYOUT, mux_size=None), reads_with)).frames
    batch.drop()
    assert read.boxes.tolist() == [[600, 400, 640, 480]]


def test_ten_thousand_frames_leak_nothing(reads_with: Bindings, ledger: Any) -> None:
    import psutil

    wanted = vectors(1, 512)

    def run(batches: int, reader: BatchReader) -> None:
        for number in range(batches):
            batch = Batch(20)
            for pad in range(20):
                batch.tensor(batch.person(batch.frame(pad, number), (0, 0, 50, 100), number), wanted)
            assert len(batch.read(reader).frames) == 20
            del batch

    reader = BatchReader(LAYOUT, reads_with)
    before = ledger.released
    run(100, reader)
    gc.collect()
    resident = psutil.Process().memory_info().rss
    run(400, reader)
    gc.collect()
    assert ledger.released - before == 10_000
    assert psutil.Process().memory_info().rss - resident < 8 << 20


def test_crops_need_an_object_encoder(bindings: dict[str, Bindings]) -> None:
    with pytest.raises(MissingDependency, match="object encoder"):
        open_cutter(ModuleType("pyds"), 0, 90)
    with pytest.raises(MissingDependency, match=r"libnvds_batch_jpegenc.so.*deepstream.crops=false"):
        open_cutter(bindings["memory"], 0, 90)
    cutter = open_cutter(bindings["stand-in"], 0, 90)  # the real encoder needs a GPU
    cutter.close()
    cutter.close()
