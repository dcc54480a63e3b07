"""Fields of many C structures read at once, wherever in this process' memory they lie.

NVIDIA's metadata are thousands of small structures behind pointers. One ctypes call for each costs half a microsecond;
here the whole memory is one NumPy array of words, and what is wanted is taken out of it by index, all objects of a
batch in one step. Nothing is written, and nothing is kept but copies.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from reidstream.types import IntArray

_WORD = 8
_FIRST = 4096
"""No structure lies in the first page: a pointer into it is a null pointer with something added."""
_END = 1 << 48
"""Programs' memory ends there at the latest, on x86-64 and on AArch64 (Linux, Documentation/arch/*/memory)."""
LONGEST_LIST = 100_000
"""No list of NVIDIA's is longer."""


class _Everything:
    """Words from address 8 on: NumPy takes an array at address 0 for one that is not there yet."""

    __array_interface__ = {"data": (_WORD, True), "shape": (_END // _WORD - 1,), "typestr": "<u8", "version": 3}  # noqa: RUF012


_WORDS: npt.NDArray[np.uint64] = np.asarray(_Everything())


class Fields:
    """Chosen fields of a structure. places: name -> (offset in bytes, NumPy format of 1, 2, 4 or 8 bytes)."""

    def __init__(self, places: Mapping[str, tuple[int, str]]) -> None:
        words = sorted({offset // _WORD for offset, _ in places.values()})
        self._words = np.array(words, np.int64) - 1
        at = {word: index * _WORD for index, word in enumerate(words)}
        record = {
            "names": list(places),
            "formats": [kind for _, kind in places.values()],
            "offsets": [at[offset // _WORD] + offset % _WORD for offset, _ in places.values()],
            "itemsize": len(words) * _WORD,
        }
        self.record: np.dtype[np.void] = np.dtype(record)  # type: ignore[call-overload]

    def read(self, addresses: IntArray) -> npt.NDArray[np.void]:
        """A structured array (n,) of what stands in the structures at these addresses, int64 (n,), all ``readable``."""
        found: npt.NDArray[np.void] = _WORDS[(addresses >> 3)[:, None] + self._words].view(self.record)[:, 0]
        return found


def readable(addresses: IntArray) -> npt.NDArray[np.bool_]:
    """Which can be a structure's address: not null, a multiple of eight, below the end of programs' memory."""
    possible: npt.NDArray[np.bool_] = (
        (addresses >= _FIRST) & (addresses < _END - _WORD) & (addresses & (_WORD - 1) == 0)
    )
    return possible


def words_at(addresses: IntArray) -> IntArray:
    """The word at each of these addresses, int64 (n,), as a pointer."""
    words: IntArray = _WORDS[(addresses >> 3) - 1].view(np.int64)
    return words


_NODE = Fields({"data": (0, "i8"), "next": (8, "i8")})
_PAIR = struct.Struct("qq")
"""The beginning of GLib's GList, the same since GLib 1.0."""
_FEW = 8
"""From so many lists on it is quicker to walk them in step."""


def walk(heads: IntArray, broken: Callable[[], None]) -> tuple[IntArray, IntArray]:
    """What GLists hold. heads: int64 (n,), addresses of their first nodes, 0 for an empty one.

    Returns int64 (m,) which list, and int64 (m,) the data pointers, those of one list together and in its order; null
    data is left out. broken: called for each list that leads nowhere or back into itself; what it holds is there once.
    """
    lists, data, circles = _each(heads, broken) if len(heads) < _FEW else _together(heads, broken)
    usable = readable(data)
    for _ in range(int(np.count_nonzero(data[~usable]))):
        broken()
    seen: set[tuple[int, int]] = set()
    for row in np.flatnonzero(np.isin(lists, list(circles))).tolist() if circles else ():
        one = (int(lists[row]), int(data[row]))
        usable[row] &= one not in seen
        seen.add(one)
    return lists[usable], data[usable]


def _each(heads: IntArray, broken: Callable[[], None]) -> tuple[IntArray, IntArray, set[int]]:
    """One list after the other; the third is which of them lead back into themselves."""
    lists: list[int] = []
    data: list[int] = []
    circles: set[int] = set()
    for which, head in enumerate(heads.tolist()):
        # Brent's way of finding a circle: a node is remembered, at distances that double.
        node, remembered, again = head, 0, 1
        for step in range(LONGEST_LIST):
            if not node:
                break
            if node == remembered or not (_FIRST <= node < _END - _WORD and node % _WORD == 0):
                if node == remembered:
                    circles.add(which)
                broken()
                break
            if step == again:
                remembered, again = node, again * 2
            found, node = _PAIR.unpack(ctypes.string_at(node, _PAIR.size))
            lists.append(which)
            data.append(found)
        else:
            broken()
    return np.array(lists, np.int64), np.array(data, np.int64), circles


def _together(heads: IntArray, broken: Callable[[], None]) -> tuple[IntArray, IntArray, set[int]]:
    """The same for many lists: the first nodes of all, the second nodes of all, and so on."""
    lists: list[IntArray] = [np.zeros(0, np.int64)]
    data: list[IntArray] = [np.zeros(0, np.int64)]
    circles: set[int] = set()
    which, nodes = np.arange(len(heads)), heads
    remembered, again = np.zeros_like(heads), 1
    for step in range(LONGEST_LIST):
        circle = nodes == remembered
        good = readable(nodes)
        good &= ~circle
        if not good.all():
            wrong = ~good & (nodes != 0)
            circles.update(which[wrong & circle].tolist())
            for _ in range(int(np.count_nonzero(wrong))):
                broken()
            which, nodes, remembered = which[good], nodes[good], remembered[good]
        if not len(nodes):
            break
        if step == again:
            remembered, again = nodes, again * 2
        found = _NODE.read(nodes)
        lists.append(which)
        data.append(found["data"])
        nodes = found["next"]
    else:
        for _ in range(len(nodes)):
            broken()
    all_lists, all_data = np.concatenate(lists), np.concatenate(data)
    order = np.argsort(all_lists, kind="stable")
    return all_lists[order], all_data[order], circles
