"""What is undecided is stored and shown as such; deciding everybody anew is one operation that can be undone."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from reidstream.cli import main
from reidstream.config.identities import IdentityConfig
from reidstream.errors import IdentityError
from reidstream.gallery import Gallery
from reidstream.gallery.exporting import export
from reidstream.identities.applying import apply
from reidstream.identities.archive import export_gallery, import_gallery, open_archive
from reidstream.identities.catalogue import Catalogue
from reidstream.identities.deciding import Decision
from reidstream.identities.erasing import erase_person
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.operations import RESOLVED, moves_of
from reidstream.identities.outbox import all_events_after
from reidstream.identities.people import count_people, history, leave_undecided, list_people
from reidstream.identities.people_sheet import write_people_sheet
from reidstream.identities.profiles import profiles_of
from reidstream.identities.proposal import Proposal, propose
from reidstream.identities.questions import Kind, questions
from reidstream.identities.remembered import Seen
from reidstream.identities.review import Review
from reidstream.identities.schema import former_members, members
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.search.person import Recogniser
from tests.exact import EXACT
from tests.identities.conftest import Fill, made_tracklet
from tests.identities.test_people_command import Command

VISITS = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15), (3, "a", 12, 18), (2, "b", 20, 25), (1, "a", 30, 35)]
IDS = [made_tracklet(*visit).id for visit in VISITS]
ALONE = IDS[3]


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    """Two people, and person 3, of whom there is one tracklet that may be person 1."""
    made = fill(VISITS)
    OnlineIdentities(made, IdentityConfig()).catch_up()
    with made.write() as connection:
        leave_undecided(connection, [(ALONE, IDS[0], 0.7)])
    return made


def groups(gallery: Gallery) -> set[frozenset[str]]:
    return {frozenset(person.tracklets) for person in list_people(gallery)}


def doubtful(gallery: Gallery) -> list[str]:
    return [person.tracklets[0] for person in list_people(gallery) if person.undecided]


def other_proposal(gallery: Gallery) -> Proposal:
    """What resolving could have found: person 2's second visit and person 3's are one, the first may be somebody."""
    found = propose(gallery, IdentityConfig())
    wanted = ((IDS[0], IDS[2], IDS[5]), (IDS[1],), (IDS[3], IDS[4]))
    persons = {t: person.id for person in list_people(gallery) for t in person.tracklets}
    verdicts: dict[str, Verdict[int]] = {t: Verdict(Outcome.DECIDED, 0, 0.9) for t in IDS}
    verdicts[IDS[1]] = Verdict(Outcome.UNDECIDED, 2, 0.6)
    owners = (persons[IDS[0]], persons[IDS[1]], persons[IDS[3]])
    return replace(found, groups=wanted, owners=owners, verdicts=verdicts, moved=(IDS[4],), joined=(), divided=())


def test_nobody_is_counted_as_a_person_who_is_only_undecided(gallery: Gallery) -> None:
    assert count_people(gallery) == (2, 1)
    assert count_people(gallery, ["b"]) == (2, 0)
    assert doubtful(gallery) == [ALONE]
    (entry,) = Catalogue(gallery).undecided()
    assert (entry.best, entry.person.candidate, entry.person.chance) == (ALONE, IDS[0], 0.7)
    assert entry.person.title == "undecided 3"


def test_a_name_or_a_second_tracklet_makes_somebody_of_what_was_undecided(gallery: Gallery) -> None:
    Review(gallery, "ana").label("3", name="Grace")
    assert count_people(gallery) == (3, 0)
    Review(gallery, "ana").label("3", name="")
    assert count_people(gallery) == (2, 1)
    Review(gallery, "ana").move(IDS[4], "3")
    assert count_people(gallery) == (3, 0)


@pytest.mark.parametrize("answer", ["apart", "reject", "merge", "confirm"])
def test_an_answer_ends_the_doubt_and_undoing_it_brings_it_back(gallery: Gallery, answer: str) -> None:
    review = Review(gallery, "ana")
    if answer == "apart":
        review.apart("1", "3")
    elif answer == "reject":
        review.reject(ALONE, "1")
    elif answer == "merge":
        review.merge("1", "3")
    else:
        review.confirm("3", [ALONE])
    assert doubtful(gallery) == []
    assert count_people(gallery) == (2 if answer == "merge" else 3, 0)
    review.undo()
    assert doubtful(gallery) == [ALONE]


def test_deciding_one_after_the_other_stores_its_doubt_and_tells_it(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(VISITS)
    identities = OnlineIdentities(made, IdentityConfig())
    decide = identities.decider.decide

    def unsure(seen: Seen, *, timed: bool) -> Decision:
        decision = decide(seen, timed=timed)
        if seen.id == IDS[5]:
            return replace(decision, verdict=Verdict(Outcome.UNDECIDED, decision.verdict.person, 0.6))
        return decision

    monkeypatch.setattr(identities.decider, "decide", unsure)
    identities.catch_up()
    assert doubtful(made) == [IDS[5]]
    (person,) = [person for person in list_people(made) if person.undecided]
    owner = {t: one.id for one in list_people(made) for t in one.tracklets}
    assert owner[person.candidate or ""] == owner[IDS[0]]
    (told,) = [e for e in all_events_after(made, 0) if e.kind == "IdentityCreated" and e.payload["tracklet"] == IDS[5]]
    assert (told.payload["undecided"], told.payload["candidate"]) == (True, owner[IDS[0]])


def test_resolving_is_one_operation_that_says_what_moved_and_is_undone_as_a_whole(gallery: Gallery) -> None:
    before, doubts = groups(gallery), doubtful(gallery)
    persons = {t: person.id for person in list_people(gallery) for t in person.tracklets}
    number = apply(gallery, other_proposal(gallery), "ana")
    assert number is not None
    assert doubtful(gallery) == [IDS[1]]
    (entry,) = history(gallery)
    assert (entry.id, entry.kind, entry.author) == (number, RESOLVED, "ana")
    assert entry.summary.startswith("decided everybody anew: 2 people instead of 2, 1 tracklet undecided, 1 ")
    (move,) = moves_of(gallery, number)
    assert (move.tracklet, move.before, move.after) == (IDS[4], persons[IDS[4]], persons[ALONE])
    Review(gallery, "ana").undo()
    assert (groups(gallery), doubtful(gallery)) == (before, doubts)


def test_what_was_decided_on_top_of_resolving_is_undone_first(gallery: Gallery) -> None:
    number = apply(gallery, other_proposal(gallery))
    review = Review(gallery, "ana")
    review.label("3", name="Grace")
    with pytest.raises(IdentityError, match="builds on it; undo that first"):
        review.undo(number)
    review.undo()
    review.undo(number)
    assert doubtful(gallery) == [ALONE]


def test_undoing_the_first_resolving_leaves_nobody_decided(fill: Fill) -> None:
    made = fill(VISITS)
    apply(made, propose(made, IdentityConfig()))
    assert groups(made)
    Review(made, "ana").undo()
    assert groups(made) == set()


def test_resolving_that_changes_nobody_is_no_operation(gallery: Gallery) -> None:
    apply(gallery, other_proposal(gallery))
    assert apply(gallery, other_proposal(gallery)) is None
    assert len(history(gallery)) == 1


@pytest.mark.slow
def test_thousands_of_moved_tracklets_are_one_operation(fill: Fill) -> None:
    visits = [(k % 7, "ab"[k % 2], 10.0 * k, 10.0 * k + 5) for k in range(2500)]
    made = fill(visits)
    ids = [made_tracklet(*visit).id for visit in visits]
    found = propose(made, IdentityConfig())
    wanted = tuple(tuple(ids[k::2]) for k in (0, 1))
    alone = replace(found, verdicts={}, joined=(), divided=(), moved=())
    apply(made, replace(alone, groups=wanted, owners=(None, None)))
    before = groups(made)
    persons = {t: person.id for person in list_people(made) for t in person.tracklets}
    owners = (persons[ids[0]], None)
    number = apply(made, replace(alone, groups=((ids[0],), tuple(ids[1:])), owners=owners, moved=tuple(ids[1:])))
    assert number is not None
    assert len(moves_of(made, number)) == len(ids) - 1
    Review(made, "ana").undo(number)
    assert groups(made) == before


@pytest.mark.usefixtures("unproven")
def test_whoever_is_erased_is_nobodys_candidate(gallery: Gallery) -> None:
    erase_person(gallery, list_people(gallery)[0].id, "ana")
    assert doubtful(gallery) == []
    with gallery.read() as connection:
        assert set(connection.execute(select(members.c.candidate)).scalars()) == {None}


@pytest.mark.usefixtures("unproven")
def test_erasing_takes_whom_a_tracklet_became_out_of_the_history(gallery: Gallery) -> None:
    person = {t: person.id for person in list_people(gallery) for t in person.tracklets}[ALONE]
    apply(gallery, other_proposal(gallery))
    Review(gallery, "ana").undo()
    erase_person(gallery, person, "ana")
    with gallery.read() as connection:
        assert person not in set(connection.execute(select(former_members.c.became)).scalars())


def test_doubt_goes_with_a_gallery_to_another(gallery: Gallery, tmp_path: Path) -> None:
    apply(gallery, other_proposal(gallery))
    export_gallery(gallery, tmp_path / "archive")
    with Gallery.open(tmp_path / "copy", write=True, create=True, space=gallery.space, config=EXACT) as copy:
        import_gallery(copy, open_archive(tmp_path / "archive"))
        assert doubtful(copy) == [IDS[1]]
        assert [move.tracklet for move in moves_of(copy, 1)] == [IDS[4]]
        Review(copy, "ben").undo()
        assert doubtful(copy) == [ALONE]


def test_an_archive_of_an_earlier_version_is_taken(gallery: Gallery, tmp_path: Path) -> None:
    from reidstream.identities.decisions import checked_document, decisions_of

    document = decisions_of(gallery, IDS)
    for row in document["members"]:
        del row["candidate"], row["chance"]
    assert all(row["candidate"] is None for row in checked_document(document)["members"])


def test_tables_of_tracklets_say_whose_each_is(gallery: Gallery, tmp_path: Path) -> None:
    Review(gallery, "ana").label("1", name="=Grace")
    rows = {record["id"]: record for record in gallery.rows().records()}
    assert (rows[IDS[2]]["person_number"], rows[IDS[2]]["person_name"]) == (1, "=Grace")
    assert [t for t, record in rows.items() if record["undecided"]] == [ALONE]
    for ending in ("csv", "json", "parquet", "npz"):
        export(gallery, tmp_path / f"people.{ending}")
    table = {row["id"]: row for row in pq.read_table(tmp_path / "people.parquet").to_pylist()}
    assert {t: row["person"] for t, row in table.items()} == {t: row["person"] for t, row in rows.items()}
    with (tmp_path / "people.csv").open(encoding="utf-8") as file:
        listed = {row["id"]: row for row in csv.DictReader(file)}
    assert listed[IDS[2]]["person_name"] == "'=Grace"
    assert json.loads((tmp_path / "people.json").read_text())["tracklets"][3]["undecided"] is True


def test_tracklets_of_nobody_have_no_person(fill: Fill) -> None:
    made = fill(VISITS)
    assert {record["person"] for record in made.rows().records()} == {None}
    OnlineIdentities(made, IdentityConfig()).catch_up()
    made.add([made_tracklet(4, "a", 50, 55)])
    assert [record["person"] is None for record in made.rows().records()] == [False] * 6 + [True]


@pytest.fixture
def command(gallery: Gallery, capsys: pytest.CaptureFixture[str]) -> Command:
    gallery.close()
    assert gallery.place.folder is not None
    return Command(gallery.place.folder, capsys)


def test_commands_count_it_beside_people_and_list_it_apart(command: Command) -> None:
    listed = command.json("people", "list")
    assert ([p["number"] for p in listed["people"]], listed["total"], listed["undecided"]) == ([1, 2], 2, 1)
    assert "2 people, 1 tracklet undecided" in command("people", "list")
    assert "2 people, 1 tracklet undecided" in command("gallery", "info")
    (doubt,) = command.json("people", "list", "--undecided")["undecided"]
    assert (doubt["tracklet"], doubt["may_be"]["number"], doubt["probability"]) == (ALONE, 1, 0.7)
    assert "person 1" in command("people", "list", "--undecided")
    shown = command("people", "show", "3")
    assert shown.startswith("undecided 3")
    assert "person 3" not in shown
    assert "undecided" in command("gallery", "list")
    assert command.json("gallery", "show", ALONE)["undecided"] is True


def test_history_shows_where_each_tracklet_went(command: Command, gallery: Gallery) -> None:
    assert gallery.place.folder is not None
    with Gallery.open(gallery.place.folder, write=True) as opened:
        number = apply(opened, other_proposal(opened))
    (move,) = command.json("people", "history", str(number))["moved"]
    assert (move["tracklet"], move["from"]["number"], move["to"]["number"]) == (IDS[4], 2, 3)
    assert IDS[4][:12] in command("people", "history", str(number))
    command("people", "history", "77")
    assert command.code == 1
    assert "no operation 77" in command.error


def test_the_question_whose_answer_changes_most_comes_first(gallery: Gallery) -> None:
    asked = questions(gallery, IdentityConfig())
    assert [question.weight for question in asked] == sorted((q.weight for q in asked), reverse=True)
    (doubt,) = [question for question in asked if question.kind is Kind.UNDECIDED]
    assert (doubt.one.number, doubt.tracklet, doubt.probability) == (1, ALONE, 0.7)
    assert doubt.weight == pytest.approx(0.7 * 3)
    assert len(profiles_of(gallery)) == 3


def test_a_search_and_the_sheet_do_not_say_who_is_only_undecided(gallery: Gallery, tmp_path: Path) -> None:
    recogniser = Recogniser(gallery, IdentityConfig())
    asked = recogniser.recognise(gallery.tracklet(ALONE).embedding, [ALONE])
    assert asked.person is None
    assert asked.titles == {ALONE: "undecided 3"}
    given = recogniser.given(ALONE)
    assert given is not None
    assert given.sentence == "who it is: undecided, kept as undecided 3"
    write_people_sheet(gallery, tmp_path / "people.html")
    page = (tmp_path / "people.html").read_text(encoding="utf-8")
    assert "2 people, 1 tracklet undecided" in page
    assert "person 3" not in page


def review(gallery: Gallery, keys: str, monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    import click

    assert gallery.place.folder is not None
    pressed = iter(keys)
    monkeypatch.setattr(click, "getchar", lambda: next(pressed))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    arguments = ["people", "review", "--gallery", str(gallery.place.folder), "--page", str(page)]
    monkeypatch.setattr(sys, "argv", ["reidstream", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code


@pytest.mark.parametrize(
    ("key", "people"), [("s", (2, 0)), ("d", (3, 0)), ("k", (2, 1)), ("q", (2, 1)), ("xq", (2, 1))]
)
def test_one_key_answers_a_question(
    gallery: Gallery, key: str, people: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gallery.close()
    page = tmp_path / "asked.html"
    review(gallery, key + "q" * 20, monkeypatch, page)
    assert "undecided 3" in page.read_text(encoding="utf-8")
    assert gallery.place.folder is not None
    with Gallery.open(gallery.place.folder) as opened:
        assert count_people(opened) == people


def test_review_without_a_terminal_says_what_to_do_instead(command: Command) -> None:
    command("people", "review")
    assert command.code != 0
    assert "people list --undecided --json" in command.error


@pytest.mark.usefixtures("unproven")
def test_who_follows_hears_that_a_candidate_was_erased(gallery: Gallery) -> None:
    catalogue = Catalogue(gallery)
    gallery.erase([IDS[0]])
    catalogue.refresh(gone=[IDS[0]])
    (fresh,) = [entry for entry in Catalogue(gallery).entries() if entry.best == ALONE]
    (followed,) = [entry for entry in catalogue.entries() if entry.best == ALONE]
    assert followed.person.candidate == fresh.person.candidate
    assert followed.person.undecided == fresh.person.undecided
