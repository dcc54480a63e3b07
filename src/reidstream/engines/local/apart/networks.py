"""Reading all sources and running the models, for processes that track."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from reidstream.channel import Channel
from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.apart.messages import Head, Looked, People, send, sendable
from reidstream.engines.local.detecting import Detecting
from reidstream.engines.local.inbox import Inbox
from reidstream.engines.local.models import Models
from reidstream.engines.local.sampling import FrameCrops
from reidstream.engines.local.source_reader import Found, Item, Read, Shared, SourceReader
from reidstream.errors import EngineError, ReIDStreamError
from reidstream.gpu.copies import crops_of
from reidstream.gpu.cuts import Box
from reidstream.inference import AheadEmbedder, BoxEmbedder
from reidstream.inference.network import Ahead, Answer
from reidstream.sources.frame import Pixels
from reidstream.types import SourceStarted

logger = logging.getLogger(__name__)

Sources = Sequence[tuple[str, SourceConfig]]

# Threads that bring crops back from the device, for all tracking processes.
_COPIERS = 2
# Frames in one message, at most.
_AT_ONCE = 64


def serve(config: Config, models: Models, links: Sequence[tuple[Connection, Sources]], status: EngineStatus) -> None:
    """Do what the tracking processes ask for until all of them have ended."""
    detecting = models.detecting(config, sum(len(sources) for _, sources in links), status)
    news = _News(status)
    with ThreadPoolExecutor(_COPIERS, thread_name_prefix="copy") as copiers:
        sides = [_Side(connection, sources, config, models, detecting, news, copiers) for connection, sources in links]
        for side in sides:
            side.start()
        for side in sides:
            side.join()
    if detecting is not None:
        detecting.close()


class _News:
    """What a status has gained since somebody was told last."""

    def __init__(self, status: EngineStatus) -> None:
        self.status = status
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        self._warnings: dict[str, int] = {}

    def gained(self) -> tuple[dict[str, float], dict[str, int]]:
        with self._lock:
            seconds, warnings = self.status.stage_seconds.copy(), self.status.warnings.copy()
            before = self._seconds, self._warnings
            self._seconds, self._warnings = seconds, warnings
        return (
            {stage: value - before[0].get(stage, 0.0) for stage, value in seconds.items()},
            {text: count - before[1].get(text, 0) for text, count in warnings.items() if count != before[1].get(text)},
        )


class _Side:
    """The sources of one tracking process, and three threads: one hears what it wants, one sends what was looked at,
    one sends vectors as soon as they are there."""

    def __init__(
        self,
        connection: Connection,
        sources: Sources,
        config: Config,
        models: Models,
        detecting: Detecting | None,
        news: _News,
        copiers: ThreadPoolExecutor,
    ) -> None:
        self._connection = connection
        self._embedder = models.embedder
        # Asked once, as it takes as long as all the rest of an answer.
        self._ahead_embedder = models.embedder if isinstance(models.embedder, AheadEmbedder) else None
        self._box_embedder = models.embedder if isinstance(models.embedder, BoxEmbedder) else None
        self._news = news
        self._copiers = copiers
        self._sending = threading.Lock()
        self._inbox: Inbox[Item] = Inbox([source for source, _ in sources], config.local.queue, self._may_go)
        # Frames of each source that the other side may have before it has settled one.
        self._room = {source: config.local.queue for source, _ in sources}
        self._held: dict[int, tuple[str, FrameCrops]] = {}
        self._holding = threading.Lock()
        self._token = 0
        # What was asked for ahead and nobody waits for yet, and which of its frames are not settled.
        self._ahead: dict[int, tuple[Ahead, set[int]]] = {}
        self._counts: dict[str, tuple[int, int | None]] = {}
        shared = Shared(
            config,
            detecting,
            models.embedder,
            Channel(1),
            news.status,
            None,
            models.gpu,
            failed=lambda error: None,
            ended=lambda: None,
        )
        self._readers = {source: SourceReader(source, given, shared, self._inbox) for source, given in sources}
        self._started: set[str] = set()
        self._asked: Channel[tuple[int, Answer]] = Channel(2**31)
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (("hear", self._hear), ("looked", self._send_looked), ("vectors", self._send_vectors))
        ]

    def start(self) -> None:
        self._say(("opened", self._embedder.space))
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        for source in self._started:
            self._readers[source].join()
        self._connection.close()

    def _say(self, message: Any) -> None:
        """To a process that has gone it does not matter; ``_hear`` finds out."""
        with self._sending, contextlib.suppress(OSError):
            send(self._connection, message)

    def _hear(self) -> None:
        try:
            while (message := self._connection.recv())[0] != "end":
                getattr(self, f"_do_{message[0]}")(*message[1:])
        except (EOFError, OSError):
            pass
        except Exception:
            # Nobody would be heard any more: the other side ends its sources, as it does when this process dies.
            logger.exception("a tracking process cannot be served any more")
            self._connection.close()
        for source, reader in self._readers.items():
            reader.stop()
            self._inbox.abandon(source)
            if source not in self._started:
                self._inbox.close(source)
        with self._holding:
            self._held.clear()
        self._asked.close()

    def _do_start(self, source: str) -> None:
        self._started.add(source)
        self._readers[source].start()

    def _do_stop(self, source: str) -> None:
        self._readers[source].stop()
        if source not in self._started:
            self._inbox.close(source)

    def _do_fail(self, source: str) -> None:
        self._readers[source].stop()
        self._inbox.abandon(source)
        with self._holding:
            for token in [token for token, (owner, _) in self._held.items() if owner == source]:
                del self._held[token]

    def _do_settled(self, tokens: Sequence[int]) -> None:
        with self._holding:
            over = [self._held.pop(token) for token in tokens if token in self._held]
            for source, _ in over:
                self._room[source] += 1
        for _, crops in over:
            crops.settled()
        for number, (ahead, left) in list(self._ahead.items()):
            left.difference_update(tokens)
            if not left:
                # A device that is never idle would have such things, and their pictures, pile up.
                self._ahead.pop(number, None)
                ahead.drop()
                self._say(("wrong", number, EngineError("nobody asked for it")))
        self._inbox.look_again()

    def _do_vectors(self, number: int, tokens: Sequence[int], boxes: Sequence[Box], urgent: bool) -> None:
        with self._answering(number):
            answer = self._begun(number, tokens, boxes, urgent)
            answer.then(lambda: self._vectors_are_there(number, answer))

    def _begun(self, number: int, tokens: Sequence[int], boxes: Sequence[Box], urgent: bool) -> Answer:
        pictures = [crops.picture for crops in self._frames(tokens)]
        if not urgent and self._ahead_embedder is not None:
            started = self._ahead_embedder.start_ahead(pictures, boxes)
            if started is not None:
                answer, ahead = started
                self._ahead[number] = ahead, set(tokens)
                return answer
        if self._box_embedder is not None:
            return self._box_embedder.start(pictures, boxes)
        found = self._embedder.embed([picture.crop(*box) for picture, box in zip(pictures, boxes, strict=True)])
        return Answer(lambda: found)

    def _vectors_are_there(self, number: int, answer: Answer) -> None:
        self._ahead.pop(number, None)
        self._asked.put((number, answer))

    def _do_hurry(self, number: int) -> None:
        found = self._ahead.pop(number, None)
        if found is not None:
            found[0].hurry()

    def _do_pixels(self, number: int, tokens: Sequence[int], boxes: Sequence[Box]) -> None:
        def copied(frames: Sequence[FrameCrops]) -> list[Pixels]:
            return crops_of([crops.picture for crops in frames], boxes)

        with self._answering(number):
            self._copiers.submit(self._answer, number, copied, self._frames(tokens))

    def _do_crops(self, number: int, crops: Sequence[Pixels]) -> None:
        self._copiers.submit(self._answer, number, self._embedder.embed, crops)

    def _answer(self, number: int, find: Callable[[Any], Any], given: Any) -> None:
        with self._answering(number):
            self._say(("answer", number, find(given)))

    @contextlib.contextmanager
    def _answering(self, number: int) -> Iterator[None]:
        """What goes wrong inside is the answer."""
        try:
            yield
        except (Exception, CancelledError) as error:  # noqa: BLE001 - raised on the other side
            # What is no error of ours may have words only.
            self._say(("wrong", number, error if isinstance(error, ReIDStreamError) else RuntimeError(str(error))))

    def _frames(self, tokens: Sequence[int]) -> list[FrameCrops]:
        with self._holding:
            return [self._held[token][1] for token in tokens]

    def _send_vectors(self) -> None:
        for number, answer in self._asked:
            with self._answering(number):
                self._say(("answer", number, answer()))

    def _may_go(self, item: Item) -> bool:
        if isinstance(item, SourceStarted) or item.found is None:
            return True
        return item.ready and self._room[item.frame.source] > 0

    def _send_looked(self) -> None:
        left = set(self._readers)
        while left:
            items: list[Item] = []
            taken, over = self._inbox.take(left, wait=True)
            while taken:
                self._take_room(taken.values())
                items += taken.values()
                if len(items) >= _AT_ONCE:
                    break
                taken, _ = self._inbox.take(taken, wait=False)
            left -= set(over)
            self._say(self._looked(items, over))

    def _take_room(self, items: Iterable[Item]) -> None:
        with self._holding:
            for item in items:
                if isinstance(item, Read) and item.found is not None:
                    self._room[item.frame.source] -= 1

    def _looked(self, items: Sequence[Item], over: Sequence[str]) -> Looked:
        told: list[SourceStarted | Head | tuple[str, ReIDStreamError]] = []
        found: list[Found] = []
        for item in items:
            if isinstance(item, SourceStarted):
                told.append(item)
                continue
            try:
                told.append(self._head(item, found))
            except (Exception, CancelledError) as error:  # noqa: BLE001 - raised on the other side
                told.append((item.frame.source, sendable(error)))
        people = People.of([one.crops.detections for one in found], [one.kept for one in found])
        ends = [(source, self._readers[source].error) for source in over]
        return Looked(told, people, ends, self._new_counts(), *self._news.gained())

    def _head(self, item: Read, found: list[Found]) -> Head:
        """What is told of a frame; what was found in it is added to ``found``."""
        frame = item.frame
        when = frame.source, frame.index, frame.media_time, frame.wall_time, frame.picture.size
        if item.found is None:
            return Head(*when, None, 0, 0, False)
        one = item.found.result()[item.place]
        with self._holding:
            self._token = token = self._token + 1
            self._held[token] = frame.source, one.crops
        found.append(one)
        detections = one.crops.detections
        return Head(*when, token, len(one.kept), len(detections), detections.sharpness is not None)

    def _new_counts(self) -> dict[str, tuple[int, int | None]]:
        status = self._news.status
        now = {source: (status.dropped.get(source, 0), status.reconnects.get(source)) for source in self._readers}
        changed = {source: count for source, count in now.items() if self._counts.get(source) != count}
        self._counts.update(changed)
        return changed
