"""Between the streaming thread and whoever reads the events: a bounded queue with a stated policy."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from reidstream.engines.deepstream.metadata.arrays import FrameArrays
from reidstream.types import TrackIds


@dataclass(frozen=True, slots=True)
class TracksOver:
    """The tracker has given up these object ids. source_index, here and below: see MuxPads."""

    source_index: int
    object_ids: TrackIds


@dataclass(frozen=True, slots=True)
class StreamOver:
    """Nothing more comes from a source. in_order: said by an event that came after the last frame; otherwise frames may
    still be on their way. error: None for a regular end. stopped: it was removed on request."""

    source_index: int
    in_order: bool
    error: str | None = None
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class PipelineOver:
    """The whole pipeline has ended; with an error it broke."""

    error: BaseException | None = None


Note = TracksOver | StreamOver | PipelineOver
Item = FrameArrays | Note


class Handover:
    """Frames and notes in the order in which they were put.

    At most ``size`` frames wait. When it is full, the frames of live sources give way, the oldest first, and are
    counted through ``dropped``; frames of files wait for room, which holds the pipeline back and loses nothing.
    Notes always find room.
    """

    def __init__(self, size: int, is_live: Callable[[int], bool], dropped: Callable[[int], None]) -> None:
        self._size = size
        self._is_live = is_live
        self._dropped = dropped
        self._items: deque[Item] = deque()
        self._frames = 0
        self._changed = threading.Condition()
        self._released = False

    def put_frame(self, frame: FrameArrays) -> None:
        with self._changed:
            while self._frames >= self._size and not self._released:
                if self._drop_oldest_live():
                    continue
                if self._is_live(frame.source_index):
                    self._dropped(frame.source_index)
                    return
                self._changed.wait()
            if self._released:
                return
            self._items.append(frame)
            self._frames += 1
            self._changed.notify_all()

    def put_note(self, note: Note) -> None:
        with self._changed:
            self._items.append(note)
            self._changed.notify_all()

    def take(self, timeout: float) -> Item | None:
        """The next item, None when there is none within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._items:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return None
            item = self._items.popleft()
            if isinstance(item, FrameArrays):
                self._frames -= 1
            self._changed.notify_all()
            return item

    def release(self) -> None:
        """Let nobody wait any more: frames that come from now on are not taken."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return self._frames

    def _drop_oldest_live(self) -> bool:
        for index, item in enumerate(self._items):
            if isinstance(item, FrameArrays) and self._is_live(item.source_index):
                del self._items[index]
                self._frames -= 1
                self._dropped(item.source_index)
                return True
        return False
