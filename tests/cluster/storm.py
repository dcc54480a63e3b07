"""Everything that can happen to workers, deciders and their database, at random, while recordings are read."""

from __future__ import annotations

import contextlib
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from reidstream.config import Config
from reidstream.errors import GalleryError
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import State
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import events_after
from reidstream.identities.people import list_people
from reidstream.identities.settling import settle
from tests.cluster.network import Network
from tests.cluster.processes import Command, Fleet, fleet, wait_until
from tests.cluster.replays import recorded, walks_of
from tests.postgres import PostgresServer

People = set[frozenset[str]]

_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'reidstream%' AND random() < .5"
)
_VISITS, _PEOPLE = 10, 12


@dataclass(slots=True)
class Report:
    """What happened, and what became of it. wrong: what must not be, in words."""

    happened: Counter[str] = field(default_factory=Counter)
    tracklets: int = 0
    people: int = 0
    takeovers: int = 0
    rescued: int = 0
    longest_unserved_seconds: float = 0.0
    unseen_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def undisturbed(folder: Path, url: str, listed: list[str]) -> tuple[set[str], People]:
    """Ids of the tracklets, and who is together, when nothing happens."""
    with fleet(folder, url, speed=0) as running:
        worker = running.worker("--until-done", "--most", "8", *listed)
        assert worker.child.wait(900) == 0, running.logs()
    with Gallery.open(url, write=True) as gallery:
        OnlineIdentities(gallery, Config().identities).catch_up()
        settle(gallery, Config().identities)
        return set(gallery.rows().id.tolist()), _together(gallery)


def _together(gallery: Gallery) -> People:
    return {frozenset(person.tracklets) for person in list_people(gallery)}


def storm(
    server: PostgresServer,
    folder: Path,
    *,
    blows: int,
    seed: int,
    recordings: int = 0,
    cameras: int = 0,
    lease_seconds: float = 2.0,
    speed: float = 8.0,
    say: Callable[[str], None] = lambda _text: None,
) -> Report:
    """So many blows against three workers and two deciders that read recordings, or else cameras that never end.

    Recordings: at the end everything is as if nothing had happened. Cameras: nothing that was stored is lost.
    """
    # One after the other, for nobody is in two places at once.
    seconds = 4.0 * _VISITS + 2
    files = [
        recorded(folder, f"c{n}", walks_of(n, _PEOPLE, _VISITS), seconds=seconds, wall=1e9 + 60 * n)
        for n in range(recordings)
    ]
    files += [recorded(folder, f"live{n}", walks_of(n, _PEOPLE, 400), seconds=1602, live=True) for n in range(cameras)]
    listed = [word for path in files for word in ("--cameras", str(path))]
    calm = folder / "calm"
    calm.mkdir()
    expected = undisturbed(calm, server.new_database(), listed) if not cameras else None
    report = Report()
    url = server.new_database()
    network = Network(url)
    with (
        contextlib.closing(network),
        fleet(folder, url, lease_seconds=lease_seconds, speed=speed, through=network.through(url)) as running,
    ):
        blown = _Storm(server, network, running, random.Random(seed), report, say)
        blown.begin(listed)
        for _ in range(blows):
            if not blown.progress():
                break
            blown.blow()
        blown.calm_down(bool(cameras))
        for source in running.status()["sources"]:
            report.takeovers += source["takeovers"]
            report.rescued += source["rescued"]
            report.unseen_seconds += source["unseen_seconds"]
            report.longest_unserved_seconds = max(report.longest_unserved_seconds, source["longest_unserved_seconds"])
            if not cameras and source["state"] != "done":
                report.wrong.append(f"{source['name']} is {source['state']}: {source['error']}")
        _compare(url, blown.seen, expected, report)
        if report.wrong:
            say(running.logs())
    return report


def _compare(url: str, seen: set[str], expected: tuple[set[str], People] | None, report: Report) -> None:
    with Gallery.open(url, write=True) as gallery:
        OnlineIdentities(gallery, Config().identities).catch_up()
        ids = gallery.rows().id.tolist()
        told = [e.payload["tracklet"] for e in events_after(gallery, 0, 1_000_000) if e.kind == "TrackletStored"]
        settle(gallery, Config().identities)
        people = _together(gallery)
        problems = gallery.check().problems
        running = [r.source for r in gallery.sources() if r.state is State.RUNNING]
    report.tracklets, report.people = len(ids), len(people)
    report.wrong += problems
    if len(ids) != len(set(ids)):
        report.wrong.append("a tracklet is stored twice")
    if lost := seen - set(ids):
        report.wrong.append(f"{len(lost)} tracklets were stored and are gone")
    if Counter(told) != Counter(ids):
        report.wrong.append(f"{len(told)} tracklets were told of, {len(ids)} are there")
    if running:
        report.wrong.append(f"nobody reads {', '.join(running)}, and they are said to be read")
    if expected is not None:
        if set(ids) != expected[0]:
            report.wrong.append(f"{len(set(ids) ^ expected[0])} tracklets differ from those of an undisturbed run")
        if people != expected[1]:
            report.wrong.append(f"{len(people ^ expected[1])} people differ from those of an undisturbed run")


