"""Deciding again while tracklets come: the newest, together with everybody whom they may be.

Who was decided one after the other was decided by what was known then. So whenever some tracklets were stored, they,
the people whom they were given to and those whom they plausibly are instead are decided again all at once, as
``resolving`` decides a gallery: with continuations and the times between visits, and read as the gallery was found to
be read. What it costs is bounded: of each person what is remembered, and no more people than fit. What is not looked at
stays with its person. It depends on what is stored only, so that a replay decides the same.

Whom somebody has reviewed gains and loses nobody: what fits them is undecided, a suggestion.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from sqlalchemy import or_, select

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.gallery.rows import in_chunks
from reidstream.identities.applying import Held, Part, held_by, parts_of
from reidstream.identities.constraints import HumanLinks
from reidstream.identities.deciding import Decider
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.operations import BY_ITSELF
from reidstream.identities.people import human_links, newest_operation
from reidstream.identities.proposal import owners_of_groups
from reidstream.identities.resolving import Known, Resolution, resolve_again
from reidstream.identities.schema import former_members, former_people, links, members, operations
from reidstream.identities.strangers import Nearest, Strangers
from reidstream.types import IntArray

# Tracklets that are looked at in one go; of each person the newest so many, beside those that are decided again; and
# how probable somebody must be for a tracklet to be decided together with them.
_MOST, _OF_EACH, _PLAUSIBLE = 320, 4, 0.02
# A membership that is surer or less sure by no more than this is left as it is.
_EVEN = 0.05

Times = tuple[list[int], list[float], list[float]]


@dataclass(frozen=True, slots=True)
class Recent:
    """What is decided again. ``decided`` needs nothing else, so that others may go on meanwhile.

    row: of each tracklet, in the evidence. read: how similarities are read. holders: the person of each tracklet of the
    evidence. beyond: of people of whom not everything is looked at, the other tracklets. times: cameras, starts and
    ends of these. reviewed: people whom somebody decided about. held: how all these tracklets are held now. before: the
    newest operation.
    """

    evidence: Evidence
    row: Mapping[str, int]
    links: HumanLinks
    decider: Decider
    read: Known
    holders: Mapping[str, str]
    beyond: Mapping[str, Sequence[str]]
    times: Mapping[str, Times]
    reviewed: frozenset[str]
    held: Mapping[str, Held]
    before: int


@dataclass(frozen=True, slots=True)
class Regrouping:
    """What becomes of some tracklets; see ``Proposal``."""

    groups: tuple[tuple[str, ...], ...]
    owners: tuple[str | None, ...]
    probability: Mapping[str, float]
    doubtful: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def doubts(self) -> Mapping[str, tuple[str, float]]:
        return self.doubtful


def recent(gallery: Gallery, decider: Decider, newest: Sequence[str], clocks: Mapping[str, float]) -> Recent:
    """The newest tracklets with everybody whom they may be. newest: ids, in the order of storing."""
    before = newest_operation(gallery)
    people = _together(decider, newest)
    memory, wanted = decider.memory, frozenset(newest)
    looked_at, beyond, times = [], {}, {}
    strangers: dict[str, Nearest] = {}
    for person in people:
        row = memory.row(person)
        assert row is not None
        known = memory.people[row]
        # All from the first that is decided again; those before them are not looked at.
        again = next((k for k, tracklet in enumerate(known.tracklets) if tracklet in wanted), len(known.tracklets))
        kept = max(len(known.tracklets) - again, min(_OF_EACH, len(known.tracklets)))
        looked_at += known.tracklets[-kept:]
        strangers.update(zip(known.tracklets[-kept:], known.strangers[-kept:], strict=True))
        more = len(known.starts) - kept
        if more:
            beyond[person] = list(memory.tracklets_of(person))[:more]
            times[person] = known.cameras[:more], known.starts[:more], known.ends[:more]
    evidence = evidence_of(gallery, looked_at, clocks)
    rows = {tracklet: row for row, tracklet in enumerate(evidence.ids)}
    everything = [*evidence.ids, *(t for some in beyond.values() for t in some)]
    with gallery.read() as connection:
        said = human_links(connection, rows)
        held = held_by(connection, everything)
    return Recent(
        evidence,
        rows,
        said,
        decider,
        decider.known(Strangers.of([strangers[t] for t in evidence.ids])),
        {t: memory.owner[t] for t in evidence.ids},
        beyond,
        times,
        frozenset(reviewed(gallery, people)),
        held,
        before,
    )


def _together(decider: Decider, newest: Sequence[str]) -> list[str]:
    """People to be decided together, the newest first: as many as have no more tracklets together than fit."""
    memory = decider.memory
    order = dict.fromkeys(memory.owner[t] for t in reversed(newest) if t in memory.owner)
    others: dict[str, float] = {}
    for tracklet in newest:
        seen = memory.seen(tracklet)
        if seen is not None:
            for person, chance in decider.plausible(seen):
                if person not in order and chance >= _PLAUSIBLE:
                    others[person] = max(others.get(person, 0.0), chance)
    order |= dict.fromkeys(sorted(others, key=lambda person: (-others[person], person)))
    chosen: list[str] = []
    count = 0
    for person in order:
        row = memory.row(person)
        assert row is not None
        count += min(_OF_EACH, len(memory.people[row].tracklets))
        if chosen and count > _MOST:
            break
        chosen.append(person)
    return chosen


def reviewed(gallery: Gallery, people: Collection[str]) -> set[str]:
    """Those of some people about whom somebody decided anything."""
    found: set[str] = set()
    by_itself = operations.c.kind.in_(sorted(BY_ITSELF)) & operations.c.undone_by.is_(None)
    somebody = select(operations.c.id).where(~by_itself)
    with gallery.read() as connection:
        # Most galleries have not been looked at by anybody.
        if connection.execute(somebody.limit(1)).first() is None:
            return found
        for some in in_chunks(sorted(people)):
            theirs = select(members.c.tracklet).where(members.c.person.in_(some)).scalar_subquery()
            named = select(former_people.c.person).where(
                former_people.c.person.in_(some), former_people.c.changed_by.in_(somebody)
            )
            found.update(connection.execute(named).scalars())
            touched = select(former_members.c.tracklet).where(
                former_members.c.tracklet.in_(theirs), former_members.c.changed_by.in_(somebody)
            )
            linked = [
                select(column).where(column.in_(theirs), or_(links.c.kind == "same", links.c.kind == "different"))
                for column in (links.c.a, links.c.b)
            ]
            for query in (touched, *linked):
                whose = select(members.c.person).where(members.c.tracklet.in_(query))
                found.update(connection.execute(whose).scalars())
    return found


def decided(recent: Recent, config: IdentityConfig) -> list[Part]:
    """Everybody decided again: the parts in which anything changes."""
    evidence = recent.evidence
    if not len(evidence):
        return []
    cameras = recent.decider.cameras_of(evidence.cameras)
    found = resolve_again(evidence, config, _with_reviewed(recent), cameras, recent.read)
    regrouping = _regrouped(recent, found)
    return parts_of(regrouping, recent.held, _EVEN)


def _with_reviewed(recent: Recent) -> HumanLinks:
    """What people said, and that whom somebody reviewed is as they are."""
    first: dict[str, int] = {}
    same = recent.links.same.tolist()
    for row, tracklet in enumerate(recent.evidence.ids):
        person = recent.holders[tracklet]
        if person in recent.reviewed:
            same.append([first.setdefault(person, row), row])
    persons = list(first.values())
    different = recent.links.different.tolist() + [[a, b] for n, a in enumerate(persons) for b in persons[:n]]
    return HumanLinks(_pairs(same), _pairs(different))


def _pairs(rows: list[list[int]]) -> IntArray:
    return np.array(rows, np.int64).reshape(-1, 2)


def _regrouped(recent: Recent, found: Resolution) -> Regrouping:
    ids, holders = recent.evidence.ids, recent.holders
    sure = dict(zip(ids, found.probability.tolist(), strict=True))
    held: dict[int, list[str]] = {}
    for tracklet, group in zip(ids, found.group.tolist(), strict=True):
        held.setdefault(group, []).append(tracklet)
    doubts = {}
    for tracklet, verdict in zip(ids, found.verdicts(), strict=True):
        if verdict.candidate is not None:
            surest = max(held[verdict.candidate], key=lambda one: (sure[one], one))
            doubts[tracklet] = (surest, verdict.probability)
    groups = list(held.values())
    back = _Back(groups, holders)
    for group in list(groups):
        theirs = {holders[t] for t in group} & recent.reviewed
        if theirs:
            (person,) = theirs
            own = [t for t in group if holders[t] == person]
            for tracklet in [t for t in group if holders[t] != person]:
                doubts[tracklet] = (max(own, key=lambda one: (sure[one], one)), sure[tracklet])
                back.send(group, tracklet)
    owners = owners_of_groups(groups, holders)
    for group, owner in list(zip(groups, owners, strict=True)):
        if owner is not None and owner in recent.times:
            new = [t for t in group if holders[t] != owner]
            for tracklet in np.array(new)[_clashing(recent, new, recent.times[owner])].tolist() if new else ():
                back.send(group, tracklet)
    owners = owners_of_groups(groups, holders)
    # Who is sent back is as sure as before; how sure was found is of where they cannot be.
    chance = {t: h.probability for t, h in recent.held.items()} | {t: sure[t] for t in ids if t not in back.sent}
    there: dict[int, list[Times]] = {
        owners.index(person): [recent.times[person]] for person in recent.beyond if person in owners
    }
    for person, others in recent.beyond.items():
        place = owners.index(person) if person in owners else _place(recent, groups, there, person)
        if place is None:
            place = len(groups)
            groups.append([])
            owners.append(person)
        groups[place] += others
    kept = [(tuple(group), owner) for group, owner in zip(groups, owners, strict=True) if group]
    alone = {group[0] for group, _ in kept if len(group) == 1}
    return Regrouping(
        tuple(group for group, _ in kept),
        tuple(owner for _, owner in kept),
        chance,
        {tracklet: doubt for tracklet, doubt in doubts.items() if tracklet in alone},
    )


class _Back:
    """Sends tracklets that cannot go where they were put to where they were. sent: those."""

    def __init__(self, groups: list[list[str]], holders: Mapping[str, str]) -> None:
        self._groups, self._holders = groups, holders
        self.sent: set[str] = set()

    def send(self, group: list[str], tracklet: str) -> None:
        person = self._holders[tracklet]
        self.sent.add(tracklet)
        group.remove(tracklet)
        counts = [(sum(self._holders[t] == person for t in other), -n) for n, other in enumerate(self._groups)]
        most, place = max(counts)
        if most and self._groups[-place] is not group:
            self._groups[-place].append(tracklet)
        else:
            self._groups.append([tracklet])


def _place(recent: Recent, groups: Sequence[list[str]], there: dict[int, list[Times]], person: str) -> int | None:
    """The group that the tracklets of a person that were not looked at go to; None: they stay alone.

    there: the times of such tracklets by the number of their group.
    """
    counts = [(sum(recent.holders.get(t) == person for t in group), -n) for n, group in enumerate(groups)]
    most, last = max(counts)
    place, own = -last, recent.times[person]
    if (
        not most
        or _clashing(recent, groups[place], own).any()
        or any(recent.decider.excluded(own, times).any() for times in there.get(place, ()))
    ):
        return None
    there.setdefault(place, []).append(own)
    return place


def _clashing(recent: Recent, tracklets: Sequence[str], times: Times) -> npt.NDArray[np.bool_]:
    """bool (k,): which of these tracklets, as far as they are looked at, nobody can be who was seen at these times."""
    evidence = recent.evidence
    rows = [recent.row[t] for t in tracklets if t in recent.row]
    camera = [recent.decider.camera(evidence.cameras[c]) for c in evidence.camera[rows].tolist()]
    own = camera, evidence.start[rows].tolist(), evidence.end[rows].tolist()
    return np.asarray(recent.decider.excluded(own, times).any(axis=1), bool)
