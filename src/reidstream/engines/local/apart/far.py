"""What a tracking process sees of sources that another process reads, and of the networks that run there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from reidstream.config import SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.apart.messages import Head, Looked, send
from reidstream.engines.local.inbox import Inbox
from reidstream.engines.local.sampling import Encode, FrameCrops, Vectors
from reidstream.engines.local.source_reader import Found, Item, Read
from reidstream.errors import EngineError, SourceBroken
from reidstream.inference.network import Answer
from reidstream.inference.shared_batch import answer_of
from reidstream.sharpness import sharpness
from reidstream.sources.frame import ArrayPicture, Frame, Pixels
from reidstream.tracking.given import GivenBoxes, given_boxes
from reidstream.types import Detections, EmbeddingSpace, FloatArray, IntArray, SourceStarted

_GONE = "the process that reads it and runs the models has ended"


class Link:
    """The way to the process with the networks. Safe to use from several threads; ``serve`` has one of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._asked: dict[int, Future[Any]] = {}
        self._number = 0
        self._gone = False
        kind, self.space = self._first()
        assert kind == "opened"

    def say(self, *message: Any) -> None:
        """To a process that has gone it does not matter."""
        with self._sending, contextlib.suppress(OSError):
            send(self._connection, message)

    def ask(self, kind: str, *values: Any) -> tuple[int, Future[Any]]:
        """Say it with a number, which is returned; the answer comes into the future."""
        asked: Future[Any] = Future()
        with self._lock:
            self._number = number = self._number + 1
            if self._gone:
                asked.set_exception(SourceBroken(_GONE))
                return number, asked
            self._asked[number] = asked
        self.say(kind, number, *values)
        return number, asked

    def serve(self, readers: dict[str, FarReader], inbox: Inbox[Item], status: EngineStatus) -> None:
        """Hand on what comes until the other side is gone, or ``close``; every reader is over then."""
        try:
            while True:
                message = self._connection.recv()
                if isinstance(message, Looked):
                    self._looked(message, readers, inbox, status)
                else:
                    kind, number, value = message
                    with self._lock:
                        asked = self._asked.pop(number, None)
                    if asked is None:
                        # It was on its way when it was said that nobody waits for it.
                        continue
                    if kind == "answer":
                        asked.set_result(value)
                    else:
                        asked.set_exception(value)
        except (EOFError, OSError):
            pass
        with self._lock:
            self._gone = True
            left = list(self._asked.values())
            self._asked.clear()
        for asked in left:
            asked.set_exception(SourceBroken(_GONE))
        for reader in readers.values():
            reader.over(_GONE)

    def close(self) -> None:
        """Say that nobody asks any more; the other side then goes, and so does ``serve``."""
        self.say("end")

    def _first(self) -> tuple[str, EmbeddingSpace]:
        try:
            first: tuple[str, EmbeddingSpace] = self._connection.recv()
        except (EOFError, OSError):
            raise EngineError("the process that runs the models ended before they were there") from None
        return first

    def _looked(self, message: Looked, readers: dict[str, FarReader], inbox: Inbox[Item], status: EngineStatus) -> None:
        for source, (dropped, reconnects) in message.counts.items():
            status.dropped[source] = dropped
            if reconnects is not None:
                status.reconnects[source] = reconnects
        for stage, seconds in message.seconds.items():
            status.spend(stage, seconds)
        for text, count in message.warnings.items():
            for _ in range(count):
                status.warn(text)
        for source, item in self._items(message):
            if not inbox.put(source, item) and isinstance(item, Read) and item.found is not None:
                self._forget(item)
        for source, error in message.over:
            readers[source].over(error)

    def _items(self, message: Looked) -> list[tuple[str, Item]]:
        """What is tracked, by source and in order."""
        people = message.people
        known: Future[list[Found]] = Future()
        found: list[Found] = []
        items: list[tuple[str, Item]] = []
        a = b = 0
        for item in message.items:
            if isinstance(item, SourceStarted):
                items.append((item.source, item))
            elif isinstance(item, Head):
                picture = FarPicture(self, item.size, item.token)
                frame = Frame(item.source, item.frame, item.media_time, item.wall_time, picture)
                if item.token is None:
                    items.append((item.source, Read(frame, None, 0)))
                    continue
                end, until = a + item.kept, b + item.found
                sharp = people.sharpness[a:end] if item.judged else None
                detections = Detections(people.boxes[a:end], people.scores[a:end], sharp)
                items.append((item.source, Read(frame, known, len(found))))
                found.append(Found(people.kept[b:until], FarCrops(picture, detections, self)))
                a, b = end, until
            else:
                source, error = item
                failed: Future[list[Found]] = Future()
                failed.set_exception(error)
                nothing = Frame(source, 0, 0.0, 0.0, FarPicture(self, (1, 1), None))
                items.append((source, Read(nothing, failed, 0)))
        known.set_result(found)
        return items

    def _forget(self, item: Read) -> None:
        picture = item.frame.picture
        if isinstance(picture, FarPicture) and picture.token is not None:
            self.say("settled", [picture.token])


class FarPicture:
    """A Picture that the other process holds, under a token; what is asked for comes from there."""

    __slots__ = ("_link", "_size", "token")

    def __init__(self, link: Link, size: tuple[int, int], token: int | None) -> None:
        self._link, self._size, self.token = link, size, token

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def bgr(self) -> Pixels:
        return self.crop(0, 0, *self._size)

    def scaled(self, width: int, height: int) -> Pixels:
        return ArrayPicture(self.bgr()).scaled(width, height)

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Pixels:
        _, asked = self._link.ask("pixels", [self.token], [(x1, y1, x2, y2)])
        (pixels,) = asked.result()
        found: Pixels = pixels
        return found


