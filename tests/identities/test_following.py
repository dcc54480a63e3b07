"""Whoever gives tracklets their people takes over what others decide, as if everybody had been read anew."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from reidstream.config.identities import IdentityConfig
from reidstream.errors import GalleryError, IdentityError
from reidstream.gallery import Gallery
from reidstream.identities.applying import apply
from reidstream.identities.archive import export_gallery, import_gallery, open_archive
from reidstream.identities.catalogue import Catalogue
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people, person_of_tracklets
from reidstream.identities.proposal import propose
from reidstream.identities.review import Review
from reidstream.identities.schema import members
from reidstream.types import EndReason, SourceEnded, SourceStarted, Tracklet
from tests.exact import EXACT
from tests.identities.conftest import SPACE, Fill, Visit, made_tracklet
from tests.identities.test_review import IDS
from tests.identities.three_people import AT_TWO_CAMERAS

MORE: list[Visit] = [(1, "b", 40, 45), (4, "a", 41, 46), (4, "b", 50, 55), (2, "a", 60, 65), (5, "b", 61, 66)]
LESS_RISK = IdentityConfig(false_merges=1e-6)


def remembered(identities: OnlineIdentities) -> dict[str, Any]:
    """All that is known of everybody, whatever the order in which it came to be known."""
    memory = identities.decider.memory
    names = identities.decider.names
    found: dict[str, Any] = {}
    for row, person in enumerate(memory.people):
        held = zip(person.tracklets, person.vectors, person.prototypes, person.clarity, strict=True)
        found[person.id] = {
            "newest": {t: (vector.tobytes(), looks.tobytes(), clear) for t, vector, looks, clear in held},
            "order": person.tracklets,
            "times": list(zip((names[c] for c in person.cameras), person.starts, person.ends, strict=True)),
            "mean": np.round(memory.nearest.means[row], 5).tolist(),
            "apart": sorted(memory.apart_of(person.id)),
            "owned": sorted(memory.tracklets_of(person.id)),
        }
    return {"people": found, "owner": memory.owner}


def everybody(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    return {entry.person.id: entry.as_dict() for entry in catalogue.entries()}


class Reviewers:
    """Everything that changes who is who, done to one gallery."""

    def __init__(self, gallery: Gallery, exported: Path) -> None:
        self.gallery, self._exported = gallery, exported
        self.identities = OnlineIdentities(gallery, IdentityConfig())
        self.identities.catch_up()
        self.catalogue = Catalogue(gallery)
        self._more = iter(MORE)

    def do(self, action: str, a: int, b: int) -> None:
        """Some actions are refused: the person has gone, or there is nothing left to undo."""
        people = [person.id for person in list_people(self.gallery)]
        one, other = people[a % len(people)], people[b % len(people)]
        own = {person.id: person.tracklets for person in list_people(self.gallery)}
        review = Review(self.gallery, "ana")
        match action:
            case "merge":
                review.merge(one, other)
            case "label":
                review.label(one, name=f"name {a} {b}")
            case "split":
                review.split(one, own[one][:1])
            case "apart":
                review.apart(one, other)
            case "move":
                review.move(own[one][b % len(own[one])], other)
            case "reject":
                review.reject(own[one][b % len(own[one])], one)
            case "confirm":
                review.confirm(one, own[one])
            case "undo":
                review.undo()
            case "store":
                visit = next(self._more, None)
                self.gallery.add([made_tracklet(*visit)] if visit else [])
                self.identities.catch_up()
            case "resolve":
                apply(self.gallery, propose(self.gallery, LESS_RISK if a % 2 else IdentityConfig()))
                self.told([person.id for person in list_people(self.gallery)])
            case "erase":
                self.erase(own[one][b % len(own[one])], ())
            case "erase person":
                self.erase(None, [one])
            case "import":
                archive = open_archive(self._exported)
                there = [tracklet for tracklet, _ in archive.contents()]
                before = self.owners(there)
                import_gallery(self.gallery, archive)
                self.told([*before, *self.owners(there)])

    def owners(self, tracklets: list[str]) -> set[str]:
        with self.gallery.read() as connection:
            return {person for person, _ in person_of_tracklets(connection, tracklets).values()}

    def told(self, people: list[str]) -> None:
        self.identities.follow(told=people)
        self.catalogue.refresh(told=people)

    def erase(self, tracklet: str | None, people: list[str] | tuple[()]) -> None:
        own = {person.id: person.tracklets for person in list_people(self.gallery)}
        gone = [tracklet] if tracklet is not None else [t for person in people for t in own[person]]
        if len(gone) == len(self.gallery):
            return
        self.gallery.erase([tracklet] if tracklet is not None else [], people=people)
        self.identities.follow(told=people, gone=gone)
        self.catalogue.refresh(told=people, gone=gone)


@pytest.fixture
def exported(fill: Fill, tmp_path: Path) -> Path:
    """The same visits and some more, in which others decided something else."""
    other = fill([*AT_TWO_CAMERAS, (6, "a", 70, 75)], "other")
    OnlineIdentities(other, IdentityConfig()).catch_up()
    review = Review(other, "ben")
    review.apart("1", "2")
    review.split("1", [IDS[5]])
    review.merge("2", "3")
    export_gallery(other, tmp_path / "exported")
    return tmp_path / "exported"


ACTIONS = [
    *("merge", "label", "split", "apart", "move", "reject", "confirm", "undo", "undo", "store", "resolve"),
    *("erase", "erase person", "import"),
]
numbers = count()


@pytest.mark.usefixtures("unproven")
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5), st.integers(0, 5)), max_size=7))
def test_what_is_followed_is_what_is_read_anew(fill: Fill, exported: Path, steps: list[tuple[str, int, int]]) -> None:
    work = Reviewers(fill(AT_TWO_CAMERAS, f"gallery {next(numbers)}"), exported)
    for step in steps:
        try:
            work.do(*step)
        except (IdentityError, GalleryError):
            pass
        work.identities.catch_up()
        work.catalogue.refresh()
        assert remembered(work.identities) == remembered(OnlineIdentities(work.gallery, IdentityConfig())), step
        assert everybody(work.catalogue) == everybody(Catalogue(work.gallery)), step


def test_a_batch_that_could_not_be_written_is_decided_again(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = fill(AT_TWO_CAMERAS)
    identities = OnlineIdentities(gallery, IdentityConfig())
    write = Gallery.write

    def full(self: Gallery, *fences: Any) -> Any:
        monkeypatch.setattr(Gallery, "write", write)
        raise GalleryError("no space left")

    identities.catch_up(2)
    monkeypatch.setattr(Gallery, "write", full)
    with pytest.raises(GalleryError):
        identities.catch_up(2)
    identities.catch_up()
    assert remembered(identities) == remembered(OnlineIdentities(gallery, IdentityConfig()))
    assert sorted(identities.decider.memory.owner) == sorted(IDS)


def test_what_fails_at_its_end_leaves_nobody_who_is_not_there(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = fill(AT_TWO_CAMERAS)
    identities = OnlineIdentities(gallery, IdentityConfig())

    def broken(*_: Any) -> None:
        monkeypatch.undo()
        raise GalleryError("the disk fails")

    monkeypatch.setattr("reidstream.identities.online.append_events", broken)
    with pytest.raises(GalleryError):
        identities.catch_up()
    identities.follow()
    assert identities.people == 0
    identities.catch_up()
    assert remembered(identities) == remembered(OnlineIdentities(gallery, IdentityConfig()))


def _again(gallery: Gallery, source: str, *, replace: bool = False, **more: Any) -> None:
    """A source is read again: another run begins with it."""
    started = SourceStarted(source, "a.mp4", "content of a", (640, 480), 10, 0.0, **more)
    gallery.begin_source(started, "settings", replace=replace)


def _cut_short(visit: Visit) -> Tracklet:
    return replace(made_tracklet(*visit), reason=EndReason.SHUTDOWN)


@pytest.mark.parametrize("what", ["seen for longer", "not seen again", "made anew", "has another name"])
def test_what_a_run_does_to_stored_tracklets_is_taken_over(tmp_path: Path, what: str) -> None:
    kept: list[Visit] = [(1, "b", 40, 45), (2, "b", 50, 55)]
    short: list[Visit] = [(1, "a", 0, 5), (2, "a", 10, 15), (3, "a", 20, 25)]
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        gallery.begin_source(SourceStarted("b", "b.mp4", "content of b", (640, 480), 10, 0.0), "settings")
        _again(gallery, "a", length=100)
        gallery.add([*(made_tracklet(*visit) for visit in kept), *map(_cut_short, short)])
        gallery.end_source(SourceEnded("a", 100, 10.0, stopped=True))
        identities, catalogue = OnlineIdentities(gallery, IdentityConfig()), Catalogue(gallery)
        identities.catch_up()
        catalogue.refresh()
        match what:
            case "seen for longer":
                _again(gallery, "a", length=200)
                gallery.add([replace(made_tracklet(3, "a", 20, 25, noise=0.5), end_wall=80.0, end_media=80.0)])
            case "not seen again":
                _again(gallery, "a", length=200)
                gallery.end_source(SourceEnded("a", 200, 20.0))
            case "made anew":
                _again(gallery, "a", replace=True)
            case "has another name":
                _again(gallery, "a finished", length=200)
        # Who was taken out is nobody's look-alike, and what comes next is decided without them.
        gallery.add([made_tracklet(3, "b", 90, 95)])
        identities.catch_up()
        catalogue.refresh()
        fresh = OnlineIdentities(gallery, IdentityConfig())
        assert remembered(identities) == remembered(fresh)
        assert everybody(catalogue) == everybody(Catalogue(gallery))
        stored = set(gallery.rows().id.tolist())
        assert set(remembered(identities)["owner"]) == stored
        assert catalogue.visits == len(stored)


def test_an_import_that_nobody_told_of_is_taken_over_with_the_people_it_brought(fill: Fill, exported: Path) -> None:
    gallery = fill(AT_TWO_CAMERAS)
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    before = {person.id for person in list_people(gallery)}
    import_gallery(gallery, open_archive(exported))
    identities.follow()
    assert remembered(identities) == remembered(OnlineIdentities(gallery, IdentityConfig()))
    assert {person.id for person in list_people(gallery)} - before


def test_whom_an_undoing_leaves_without_a_person_is_given_one_again(fill: Fill) -> None:
    gallery = fill(AT_TWO_CAMERAS)
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    new = made_tracklet(6, "a", 70, 75)
    gallery.add([new])
    # Deciding everybody anew gives it a person before who decides one after the other comes to it.
    apply(gallery, propose(gallery, IdentityConfig()))
    identities.catch_up()
    Review(gallery, "ana").undo()
    identities.catch_up()
    with gallery.read() as connection:
        assert new.id in person_of_tracklets(connection, [new.id])


def test_from_whom_somebody_is_apart_is_remembered_when_they_get_a_person_again(fill: Fill) -> None:
    gallery = fill(AT_TWO_CAMERAS)
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    Review(gallery, "ana").apart("1", "2")
    one, other = (person for person in list_people(gallery) if person.number in (1, 2))
    with gallery.write() as connection:
        connection.execute(delete(members).where(members.c.tracklet.in_(other.tracklets)))
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    assert set(remembered(identities)["owner"]) >= {*one.tracklets, *other.tracklets}
    assert remembered(identities) == remembered(OnlineIdentities(gallery, IdentityConfig()))