class _Storm:
    def __init__(
        self,
        server: PostgresServer,
        network: Network,
        running: Fleet,
        rng: random.Random,
        report: Report,
        say: Callable[[str], None],
    ) -> None:
        self._server, self._network = server, network
        self._running, self._rng, self._report, self._say = running, rng, report, say
        self._workers: list[Command] = []
        self._deciders: list[Command] = []
        self._frozen: list[tuple[int, Command]] = []
        self._blows = 0
        self.seen: set[str] = set()
        """Every tracklet that was ever found in the database."""

    def begin(self, listed: list[str]) -> None:
        self._workers.append(self._running.worker("--most", "4", *listed))
        wait_until(lambda: "in the list" in self._workers[0].said, "the list")
        self._workers += [self._running.worker("--most", "4") for _ in range(2)]
        self._deciders += [self._running.decider() for _ in range(2)]

    def progress(self) -> bool:
        """Wait until something new is stored; False when everything is done."""
        before = len(self.seen)

        def moved() -> str:
            self._look()
            if len(self.seen) > before:
                return "stored"
            return "done" if self._done() else ""

        return bool(wait_until(moved, "anything to be stored") == "stored")

    def blow(self) -> None:
        """One thing that happens, at random; who dies is replaced at once."""
        self._blows += 1
        self._network.delay = 0.0
        kinds = {self._kill_worker: 5, self._kill_decider: 2, self._freeze: 2, self._cut: 1, self._restart: 1}
        kinds |= {self._delay: 1, self._lose_halves: 2}
        (what,) = self._rng.choices(list(kinds), list(kinds.values()))
        what()
        name = what.__name__.removeprefix("_").replace("_", " ")
        self._report.happened[name] += 1
        self._say(f"{self._blows}: {name}, {len(self.seen)} stored")
        while self._frozen and self._frozen[0][0] <= self._blows:
            self._frozen.pop(0)[1].send(signal.SIGCONT)

    def calm_down(self, endless: bool) -> None:
        """Everybody wakes, everything is read to its end, and everybody ends in the orderly way."""
        self._network.delay = 0.0
        for _, command in self._frozen:
            command.send(signal.SIGCONT)
        wait_until(self._all_served if endless else self._done, "everything to be read", 900)
        for worker in self._workers:
            # Who has ended is told of below, in its own words.
            begun = lambda worker=worker: "reads up to" in worker.said or not worker.running  # noqa: E731
            wait_until(begun, "a worker to begin")
        self._look()
        for worker in self._workers:
            if worker.running:
                worker.send(signal.SIGTERM)
        for worker in self._workers:
            status = worker.child.wait(180)
            if status:
                self._report.wrong.append(f"a worker ended with {status}: {worker.said[-500:]}")
        wait_until(lambda: self._running.status()["inbox"]["waiting"] == 0, "the inbox to be empty")
        for decider in self._deciders:
            status = decider.end()
            if status:
                self._report.wrong.append(f"a decider ended with {status}: {decider.said[-500:]}")

    def _look(self) -> None:
        try:
            with Gallery.open(self._running.url) as gallery:
                self.seen |= set(gallery.rows().id.tolist())
        except GalleryError:
            # It starts again just now.
            return

    def _done(self) -> bool:
        try:
            return all(source["state"] == "done" for source in self._running.status()["sources"])
        except GalleryError:
            return False

    def _all_served(self) -> bool:
        """Whether workers of now read everything."""
        try:
            status = self._running.status()
        except GalleryError:
            return False
        alive = [f"-{worker.child.pid}-" for worker in self._workers]
        return all(any(one in str(source["worker"]) for one in alive) for source in status["sources"])

    def _kill_worker(self) -> None:
        place = self._rng.randrange(len(self._workers))
        self._workers[place].kill()
        self._workers[place] = self._running.worker("--most", "4")

    def _kill_decider(self) -> None:
        place = self._rng.randrange(len(self._deciders))
        self._deciders[place].kill()
        self._deciders[place] = self._running.decider()

    def _freeze(self) -> None:
        """One stands still, and wakes when others have long taken its place."""
        group = self._rng.choice([self._workers, self._deciders])
        awake = [command for command in group if command not in [frozen for _, frozen in self._frozen]]
        if len(awake) > 1:
            chosen = self._rng.choice(awake)
            chosen.send(signal.SIGSTOP)
            self._frozen.append((self._blows + 4, chosen))

    def _cut(self) -> None:
        self._server.psql(_CUT)

    def _delay(self) -> None:
        """Until the next blow every word to the database, and back, takes a quarter of a second."""
        self._network.delay = 0.25

    def _lose_halves(self) -> None:
        self._network.lose_halves(self._rng)

    def _restart(self) -> None:
        self._server.restart()
