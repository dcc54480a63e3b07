"""From NVIDIA's batch metadata to arrays.

Everything is copied while the buffer is alive: nvinfer's tensors go back to its pool when the buffer is freed.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.engines.deepstream.metadata.access import OutputTable
from reidstream.engines.deepstream.metadata.arrays import BatchArrays, EveryRow, FrameArrays, Layout, Sampling, Seen
from reidstream.engines.deepstream.metadata.bindings import Bindings, open_access
from reidstream.engines.deepstream.metadata.crops import Cut
from reidstream.errors import EngineError
from reidstream.types import FloatArray, IntArray, TrackIds

UNTRACKED = 0xFFFFFFFFFFFFFFFF
"""The object id of a box that no tracker has numbered (nvdsmeta.h)."""

_LAYER_TYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.float16}
_NO_TIME = 0xFFFFFFFFFFFFFFFF
_NO_ROWS, _NO_QUALITY = np.zeros(0, np.int64), np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One NvDsFrameMeta and what it says. ntp: nanoseconds. time: seconds."""

    handle: Any
    source_index: int
    number: int
    pts: int | None
    ntp: int | None
    time: float
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _People:
    """The people of a whole batch; those of frame i are the rows from starts[i] to starts[i + 1]. sizes: of frames."""

    starts: IntArray
    sizes: FloatArray
    handles: list[Any]
    ids: TrackIds
    boxes: FloatArray
    confidences: FloatArray


@dataclass(frozen=True, slots=True)
class _Samples:
    """What was read of the embeddings of a batch: rows of its people, int64 (m,), sorted, with quality and vectors."""

    rows: IntArray
    quality: FloatArray
    embeddings: FloatArray


Keeps = Callable[[int, float], bool]
"""(source index, seconds) -> whether the frame is wanted at all; thins sources that deliver more than they should."""


