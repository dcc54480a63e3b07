"""Making a proposal true, part by part: what hangs together changes in one transaction, the rest may wait.

Groups of tracklets and people hang together when a tracklet goes from the one to the other. A part is applied only
as long as it is as it was when it was proposed: whom somebody decided about meanwhile stays as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection, and_, or_, select

from reidstream.gallery import Gallery
from reidstream.gallery.rows import EVERYTHING, in_chunks, rows_of
from reidstream.identities.operations import RESOLVED, REVISITED, Undertaking
from reidstream.identities.outbox import append_events, stored, undecided_between
from reidstream.identities.people import NewPeople, assign, doubts, leave_undecided, prepare
from reidstream.identities.proposal import Proposal
from reidstream.identities.schema import former_members, former_people, links, members, operations
from reidstream.wording import counted

# Less of a difference in how sure a membership is is none.
_EVEN = 1e-4


@dataclass(frozen=True, slots=True)
class Held:
    """Whose a tracklet is. candidate, chance: of an undecided one, a tracklet of the person that it may be, and how
    likely that is."""

    person: str
    probability: float
    candidate: str | None = None
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What hangs together of a proposal.

    groups, owners: as in ``Proposal``. before: how its tracklets are held now, those that have a person. after: how
    sure each is, and of undecided ones a tracklet of the person that it may be and how likely that is. even: less of a
    difference in how sure somebody is counts as none.
    """

    groups: tuple[tuple[str, ...], ...]
    owners: tuple[str | None, ...]
    before: Mapping[str, Held]
    after: Mapping[str, tuple[float, str | None, float | None]]
    even: float = _EVEN

    @property
    def tracklets(self) -> list[str]:
        return [tracklet for group in self.groups for tracklet in group]

    @property
    def people(self) -> set[str]:
        """Everybody who has, or gets, one of its tracklets."""
        return {held.person for held in self.before.values()} | {owner for owner in self.owners if owner is not None}

    @property
    def moved(self) -> int:
        """How many tracklets change their person."""
        whose = zip(self.groups, self.owners, strict=True)
        return sum(t in self.before and self.before[t].person != owner for group, owner in whose for t in group)


@dataclass(slots=True)
class Applied:
    """What was made true. people: whom it touched. parts, left_out: how many were applied, and how many were not."""

    operation: int | None = None
    people: set[str] = field(default_factory=set)
    moved: int = 0
    parts: int = 0
    left_out: int = 0


def held_by(connection: Connection, tracklets: Sequence[str] | None = None) -> dict[str, Held]:
    """How tracklets are held that have a person; all of them, or some."""
    query = select(members.c.tracklet, members.c.person, members.c.probability, *doubts(connection))
    rows: list[Any] = []
    if tracklets is None:
        rows += connection.execute(query)
    else:
        for some in in_chunks(tracklets):
            rows += connection.execute(query.where(members.c.tracklet.in_(some)))
    return {row[0]: Held(*row[1:]) for row in rows}


class Regrouped(Protocol):
    """What is to become of tracklets; see ``Proposal``."""

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]: ...

    @property
    def owners(self) -> tuple[str | None, ...]: ...

    @property
    def probability(self) -> Mapping[str, float]: ...

    def doubts(self) -> Mapping[str, tuple[str, float]]: ...


def parts_of(proposal: Regrouped, held: Mapping[str, Held], even: float = _EVEN) -> list[Part]:
    """The parts of a proposal in which anything changes, in the order of the groups.

    held: of all tracklets. even: see ``Part``.
    """
    doubt = proposal.doubts()
    root = list(range(len(proposal.groups)))

    def top(n: int) -> int:
        while root[n] != n:
            root[n] = root[root[n]]
            n = root[n]
        return n

    first: dict[str, int] = {}
    for n, (group, owner) in enumerate(zip(proposal.groups, proposal.owners, strict=True)):
        whose = {held[t].person for t in group if t in held} | ({owner} if owner is not None else set())
        for person in whose:
            one, other = sorted((top(first.setdefault(person, n)), top(n)))
            root[other] = one
    together: dict[int, list[int]] = {}
    for n in range(len(proposal.groups)):
        together.setdefault(top(n), []).append(n)
    found = []
    for numbers in together.values():
        groups, owners = [proposal.groups[n] for n in numbers], [proposal.owners[n] for n in numbers]
        after = {t: (proposal.probability[t], *doubt.get(t, (None, None))) for group in groups for t in group}
        part = Part(tuple(groups), tuple(owners), {t: held[t] for t in after if t in held}, after, even)
        if any(_changes(part, t, owner) for group, owner in zip(groups, owners, strict=True) for t in group):
            found.append(part)
    return found


