"""Re-deciding a whole gallery: what would change, shown before it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.calibration import Calibration
from reidstream.identities.constraints import HumanLinks, read_topology
from reidstream.identities.evidence import evidence_of
from reidstream.identities.operations import RESOLVED, Undertaking
from reidstream.identities.outbox import append_events, stored, undecided_between
from reidstream.identities.people import (
    assign,
    create_person,
    has_people,
    history,
    human_links,
    leave_undecided,
    list_people,
    people_of,
    person_of_tracklets,
    prepare,
)
from reidstream.identities.resolving import resolve
from reidstream.identities.schema import outbox
from reidstream.identities.verdicts import Outcome, Verdict

# What a run does not decide anew at its end: it would take more than a minute.
_SETTLED = 20_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new assignment beside the present one.

    groups: tuples of tracklet ids, one per person. owners: the person that each group stays, None for a new one.
    probability: per tracklet. moved: tracklets that change their person. joined: (person kept, people that vanish into
    it). divided: (person, number of people it becomes). odds: the log-odds that a join needed. undecided: how
    many tracklets stay alone although they are likelier one of the others than nobody. estimated: how many people
    there are, those counted as far as they are likely somebody else. separate_cameras: whether nobody is in two
    cameras at once.
    """

    groups: tuple[tuple[str, ...], ...]
    owners: tuple[str | None, ...]
    probability: dict[str, float]
    verdicts: dict[str, Verdict[int]]
    moved: tuple[str, ...]
    joined: tuple[tuple[str, tuple[str, ...]], ...]
    divided: tuple[tuple[str, int], ...]
    calibration: Calibration
    odds: float
    estimated: float
    separate_cameras: bool
    people_before: int

    @property
    def people(self) -> int:
        """How many people there are, without what is undecided."""
        return len(self.groups) - self.undecided

    @property
    def undecided(self) -> int:
        """How many tracklets stay alone although they are likelier one of the others than nobody."""
        return sum(verdict.outcome is Outcome.UNDECIDED for verdict in self.verdicts.values())

    def doubts(self) -> dict[str, tuple[str, float]]:
        """Of each tracklet that is undecided the surest tracklet of the person that it may be, and how likely it is."""
        found = {}
        for tracklet, verdict in self.verdicts.items():
            if verdict.candidate is not None:
                surest = max(self.groups[verdict.candidate], key=lambda one: (self.probability[one], one))
                found[tracklet] = (surest, verdict.probability)
        return found


def propose(gallery: Gallery, config: IdentityConfig) -> Proposal:
    """Decide all tracklets of a gallery anew; nothing is written. Human decisions hold."""
    evidence = evidence_of(gallery)
    rows = {tracklet: row for row, tracklet in enumerate(evidence.ids)}
    known = has_people(gallery)
    links = HumanLinks()
    present: dict[str, tuple[str, float]] = {}
    if known:
        with gallery.read() as connection:
            links = human_links(connection, rows)
            present = person_of_tracklets(connection, evidence.ids)
    cameras = read_topology(Path(config.topology), evidence.cameras) if config.topology else None
    found = resolve(evidence, config, links, cameras)
    held: dict[int, list[str]] = {}
    for tracklet, group in zip(evidence.ids, found.group.tolist(), strict=True):
        held.setdefault(group, []).append(tracklet)
    groups = list(held.values())
    before = {tracklet: person for tracklet, (person, _) in present.items()}
    owners = _owners(groups, before)
    moved = [
        tracklet
        for group, owner in zip(groups, owners, strict=True)
        for tracklet in group
        if tracklet in before and before[tracklet] != owner
    ]
    joined = []
    for group, owner in zip(groups, owners, strict=True):
        others = sorted({before[t] for t in group if t in before} - {owner})
        gone = tuple(person for person in others if person not in owners)
        if owner is not None and gone:
            joined.append((owner, gone))
    pieces = Counter(person for group in groups for person in {before[t] for t in group if t in before})
    return Proposal(
        groups=tuple(map(tuple, groups)),
        owners=tuple(owners),
        probability=dict(zip(evidence.ids, found.probability.tolist(), strict=True)),
        # Groups are numbered by first appearance, as they are held here.
        verdicts=dict(zip(evidence.ids, found.verdicts(), strict=True)),
        moved=tuple(moved),
        joined=tuple(joined),
        divided=tuple((person, count) for person, count in sorted(pieces.items()) if count > 1),
        calibration=found.calibration,
        odds=found.odds,
        estimated=found.estimated,
        separate_cameras=not found.cameras.together.any() and len(evidence.cameras) > 1,
        people_before=sum(not person.undecided for person in list_people(gallery)),
    )


