"""Worker processes on the machines of a Ray cluster: where there is room for them, and again when they are gone.

Ray places and restarts, and nothing else: each worker is the process that ``reidstream worker`` starts anywhere, a
child of an actor (of a task, for piles of videos) that holds its share of processors and GPUs. Frames, tracklets and
the list of sources stay between workers and the database. Actors are detached and have names, so that they outlive
whoever placed them, and are found again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reidstream.cluster.keeping import Kept
from reidstream.errors import ConfigError, EngineError, MissingDependency

_log = logging.getLogger(__name__)

NAMESPACE = "reidstream"
_ANSWER = 5.0
"""Seconds in which an actor that has been placed says how it is."""
_END = 120.0
"""Seconds in which one has to have drained its worker."""
_CALLS = 3
"""So often a cluster is called that answers but has no process for us yet: on a busy machine it gives up too early."""
_ATTEMPTS = 10
"""So often a worker of a pile of videos may die of what is not its program's word: memory, a machine that is gone."""


@dataclass(frozen=True, slots=True)
class Share:
    """What of a machine one process takes; Ray counts it and does not enforce it. gpus .25: four share one."""

    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """A command to be kept running, see ``Kept``."""

    words: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Tells one piece of work from another without saying what it is: words may hold what nobody is to read."""
        parts = [*self.words, *(f"{name} {contents!r}" for name, contents in sorted(self.files.items()))]
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


class Died(Exception):
    """A worker of a pile was ended from outside; another attempt may fare better."""


class _Post:
    """What an actor is: a command that is kept running on the machine that it was placed on."""

    def __init__(self, work: Work) -> None:
        self._kept, self._digest = Kept(work.words, work.files), work.digest

    def said(self) -> dict[str, Any]:
        import socket

        kept = self._kept
        about = {"host": socket.gethostname(), "actor": os.getpid(), "process": kept.pid, "work": self._digest}
        return {**about, "starts": kept.starts, "last_status": kept.status}

    def stop(self) -> int | None:
        return self._kept.stop()


def _read_until_done(work: Work) -> str:
    """One task of a pile; the empty string, or what its worker ended with. Raises Died."""
    kept = Kept(work.words, work.files, again=False)
    try:
        status = kept.wait()
    finally:
        kept.stop()
    if status is None or status < 0:
        raise Died(f"a worker was ended by signal {-(status or 0)}")
    return "" if status == 0 else f"a worker ended with {status}"


class RayCluster:
    """The cluster that this process is connected to. Use ``connected``."""

    def __init__(self, ray: Any, gallery: str) -> None:
        """``gallery``: what the names of its actors begin with."""
        self._ray, self._gallery = ray, gallery

    def place(self, name: str, work: Work, share: Share) -> None:
        """Have a command kept running under a name, somewhere; nothing happens when it is already.

        It waits for room when there is none just now. When its process or machine dies it is placed again, for ever.
        """
        post = self._ray.remote(_Post)
        options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_restarts": -1, "max_concurrency": 4}
        apart = {"scheduling_strategy": "SPREAD", "lifetime": "detached", "get_if_exists": True}
        post.options(name=f"{self._gallery}/{name}", namespace=NAMESPACE, **options, **apart).remote(work)

    def names(self) -> list[str]:
        """The commands that were placed and not taken away."""
        begins = f"{self._gallery}/"
        every = self._ray.util.list_named_actors(all_namespaces=True)
        found = [one["name"] for one in every if one["namespace"] == NAMESPACE]
        return sorted(name.removeprefix(begins) for name in found if name.startswith(begins))

    def status(self) -> list[dict[str, Any]]:
        """How each of them is; ``host`` is None of those that wait for room, or for being placed again."""
        calls = {}
        for name in self.names():
            with contextlib.suppress(ValueError):
                calls[name] = self._actor(name).said.remote()
        done, _ = self._ray.wait(list(calls.values()), num_returns=len(calls), timeout=_ANSWER) if calls else ([], [])
        answers = []
        for name, call in calls.items():
            said: dict[str, Any] = dict.fromkeys(("host", "actor", "process", "work", "last_status")) | {"starts": 0}
            if call in done:
                with contextlib.suppress(self._ray.exceptions.RayError):
                    said = self._ray.get(call)
            answers.append({"name": name, **said})
        return answers

    def stop(self, names: Sequence[str]) -> None:
        """Drain these, side by side, and take them away."""
        there = {one["name"] for one in self.status() if one["host"] is not None}
        calls = {}
        for name in names:
            with contextlib.suppress(ValueError):
                actor = self._actor(name)
                if name in there:
                    calls[name] = (actor, actor.stop.remote())
                else:
                    # What it had begun, if anything, drains by itself when its actor is gone.
                    self._ray.kill(actor, no_restart=True)
        waiting = [call for _, call in calls.values()]
        done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=_END) if waiting else ([], [])
        for name, (actor, call) in calls.items():
            if call not in done:
                _log.warning("%s did not end within %.0f s; it is taken away", name, _END)
            self._ray.kill(actor, no_restart=True)

    def nodes(self) -> list[dict[str, Any]]:
        """The machines, and what they have."""
        return [
            {
                "address": node["NodeManagerAddress"],
                "alive": node["Alive"],
                "cpus": node["Resources"].get("CPU", 0.0),
                "gpus": node["Resources"].get("GPU", 0.0),
            }
            for node in self._ray.nodes()
        ]

    def room(self, share: Share) -> int:
        """How many of such a share all machines have together."""
        fits = [
            min([int(node[what] / each + 1e-6) for what, each in (("cpus", share.cpus), ("gpus", share.gpus)) if each])
            for node in self.nodes()
            if node["alive"] and (share.cpus or share.gpus)
        ]
        return sum(fits)

    def read_pile(self, work: Work, share: Share, count: int) -> list[str]:
        """``count`` workers as tasks until everything in the list is done; what those said that failed.

        One whose process or machine dies is tried again.
        """
        again = {"max_retries": _ATTEMPTS, "retry_exceptions": [Died], "scheduling_strategy": "SPREAD"}
        task = self._ray.remote(_read_until_done).options(num_cpus=share.cpus, num_gpus=share.gpus, **again)
        tasks = [task.remote(work) for _ in range(count)]
        try:
            return [said for said in self._ray.get(tasks) if said]
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            raise EngineError(f"a pile of videos was given up: {str(cause).splitlines()[0]}") from None
        finally:
            for one in tasks:
                self._ray.cancel(one)
            # Whoever was broken off stores what it has.
            self._ray.wait(tasks, num_returns=len(tasks), timeout=_END)

    def _actor(self, name: str) -> Any:
        return self._ray.get_actor(f"{self._gallery}/{name}", namespace=NAMESPACE)


@contextlib.contextmanager
def connected(gallery: str, address: str | None, *, start: bool, verbose: bool = False) -> Iterator[RayCluster]:
    """The Ray cluster at an address, or the one that this machine belongs to, or else, with ``start``, a new one here.

    Raises MissingDependency without the extra, ConfigError when nothing answers there.
    """
    try:
        # Nothing about its users is sent to anybody.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
    except ImportError:
        raise MissingDependency(
            "placing workers on machines needs Ray: pip install 'reidstream[cluster]'; without it start `reidstream "
            "worker` on each machine"
        ) from None
    where = address or (None if start else "auto")
    level = logging.INFO if verbose else logging.ERROR
    for call in range(_CALLS):
        try:
            ray.init(
                address=where,
                namespace=NAMESPACE,
                log_to_driver=verbose,
                logging_level=level,
                configure_logging=verbose,
                **({} if where else {"include_dashboard": False}),
            )
            break
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            ray.shutdown()
            # Who is outside of a cluster (ray://) is given a process on it. It says so when that one came too late.
            if isinstance(error, ConnectionAbortedError) and call + 1 < _CALLS:
                _log.info("the Ray cluster at %s could not begin a process for this command; asked again", where)
                continue
            said = (str(error).strip() or type(error).__name__).splitlines()
            raise ConfigError(
                f"no Ray cluster answers at {address or 'this machine'} ({said[0]}); name one with "
                "--address host:6379, or start one with `ray start --head`"
            ) from None
    try:
        yield RayCluster(ray, gallery)
    finally:
        ray.shutdown()