def batches(parts: Sequence[Part], most: int) -> Iterator[list[Part]]:
    """Parts in order, some at a time: as many as have no more tracklets than ``most`` together, or one."""
    some: list[Part] = []
    count = 0
    for part in parts:
        if some and count + len(part.after) > most:
            yield some
            some, count = [], 0
        some.append(part)
        count += len(part.after)
    if some:
        yield some


def _changes(part: Part, tracklet: str, owner: str | None) -> bool:
    """Whether anything is another thing for a tracklet afterwards."""
    held = part.before.get(tracklet)
    if held is None or held.person != owner:
        return True
    sure, candidate, chance = part.after[tracklet]
    same = candidate is None and held.candidate is None
    same = same or (candidate == held.candidate and abs((chance or 0.0) - (held.chance or 0.0)) < part.even)
    return not same or abs(sure - held.probability) >= part.even


class Applying:
    """One entry of the log that is made over several transactions; each call of ``apply`` is one.

    before: the newest operation when the proposal was begun; what was decided after it is left as it is. None: nothing
    can have been decided since.
    """

    def __init__(self, gallery: Gallery, author: str, before: int | None, kind: str = RESOLVED) -> None:
        self._gallery, self._before, self._kind = gallery, before, kind
        self._operation = Undertaking(kind, author)
        self.applied = Applied()

    def apply(self, parts: Sequence[Part]) -> set[str]:
        """Apply those of some parts that are still as they were, in one transaction; whom that touched."""
        with self._gallery.write() as connection:
            return self.apply_in(connection, parts)

    def apply_in(self, connection: Connection, parts: Sequence[Part]) -> set[str]:
        """The same in the caller's transaction."""
        kept = self._unchanged(connection, parts)
        self.applied.parts += len(kept)
        self.applied.left_out += len(parts) - len(kept)
        if not kept:
            return set()
        touched = self._write(connection, kept)
        self.applied.people |= touched
        self.applied.moved += sum(part.moved for part in kept)
        return touched

    def _write(self, connection: Connection, parts: Sequence[Part]) -> set[str]:
        seeds = [part.groups[n][0] for part in parts for n, owner in enumerate(part.owners) if owner is None]
        new, rows, unsure = NewPeople(connection, seeds), [], []
        events: list[tuple[str, dict[str, Any]]] = []
        ids = [t for part in parts for t in part.tracklets if t not in part.before]
        ids += seeds
        seen = {record["id"]: record for record in rows_of(connection, EVERYTHING, sorted(set(ids))).records()}
        changing: list[str] = []
        involved: set[str] = set()
        touched: set[str] = set()
        whose: dict[str, str] = {}
        for part in parts:
            persons = [owner or new.add(group[0]) for group, owner in zip(part.groups, part.owners, strict=True)]
            whose.update((t, p) for p, group in zip(persons, part.groups, strict=True) for t in group)
            touched |= part.people | set(persons)
        new.write()
        for part in parts:
            for group, owner in zip(part.groups, part.owners, strict=True):
                for tracklet in group:
                    if not _changes(part, tracklet, owner):
                        continue
                    sure, candidate, chance = part.after[tracklet]
                    held = part.before.get(tracklet)
                    rows.append((tracklet, whose[tracklet], sure))
                    if candidate is not None:
                        unsure.append((tracklet, candidate, chance or 0.0))
                    if held is None or held.person != owner:
                        involved |= {whose[tracklet], *([held.person] if held else [])}
                    if held is None or held.person != owner or (held.candidate is None) != (candidate is None):
                        changing.append(tracklet)
        elsewhere = [t for _, t, _ in unsure if t not in whose]
        whose |= {t: held.person for t, held in held_by(connection, elsewhere).items()}
        for part in parts:
            events += _events(part, whose, seen)
        if changing and not self._operation.id:
            if self._kind == REVISITED:
                self._operation.go_on(connection)
            self._operation.summarise("decided everybody anew")
            self.applied.operation = self._operation.id or self._operation.open(connection)
        if changing:
            self._operation.touch(connection, changing, sorted(involved))
        assign(connection, rows)
        leave_undecided(connection, unsure)
        if changing:
            self._operation.became(connection, changing)
        append_events(connection, events)
        return touched

    def close(self, counts: Mapping[str, int], summary: str) -> int | None:
        """Say what was done; the number of the entry, None if nothing changed."""
        with self._gallery.write() as connection:
            return self.close_in(connection, counts, summary)

    def close_in(self, connection: Connection, counts: Mapping[str, int], summary: str) -> int | None:
        """The same in the caller's transaction."""
        if self._kind == REVISITED:
            if self._operation.id:
                moved = counted(self._operation.count(connection), "tracklet")
                self._operation.summarise(f"looked again at recent decisions: {moved} moved")
                self._operation.close(connection, known=True)
            return self._operation.id or None
        if not self._operation.id:
            append_events(connection, [("IdentitiesResolved", dict(counts))])
            return None
        self._operation.summarise(summary)
        self._operation.event("IdentitiesResolved", **counts)
        self._operation.close(connection, known=True)
        return self._operation.id

    def _unchanged(self, connection: Connection, parts: Sequence[Part]) -> list[Part]:
        """Those that are as they were when they were proposed, and that nobody decided about since."""
        ids = [t for part in parts for t in part.tracklets]
        now = {t: held.person for t, held in held_by(connection, ids).items()}
        there: set[str] = set()
        for some in in_chunks(ids):
            there.update(rows_of(connection, EVERYTHING, some).id.tolist())
        spoken, named = self._decided_since(connection)
        vanishing = {p for part in parts for p in part.people - set(part.owners)}
        grown: Counter[str] = Counter()
        for some in in_chunks(sorted(vanishing)):
            grown.update(connection.execute(select(members.c.person).where(members.c.person.in_(some))).scalars())
        kept = []
        for part in parts:
            own = part.tracklets
            held = Counter(held.person for held in part.before.values())
            gone = part.people - set(part.owners)
            if (
                all(now.get(t) == (part.before[t].person if t in part.before else None) for t in own)
                and there.issuperset(own)
                and not spoken.intersection(own)
                and not named & part.people
                # Stored meanwhile: whoever got it must not vanish under it.
                and all(grown[person] == held[person] for person in gone)
            ):
                kept.append(part)
        return kept

    def _decided_since(self, connection: Connection) -> tuple[set[str], set[str]]:
        """Tracklets and people of which somebody spoke since the proposal was begun."""
        if self._before is None:
            return set(), set()
        undone = select(operations.c.undoes).where(operations.c.id > self._before, operations.c.undoes.is_not(None))

        def since(column: Any) -> Any:
            # Not by this operation itself, which may have changed tens of thousands.
            own = self._operation.id
            later = column > max(own, self._before or 0)
            between = and_(column > self._before, column < own)
            return or_(later, between, column.in_(undone))

        of_tracklets = select(former_members.c.tracklet).where(since(former_members.c.changed_by))
        of_people = select(former_people.c.person).where(since(former_people.c.changed_by))
        spoken = set(connection.execute(of_tracklets).scalars())
        for row in connection.execute(select(links.c.a, links.c.b).where(links.c.operation > self._before)):
            spoken.update(row)
        return spoken, set(connection.execute(of_people).scalars())


