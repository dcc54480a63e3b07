"""What people decide: merge, split, move, reject, duplicates, label; all of it logged, and all of it can be undone.

A decision is kept twice: as the assignment that it leads to now, and as links between tracklets that every later
resolving obeys. Links name tracklets, because people come and go as identities are resolved anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, select, update

from reidstream.errors import IdentityChanged, IdentityError
from reidstream.gallery import Gallery
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets
from reidstream.identities.operations import REVISITED, Undertaking, built_on, restore
from reidstream.identities.people import (
    assign,
    create_person,
    find_person,
    members_of,
    person_of_tracklets,
    prepare,
    refuse_number,
    rename,
)
from reidstream.identities.schema import ERASED, ERASURE, former_members, links, members, operations, people
from reidstream.wording import counted

# So many tracklets of each side are said to be of different people: enough to outlive the erasure of some.
_SAID_APART = 6


class Review:
    """Decisions of one author on a gallery that is open for writing.

    People are named by number, name or id, tracklets by id (or its beginning). Each method returns the number of its
    log entry. Raises IdentityError for what contradicts the facts or an earlier decision, TrackletNotFound.
    """

    def __init__(self, gallery: Gallery, author: str, seen: Mapping[str, str] | None = None) -> None:
        """seen: the person of each tracklet when the author looked; see ``IdentityChanged``."""
        prepare(gallery)
        self._gallery = gallery
        self._author = author
        self._seen = dict(seen or {})

    def merge(self, keep: str, *others: str) -> int:
        """All tracklets of the others are ``keep``."""

        def change(connection: Connection, operation: Undertaking) -> None:
            first = find_person(connection, keep)
            seconds = [find_person(connection, other) for other in others]
            if len({first, *seconds}) <= len(seconds) or not seconds:
                raise IdentityError(f"of {', '.join(map(repr, (keep, *others)))} two are the same person already")
            kept = members_of(connection, first)
            groups = [members_of(connection, second) for second in seconds]
            operation.touch(connection, [*kept, *(t for group in groups for t in group)], [first, *seconds])
            for number, group in enumerate(groups):
                _refuse_apart(connection, [*kept, *(t for former in groups[:number] for t in former)], group)
            operation.link(connection, "same", [(kept[0], group[0]) for group in groups])
            # Members of one person are one person for the reviewer: that holds when identities are resolved anew.
            operation.link(connection, "same", [(group[0], m) for group in (kept, *groups) for m in group[1:]])
            moved = [tracklet for group in groups for tracklet in group]
            assign(connection, [(tracklet, first, 1.0) for tracklet in moved])
            gone = ", ".join(_title_of(connection, other) for other in others)
            operation.summarise(f"merged {gone} into {_title_of(connection, keep)} ({counted(len(moved), 'tracklet')})")
            for second, group in zip(seconds, groups, strict=True):
                operation.event("IdentityMerged", person=first, merged=second, tracklets=len(group))

        return self._do("merge", change)

    def apart(self, one: str, other: str, *, seen: Sequence[str] = ()) -> int:
        """Two people are two and stay so, however alike they look.

        seen: the tracklets that this was judged by, all that there are if not given.
        """

        def change(connection: Connection, operation: Undertaking) -> None:
            first, second = find_person(connection, one), find_person(connection, other)
            if first == second:
                raise IdentityError(f"{one!r} and {other!r} are the same person; split the tracklets that are not")
            looked = set(self._tracklets(seen))
            sides = []
            for person in (first, second):
                held = members_of(connection, person)
                sides.append([t for t in held if t in looked][:_SAID_APART] or held[:_SAID_APART])
            operation.touch(connection, [*sides[0], *sides[1]], [first, second])
            operation.link(connection, "different", [(a, b) for a in sides[0] for b in sides[1]])
            for side, away in ((sides[0], second), (sides[1], first)):
                _decide_against(connection, side, away)
            operation.summarise(f"{_title_of(connection, one)} and {_title_of(connection, other)} are two people")
            operation.event("IdentitiesApart", person=first, other=second)

        return self._do("apart", change)

    def confirm(self, person: str, tracklets: Sequence[str]) -> int:
        """These tracklets are this person, as it was decided: from now on that is sure."""

        def change(connection: Connection, operation: Undertaking) -> None:
            owner = find_person(connection, person)
            held = members_of(connection, owner)
            chosen = list(dict.fromkeys(self._tracklets(tracklets)))
            strange = set(chosen) - set(held)
            if strange or not chosen:
                raise IdentityError(f"not tracklets of {person}: {', '.join(sorted(strange)) or 'none given'}")
            operation.touch(connection, chosen, [owner])
            operation.link(connection, "same", [(chosen[0], other) for other in chosen[1:]])
            assign(connection, [(tracklet, owner, 1.0) for tracklet in chosen])
            operation.summarise(f"confirmed {counted(len(chosen), 'tracklet')} of {_title_of(connection, person)}")
            operation.event("IdentityConfirmed", person=owner, tracklets=len(chosen))

        return self._do("confirm", change)

    def split(self, person: str, tracklets: Sequence[str]) -> int:
        """These tracklets of a person are somebody else: one new person."""

        def change(connection: Connection, operation: Undertaking) -> None:
            owner = find_person(connection, person)
            held = members_of(connection, owner)
            moved = self._tracklets(tracklets)
            strange = set(moved) - set(held)
            if strange:
                raise IdentityError(f"not tracklets of {person}: {', '.join(sorted(strange))}")
            rest = [tracklet for tracklet in held if tracklet not in set(moved)]
            if not rest or not moved:
                raise IdentityError(f"a split needs tracklets on both sides; {person} has {len(held)}")
            operation.touch(connection, held, [owner])
            operation.unlink(connection, moved, rest)
            operation.link(connection, "different", [(rest[0], moved[0])])
            operation.link(connection, "same", [(group[0], m) for group in (rest, moved) for m in group[1:]])
            new = create_person(connection, moved[0])
            assign(connection, [(tracklet, new, 1.0) for tracklet in moved])
            operation.tell_moves(connection, dict.fromkeys(moved, (owner, 1.0)))
            operation.summarise(f"split {counted(len(moved), 'tracklet')} from {_title_of(connection, person)}")
            operation.event("IdentitySplit", person=owner, new=new, tracklets=len(moved))

        return self._do("split", change)

    def move(self, tracklet: str, person: str) -> int:
        """A tracklet belongs to this person and not to whom it was given."""

        def change(connection: Connection, operation: Undertaking) -> None:
            (moved,) = self._tracklets([tracklet])
            target = find_person(connection, person)
            anchors = members_of(connection, target)
            if moved in anchors:
                raise IdentityError(f"{tracklet} belongs to {person} already")
            former = person_of_tracklets(connection, [moved]).get(moved)
            rest = [t for t in members_of(connection, former[0]) if t != moved] if former else []
            operation.touch(connection, [moved, *anchors, *rest], [target])
            operation.unlink(connection, [moved], rest)
            operation.unlink(connection, [moved], anchors, "different")
            operation.link(connection, "same", [(anchor, moved) for anchor in anchors])
            operation.link(connection, "different", [(rest[0], moved)] if rest else [])
            assign(connection, [(moved, target, 1.0)])
            operation.summarise(f"moved a tracklet to {_title_of(connection, person)}")
            operation.event("TrackletMoved", tracklet=moved, person=target)

        return self._do("move", change)

    def reject(self, tracklet: str, person: str) -> int:
        """A tracklet is not this person, whoever it is."""

        def change(connection: Connection, operation: Undertaking) -> None:
            (rejected,) = self._tracklets([tracklet])
            owner = find_person(connection, person)
            held = members_of(connection, owner)
            rest = [t for t in held if t != rejected]
            if not rest:
                raise IdentityError(f"{tracklet} is all that is known of {person}")
            operation.touch(connection, [rejected, *rest], [owner])
            operation.unlink(connection, [rejected], rest)
            operation.link(connection, "different", [(t, rejected) for t in rest])
            if rejected in held:
                assign(connection, [(rejected, create_person(connection, rejected), 1.0)])
                operation.tell_moves(connection, {rejected: (owner, 1.0)})
            _decide_against(connection, [rejected], owner)
            operation.summarise(f"a tracklet is not {_title_of(connection, person)}")
            operation.event("TrackletRejected", tracklet=rejected, person=owner)

        return self._do("reject", change)

    def duplicates(self, tracklets: Sequence[str]) -> int:
        """These tracklets of one camera, seen at the same time, show one person: two boxes on them, say, or a mirror.

        They all go to the person of the first, with what reviewers have tied to them before.
        """

        def change(connection: Connection, operation: Undertaking) -> None:
            chosen = list(dict.fromkeys(self._tracklets(tracklets)))
            self._demand_overlap(chosen)
            held = person_of_tracklets(connection, chosen)
            if chosen[0] not in held:
                raise IdentityError(f"tracklet {tracklets[0]} has no person yet; run `reidstream people resolve` first")
            owner = held[chosen[0]][0]
            anchors = [t for t in members_of(connection, owner) if t not in chosen[1:]]
            moved = [t for t in _tied(connection, chosen[1:]) if t not in anchors]
            left = {person for person, _ in person_of_tracklets(connection, moved).values()} - {owner}
            rest = [t for person in left for t in members_of(connection, person) if t not in moved]
            operation.touch(connection, [*anchors, *moved, *rest], [owner])
            _refuse_apart(connection, anchors, moved)
            operation.link(connection, "same", [(chosen[0], other) for other in chosen[1:]])
            before = person_of_tracklets(connection, moved)
            assign(connection, [(tracklet, owner, 1.0) for tracklet in moved])
            operation.tell_moves(connection, before)
            operation.summarise(f"{len(chosen)} tracklets of the same time are one person")
            operation.event("DuplicatesLabelled", person=owner, tracklets=len(chosen))

        return self._do("duplicates", change)

    def label(
        self, person: str, name: str | None = None, notes: str | None = None, *, seen_name: str | None = None
    ) -> int:
        """Give a person a name or notes; an empty text takes them away. Names are unique.

        seen_name: what they were called when the author looked; another name now is refused (IdentityChanged).
        """

        def change(connection: Connection, operation: Undertaking) -> None:
            owner = find_person(connection, person)
            now = connection.execute(select(people.c.name).where(people.c.id == owner)).scalar()
            if seen_name is not None and now != seen_name:
                raise IdentityChanged(f"{person} is called {now!r} by now and not {seen_name!r}; look again", {})
            if name:
                refuse_number(name)
                called = select(people.c.id).where(people.c.name == name, people.c.id != owner)
                others = list(connection.execute(called).scalars())
                taken = connection.execute(
                    select(members.c.person).where(members.c.person.in_(others)).limit(1)
                ).first()
                if taken:
                    raise IdentityError(
                        f"another person is called {name!r} already; merge them, or choose another name"
                    )
            operation.touch(connection, [], [owner])
            rename(connection, owner, name, notes)
            operation.summarise(
                f"labelled {_title_of(connection, person)}" + (f" {name!r}" if name is not None else "")
            )
            operation.event("IdentityLabelled", person=owner, name=name, notes=notes)

        return self._do("label", change)

    def undo(self, number: int | None = None) -> int:
        """Take back an operation; one that later operations build on is refused.

        By default the last one that somebody asked for: what is decided again while cameras run goes by its number.
        """

        def change(connection: Connection, operation: Undertaking) -> None:
            done = select(operations).where(
                operations.c.id < operation.id,
                operations.c.undone_by.is_(None),
                operations.c.undoes.is_(None),
                operations.c.kind.not_in((ERASURE, ERASED)),
            )
            if number is not None:
                done = done.where(operations.c.id == number)
            else:
                done = done.where(operations.c.kind != REVISITED)
            row = connection.execute(done.order_by(operations.c.id.desc())).first()
            if row is None:
                raise IdentityError(
                    "nothing to undo" if number is None else f"no operation {number} that can be undone"
                )
            later = built_on(connection, row.id, operation.id)
            if later is not None:
                raise IdentityError(f"operation {later.id} ({later.summary}) builds on it; undo that first")
            changed = select(former_members.c.tracklet).where(former_members.c.changed_by == row.id)
            before = person_of_tracklets(connection, list(connection.execute(changed).scalars()))
            restore(connection, row.id)
            operation.tell_moves(connection, before)
            operation.undoes = row.id
            operation.summarise(f"undid {row.id}: {row.summary}")
            operation.event("OperationUndone", operation=row.id, summary=row.summary)

        return self._do("undo", change)

    def _demand_overlap(self, chosen: Sequence[str]) -> None:
        """Raise IdentityError unless all are of one camera and every one is seen together with another."""
        rows = {record["id"]: record for record in self._gallery.rows(ids=chosen).records()}
        cameras = {rows[t]["source"] for t in chosen}
        if len(chosen) < 2 or len(cameras) > 1:
            raise IdentityError(
                f"duplicates are two or more tracklets of one camera, got {len(chosen)} of {len(cameras)}; "
                "merge people or move tracklets instead"
            )
        for one in chosen:
            begin, end = rows[one]["start_wall"], rows[one]["end_wall"]
            if not any(rows[t]["start_wall"] < end and begin < rows[t]["end_wall"] for t in chosen if t != one):
                raise IdentityError(
                    f"tracklet {one[:12]} is not seen at the same time as another of these; "
                    "merge people or move tracklets instead"
                )

    def _tracklets(self, words: Sequence[str]) -> list[str]:
        whole: set[str] = set()
        with self._gallery.read() as connection:
            for some in in_chunks(list(words)):
                whole.update(connection.execute(select(tracklets.c.id).where(tracklets.c.id.in_(some))).scalars())
        return [word if word in whole else self._gallery.find(word) for word in words]

    def _refuse_changed(self, connection: Connection) -> None:
        """Raise IdentityChanged when what the author saw is no longer so. New tracklets of a person are no matter."""
        now = {tracklet: person for tracklet, (person, _) in person_of_tracklets(connection, self._seen).items()}
        changed = {tracklet: now.get(tracklet) for tracklet, seen in self._seen.items() if now.get(tracklet) != seen}
        if changed:
            raise IdentityChanged(
                f"{len(changed)} of the {len(self._seen)} tracklets that this decision was made from belong to "
                "somebody else by now, or were erased; look again",
                changed,
            )

    def _do(self, kind: str, change: Callable[[Connection, Undertaking], None]) -> int:
        with self._gallery.write() as connection:
            self._refuse_changed(connection)
            operation = Undertaking(kind, self._author)
            # The log entry comes first, so that links can name it; what it says is filled in at the end.
            number = operation.open(connection)
            change(connection, operation)
            operation.close(connection)
            return number


def _decide_against(connection: Connection, tracklets: Sequence[str], person: str) -> None:
    """What was undecided between this person and nobody is not this person."""
    theirs = select(members.c.tracklet).where(members.c.person == person)
    doubtful = (members.c.tracklet.in_(tracklets), members.c.candidate.in_(theirs))
    connection.execute(update(members).where(*doubtful).values(candidate=None, chance=None))


def _title_of(connection: Connection, word: str) -> str:
    """What a person is called in the log: as the author did, but nobody reads ids."""
    number = connection.execute(select(people.c.number).where(people.c.id == word)).scalar()
    return word if number is None else f"person {number}"


def _tied(connection: Connection, tracklets: Sequence[str]) -> list[str]:
    """These tracklets, and all that earlier decisions say are the same people."""
    neighbours: dict[str, list[str]] = {}
    for row in connection.execute(select(links).where(links.c.kind == "same")):
        neighbours.setdefault(row.a, []).append(row.b)
        neighbours.setdefault(row.b, []).append(row.a)
    found = dict.fromkeys(tracklets)
    waiting = list(tracklets)
    while waiting:
        fresh = [t for t in neighbours.get(waiting.pop(), ()) if t not in found]
        found.update(dict.fromkeys(fresh))
        waiting += fresh
    return list(found)


def _refuse_apart(connection: Connection, some: Sequence[str], others: Sequence[str]) -> None:
    one, two = set(some), set(others)
    for row in connection.execute(select(links).where(links.c.kind == "different")):
        if (row.a in one and row.b in two) or (row.b in one and row.a in two):
            raise IdentityError(
                f"operation {row.operation} said that they are different people; undo it first or move single tracklets"
            )
