"""Which way NVIDIA's metadata are reached: through pyds, or in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

from reidstream.engines.deepstream.metadata.access import Count, MetadataAccess
from reidstream.engines.deepstream.metadata.crops import CropCutter, LibraryCropCutter, PydsCropCutter
from reidstream.engines.deepstream.metadata.library import MetaLibrary, load_library
from reidstream.engines.deepstream.metadata.memory_access import MemoryAccess
from reidstream.engines.deepstream.metadata.pyds_access import PydsAccess, load_pyds
from reidstream.errors import EngineError, MissingDependency

logger = logging.getLogger(__name__)

Bindings = ModuleType | MetaLibrary
"""pyds, or NVIDIA's metadata library."""


def open_bindings(kind: Literal["auto", "pyds", "memory"], new_buffer: Callable[[], Any] | None = None) -> Bindings:
    """auto: pyds where it can be imported and belongs to this DeepStream, else its library, which is tried out before
    anything is read with it.

    new_buffer: makes a GstBuffer, whose ``hash`` is its address. Raises MissingDependency, or EngineError when the
    library has other structures than are known, or pyds others than the library.
    """
    if kind == "memory":
        return _tried_library(new_buffer)
    try:
        pyds = load_pyds()
    except MissingDependency as error:
        if kind == "pyds":
            raise
        logger.info("%s", error.__cause__)
        return _tried_library(new_buffer)
    try:
        library = load_library()
    except (EngineError, MissingDependency) as error:
        logger.info("pyds cannot be compared with NVIDIA's library: %s", error)
        return pyds
    if _fits(pyds, library):
        return pyds
    wrong = (
        f"pyds {getattr(pyds, '__version__', '')} reads other structures than those of {library.name} "
        f"(DeepStream {library.layout.versions})"
    )
    if kind == "pyds":
        raise EngineError(
            f"{wrong}: install the wheel of this version, or read without it, with deepstream.metadata=memory"
        )
    logger.warning("%s: metadata are read without it", wrong)
    return _tried_library(new_buffer)


def _fits(pyds: Any, library: MetaLibrary) -> bool:
    """Whether pyds finds what the library has hung on an object: its lists are the first to move between versions."""
    with library.object_with_user_meta() as (item, meta_type):
        try:
            head = pyds.NvDsObjectMeta.cast(item).obj_user_meta_list
            return head is not None and int(pyds.NvDsUserMeta.cast(head.data).base_meta.meta_type) == meta_type
        except (AttributeError, TypeError):
            return False


def _tried_library(new_buffer: Callable[[], Any] | None) -> MetaLibrary:
    library = load_library()
    if new_buffer is not None:
        buffer = new_buffer()
        if not library.attached_and_found(hash(buffer)):
            raise EngineError(
                f"{library.name} does not find a batch on the buffer that it was hung on: GStreamer's Python bindings "
                "and these libraries do not use the same GStreamer. Install pyds and set deepstream.metadata=pyds"
            )
    return library


def open_access(bindings: Bindings, count: Count) -> MetadataAccess:
    if isinstance(bindings, MetaLibrary):
        return MemoryAccess(bindings, count)
    return PydsAccess(bindings, count)


def open_cutter(bindings: Bindings, gpu_id: int, quality: int) -> CropCutter:
    """quality: of the JPEG files, 1 to 100."""
    if isinstance(bindings, MetaLibrary):
        return LibraryCropCutter(gpu_id, quality, bindings)
    return PydsCropCutter(gpu_id, quality, bindings)
