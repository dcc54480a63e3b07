"""NVIDIA's metadata libraries, loaded, and tried out: do structures lie where we look for them?"""

from __future__ import annotations

import ctypes as c
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from reidstream.engines.deepstream.metadata.memory import Fields, walk
from reidstream.engines.deepstream.metadata.structures import (
    OBJECT_LAYOUTS,
    NvDsBatchMeta,
    NvDsFrameMeta,
    NvDsMeta,
    NvDsUserMeta,
    ObjectLayout,
    offset,
)
from reidstream.errors import EngineError, MissingDependency

logger = logging.getLogger(__name__)

SDK_LIBRARIES = Path("/opt/nvidia/deepstream/deepstream/lib")
_META, _GST = "libnvds_meta.so", "libnvdsgst_meta.so"

_FRAME_META, _OBJECT_META, _USER_META = 2, 3, 7
_BATCH_GST_META = 4097
_OF_USERS = 8193
"""Values of NvDsMetaType and GstNvDsMetaType (nvdsmeta.h, gstnvdsmeta.h); the last is the first of applications."""

_POINTERS: dict[str, int] = {
    "nvds_create_batch_meta": 1,
    "nvds_acquire_frame_meta_from_pool": 1,
    "nvds_acquire_obj_meta_from_pool": 1,
    "nvds_acquire_user_meta_from_pool": 1,
}
_NOTHING: dict[str, int] = {
    "nvds_destroy_batch_meta": 1,
    "nvds_acquire_meta_lock": 1,
    "nvds_release_meta_lock": 1,
    "nvds_add_frame_meta_to_batch": 2,
    "nvds_add_obj_meta_to_frame": 3,
    "nvds_add_user_meta_to_batch": 2,
    "nvds_add_user_meta_to_obj": 2,
    "nvds_copy_obj_meta": 2,
}
"""Functions of libnvds_meta that are used, by what they return and how many pointers they take."""


class MetaLibrary:
    """libnvds_meta and libnvdsgst_meta of the DeepStream that runs in this process.

    layout: how its objects lie in memory. Raises EngineError when the libraries are not as their headers say.
    """

    def __init__(self, meta: c.CDLL, gst: c.CDLL, name: str) -> None:
        self.name = name
        try:
            self._meta, self._gst = _declared(meta), gst
            gst.gst_buffer_get_nvds_batch_meta.restype = c.c_void_p
            gst.gst_buffer_get_nvds_batch_meta.argtypes = [c.c_void_p]
            gst.gst_buffer_add_nvds_meta.restype = c.c_void_p
            gst.gst_buffer_add_nvds_meta.argtypes = [c.c_void_p] * 5
        except AttributeError as error:
            raise EngineError(f"{name} is not NVIDIA's metadata library: {error}") from error
        self.layout = _tried_out(self)
        logger.info("NVIDIA's metadata are read from memory: %s has the structures of %s", name, self.layout.versions)

    def batch_of(self, buffer: int) -> int:
        """The address of the NvDsBatchMeta on a GstBuffer, 0 when it has none."""
        return self._gst.gst_buffer_get_nvds_batch_meta(buffer) or 0

    def beside(self, name: str) -> str:
        """Another of NVIDIA's libraries, for the loader: in the same folder, where this one was taken from a folder."""
        folder = Path(self.name).parent
        return name if folder == Path() else str(folder / name)

    @contextmanager
    def held(self, batch: int) -> Iterator[None]:
        """Nobody who keeps to NVIDIA's rules changes the batch's lists in the meantime; nothing else may be done."""
        self._meta.nvds_acquire_meta_lock(batch)
        try:
            yield
        finally:
            self._meta.nvds_release_meta_lock(batch)

    @contextmanager
    def object_with_user_meta(self) -> Iterator[tuple[int, int]]:
        """The address of an object that carries user metadata, and the type of these: for trying out other readers."""
        batch = self._meta.nvds_create_batch_meta(1)
        try:
            frame = self._meta.nvds_acquire_frame_meta_from_pool(batch)
            self._meta.nvds_add_frame_meta_to_batch(batch, frame)
            item = self._meta.nvds_acquire_obj_meta_from_pool(batch)
            self._meta.nvds_add_obj_meta_to_frame(frame, item, None)
            user = self._meta.nvds_acquire_user_meta_from_pool(batch)
            NvDsUserMeta.from_address(user).base_meta.meta_type = _OF_USERS
            self._meta.nvds_add_user_meta_to_obj(item, user)
            yield item, _OF_USERS
        finally:
            self._meta.nvds_destroy_batch_meta(batch)

    def attached_and_found(self, buffer: int) -> bool:
        """Whether a batch that is hung on a GstBuffer (address) of our own is found there again."""
        batch = self._meta.nvds_create_batch_meta(1)
        copy, release = (c.cast(getattr(self._meta, f"nvds_batch_meta_{name}_func"), c.c_void_p) for name in _CALLBACKS)
        hung = self._gst.gst_buffer_add_nvds_meta(buffer, batch, None, copy, release)
        if not hung:
            self._meta.nvds_destroy_batch_meta(batch)
            return False
        NvDsMeta.from_address(hung).meta_type = _BATCH_GST_META
        return self.batch_of(buffer) == int(batch)