class BatchReader:
    """Reads batches of one pipeline. Counts what it met in ``counts``, for people to see:

    "person-frames", "embeddings", "no embedding" (wanted, but not there), "untracked", "other class",
    "broken box", "broken tensor", "broken list".

    bindings: pyds, or NVIDIA's metadata library. cut: makes crops. keeps: which frames are wanted. source: the source
    of a mux pad, None when it has none.
    """

    def __init__(
        self,
        layout: Layout,
        bindings: Bindings,
        sampling: Sampling | None = None,
        cut: Cut | None = None,
        keeps: Keeps | None = None,
        source: Callable[[int], int | None] | None = None,
    ) -> None:
        self.layout = layout
        self.counts: Counter[str] = Counter()
        self._access = open_access(bindings, self._count)
        self._sampling: Sampling = sampling or EveryRow()
        self._cut = cut
        self._keeps = keeps
        self._source = source
        self._classes = np.array(sorted(layout.person_classes), np.int32)
        self._layer_index: int | None = None
        self._size: int | None = None

    def read(self, buffer: int) -> BatchArrays:
        """The arrays of the batch on a GstBuffer, given by its address (``hash(buffer)`` in PyGObject).

        Raises EngineError when the Re-ID model's outputs are not what the configuration says.
        """
        batch = self._access.batch(buffer)
        if batch is None:
            self.counts["buffer without a batch"] += 1
            return BatchArrays(())
        # Sampling and cutting are ours and take their time: nobody has to wait for them.
        with self._access.held(batch):
            frames = self._frames(batch)
            people = self._people(frames) if frames else None
            terminated = self._terminated(batch)
        if people is None:
            return BatchArrays((), terminated)
        seen = Seen(
            [frame.source_index for frame in frames],
            np.array([frame.time for frame in frames]),
            people.sizes,
            people.starts,
            people.ids,
            people.boxes,
            people.confidences,
        )
        wanted, worth = self._sampling.wanted(seen)
        chosen = [people.handles[row] for row in wanted.tolist()]
        with self._access.held(batch):
            found, embeddings = self._embeddings(chosen)
        samples = _Samples(wanted[found], worth[found], embeddings)
        if len(found):
            self._sampling.took(seen, samples.rows, samples.quality)
        return BatchArrays(self._arrays(buffer, frames, people, samples), terminated)

    def _count(self, what: str) -> None:
        self.counts[what] += 1

    def _index(self, pad: int) -> int | None:
        return pad if self._source is None else self._source(pad)

    def _frames(self, batch: Any) -> list[_Frame]:
        """The frames that are wanted."""
        table = self._access.frames(batch)
        frames: list[_Frame] = []
        columns = (table.pads, table.numbers, table.pts, table.ntp, table.sizes)
        rows = zip(*(column.tolist() for column in columns), table.handles, strict=True)
        for pad, number, pts, ntp, (width, height), handle in rows:
            index = self._index(pad)
            if index is None:
                continue
            time = pts / 1e9 if pts != _NO_TIME else number / 30
            if self._keeps is None or self._keeps(index, time):
                known_pts = None if pts == _NO_TIME else pts
                known_ntp = None if ntp in (0, _NO_TIME) else ntp
                frames.append(_Frame(handle, index, number, known_pts, known_ntp, time, (width, height)))
        return frames

    def _people(self, frames: list[_Frame]) -> _People:
        """The tracked people of all frames, those of one frame sorted by object id: the lists' order means nothing."""
        table = self._access.objects([frame.handle for frame in frames])
        values, lists = table.values, table.lists
        ids = values["object_id"]
        ours = (values["unique_component_id"] == self.layout.detector_id) & np.isin(values["class_id"], self._classes)
        tracked = ours & (ids != UNTRACKED)
        rects = np.stack([values["left"], values["top"], values["width"], values["height"]], axis=1)
        sizes = np.array([frame.size for frame in frames], np.float32)
        boxes = self._source_boxes(rects, sizes[lists])
        whole = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        rows = np.flatnonzero(tracked & whole)
        rows = rows[np.lexsort((ids[rows], lists[rows]))]
        people = int(tracked.sum())
        for name, count in (
            ("other class", len(ours) - int(ours.sum())),
            ("untracked", int(ours.sum()) - people),
            ("broken box", people - len(rows)),
            ("person-frames", len(rows)),
        ):
            if count:
                self.counts[name] += count
        starts = np.searchsorted(lists[rows], np.arange(len(frames) + 1))
        handles = [table.handles[row] for row in rows.tolist()]
        return _People(starts, sizes, handles, ids[rows], boxes[rows], values["confidence"][rows])

    def _source_boxes(self, rects: FloatArray, sizes: FloatArray) -> FloatArray:
        """left, top, width, height in mux pixels -> xyxy in source pixels, clipped to the frame."""
        boxes = np.empty_like(rects)
        with np.errstate(invalid="ignore", over="ignore"):
            boxes[:, :2] = rects[:, :2]
            boxes[:, 2:] = rects[:, :2] + rects[:, 2:]
            if self.layout.mux_size is not None:
                boxes *= np.tile(sizes / np.maximum(np.array(self.layout.mux_size, np.float32), 1), 2)
            return np.clip(boxes, 0, np.tile(sizes, 2))

    def _arrays(self, buffer: int, frames: list[_Frame], people: _People, samples: _Samples) -> tuple[FrameArrays, ...]:
        starts = people.starts.tolist()
        bounds = np.searchsorted(samples.rows, people.starts).tolist()
        crops: tuple[bytes | None, ...] = ()
        if self._cut is not None and len(samples.rows):
            owners = np.searchsorted(people.starts, samples.rows, side="right") - 1
            crops = self._cut(
                buffer,
                [people.handles[row] for row in samples.rows.tolist()],
                [frames[owner].handle for owner in owners.tolist()],
            )
        arrays: list[FrameArrays] = []
        for index, frame in enumerate(frames):
            part, taken = slice(starts[index], starts[index + 1]), slice(bounds[index], bounds[index + 1])
            rows, quality, embeddings = _NO_ROWS, _NO_QUALITY, self._none
            if taken.start != taken.stop:
                rows, quality = samples.rows[taken] - part.start, samples.quality[taken]
                embeddings = samples.embeddings[taken]
            arrays.append(
                FrameArrays(
                    source_index=frame.source_index,
                    number=frame.number,
                    pts=frame.pts,
                    ntp=frame.ntp,
                    size=frame.size,
                    object_ids=people.ids[part],
                    boxes=people.boxes[part],
                    confidences=people.confidences[part],
                    rows=rows,
                    embeddings=embeddings,
                    quality=quality,
                    crops=crops[taken],
                )
            )
        return tuple(arrays)

    @property
    def _none(self) -> FloatArray:
        return np.zeros((0, self._size or 0), np.float32)

    def _embeddings(self, objects: list[Any]) -> tuple[IntArray, FloatArray]:
        """Which of the objects carry a usable embedding, and the unit-length embeddings."""
        rows, vectors = _NO_ROWS, self._none
        if objects:
            rows, vectors = (
                self._tracker_vectors(objects) if self.layout.embedder_id is None else self._tensors(objects)
            )
        missing = len(objects) - len(rows)
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        usable = np.isfinite(lengths) & (lengths > 1e-12)
        found = rows[usable]
        if missing:
            self.counts["no embedding"] += missing
        if len(found) != len(rows):
            self.counts["broken tensor"] += len(rows) - len(found)
        self.counts["embeddings"] += len(found)
        return found, (vectors[usable] / lengths[usable, None]).astype(np.float32)

    def _tensors(self, objects: list[Any]) -> tuple[IntArray, FloatArray]:
        """The embedder's output layer of each object that has one, copied out."""
        embedder = self.layout.embedder_id
        assert embedder is not None
        table = self._access.tensors(objects, embedder)
        some = np.flatnonzero(table.outputs > 0)
        if self._layer_index is None and len(some):
            self._layer_index = self._find_layer(self._access.layer_names(table.handles[some[0]]))
        whole = some if self._layer_index is None else np.flatnonzero(table.outputs > self._layer_index)
        self.counts["broken tensor"] += len(table.outputs) - len(whole)
        # Each object's first.
        rows, first = np.unique(table.objects[whole], return_index=True)
        if not len(rows):
            return _NO_ROWS, self._none
        tensors = [table.handles[row] for row in whole[first].tolist()]
        layer = self._layer_index or 0
        outputs = self._access.outputs(tensors, layer)
        self._check_kinds(outputs, tensors, layer)
        if self._size is None and outputs.elements.any():
            self._size = int(outputs.elements[outputs.elements > 0][0])
        usable = (outputs.pointers != 0) & (outputs.elements > 0) & (outputs.elements == self._size)
        self.counts["broken tensor"] += int(np.count_nonzero(~usable))
        vectors = np.empty((int(np.count_nonzero(usable)), self._size or 0), np.float32)
        for kind, dtype in _LAYER_TYPES.items():
            of_kind = outputs.kinds[usable] == kind
            if of_kind.any():
                vectors[of_kind] = _copied(outputs.pointers[usable][of_kind].tolist(), vectors.shape[1], dtype)
        return rows[usable], vectors

    def _check_kinds(self, outputs: OutputTable, tensors: Sequence[Any], layer: int) -> None:
        unknown = ~np.isin(outputs.kinds, list(_LAYER_TYPES))
        if unknown.any():
            row = int(np.flatnonzero(unknown)[0])
            raise EngineError(
                f"output {self._access.layer_names(tensors[row])[layer]!r} of the Re-ID model (gie-unique-id "
                f"{self.layout.embedder_id}) has data type {outputs.kinds[row]}; embeddings must be FLOAT (0) or HALF "
                "(1): remove output-io-formats from its config"
            )

    def _find_layer(self, names: list[str | None]) -> int:
        if self.layout.layer is None:
            if len(names) == 1:
                return 0
            raise EngineError(
                f"the Re-ID model (gie-unique-id {self.layout.embedder_id}) has {len(names)} outputs "
                f"({', '.join(map(str, names))}): say which is the embedding with deepstream.sgie.layer"
            )
        if self.layout.layer not in names:
            raise EngineError(
                f"the Re-ID model (gie-unique-id {self.layout.embedder_id}) has no output {self.layout.layer!r}; "
                f"it has {', '.join(map(str, names))}: set deepstream.sgie.layer to one of them"
            )
        return names.index(self.layout.layer)

    def _tracker_vectors(self, objects: list[Any]) -> tuple[IntArray, FloatArray]:
        """The tracker's own Re-ID vectors (NvDsObjReid)."""
        rows, vectors = self._access.reid_vectors(objects)
        if self._size is None and vectors:
            self._size = len(vectors[0])
        fitting = [index for index, vector in enumerate(vectors) if len(vector) == self._size]
        self.counts["broken tensor"] += len(vectors) - len(fitting)
        read = np.array([vectors[index] for index in fitting], np.float32).reshape(len(fitting), self._size or 0)
        return np.array(rows, np.int64)[fitting], read

    def _terminated(self, batch: Any) -> tuple[tuple[int, TrackIds], ...]:
        """What the tracker says has ended: for each source the object ids, where there are any."""
        ended: list[tuple[int, TrackIds]] = []
        for pad, ids in self._access.terminated(batch):
            index = self._index(pad)
            self.counts["ended"] += len(ids)
            if index is not None and len(ids):
                ended.append((index, ids))
        return tuple(ended)


def _copied(pointers: list[int], size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """(n, size) values from n places in memory."""
    raw: npt.NDArray[Any] = np.empty((len(pointers), size), dtype)
    memmove, target, stride = ctypes.memmove, raw.ctypes.data, raw.strides[0]
    for pointer in pointers:
        memmove(target, pointer, stride)
        target += stride
    return raw
