"""The one who changes a gallery that a server owns: every command goes through here.

Storing waits for nobody: it is one short transaction in the writer's own thread. Giving stored tracklets a person (see
``assigning``) and what people decide exclude each other, so that nothing is assigned to somebody who was merged away a
moment ago; whoever decides waits for at most one small batch.

Locks, in the order in which they are taken where one thread holds several:

1. ``Assigning._reading``: what is remembered of everybody is made once, or dropped.
2. ``_deciding``: who is who, in the database and in memory; which sources are begun, and who reads them.
3. ``_taking_in``: one import or one batch that is stored.
4. ``Assigning._waiting`` and ``_shelving``: the flags of the thread that gives people, and that there is one shelf of
   clips; within them nothing else is taken.

So everybody is read before ``_deciding`` is taken, never within it. A transaction of the gallery is begun within any of
the first three, and none of them is taken within a transaction.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from reidstream.alerts import Watch
from reidstream.clips import ClipShelf
from reidstream.config import Config
from reidstream.disclosure import Shown
from reidstream.documents import erasure_document
from reidstream.errors import AccessDenied, GalleryError
from reidstream.gallery import Gallery
from reidstream.gallery.erasing import Erasure
from reidstream.gallery.personal import Subject
from reidstream.gallery.recordings import Begin
from reidstream.identities.applying import Applied, Applying, Part, batches
from reidstream.identities.archive import import_gallery, open_archive
from reidstream.identities.catalogue import Catalogue, Entry
from reidstream.identities.changes import owners_of
from reidstream.identities.people import history, prepare
from reidstream.identities.schema import former_members, outbox
from reidstream.retention import next_run, retain
from reidstream.search.person import Conclusion, Identity, conclusion_of
from reidstream.search.query import Query
from reidstream.server.access.log import AccessLog
from reidstream.server.access.roles import Caller
from reidstream.server.access.schema import SERVER_MIGRATIONS
from reidstream.server.alike import Looks
from reidstream.server.assigning import Assigning
from reidstream.server.decisions import Decision, Undo, execute, people_of, tracklets_of
from reidstream.server.disclosing import Disclosing, DisclosureOrder
from reidstream.server.jobs import Job, Jobs
from reidstream.server.people_table import PeopleTables
from reidstream.server.resolver import Resolver
from reidstream.server.watching import Watching
from reidstream.types import LeftOut, SourceEnded, SourceStarted, Tracklet

# Tracklets that are given other people in one transaction while everybody is decided anew; parts that hang together
# are never divided.
_MOVED_AT_ONCE = 100


class Desk:
    """A gallery that is open for writing, and everything that changes it. ``close`` finishes what was begun."""

    def __init__(self, gallery: Gallery, config: Config | None = None) -> None:
        self.gallery = gallery
        self.config = config or Config()
        prepare(gallery)
        gallery.migrate("server", SERVER_MIGRATIONS)
        self.catalogue = Catalogue(gallery)
        self.tables = PeopleTables(self.catalogue)
        self.looks = Looks(gallery, self.catalogue)
        self.log = AccessLog(gallery)
        self.jobs = Jobs(gallery)
        self.resolver = Resolver()
        self.disclosing = Disclosing()
        self.closing = False
        """Streams of events end when this is set."""
        self.backlog: tuple[int, float] | None = None
        """How many tracklets of workers have no person yet, and for how many seconds the oldest; None: no workers."""
        self.begun = time.time()
        self.stored = 0
        self.slowest_store = 0.0
        self._shelf: ClipShelf | None = None
        self._shelving = threading.Lock()
        self._deciding = threading.Lock()
        # An import is one transaction. Whoever stores waits for it here as long as it takes: the database would turn
        # them away after a minute.
        self._taking_in = threading.Lock()
        self.looked_at: Callable[[], Collection[str]] = tuple
        """Sources that somebody looks at just now: who is in view there is wanted with names."""
        self.assigning = Assigning(
            gallery,
            self.config.identities,
            self.catalogue,
            self._deciding,
            # Made below; nobody is given anything before the end.
            given=lambda: self.watching.settle(),
        )
        watch = Watch(
            gallery,
            self.assigning.everybody,
            exclusive=self._deciding,
            clocks=self.config.identities.clocks,
            days=self.config.alerts.days,
        )
        self.watching = Watching(watch)
        # Content → who is reading it.
        self._readers: dict[str, object] = {}
        self.assigning.start()

    # -- storing

    def begin_source(
        self,
        started: SourceStarted,
        settings: str,
        *,
        replace: bool = False,
        formerly: str = "",
        reader: object = None,
    ) -> Begin:
        """See ``Gallery.begin_source``. What ``replace`` takes out, nobody is compared with any more.

        reader: who reads it; whatever somebody else is reading just now is not wanted a second time.
        """
        with self._deciding:
            if self._readers.get(started.content, reader) is not reader:
                return Begin.ELSEWHERE
            begin = self.gallery.begin_source(started, settings, replace=replace, formerly=formerly)
            if begin.wanted:
                self._readers[started.content] = reader
            self._follow()
        return begin

    def end_source(self, ended: SourceEnded, content: str) -> None:
        """See ``Gallery.end_source``. What the source did not show again is known to be gone when it returns."""
        with self._deciding:
            self.gallery.end_source(ended, content)
            self._readers.pop(content, None)
            self._follow()
        self.watching.settle()

    def break_off(self, reader: object) -> None:
        """Somebody reads no more, and has not said of everything that it had ended."""
        with self._deciding:
            contents = [content for content, who in self._readers.items() if who is reader]
            for content in contents:
                del self._readers[content]
            self.gallery.break_off(contents)
        self.watching.settle()

    def heard_of(self, changed: Sequence[str], gone: Sequence[str]) -> None:
        """Take over what other processes have changed and taken out, and give people to what they have stored."""
        self.gallery.stored_elsewhere()
        if changed or gone:
            with self._deciding:
                self.gallery.unannounced.changed(changed)
                self.gallery.unannounced.gone(gone)
                self._follow()
        self.wake()

    def leave_out(self, batch: Sequence[LeftOut]) -> None:
        """Note what was seen and not worth storing."""
        with self._taking_in:
            self.gallery.leave_out(batch)
        self.watching.settle()

    def store(self, batch: Sequence[Tracklet]) -> int:
        """Store tracklets; they are given people soon after. How many were new."""
        before = time.perf_counter()
        with self._taking_in:
            new = self.gallery.add(batch)
        self.slowest_store = max(self.slowest_store, time.perf_counter() - before)
        self.stored += new
        self.wake()
        return new

    def about_clip(self, name: str, arguments: Sequence[Any]) -> Any:
        """What a process that reads sources asks of the gallery's shelf of clips. Raises GalleryError, ConfigError."""
        with self._shelving:
            if self._shelf is None:
                self._shelf = ClipShelf(self.gallery)
        try:
            return getattr(self._shelf, name)(*arguments)
        except OSError as error:
            raise GalleryError(f"clips cannot be kept: {error.strerror or error}") from None

    def wake(self) -> None:
        """There may be tracklets without a person."""
        self.assigning.wake()

    def settle(self) -> None:
        """Wait until every stored tracklet has a person, or the desk is closed."""
        self.assigning.settle()

    # -- watching

    def watches(self, source: str) -> bool:
        """Whether open tracks of a source are of interest."""
        return self.watching.watch.wants(source) or source in self.looked_at()

    def names_in_view(self, caller: Caller, source: str) -> dict[int, dict[str, Any]]:
        """What a caller may know of who is in view: by track, a name that is sure enough, and whether there is an alert
        about it."""
        needed = 1.0 - self.config.identities.false_merges
        found: dict[int, dict[str, Any]] = {}
        for track, (person, sure, alert) in self.watching.watch.in_view(source).items():
            entry = self.catalogue.get(person) if person is not None and sure >= needed else None
            seen = entry.within(caller.cameras) if entry is not None and not entry.undecided else None
            said: dict[str, Any] = {"alert": True} if alert else {}
            if seen is not None:
                said |= {"name": seen.person.title, "person": seen.person.id, "sure": round(sure, 3)}
            if said:
                found[track] = said
        return found

    # -- deciding

    def decide(self, caller: Caller, decision: Decision) -> dict[str, Any]:
        """Make a decision true; its entry in the log. Raises what ``execute`` does, AccessDenied."""
        with self._deciding:
            self.catalogue.refresh()
            self._demand_sight(caller, decision)
            number = execute(self.gallery, caller.name, decision)
            self._follow()
        self.wake()
        return self.operation(number)

    def operation(self, number: int) -> dict[str, Any]:
        """An entry of the log of operations."""
        (done,) = history(self.gallery, number)
        return asdict(done)

    def touched(self, number: int) -> list[str]:
        """The tracklets that an operation touched."""
        query = select(former_members.c.tracklet).where(former_members.c.changed_by == number)
        with self.gallery.read() as connection:
            return list(connection.execute(query).scalars())

    def last_event(self) -> int:
        """The number of the newest event."""
        with self.gallery.read() as connection:
            return int(connection.execute(select(func.max(outbox.c.seq))).scalar() or 0)

    def same_person(self, one: Entry, others: Sequence[Entry]) -> list[float]:
        """How probable it is that a person and each of some others are one, by looks and times."""
        return self.same(one.person.id, [other.person.id for other in others])

    def same(self, person: str, others: Sequence[str]) -> list[float]:
        """How probable it is that a person and each of some others are one; see ``OnlineIdentities.same``."""
        identities = self.assigning.everybody()
        with self._deciding:
            return identities.same(person, others)

    def who_is(self, caller: Caller, asked: Query, found: Sequence[str]) -> Identity:
        """Who a query shows, of the people that a caller may see. found: tracklets whose people are wanted as well."""
        self.catalogue.refresh()
        people = {e.person.id: e.person for e in self._seen(caller)}
        owned = {t: owner for t in found if (owner := self.catalogue.owner(t)) is not None}
        owners = {t: people[owner] for t, owner in owned.items() if owner in people}
        if asked.tracklet is not None and (owner := self.catalogue.owner(asked.tracklet)) in people:
            person = people[owner]
            sure = dict(zip(person.tracklets, person.probability, strict=True))[asked.tracklet]
            return Identity(Conclusion.GIVEN, person, None, ((person, sure),), owners)
        if not len(self.catalogue):
            return Identity(Conclusion.UNDECIDED, None, None, (), owners)
        identities = self.assigning.everybody()
        with self._deciding:
            answered = identities.answer(asked.vector[None])
        candidates = tuple((people[i], p) for i, p in answered.candidates if i in people)
        verdict = conclusion_of([p for _, p in candidates], answered.nobody, self.config.identities.false_merges)
        if verdict is Conclusion.PERSON and candidates[0][0].undecided:
            verdict = Conclusion.UNCLEAR
        named = candidates[0][0] if verdict is Conclusion.PERSON else None
        return Identity(verdict, named, answered.nobody, candidates, owners)

    def _seen(self, caller: Caller) -> Iterator[Entry]:
        for entry in self.catalogue.entries():
            seen = entry.within(caller.cameras)
            if seen is not None:
                yield seen

    def entry(self, caller: Caller, person: str) -> Entry | None:
        """What a caller may know of a person; None: nothing, or there is no such person."""
        self.catalogue.refresh()
        entry = self.catalogue.get(person)
        return entry.within(caller.cameras) if entry is not None else None

    def resolve(self, caller: Caller) -> Job:
        """Decide everybody anew, in a process of its own. Whom somebody decided about meanwhile stays as they are."""

        def work(job: Job) -> dict[str, Any]:
            found = self.resolver.propose(self.gallery.place.address, self.config.identities)
            done = self._apply(found.parts, found.before, caller.name, found.counts, found.summary, job.advance)
            self.wake()
            left = {"left_out": done.left_out} if done.left_out else {}
            return {"before": found.counts["before"], "people": found.counts["people"], "moved": done.moved, **left}

        return self.jobs.start("resolve", caller.name, work)

    def _apply(
        self,
        parts: Sequence[Part],
        before: int,
        author: str,
        counts: Mapping[str, int],
        summary: str,
        advance: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Applied:
        """Apply parts of a proposal, some at a time, so that decisions and storing go on in between."""
        applying = Applying(self.gallery, author, before)
        total = sum(len(part.after) for part in parts)
        done = 0
        for some in batches(parts, _MOVED_AT_ONCE):
            if self.closing:
                break
            with self._deciding:
                self._follow(applying.apply(some))
            done += sum(len(part.after) for part in some)
            advance(done, total)
        with self._deciding:
            applying.close(counts, summary)
            # Whom it touched is known already.
            self._follow(told=())
        return applying.applied

    def _follow(self, told: Collection[str] | None = None, gone: Collection[str] = ()) -> None:
        """Everybody who keeps people in memory takes over what has happened; within ``_deciding``."""
        self.assigning.follow(told, gone)
        self.catalogue.refresh(told, gone)

    def erase(
        self,
        caller: Caller,
        ids: Sequence[str],
        contents: Sequence[str] = (),
        people: Sequence[str] = (),
        left_out: Sequence[str] = (),
    ) -> Job:
        """Erase tracklets for good, and people with all that is known of them; see ``Gallery.erase``."""

        def work(job: Job) -> dict[str, Any]:
            what = {"contents": contents, "people": people, "left_out": left_out, "author": caller.name}
            document = erasure_document(self._erase(job, ids, **what))
            for part in ("before", "after"):
                if document[part] is not None:
                    document[part] = {"files": document[part]["files"], "found": len(document[part]["found"])}
            return document

        return self.jobs.start("erase", caller.name, work)

    def disclose(self, caller: Caller, person: str, shown: Shown, sure: float, clips: bool) -> Job:
        """Write a person's own pictures, in which nobody else can be recognised, in a process of its own."""

        def work(job: Job) -> dict[str, Any]:
            folder = self.jobs.folder
            folder.mkdir(mode=0o700, exist_ok=True)
            target = folder / f"{job.id}.zip"
            where, detector = self.gallery.place.address, self.config.detector
            order = DisclosureOrder(where, person, target, shown, sure, clips, caller.cameras, detector)
            done = self.disclosing.made(order, job.advance).as_dict()
            return {**done, "bytes": target.stat().st_size, "format": "zip"}

        return self.jobs.start("disclosure", caller.name, work)

    def retain(self, who: str) -> Job:
        """Erase what is due by the rules of the configuration."""

        def work(job: Job) -> dict[str, Any]:
            def erasing(ids: Sequence[str], *, left_out: Sequence[str]) -> Erasure:
                return self._erase(job, ids, left_out=left_out, author=who)

            return retain(self.gallery, self.config.retention, who, erasing)

        return self.jobs.start("retention", who, work)

    def retention_due(self) -> bool:
        """Whether it is time to erase what is due; see ``retention.next_run``."""
        now = time.time()
        following = next_run(self.gallery, self.config.retention, self.begun, now)
        return following is not None and following <= now

    def _erase(self, job: Job, ids: Sequence[str], **what: Any) -> Erasure:
        # Whoever reads everybody must not find that somebody has vanished.
        self.assigning.everybody()

        def deleted(subject: Subject) -> None:
            self._follow(told=[*subject.people], gone=subject.tracklets)

        done = self.gallery.erase(ids, progress=job.advance, exclusive=self._deciding, deleted=deleted, **what)
        self.watching.watch.reload()
        self.wake()
        return done

    def rebuild(self, caller: Caller) -> Job:
        """Make the index's files anew from the rows. Storing and deciding go on meanwhile."""

        def work(job: Job) -> dict[str, Any]:
            self.gallery.rebuild(job.advance)
            return {"tracklets": len(self.gallery), "index": self.gallery.facts().index}

        return self.jobs.start("rebuild", caller.name, work)

    def take_in(self, caller: Caller, folder: Path) -> Job:
        """Add an exported gallery with its people and decisions; all of it or nothing."""

        def work(job: Job) -> dict[str, Any]:
            archive = open_archive(folder)
            there = [tracklet for tracklet, _ in archive.contents()]
            self.assigning.everybody()
            with self._deciding, self._taking_in:
                touched = self._owners(there)
                done = import_gallery(self.gallery, archive)
                self._follow(told=touched | self._owners(there))
            self.wake()
            return asdict(done)

        return self.jobs.start("import", caller.name, work)

    def _owners(self, tracklets: Sequence[str]) -> set[str]:
        with self.gallery.read() as connection:
            return owners_of(connection, tracklets)

    def _demand_sight(self, caller: Caller, decision: Decision) -> None:
        """Raise AccessDenied unless the caller may see all of everybody that a decision changes."""
        if caller.cameras is None:
            return
        persons = set(people_of(decision))
        touched = tracklets_of(decision)
        if isinstance(decision, Undo):
            number = decision.operation
            if number is None:
                raise AccessDenied("name the operation to take back; you do not see all of them")
            touched = self.touched(number)
            if not touched:
                raise AccessDenied("whoever sees some cameras only cannot take back this operation")
        persons |= {owner for t in touched if (owner := self.catalogue.owner(t)) is not None}
        for person in persons:
            entry = self.catalogue.get(person)
            if entry is not None and not caller.cameras.issuperset(entry.cameras):
                raise AccessDenied(
                    "this person was also seen by cameras that you may not see; somebody who sees them has to decide"
                )

    def close(self) -> None:
        """Everything stored has a person when it returns, and jobs have ended."""
        self.closing = True
        self.resolver.stop()
        self.disclosing.stop()
        self.jobs.close()
        self.assigning.close()
        self.watching.close()