def _events(
    part: Part, whose: Mapping[str, str], seen: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What happens to a part, for those who follow the gallery. whose: the person of each tracklet afterwards."""
    for group, owner in zip(part.groups, part.owners, strict=True):
        person = whose[group[0]]
        for tracklet in group:
            if tracklet not in part.before:
                yield "TrackletStored", {**stored(seen[tracklet]), "person": person}
        others: Sequence[str] = group
        if owner is None:
            first = seen[group[0]]
            event = {"tracklet": group[0], "source": first["source"], "start": first["start_wall"]}
            _, candidate, chance = part.after[group[0]]
            known = candidate is not None and candidate in whose
            may = undecided_between(whose[str(candidate)], chance or 0.0) if known else {}
            yield "IdentityCreated", {**event, "person": person, **may}
            others = group[1:]
        for tracklet in others:
            held = part.before.get(tracklet)
            if held is None:
                record = seen[tracklet]
                place = {"source": record["source"], "start": record["start_wall"]}
                sure = round(part.after[tracklet][0], 4)
                yield "IdentitySeenAgain", {"tracklet": tracklet, "person": person, **place, "probability": sure}
            elif held.person != owner:
                yield "TrackletMoved", {"tracklet": tracklet, "person": person}
    for group, owner in zip(part.groups, part.owners, strict=True):
        merged = sorted({part.before[t].person for t in group if t in part.before} - set(part.owners))
        if owner is not None and merged:
            yield "IdentityMerged", {"person": owner, "merged": merged}


def apply(gallery: Gallery, proposal: Proposal, author: str = "reidstream") -> int | None:
    """Make a proposal true, in one transaction. Names and notes stay with the person that most of a group was.

    It is one entry of the log, which can be undone as a whole; its number, None if nobody changes. Events say of every
    tracklet that changes its person where it went, so that who follows them knows all people.
    """
    prepare(gallery)
    with gallery.write() as connection:
        applying = Applying(gallery, author, None)
        applying.apply_in(connection, parts_of(proposal, held_by(connection)))
        return applying.close_in(connection, proposal.counts, proposal.summary)
