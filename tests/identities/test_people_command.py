"""``reidstream people`` as its users meet it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from reidstream.cli import main
from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from tests.identities.conftest import Fill, made_tracklet

VISITS = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15), (3, "a", 12, 18), (2, "b", 20, 25), (1, "a", 30, 35)]
IDS = [made_tracklet(*visit).id for visit in VISITS]


class Command:
    """The command line on one gallery; ``code`` and ``error`` are those of the last call."""

    def __init__(self, gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._gallery, self._capsys = gallery, capsys
        self.code = 0
        self.error = ""

    def __call__(self, *arguments: str | Path) -> str:
        sys.argv = ["reidstream", *map(str, arguments), "--gallery", str(self._gallery)]
        with pytest.raises(SystemExit) as end:
            main()
        self.code = int(end.value.code or 0)
        out, self.error = self._capsys.readouterr()
        assert "Traceback" not in self.error
        return out

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def people(fill: Fill, capsys: pytest.CaptureFixture[str]) -> Command:
    """Three people seen by two cameras."""
    gallery = fill(VISITS)
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    gallery.close()
    assert gallery.place.folder is not None
    return Command(gallery.place.folder, capsys)


@pytest.fixture
def undecided(fill: Fill, capsys: pytest.CaptureFixture[str]) -> Command:
    """The same tracklets, from before anybody decided who is who."""
    gallery = fill(VISITS)
    gallery.close()
    assert gallery.place.folder is not None
    return Command(gallery.place.folder, capsys)


def test_everybody_is_listed_with_when_and_where_they_were_seen(people: Command) -> None:
    listed = people.json("people", "list")
    assert listed["total"] == 3
    first = listed["people"][0]
    assert (first["number"], first["cameras"]) == (1, ["a", "b"])
    assert set(first["tracklets"]) == {IDS[0], IDS[2], IDS[5]}
    assert (first["first_seen"], first["last_seen"], first["seconds"]) == (0, 35, 15)
    assert "1970-01-01 00:00:35" in people("people", "list")
    assert people.json("people", "list", "--limit", "1")["total"] == 3


def test_one_person_is_shown_with_every_tracklet_and_who_looks_alike(people: Command) -> None:
    shown = people.json("people", "show", "2")
    assert [t["id"] for t in shown["tracklets"]] == [IDS[1], IDS[4]]
    assert {other["number"] for other in shown["nearest"]} == {1, 3}
    assert IDS[4][:12] in people("people", "show", "2")


def test_a_gallery_without_people_says_what_to_do(undecided: Command) -> None:
    text = undecided("people", "list")
    assert undecided.code == 0
    assert "people resolve --yes" in text
    assert undecided.json("people", "list")["tracklets_without_person"] == 6
    for command in (("show", "1"), ("merge", "1", "2"), ("label", "1", "--name", "Grace")):
        undecided("people", *command)
        assert undecided.code == 1
        assert "people resolve --yes" in undecided.error


def test_resolving_shows_first_and_changes_only_when_told(undecided: Command) -> None:
    proposal = undecided.json("people", "resolve")
    assert (proposal["people"], proposal["applied"]) == (3, False)
    assert "nothing was changed" in undecided("people", "resolve")
    assert undecided.json("people", "list")["total"] == 0
    assert undecided.json("people", "resolve", "--yes")["applied"] is True
    assert undecided.json("people", "list")["total"] == 3


def test_what_resolving_would_change_is_told_with_the_calibration(people: Command) -> None:
    people("people", "merge", "1", "2")
    people("people", "undo")
    thresholds = [people.json("people", "resolve", "--false-merges", p)["threshold"] for p in ("0.4", "0.1", "0.03")]
    assert thresholds == sorted(thresholds)
    strict = people.json("people", "resolve", "--false-merges", "1e-15")
    assert strict["threshold"] is None
    assert strict["people"] + strict["undecided"] == 6
    assert strict["undecided"] > 0
    assert strict["people_estimated"] < 6
    assert strict["divided"]
    assert strict["calibration"]["seen_together"] == 1
    text = people("people", "resolve", "--false-merges", "1e-15", "--cameras", "separate")
    assert "looks alone are never as sure" in text
    assert "divided: person 1 among 3 people" in text
    assert "pairs seen together, so two people each" in text
    assert "nobody is in two at once" in text


@pytest.mark.setting("identities.topology")
def test_a_topology_is_obeyed_and_a_wrong_one_is_explained(people: Command, tmp_path: Path) -> None:
    topology = tmp_path / "cameras.toml"
    topology.write_text('[[pairs]]\ncameras = ["a", "b"]\ntravel_seconds = 60.0\n')
    assert people.json("people", "resolve", "--topology", topology)["people"] > 3
    topology.write_text("[[pairs]]\ncameras = [1]\n")
    people("people", "resolve", "--topology", topology)
    assert people.code == 2
    assert "two different cameras" in people.error


def test_decisions_are_made_logged_and_undone(people: Command) -> None:
    people("people", "label", "1", "--name", "Grace", "--notes", "red coat", "--author", "ana")
    people("people", "merge", "Grace", "3", "--author", "ben")
    people("people", "reject", IDS[2], "Grace")
    people("people", "move", IDS[4], "Grace")
    people("people", "split", "Grace", IDS[3])
    assert people.code == 0
    log = people.json("people", "history")["operations"]
    assert [o["kind"] for o in log] == ["label", "merge", "reject", "move", "split"]
    assert [o["author"] for o in log[:2]] == ["ana", "ben"]
    assert log[4]["author"]
    for _ in log:
        assert "undid" in people("people", "undo")
    listed = people.json("people", "list")
    assert [len(p["tracklets"]) for p in listed["people"]] == [3, 2, 1]
    assert [p["name"] for p in listed["people"]] == ["", "", ""]
    assert "undone by" in people("people", "history")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("merge", "1", "99"), 1, "no person called '99'"),
        (("merge", "1", "1"), 1, "same person already"),
        (("split", "1", "ffff"), 1, "no tracklet begins"),
        (("undo", "7"), 1, "no operation 7"),
        (("label", "1"), 2, "--name or --notes"),
        (("resolve", "--false-merges", "0.9"), 2, "less than 0.5"),
        (("resolve", "--topology", "nowhere.toml"), 2, "cannot be read"),
        (("resolve", "--cameras", "many"), 2, "separate"),
    ],
)
def test_mistakes_are_explained_and_change_nothing(
    people: Command, arguments: tuple[str, ...], code: int, says: str
) -> None:
    people("people", *arguments)
    assert people.code == code
    assert says in people.error
    assert people.json("people", "history")["total"] == 0


def test_deciding_while_a_run_owns_the_gallery_is_refused_and_reading_is_not(people: Command, tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "gallery", write=True):
        people("people", "merge", "1", "2")
        assert people.code == 1
        assert "is being written by" in people.error
        assert people.json("people", "list")["total"] == 3
        assert people.json("people", "resolve")["applied"] is False


def test_every_verb_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = ["list", "show", "merge", "split", "move", "label", "reject", "undo", "history", "resolve"]
    for verb in verbs:
        sys.argv = ["reidstream", "people", verb, "--help"]
        with pytest.raises(SystemExit):
            main()
        assert "Example: reidstream people" in capsys.readouterr().out
