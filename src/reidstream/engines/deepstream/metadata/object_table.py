"""All objects of a batch in one table.

pyds takes about half a microsecond for each attribute of each object; with many busy streams that alone is a good part
of a frame's time. Copying the objects' memory is far cheaper, but where an attribute lies differs between DeepStream's
versions (NvDsObjectMeta grew between 8.0 and 9.0). So no offset is written down here: pyds is asked, by setting the
attributes of an object of its own and looking for what was set. Where that fails, attributes are read one by one.
"""

from __future__ import annotations

import ctypes
import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from reidstream.types import IntArray

logger = logging.getLogger(__name__)

LONGEST_LIST = 100_000
"""No list of NVIDIA's is longer; a broken one that leads back to itself must not hold the stream for ever."""

_META = {"object_id": "u8", "class_id": "i4", "unique_component_id": "i4", "confidence": "f4"}
_RECT = {"left": "f4", "top": "f4", "width": "f4", "height": "f4"}
_FIELDS = _META | _RECT

_SEARCHED = 256
"""Bytes of an NvDsObjectMeta in which its numbers are looked for; the structure is longer in every version."""
_NODE = struct.Struct("PP")
"""The beginning of GLib's GList, the same since GLib 1.0: data, next."""


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """n objects. lists: int64 (n,), in which of the lists each was. values: a structured array (n,) with object_id
    (uint64), class_id, unique_component_id, confidence, left, top, width, height. handles: for ``meta``.
    """

    lists: IntArray
    values: npt.NDArray[np.void]
    handles: Sequence[Any]


class ObjectReader(Protocol):
    """Reads the objects that GLists of NvDsObjectMeta lead to."""

    def read(self, heads: Sequence[Any]) -> ObjectTable:
        """heads: pyds' GList or None, one per frame."""

    def meta(self, handle: Any) -> Any:
        """The NvDsObjectMeta of a handle."""


def open_object_reader(pyds: Any, broken: Callable[[], None]) -> ObjectReader:
    """The faster one where it can be had. broken: called for a list that does not end."""
    try:
        return CopiedObjects(pyds, broken)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        logger.info("objects are read attribute by attribute: %s", error)
        return AttributeObjects(pyds, broken)


def list_nodes(head: Any, broken: Callable[[], None]) -> Iterator[Any]:
    """The data pointers of a GList of pyds; the list advances before anybody looks at its data."""
    for _ in range(LONGEST_LIST):
        if head is None:
            return
        data = head.data
        head = head.next
        if data is not None:
            yield data
    broken()


class AttributeObjects:
    """Every attribute of every object through pyds."""

    def __init__(self, pyds: Any, broken: Callable[[], None]) -> None:
        self._cast = pyds.NvDsObjectMeta.cast
        self._broken = broken

    def read(self, heads: Sequence[Any]) -> ObjectTable:
        rows: list[tuple[float, ...]] = []
        lists: list[int] = []
        items: list[Any] = []
        for index, head in enumerate(heads):
            for data in list_nodes(head, self._broken):
                item = self._cast(data)
                rect = item.rect_params
                rows.append(
                    (
                        item.object_id, item.class_id, item.unique_component_id, item.confidence,
                        rect.left, rect.top, rect.width, rect.height,
                    )
                )  # fmt: skip
                lists.append(index)
                items.append(item)
        values = np.array(rows, np.dtype(list(_FIELDS.items())))
        return ObjectTable(np.array(lists, np.int64), values, items)

    def meta(self, handle: Any) -> Any:
        return handle


class CopiedObjects:
    """The beginning of every object copied as it is. Raises ValueError when pyds does not show where its parts lie."""

    def __init__(self, pyds: Any, broken: Callable[[], None]) -> None:
        self._pyds = pyds
        self._broken = broken
        self._record = _learned_record(pyds)

    def read(self, heads: Sequence[Any]) -> ObjectTable:
        get_ptr = self._pyds.get_ptr
        addresses: list[int] = []
        lengths: list[int] = []
        for head in heads:
            before = len(addresses)
            if head is not None:
                self._walk(get_ptr(head), addresses)
            lengths.append(len(addresses) - before)
        size, memmove = self._record.itemsize, ctypes.memmove
        raw = np.empty((len(addresses), size), np.uint8)
        target = raw.ctypes.data
        for address in addresses:
            memmove(target, address, size)
            target += size
        return ObjectTable(np.repeat(np.arange(len(heads)), lengths), raw.view(self._record)[:, 0], addresses)

    def meta(self, handle: Any) -> Any:
        return self._pyds.NvDsObjectMeta.cast(handle)

    def _walk(self, node: int, addresses: list[int]) -> None:
        unpack, string_at, size = _NODE.unpack, ctypes.string_at, _NODE.size
        began = len(addresses)
        for _ in range(LONGEST_LIST):
            if not node:
                return
            data, node = unpack(string_at(node, size))
            if data:
                addresses.append(data)
        self._broken()
        addresses[began:] = list(dict.fromkeys(addresses[began:]))


def _learned_record(pyds: Any) -> np.dtype[np.void]:
    """The dtype of an NvDsObjectMeta's beginning, from where pyds puts what is set."""
    item = pyds.NvDsObjectMeta()
    address = pyds.get_ptr(item)
    offsets = [_offset(address, item, name, kind) for name, kind in _META.items()]
    offsets += [_offset(address, item.rect_params, name, kind) for name, kind in _RECT.items()]
    record = {"names": list(_FIELDS), "formats": list(_FIELDS.values()), "offsets": offsets}
    return np.dtype(record)  # type: ignore[call-overload,no-any-return]


def _offset(address: int, owner: Any, name: str, kind: str) -> int:
    """Where an attribute lies: the only place that shows both of two values after they were set."""
    before = getattr(owner, name)
    places: set[int] | None = None
    # Numbers without a zero byte, which nothing else in a new object has.
    for pattern in (0x3A5B6C7D3B4C5D6E, 0x3E1F2A3B3C2D1E4F):
        wanted = pattern.to_bytes(8, "little")[: np.dtype(kind).itemsize]
        setattr(owner, name, np.frombuffer(wanted, kind)[0].item())
        memory = ctypes.string_at(address, _SEARCHED)
        found = {at for at in range(_SEARCHED - len(wanted) + 1) if memory[at : at + len(wanted)] == wanted}
        places = found if places is None else places & found
    setattr(owner, name, before)
    if places is None or len(places) != 1:
        raise ValueError(f"pyds does not show where NvDsObjectMeta has its {name}")
    return places.pop()