class FarCrops(FrameCrops):
    """FrameCrops of a FarPicture: vectors and pixels of a step come in one message each."""

    def __init__(self, picture: FarPicture, detections: Detections, link: Link) -> None:
        super().__init__(picture, detections, FarEmbedder(link))
        self._link = link
        self._token = picture.token

    def sharpness(self, rows: IntArray) -> FloatArray:
        if self.detections.sharpness is not None:
            return super().sharpness(rows)
        asked = rows.tolist()
        new = [row for row in asked if row not in self._crops]
        self._crops.update(zip(new, self._pixels([(self, row) for row in new]) if new else [], strict=True))
        return np.array([sharpness(self._crops[row]) for row in asked], np.float32)

    def settled(self) -> None:
        self._settle([self])

    def _settle(self, frames: Sequence[FrameCrops]) -> None:
        tokens = [crops._token for crops in frames if isinstance(crops, FarCrops) and crops._token is not None]
        if tokens:
            self._link.say("settled", tokens)

    def _embedded(self, wanted: Sequence[tuple[FrameCrops, int]]) -> Answer:
        _, asked = self._link.ask("vectors", _tokens(wanted), [crops._box(row) for crops, row in wanted], True)
        return answer_of(asked)

    def _foreseen(self, wanted: Sequence[tuple[FrameCrops, int]]) -> None:
        number, asked = self._link.ask("vectors", _tokens(wanted), [crops._box(row) for crops, row in wanted], False)
        vectors = Vectors(answer_of(asked), _Foreseen(self._link, number, asked))
        for place, (crops, row) in enumerate(wanted):
            crops._vectors[row] = vectors, place

    def _pictures(self, wanted: Sequence[tuple[FrameCrops, int]], encode: Encode) -> list[Future[bytes | None]]:
        """Nobody waits for the pixels: tracking goes on while they come."""
        boxes = [crops._box(row) for crops, row in wanted]
        pictures: list[Future[bytes | None]] = [Future() for _ in wanted]

        def arrived(asked: Future[list[Pixels]]) -> None:
            try:
                for picture, pixels in zip(pictures, asked.result(), strict=True):
                    encode(pixels).add_done_callback(partial(_pass_on, picture))
            except Exception as error:  # noqa: BLE001 - raised where the pictures are waited for
                for picture in pictures:
                    if not picture.done():
                        picture.set_exception(error)

        _, asked = self._link.ask("pixels", _tokens(wanted), boxes)
        asked.add_done_callback(arrived)
        return pictures

    def _pixels(self, wanted: Sequence[tuple[FrameCrops, int]]) -> list[Pixels]:
        boxes = [crops._box(row) for crops, row in wanted]
        _, asked = self._link.ask("pixels", _tokens(wanted), boxes)
        found: list[Pixels] = asked.result()
        return found


def _tokens(wanted: Sequence[tuple[FrameCrops, int]]) -> list[int | None]:
    return [crops._token for crops, _ in wanted if isinstance(crops, FarCrops)]


def _pass_on(picture: Future[bytes | None], made: Future[bytes | None]) -> None:
    if (error := made.exception()) is not None:
        picture.set_exception(error)
    else:
        picture.set_result(made.result())


class _Foreseen:
    """An Ahead that is under way in the other process, which forgets it with its frames."""

    __slots__ = ("_asked", "_link", "_number")

    def __init__(self, link: Link, number: int, asked: Future[FloatArray]) -> None:
        self._link, self._number, self._asked = link, number, asked

    def hurry(self) -> None:
        if not self._asked.done():
            self._link.say("hurry", self._number)

    def drop(self) -> None:
        """The other process hears that the frames are settled."""


class FarEmbedder:
    """The Embedder of the other process."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def space(self) -> EmbeddingSpace:
        return self._link.space

    def embed(self, crops: Sequence[Pixels]) -> FloatArray:
        _, asked = self._link.ask("crops", list(crops))
        found: FloatArray = asked.result()
        return found


class FarReader:
    """A source that the other process reads into this one's inbox; see ``SourceReader``."""

    def __init__(self, source_id: str, config: SourceConfig, link: Link, inbox: Inbox[Item]):
        self.id = source_id
        self.config = config
        self.given: GivenBoxes | None = given_boxes(config)
        self.error: str | None = None
        self._link, self._inbox = link, inbox
        self._stopping = threading.Event()
        self._over = threading.Event()
        self._started = False

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    def start(self) -> None:
        self._started = True
        self._link.say("start", self.id)

    def stop(self) -> None:
        """Read no more; what was read is finished."""
        self._stopping.set()
        self._link.say("stop", self.id)

    def fail(self, error: BaseException) -> None:
        """What was read cannot be tracked: read no more, and forget it."""
        self.error = self.error or f"{type(error).__name__}: {error}"
        self._stopping.set()
        self._inbox.abandon(self.id)
        self._link.say("fail", self.id)

    def over(self, error: str | None) -> None:
        """The other process has read all of it, or is gone."""
        if not self._over.is_set():
            self.error = self.error or error
            self._over.set()
            self._inbox.close(self.id)

    def join(self) -> None:
        if self._started:
            self._over.wait()