_CALLBACKS = ("copy", "release")


def load_library(folder: Path | None = None) -> MetaLibrary:
    """The libraries that NVIDIA's elements have loaded, else those of the SDK, else those in the loader's path.

    folder: take them from there. Raises MissingDependency when there are none, EngineError when they do not fit.
    """
    tried: list[str] = []
    for place in [folder] if folder is not None else [*_loaded_from(), SDK_LIBRARIES, None]:
        names = [name if place is None else str(place / name) for name in (_META, _GST)]
        try:
            meta, gst = (c.CDLL(name, mode=c.RTLD_GLOBAL) for name in names)
        except OSError as error:
            tried.append(str(error))
            continue
        return MetaLibrary(meta, gst, names[0])
    raise MissingDependency(
        f"NVIDIA's metadata libraries ({_META}, {_GST}) cannot be loaded ({'; '.join(tried)}): they come with "
        "DeepStream; run inside its container, or use --engine local"
    )


def _loaded_from() -> list[Path]:
    """Where the library lies that is in this process already: there must not be two."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = (Path(line.split(maxsplit=5)[-1]) for line in lines if _GST in line)
    return [path.parent for path in dict.fromkeys(found)]


def _declared(meta: c.CDLL) -> c.CDLL:
    for names, returned in ((_POINTERS, c.c_void_p), (_NOTHING, None)):
        for name, count in names.items():
            function = getattr(meta, name)
            function.restype, function.argtypes = returned, [c.c_void_p] * count
    meta.nvds_create_batch_meta.argtypes = [c.c_uint]
    return meta


def _tried_out(library: MetaLibrary) -> ObjectLayout:
    """Which of the known layouts the library has, after a batch was made by it and read as all batches will be."""
    meta: Any = library._meta
    address = meta.nvds_create_batch_meta(2)
    if not address:
        raise EngineError(f"{library.name} makes no batch metadata")
    try:
        # Each look is at what the one before has shown to be there.
        layout = _by_sizes(library.name, address)
        wrong = _lists_that_differ(meta, address, layout) or _numbers_that_differ(meta, address, layout)
    finally:
        meta.nvds_destroy_batch_meta(address)
    if wrong:
        raise EngineError(
            f"{library.name} has other structures than DeepStream {layout.versions}: {wrong}. Reading them would give "
            "wrong numbers or crash; install the pyds of this version and set deepstream.metadata=pyds"
        )
    return layout


def _by_sizes(name: str, address: int) -> ObjectLayout:
    batch = NvDsBatchMeta.from_address(address)
    expected = {
        "frame": (batch.frame_meta_pool, _FRAME_META, {c.sizeof(NvDsFrameMeta)}),
        "object": (batch.obj_meta_pool, _OBJECT_META, {c.sizeof(layout.structure) for layout in OBJECT_LAYOUTS}),
        "user": (batch.user_meta_pool, _USER_META, {c.sizeof(NvDsUserMeta)}),
    }
    sizes: dict[str, int] = {}
    for kind, (pool, meta_type, known) in expected.items():
        there = pool.contents if pool else None
        if there is None or there.meta_type != meta_type or there.element_size not in known:
            said = "none" if there is None else f"{there.element_size} bytes, meta type {there.meta_type}"
            raise EngineError(
                f"{name} is of a DeepStream that is not known here: its pool of {kind} metadata has {said}, and "
                f"{' or '.join(map(str, sorted(known)))} bytes with meta type {meta_type} are known (8.0 to 9.1). "
                "Install the pyds of this version and set deepstream.metadata=pyds"
            )
        sizes[kind] = there.element_size
    return next(layout for layout in OBJECT_LAYOUTS if c.sizeof(layout.structure) == sizes["object"])


def _lists_that_differ(meta: Any, address: int, layout: ObjectLayout) -> str | None:
    """Lists that the library fills, looked for where they should be; what is wrong, or None."""
    frame = meta.nvds_acquire_frame_meta_from_pool(address)
    objects = [meta.nvds_acquire_obj_meta_from_pool(address) for _ in range(2)]
    users = [meta.nvds_acquire_user_meta_from_pool(address) for _ in range(2)]
    for user in users:
        # The library asks what is of no type for nothing.
        NvDsUserMeta.from_address(user).base_meta.meta_type = _OF_USERS
    meta.nvds_add_frame_meta_to_batch(address, frame)
    for item in objects:
        meta.nvds_add_obj_meta_to_frame(frame, item, None)
    meta.nvds_add_user_meta_to_obj(objects[0], users[0])
    meta.nvds_add_user_meta_to_batch(address, users[1])
    batch, of_frame = NvDsBatchMeta.from_address(address), NvDsFrameMeta.from_address(frame)
    item = layout.structure.from_address(objects[0])
    looked_at = {
        "frames of a batch": (batch.frame_meta_list, [frame]),
        "objects of a frame": (of_frame.obj_meta_list, objects),
        "user metadata of an object": (item.obj_user_meta_list, users[:1]),
        "user metadata of a batch": (batch.batch_user_meta_list, users[1:]),
    }
    for what, (head, wanted) in looked_at.items():
        found = walk(np.array([head or 0], np.int64), broken=lambda: None)[1].tolist()
        if sorted(found) != sorted(wanted):
            return f"the {what} are not in their list"
    if (batch.num_frames_in_batch, of_frame.num_obj_meta) != (1, 2):
        return "the numbers of frames and objects are not where they should be"
    if NvDsFrameMeta.from_address(frame).base_meta.batch_meta != address:
        return "a frame does not name its batch"
    return None


def _numbers_that_differ(meta: Any, address: int, layout: ObjectLayout) -> str | None:
    """An object's numbers and label, copied by the library and read as all objects are."""
    structure = layout.structure
    one, other = (meta.nvds_acquire_obj_meta_from_pool(address) for _ in range(2))
    item = structure.from_address(one)
    item.object_id, item.class_id, item.unique_component_id = 0xFEDCBA9876543210, -7, 11
    item.confidence, item.obj_label = 0.625, b"person"
    rect = item.rect_params
    rect.left, rect.top, rect.width, rect.height = -1.5, 2.5, 3.5, 4.5
    meta.nvds_copy_obj_meta(one, other)
    copied = structure.from_address(other)
    if copied.obj_label != b"person":
        return "an object's label is not where it should be"
    fields = object_fields(layout)
    read = fields.read(np.array([one, other], np.int64))
    if read[0].tobytes() != read[1].tobytes() or int(read["object_id"][1]) != 0xFEDCBA9876543210:
        return "an object's numbers are not where they should be"
    return None


def object_fields(layout: ObjectLayout) -> Fields:
    """What is read of every object."""
    of = layout.structure
    return Fields(
        {
            "object_id": (offset(of, "object_id"), "u8"),
            "class_id": (offset(of, "class_id"), "i4"),
            "unique_component_id": (offset(of, "unique_component_id"), "i4"),
            "confidence": (offset(of, "confidence"), "f4"),
            **{name: (offset(of, "rect_params", name), "f4") for name in ("left", "top", "width", "height")},
        }
    )
