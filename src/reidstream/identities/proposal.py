"""Re-deciding a whole gallery: what would change, shown before it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.calibration import Calibration
from reidstream.identities.constraints import HumanLinks, read_topology
from reidstream.identities.evidence import evidence_of
from reidstream.identities.people import (
    has_people,
    human_links,
    list_people,
    person_of_tracklets,
)
from reidstream.identities.resolving import resolve
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.wording import counted


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new assignment beside the present one.

    groups: tuples of tracklet ids, one per person. owners: the person that each group stays, None for a new one.
    probability: per tracklet. moved: tracklets that change their person. joined: (person kept, people that vanish into
    it). divided: (person, number of people it becomes). odds: the log-odds that a join needed. undecided: how
    many tracklets stay alone although they are likelier one of the others than nobody. estimated: how many people
    there are, with those who came back and could not be recognised counted once (see ``how_many``).
    separate_cameras: whether nobody is in two cameras at once.
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

    @property
    def counts(self) -> dict[str, int]:
        """What is told of it."""
        counts = {"people": self.people, "before": self.people_before, "moved": len(self.moved)}
        return {**counts, "undecided": self.undecided}

    @property
    def summary(self) -> str:
        """What the log says of it."""
        before = f" instead of {self.people_before}" if self.people_before else ""
        return (
            f"decided everybody anew: {counted(self.people, 'person')}{before}, "
            f"{counted(self.undecided, 'tracklet')} undecided, {counted(len(self.moved), 'tracklet')} moved"
        )

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
    evidence = evidence_of(gallery, None, config.clocks)
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
    owners = owners_of_groups(groups, before)
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


def owners_of_groups(groups: Sequence[Sequence[str]], before: Mapping[str, str]) -> list[str | None]:
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
