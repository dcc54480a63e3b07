"""The local engine in several processes, each with some of the sources.

Python runs one thread of a process at a time. Decoding, models and scaling pictures let go of it, but tracking and all
that lies between does not: sixteen streams in one process keep nine of sixteen cores busy, and a GPU hardly at all.
Sources have nothing to do with each other until their events meet, so that they can be spread over processes. Those of
one GPU leave reading and the models to one more process; see ``apart``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reidstream.channel import Channel
from reidstream.children import conversing_child
from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.spent import Spent
from reidstream.errors import EngineError
from reidstream.inference import Detector, Embedder
from reidstream.runtime import gpu_is_shared, seeing
from reidstream.sources.remembered import digests
from reidstream.types import (
    EmbeddingSpace,
    EndReason,
    Event,
    Observed,
    SourceEnded,
    TrackEnded,
)

Sources = Sequence[tuple[str, SourceConfig]]

# "max 100000" or, for two cores, "200000 100000".
_QUOTA = Path("/sys/fs/cgroup/cpu.max")

_EVENTS_WAITING = 256
# Cores for each process, when their number is left to us. With 14 streams on 16 cores and a GPU, 2 processes gave 888
# to 930 frames/s, 3 gave 862, 1 gave 646: one waits for Python's lock, many take turns on the GPU. Without a GPU
# 8 processes reach 93 % of what 16 do, in half the memory.
_CORES_EACH = {"cpu": 2, "cuda": 8}
# Sources from which on a second process with the models pays, beside the service that lets both use the GPU at once,
# and how many each has where there are many; no more processes than one for so many cores. 64 streams gave 1,501 to
# 1,936 frames/s in two and 1,803 to 2,142 in four (four pairs of runs).
_WORTH_TWO, _EACH_OF_MANY, _CORES_FOR_MODELS = 8, 16, 4


class LocalProcesses:
    """Like LocalEngine, in ``processes`` processes; see Engine for the contract.

    A process that dies ends its own sources, with what was seen of them; the others go on. Events are those of one
    process, as no source knows of another. Raises ModelError or DeviceError, as LocalEngine does, and EngineError when
    a process cannot be started.

    detector, embedder: used instead of the configured models; each process gets a copy, pickled. apart: whether one
    more process for each GPU reads the sources and runs the models for the others; None: for several sources on GPUs
    that decode.
    """

    def __init__(
        self,
        config: Config,
        sources: Sources,
        processes: int,
        detector: Detector | None = None,
        embedder: Embedder | None = None,
        apart: bool | None = None,
    ) -> None:
        self._status = EngineStatus()
        self._stopped = False
        self._failure: Exception | None = None
        groups = [sources[first::processes] for first in range(max(1, min(processes, len(sources))))]
        # Each sees one GPU, which is number 0 there.
        alone = {"threads": _threads(config, len(groups)), "processes": 1, "gpus": (0,)}
        own = config.model_copy(update={"local": config.local.model_copy(update=alone)})
        choosing = config.local.device == "cuda" and config.local.gpus != (0,)
        gpus = [config.local.turn(place).gpus[0] for place in range(len(groups))]
        # A GPU that is named twice has two processes with models.
        turns = [place % len(config.local.gpus) for place in range(len(groups))]
        if apart is None:
            apart = gpu_decodes(config) and len(sources) > 1
        # A socket for each, from its tracking process to the one with the models.
        sockets = [socket.socketpair() for _ in groups] if apart else []
        self._children: list[_Child] = []
        networks: list[_Child] = []
        try:
            for place, group in enumerate(groups):
                variables = seeing(gpus[place]) if choosing and not apart else {}
                ours = [sockets[place][0].fileno()] if apart else []
                request = (own, list(group), detector, embedder, digests(), ours[0] if apart else None)
                self._children.append(_Child([source for source, _ in group], request, variables, ours))
            for turn in dict.fromkeys(turns) if apart else []:
                places = [place for place, other in enumerate(turns) if other == turn]
                gpu = gpus[places[0]]
                shares = [(sockets[place][1].fileno(), list(groups[place])) for place in places]
                ordered = (own, shares, detector, embedder, digests())
                named = [source for place in places for source, _ in groups[place]]
                module, variables = "reidstream.engines.local.apart.process", seeing(gpu) if choosing else {}
                networks.append(_Child(named, ordered, variables, [end for end, _ in shares], module))
        finally:
            for pair in sockets:
                for end in pair:
                    end.close()
        # Also when nobody ever asks for the events. Those with the models end with those that they work for.
        self._all = [*self._children, *networks]
        weakref.finalize(self, _end, self._all)
        # All load their models at the same time.
        spaces = [child.opened() for child in [*networks, *self._children]]
        self._space = spaces[0]

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    @property
    def status(self) -> EngineStatus:
        return self._status

    def events(self) -> Iterator[Event]:
        out: Channel[Event] = Channel(_EVENTS_WAITING)
        left = len(self._children)
        lock = threading.Lock()

        def read(child: _Child) -> None:
            nonlocal left
            try:
                child.run(self._status, out)
            except Exception as error:  # noqa: BLE001 - raised where the events are read
                with lock:
                    self._failure = self._failure or error
                self.stop()
            finally:
                with lock:
                    left -= 1
                    if left == 0:
                        out.close()

        readers = [threading.Thread(target=read, args=(child,), name="events", daemon=True) for child in self._children]
        try:
            for child in self._children:
                child.say("run")
            for reader in readers:
                reader.start()
            if self._stopped:
                self.stop()
            yield from out
            if self._failure is not None:
                raise self._failure
        finally:
            self.stop()
            out.abandon()
            for reader in readers:
                if reader.ident is not None:
                    reader.join()
            _end(self._all)

    def skip(self, source: str) -> None:
        for child in self._children:
            if source in child.sources:
                child.say(("skip", source))

    def stop(self) -> None:
        self._stopped = True
        for child in self._children:
            child.say("stop")


class _Child:
    """One process with its sources, and the pipes to it.

    request: what it is told first. variables: of its environment. descriptors: of sockets that it gets.
    """

    def __init__(
        self,
        sources: list[str],
        request: tuple[Any, ...],
        variables: Mapping[str, str],
        descriptors: Sequence[int] = (),
        module: str = "reidstream.engines.local.worker",
    ) -> None:
        self.sources = sources
        self._lock = threading.Lock()
        try:
            self._process, self._requests, self._answers = conversing_child(module, variables, descriptors)
        except OSError as error:
            raise EngineError(f"a process for {', '.join(self.sources)} cannot be started: {error.strerror}") from None
        # By the pipe, as addresses of cameras hold passwords.
        with contextlib.suppress(OSError):
            self._requests.send(request)

    def opened(self) -> EmbeddingSpace:
        """Wait until its models are there. Raises what went wrong with them."""
        try:
            kind, value = self._answers.recv()
        except (EOFError, OSError):
            raise EngineError(f"the process for {', '.join(self.sources)} {self._death()}") from None
        if kind == "failed":
            raise value
        space: EmbeddingSpace = value
        return space

    def say(self, word: str | tuple[str, str]) -> None:
        """Send a word; to a process that has gone it does not matter."""
        with self._lock, contextlib.suppress(OSError):
            if not self._requests.closed:
                self._requests.send(word)

    def run(self, status: EngineStatus, out: Channel[Event]) -> None:
        """Hand its events on until its end. Raises what its engine raised."""
        open_sources = {source: _Open() for source in self.sources}
        spent = Spent({}, {}, {}, {}, {})
        while True:
            try:
                kind, *values = self._answers.recv()
            except (EOFError, OSError):
                for event in _ends(open_sources, f"its process {self._death()}"):
                    out.put(event)
                return
            if kind == "failed":
                raise values[0]
            if kind == "end":
                return
            events, now = values
            _add(status, spent, now)
            spent = now
            for event in events:
                _note(open_sources, event)
                # Also when nobody reads any more: the process must get rid of its events to end.
                out.put(event)

    def end(self) -> None:
        with self._lock:
            self._requests.close()
        self._answers.close()
        self._process.wait()

    def _death(self) -> str:
        code = self._process.wait()
        return f"was ended by signal {-code}" if code < 0 else f"ended too early (exit code {code})"


class _Open:
    """What is known of a source that has not ended: its frames so far, and the tracks that are open."""

    def __init__(self) -> None:
        self.frames = 0
        self.tracks: set[int] = set()


def _note(sources: dict[str, _Open], event: Event) -> None:
    if isinstance(event, Observed):
        sources[event.source].frames += 1
        sources[event.source].tracks.update(event.track_ids.tolist())
    elif isinstance(event, TrackEnded):
        sources[event.source].tracks.discard(event.track_id)
    elif isinstance(event, SourceEnded):
        del sources[event.source]


def _ends(sources: dict[str, _Open], reason: str) -> Iterator[Event]:
    """The events with which sources end that cannot say so themselves."""
    for source, known in sources.items():
        for track_id in sorted(known.tracks):
            yield TrackEnded(source, track_id, EndReason.SOURCE_ENDED)
        yield SourceEnded(source, known.frames, time.time(), reason)


def _add(status: EngineStatus, before: Spent, now: Spent) -> None:
    """Add what a process has done since its last message."""
    status.frames.update(now.frames)
    status.dropped.update(now.dropped)
    status.reconnects.update(now.reconnects)
    for stage, seconds in now.stage_seconds.items():
        status.spend(stage, seconds - before.stage_seconds.get(stage, 0.0))
    for text, count in now.warnings.items():
        for _ in range(count - before.warnings.get(text, 0)):
            status.warn(text)


def _threads(config: Config, processes: int) -> int:
    """Threads for detection in each process; on a GPU they are left to the engine, as they only wait."""
    if config.local.threads or config.local.device == "cuda":
        return config.local.threads
    return max(1, -(-cores() // processes))


def _end(children: list[_Child]) -> None:
    for child in children:
        child.end()


def processes_for(config: Config, sources: Sequence[Any]) -> int:
    """In how many processes these sources are run: as configured, or as many as pay on this machine; one for every GPU
    at least."""
    gpus = len(config.local.gpus) if config.local.device == "cuda" else 1
    # A GPU that is named twice has two processes with models, each of which keeps as many others busy as one would.
    often = gpus // len(set(config.local.gpus)) if config.local.device == "cuda" else 1
    wanted = config.local.processes or cores() // _CORES_EACH[config.local.device] * often
    return max(1, min(len(sources), max(wanted, gpus)))


def beside_service(config: Config, sources: Sequence[Any]) -> Config:
    """The configuration for these sources on this machine: beside NVIDIA's Multi-Process Service the GPU has two
    processes that run the models, or more for many sources, unless somebody has named the GPUs."""
    named = "gpus" in config.local.model_fields_set
    if named or not gpu_decodes(config) or len(sources) < _WORTH_TWO or not gpu_is_shared():
        return config
    times = max(2, min(len(sources) // _EACH_OF_MANY, cores() // _CORES_FOR_MODELS))
    return config.model_copy(update={"local": config.local.model_copy(update={"gpus": times * config.local.gpus})})


def gpu_decodes(config: Config) -> bool:
    """Whether video is decoded where the models run, as far as the configuration says."""
    return config.local.device == "cuda" and config.local.decode == "auto"


def cores() -> int:
    """Cores that this process may use: those it is bound to, and no more than a container's quota (cgroup v2)."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        bound = min(bound, max(1, int(quota) // int(period)))
    return bound