def apply(gallery: Gallery, proposal: Proposal, author: str = "reidstream") -> int | None:
    """Make a proposal true, in one transaction. Names and notes stay with the person that most of a group was.

    It is one entry of the log, which can be undone as a whole; its number, None if nobody changes. Events say of every
    tracklet that changes its person where it went, so that who follows them knows all people.
    """
    prepare(gallery)
    moved = set(proposal.moved)
    doubts = proposal.doubts()
    seen = {record["id"]: record for record in gallery.rows().records()}
    events: list[tuple[str, dict[str, Any]]] = []
    with gallery.write() as connection:
        known = {
            tracklet: (person.id, person.undecided) for person in people_of(connection) for tracklet in person.tracklets
        }
        owners = [
            owner or create_person(connection, group[0])
            for group, owner in zip(proposal.groups, proposal.owners, strict=True)
        ]
        persons = {t: person for person, group in zip(owners, proposal.groups, strict=True) for t in group}
        changing = [t for t, person in persons.items() if known.get(t) != (person, t in doubts)]
        operation = Undertaking(RESOLVED, author)
        if changing:
            operation.open(connection)
            elsewhere = [t for t in changing if known.get(t, ("", False))[0] != persons[t]]
            involved = {persons[t] for t in elsewhere} | {known[t][0] for t in elsewhere if t in known}
            operation.touch(connection, changing, sorted(involved))
        assign(connection, [(t, person, proposal.probability[t]) for t, person in persons.items()])
        leave_undecided(connection, [(t, candidate, chance) for t, (candidate, chance) in doubts.items()])
        for group, owner, person in zip(proposal.groups, proposal.owners, owners, strict=True):
            first = seen[group[0]]
            events += [
                ("TrackletStored", {**stored(seen[tracklet]), "person": person})
                for tracklet in group
                if tracklet not in known
            ]
            others: Sequence[str] = group
            if owner is None:
                event = {"tracklet": group[0], "source": first["source"], "start": first["start_wall"]}
                doubt = doubts.get(group[0])
                may = undecided_between(persons[doubt[0]], doubt[1]) if doubt else {}
                events.append(("IdentityCreated", {**event, "person": person, **may}))
                others = group[1:]
            for tracklet in others:
                event = {"tracklet": tracklet, "person": person}
                if tracklet in moved:
                    events.append(("TrackletMoved", event))
                elif tracklet not in known:
                    place = {"source": seen[tracklet]["source"], "start": seen[tracklet]["start_wall"]}
                    sure = round(proposal.probability[tracklet], 4)
                    events.append(("IdentitySeenAgain", {**event, **place, "probability": sure}))
        for kept, gone in proposal.joined:
            events.append(("IdentityMerged", {"person": kept, "merged": list(gone)}))
        counts = {"people": proposal.people, "before": proposal.people_before, "moved": len(proposal.moved)}
        counts["undecided"] = proposal.undecided
        append_events(connection, events)
        if not changing:
            append_events(connection, [("IdentitiesResolved", counts)])
            return None
        operation.summarise(_summary(proposal))
        operation.event("IdentitiesResolved", **counts)
        operation.close(connection)
        return operation.id


def _summary(proposal: Proposal) -> str:
    before = f" instead of {proposal.people_before}" if proposal.people_before else ""
    return (
        f"decided everybody anew: {proposal.people} people{before}, {proposal.undecided} tracklets undecided, "
        f"{len(proposal.moved)} tracklets moved"
    )


def settle(gallery: Gallery, config: IdentityConfig) -> Proposal | None:
    """Decide everybody anew after a run, where nobody has looked at who is who yet: what was done, None for nothing.

    Nothing is done in a gallery that people have reviewed (they are shown what would change before it does), in one of
    more than 20,000 tracklets, and when nothing was stored since everybody was last decided anew. It is one
    transaction that depends on the stored tracklets only, so that a run that was killed and repeated ends as one that
    was not.
    """
    if len(gallery) > _SETTLED or not has_people(gallery) or _reviewed(gallery) or not _unsettled(gallery):
        return None
    proposal = propose(gallery, config)
    apply(gallery, proposal)
    return proposal


def _reviewed(gallery: Gallery) -> bool:
    """Whether anybody ever decided anything themselves, be it that deciding everybody anew was undone."""
    return any(operation.kind != RESOLVED for operation in history(gallery))


def _unsettled(gallery: Gallery) -> bool:
    """Whether tracklets were given people one after the other since everybody was last decided at once."""
    last = select(func.max(outbox.c.seq)).where(outbox.c.kind == "IdentitiesResolved").scalar_subquery()
    query = (
        select(outbox.c.seq).where(outbox.c.kind == "TrackletStored", outbox.c.seq > func.coalesce(last, 0)).limit(1)
    )
    with gallery.read() as connection:
        return connection.execute(query).first() is not None


def _owners(groups: list[list[str]], before: dict[str, str]) -> list[str | None]:
    """Which present person each group stays: the largest common part first, each person once."""
    claims = []
    for number, group in enumerate(groups):
        for person, count in Counter(before[t] for t in group if t in before).items():
            claims.append((-count, number, person))
    owners: list[str | None] = [None] * len(groups)
    taken: set[str] = set()
    for _, number, person in sorted(claims):
        if owners[number] is None and person not in taken:
            owners[number] = person
            taken.add(person)
    return owners
