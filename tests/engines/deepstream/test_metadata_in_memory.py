"""Reading metadata without pyds: layouts of which there is no library here, and libraries that do not fit."""

from __future__ import annotations

import ctypes as c
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidstream.engines.deepstream.metadata import BatchReader, Layout, bindings, library, open_bindings
from reidstream.engines.deepstream.metadata.crops import LibraryCropCutter
from reidstream.engines.deepstream.metadata.library import MetaLibrary
from reidstream.engines.deepstream.metadata.memory import Fields, walk
from reidstream.engines.deepstream.metadata.structures import NvDsObjEncUsrArgs
from reidstream.errors import EngineError, MissingDependency
from tests.deepstream.standin import nvds_layout as nine
from tests.engines.deepstream.made_up_library import MadeUpLibrary, objects_of_8, objects_with

LAYOUT = Layout(mux_size=None, embedder_id=2, layer="embedding")
LAYOUTS = {"8.0": objects_of_8(), "9.0 and 9.1": nine.NvDsObjectMeta}


def opened(made_up: MadeUpLibrary) -> MetaLibrary:
    return MetaLibrary(made_up, made_up, "libnvds_meta.so")  # type: ignore[arg-type]


def vectors(n: int, size: int = 64) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(n).normal(size=(n, size)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("versions", LAYOUTS)
def test_people_and_embeddings_of_every_known_layout(versions: str) -> None:
    made_up = MadeUpLibrary(LAYOUTS[versions])
    found = opened(made_up)
    assert found.layout.versions == versions
    batch = made_up._nvds_create_batch_meta(2)
    made_up.batches[77] = batch
    wanted = vectors(5)
    for pad in (3, 8):
        frame = made_up._nvds_acquire_frame_meta_from_pool(batch)
        meta = nine.NvDsFrameMeta.from_address(frame)
        meta.pad_index, meta.frame_num, meta.buf_pts, meta.ntp_timestamp = pad, 12, 4_000_000_000, 5
        meta.source_frame_width, meta.source_frame_height = 640, 480
        made_up._nvds_add_frame_meta_to_batch(batch, frame)
        for object_id in range(5):
            made_up.person(batch, frame, object_id, wanted[object_id] if object_id != 2 else None)
    reader = BatchReader(LAYOUT, found)
    read = reader.read(77).frames
    assert [(frame.source_index, frame.number, frame.pts, frame.ntp) for frame in read] == [
        (8, 12, 4_000_000_000, 5),
        (3, 12, 4_000_000_000, 5),
    ]
    for frame in read:
        assert frame.object_ids.tolist() == [0, 1, 2, 3, 4]
        assert frame.boxes.tolist() == [[left, 20, left + 30, 60] for left in range(5)]
        assert frame.confidences.tolist() == [0.5] * 5
        assert frame.rows.tolist() == [0, 1, 3, 4]
        np.testing.assert_allclose(frame.embeddings, wanted[[0, 1, 3, 4]], atol=1e-6)
    assert reader.counts["no embedding"] == 2
    assert made_up.held == 0


UNKNOWN = {
    "longer objects": (MadeUpLibrary(objects_with(("added", c.c_uint64), "parent")), "552 bytes with meta type 3"),
    "numbers elsewhere": (
        MadeUpLibrary(objects_with(("added", c.c_uint64), "object_id", less=8)),
        "user metadata of an object are not in their list|label is not where",
    ),
    "a list elsewhere": (MadeUpLibrary(adds=False), "user metadata of an object are not in their list"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_library_with_other_structures_is_refused_before_anything_is_read(kind: str) -> None:
    made_up, said = UNKNOWN[kind]
    with pytest.raises(EngineError, match=f"({said}).*deepstream.metadata=pyds"):
        opened(made_up)


def test_numbers_that_the_library_copies_from_elsewhere_are_noticed() -> None:
    """Lists and size as they should be, and the box two bytes further on."""
    made_up = MadeUpLibrary()

    def copy(one: int, other: int) -> None:
        c.memmove(other + 48, one + 52, 160)
        c.memmove(other + 344, one + 344, 128)

    made_up.nvds_copy_obj_meta = copy  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match=r"numbers are not where they should be"):
        opened(made_up)


def test_a_library_of_somebody_else_is_refused() -> None:
    class Other:
        pass

    with pytest.raises(EngineError, match=r"not NVIDIA's metadata library"):
        MetaLibrary(Other(), Other(), "libother.so")  # type: ignore[arg-type]


def pyds_for(objects: type[c.Structure]) -> ModuleType:
    """As much of pyds as is looked at before it is used."""
    pyds = ModuleType("pyds")

    class ObjectMeta:
        def __init__(self, address: int) -> None:
            head = objects.from_address(address).obj_user_meta_list
            self.obj_user_meta_list = head.contents if head else None

        cast = classmethod(lambda kind, address: kind(address))

    pyds.NvDsObjectMeta = ObjectMeta  # type: ignore[attr-defined]
    pyds.NvDsUserMeta = SimpleNamespace(cast=nine.NvDsUserMeta.from_address)  # type: ignore[attr-defined]
    return pyds


@pytest.mark.setting("deepstream.metadata")
def test_without_pyds_the_library_is_read_and_with_it_pyds_or_what_the_setting_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    found = opened(MadeUpLibrary())
    monkeypatch.setattr(bindings, "load_library", lambda: found)
    monkeypatch.setitem(sys.modules, "pyds", None)
    assert open_bindings("auto") is open_bindings("memory") is found
    with pytest.raises(MissingDependency, match=r"pyds.*deepstream.metadata=memory"):
        open_bindings("pyds")
    pyds = pyds_for(nine.NvDsObjectMeta)
    monkeypatch.setitem(sys.modules, "pyds", pyds)
    assert open_bindings("auto") is open_bindings("pyds") is pyds
    assert open_bindings("memory") is found
    # One of another version would read out of other structures.
    monkeypatch.setitem(sys.modules, "pyds", pyds_for(objects_of_8()))
    assert open_bindings("auto") is found
    with pytest.raises(EngineError, match=r"9.0 and 9.1.*deepstream.metadata=memory"):
        open_bindings("pyds")


def test_without_pyds_and_without_the_library_both_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(library, "_loaded_from", list)
    monkeypatch.setitem(sys.modules, "pyds", None)
    with pytest.raises(MissingDependency, match=r"libnvds_meta.so.*--engine local"):
        open_bindings("auto")


def test_broken_pointers_are_counted_and_not_followed() -> None:
    made_up = MadeUpLibrary()
    found = opened(made_up)
    batch = made_up._nvds_create_batch_meta(1)
    made_up.batches[1] = batch
    frame = made_up._nvds_acquire_frame_meta_from_pool(batch)
    meta = nine.NvDsFrameMeta.from_address(frame)
    meta.source_frame_width, meta.source_frame_height = 640, 480
    made_up._nvds_add_frame_meta_to_batch(batch, frame)
    whole = made_up.person(batch, frame, 1, vectors(1)[0])
    # nvinfer's pointers of a model without outputs in the processor's memory, and counts out of nowhere.
    nothing = nine.NvDsInferTensorMeta(unique_id=2, num_output_layers=1)
    many = nine.NvDsInferTensorMeta(unique_id=2, num_output_layers=1 << 30)
    for number, payload in enumerate((0, 8, 0x1234567, made_up.keep(nothing), made_up.keep(many)), 2):
        made_up.user(batch, made_up.person(batch, frame, number, None), nine.MetaType.TENSOR, payload)
    made_up.prepend(meta, "obj_meta_list", 16)
    made_up.prepend(meta, "obj_meta_list", 1 << 50)
    reader = BatchReader(LAYOUT, found)
    (read,) = reader.read(1).frames
    assert read.object_ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert read.rows.tolist() == [0]
    assert (reader.counts["broken tensor"], reader.counts["broken list"]) == (5, 2)
    nine.NvDsObjectMeta.from_address(whole).obj_user_meta_list = c.cast(c.c_void_p(24), c.POINTER(nine.GList))
    assert reader.read(1).frames[0].rows.tolist() == []
    assert reader.counts["broken list"] == 5


class Lists:
    """GLists in memory."""

    def __init__(self, lengths: list[int]) -> None:
        self.nodes = [(c.c_int64 * 3 * length)() for length in lengths]
        self.heads = np.array([c.addressof(nodes) if len(nodes) else 0 for nodes in self.nodes])
        for which, nodes in enumerate(self.nodes):
            for index, node in enumerate(nodes):
                node[0] = 4096 * (which + 1) + 8 * index
                node[1] = c.addressof(nodes) + 24 * (index + 1) if index + 1 < len(nodes) else 0


@pytest.mark.parametrize("lengths", [[], [0], [3], [0, 5, 1], [2, 0, 7, 1, 0, 30, 4, 4, 4, 0, 9]])
def test_lists_are_walked_in_their_order(lengths: list[int]) -> None:
    made = Lists(lengths)
    which, data = walk(made.heads.astype(np.int64), broken=lambda: pytest.fail("nothing is broken"))
    assert which.tolist() == [index for index, length in enumerate(lengths) for _ in range(length)]
    assert data.tolist() == [4096 * (n + 1) + 8 * item for n, length in enumerate(lengths) for item in range(length)]


@pytest.mark.parametrize("others", [0, 12])
@pytest.mark.parametrize(("length", "back_to"), [(1, 0), (2, 0), (5, 3), (40, 17), (40, 39)])
def test_a_list_that_leads_back_into_itself_ends(length: int, back_to: int, others: int) -> None:
    made = Lists([length, *[3] * others])
    made.nodes[0][length - 1][1] = c.addressof(made.nodes[0]) + 24 * back_to
    broken: list[int] = []
    which, data = walk(made.heads.astype(np.int64), broken=lambda: broken.append(1))
    assert data[which == 0].tolist() == [4096 + 8 * index for index in range(length)]
    assert (which > 0).sum() == 3 * others
    assert len(broken) == 1


def test_fields_of_every_width_are_read_from_many_structures_at_once() -> None:
    kind = np.dtype({"names": ["a", "b", "c", "d"], "formats": ["u1", "i2", "f4", "u8"], "offsets": [3, 6, 20, 32],
                     "itemsize": 40})  # fmt: skip
    there = np.zeros(7, kind)
    there["a"], there["b"], there["c"], there["d"] = np.arange(7), -np.arange(7), np.arange(7) / 8, np.arange(7) << 60
    fields = Fields({name: (kind.fields[name][1], kind.fields[name][0].str) for name in kind.names})  # type: ignore[index]
    order = np.array([5, 0, 6, 6], np.int64)
    read = fields.read(there.ctypes.data + order * 40)
    for name in kind.names or ():
        np.testing.assert_array_equal(read[name], there[name][order])


class MadeUpEncoder:
    """NVIDIA's object encoder: hangs a JPEG file on each object once it has finished."""

    def __init__(self, made_up: MadeUpLibrary, batch: int) -> None:
        self._made_up, self._batch = made_up, batch
        self._asked: list[tuple[int, bytes]] = []
        self.qualities: list[int] = []
        self.destroyed = 0

    def nvds_obj_enc_create_context(self, gpu: int) -> int:
        return gpu + 1

    def nvds_obj_enc_process(self, context: int, arguments: Any, surface: int, item: int, frame: int) -> bool:
        wanted: NvDsObjEncUsrArgs = arguments._obj
        assert (wanted.attach_user_meta, wanted.save_image, wanted.scale_image, wanted.object_number) == (1, 0, 0, 1)
        self.qualities.append(wanted.quality)
        number = self._made_up.objects.from_address(item).object_id
        if number != 2:
            self._asked.append((item, c.string_at(surface, 4) + bytes([number])))
        return True

    def nvds_obj_enc_finish(self, context: int) -> None:
        for item, file in self._asked:
            out = nine.NvDsObjEncOutParams(self._made_up.keep(c.create_string_buffer(file, len(file))), len(file))
            self._made_up.user(self._batch, item, nine.MetaType.CROP, self._made_up.keep(out))

    def nvds_obj_enc_destroy_context(self, context: int) -> None:
        self.destroyed += 1


def test_the_object_encoder_is_asked_as_its_header_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """sizeof and offsets: compiled from nvds_obj_encode.h. GStreamer is made up, too: it is not on every machine."""
    assert c.sizeof(NvDsObjEncUsrArgs) == 1048
    assert (NvDsObjEncUsrArgs.object_number.offset, NvDsObjEncUsrArgs.is_frame.offset) == (1036, 1044)
    made_up = MadeUpLibrary()
    surface = c.create_string_buffer(b"pixels")
    mapped: list[int] = []

    class GStreamer:
        def __init__(self, name: str) -> None:
            def gst_buffer_map(buffer: int, info: Any, flags: int) -> int:
                info._obj.data = c.addressof(surface)
                mapped.append(buffer)
                return 1

            def gst_buffer_unmap(buffer: int, info: Any) -> int:
                mapped.remove(buffer)
                return 1

            self.gst_buffer_map, self.gst_buffer_unmap = gst_buffer_map, gst_buffer_unmap

    monkeypatch.setattr("reidstream.engines.deepstream.metadata.crops.c.CDLL", GStreamer)
    batch = made_up._nvds_create_batch_meta(1)
    frame = made_up._nvds_acquire_frame_meta_from_pool(batch)
    people = [made_up.person(batch, frame, number, vectors(1)[0]) for number in (1, 2, 3)]
    encoder = MadeUpEncoder(made_up, batch)
    cutter = LibraryCropCutter(0, 83, opened(made_up), encoder)
    assert cutter(9, people, [frame] * 3) == (b"pixe\x01", None, b"pixe\x03")
    assert (encoder.qualities, mapped) == ([83] * 3, [])
    cutter.close()
    cutter.close()
    assert encoder.destroyed == 1
