"""Deciding everybody anew in a process of its own, and fitting what it found to what has changed meanwhile.

Comparing 100,000 tracklets takes minutes of one core. In a thread of the server it would hold the interpreter that
requests and storing need; in a child that reads the gallery beside it, it costs them nothing, and when it is killed
nothing has happened.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from reidstream.children import conversing_child
from reidstream.config.identities import IdentityConfig
from reidstream.errors import IdentityError
from reidstream.identities.proposal import Proposal
from reidstream.identities.verdicts import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class ResolveOrder:
    """What the child is told. gallery: where it is."""

    gallery: str
    config: IdentityConfig


class Resolver:
    """Runs one child at a time. ``stop`` ends it from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @property
    def process(self) -> int | None:
        """The child's process id while there is one."""
        with self._lock:
            return None if self._child is None else self._child.pid

    def propose(self, gallery: str, config: IdentityConfig) -> Proposal:
        """Everybody decided anew, in the child. Raises IdentityError, also when the child dies; nothing is written."""
        with self._lock:
            if self._stopped:
                raise IdentityError("the server is ending; nothing was changed")
            self._child, requests, answers = conversing_child("reidstream.server.resolver_process")
        child = self._child
        try:
            with requests, answers, contextlib.suppress(EOFError, OSError):
                requests.send(ResolveOrder(gallery, config))
                done, found = answers.recv()
                if not done:
                    raise IdentityError(found)
                assert isinstance(found, Proposal)
                return found
        finally:
            status = child.wait()
            with self._lock:
                self._child = None
        if self._stopped:
            raise IdentityError("the server was stopped while everybody was being decided anew; nothing was changed")
        raise IdentityError(
            f"the process that decides everybody anew ended with status {status}; nothing was changed. "
            "If the machine had too little memory, decide on one that has more"
        )

    def stop(self) -> None:
        """End the child; whoever waits for it gets an IdentityError, and so does whoever begins another."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.kill()


def fitted(
    proposal: Proposal,
    now: Mapping[str, tuple[str, float]],
    touched: Collection[str],
    people: Collection[str] = (),
    doubts: Mapping[str, tuple[str, float]] | None = None,
) -> Proposal:
    """A proposal that leaves as it is whatever somebody decided, or storing changed, since it was begun.

    now: (person, probability) of every tracklet that has a person. touched: tracklets of decisions made since; people:
    those whom such decisions speak of. doubts: of each tracklet that is undecided now, a tracklet of the person that it
    may be, and how likely it is: who stays undecided is not made a person by staying. Who shares a person now, or would
    by the proposal, directly or through others, is left out together, so that what stays fits what is applied.
    """
    group_of = {tracklet: n for n, group in enumerate(proposal.groups) for tracklet in group}
    moved = set(proposal.moved)
    staying = {owner for owner in proposal.owners if owner is not None}
    ties = _Ties()
    for tracklet, n in group_of.items():
        if tracklet in now:
            ties.tie(n, now[tracklet][0])
    for n, owner in enumerate(proposal.owners):
        if owner is not None:
            ties.tie(n, owner)
    left: set[int | str] = set(people)
    for tracklet in touched:
        left.update([group_of[tracklet]] if tracklet in group_of else [])
        left.update([now[tracklet][0]] if tracklet in now else [])
    for tracklet, (person, _) in now.items():
        known = group_of.get(tracklet)
        if known is None:
            # Stored meanwhile: whoever got it must not vanish under it.
            left.update([] if person in staying else [person])
        elif tracklet not in moved and proposal.owners[known] != person:
            left.add(known)
    gone = ties.with_all(left)
    if not gone:
        return proposal
    held: dict[str, list[str]] = {}
    for tracklet, (person, _) in now.items():
        if person in gone:
            held.setdefault(person, []).append(tracklet)
    kept = [n for n in range(len(proposal.groups)) if n not in gone]
    stays = {tracklet for group in held.values() for tracklet in group}
    unsettled = {tracklet for n in gone if isinstance(n, int) for tracklet in proposal.groups[n]}
    sure = {tracklet: p for tracklet, p in proposal.probability.items() if tracklet not in unsettled}
    probability = {**sure, **{tracklet: now[tracklet][1] for tracklet in stays}}
    groups = (*(proposal.groups[n] for n in kept), *(tuple(group) for group in held.values()))
    place = {tracklet: number for number, group in enumerate(groups) for tracklet in group}
    verdicts: dict[str, Verdict[int]] = {}
    for tracklet, p in probability.items():
        verdict = proposal.verdicts.get(tracklet)
        doubt = (doubts or {}).get(tracklet) if tracklet in stays else None
        if doubt is not None and doubt[0] in place:
            verdicts[tracklet] = Verdict(Outcome.UNDECIDED, place[doubt[0]], doubt[1])
            continue
        if tracklet in stays or verdict is None or verdict.outcome is Outcome.DECIDED:
            verdicts[tracklet] = Verdict(Outcome.DECIDED, place[tracklet], p)
            continue
        # Whom it may be is a group of another number by now, or the person that most of it stayed.
        whose = [] if verdict.person is None else [place[t] for t in proposal.groups[verdict.person] if t in place]
        candidate = Counter(whose).most_common(1)
        if verdict.outcome is Outcome.NOBODY or not candidate:
            verdicts[tracklet] = Verdict(Outcome.NOBODY, None, p)
        else:
            verdicts[tracklet] = Verdict(Outcome.UNDECIDED, candidate[0][0], verdict.probability)
    return replace(
        proposal,
        groups=groups,
        owners=(*(proposal.owners[n] for n in kept), *held),
        probability=probability,
        verdicts=verdicts,
        moved=tuple(tracklet for tracklet in proposal.moved if tracklet not in unsettled),
        joined=tuple(pair for pair in proposal.joined if pair[0] not in gone),
        divided=tuple(pair for pair in proposal.divided if pair[0] not in gone),
    )


class _Ties:
    """Which groups (numbers) and people (ids) hang together."""

    def __init__(self) -> None:
        self._near: dict[int | str, set[int | str]] = {}

    def tie(self, one: int | str, other: int | str) -> None:
        self._near.setdefault(one, set()).add(other)
        self._near.setdefault(other, set()).add(one)

    def with_all(self, some: Iterable[int | str]) -> set[int | str]:
        """These, and everything that hangs together with them."""
        found: set[int | str] = set()
        waiting = list(some)
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self._near.get(one, ())
        return found
