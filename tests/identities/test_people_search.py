"""Searches that answer with a person or with nobody, and pages of people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.cli import main
from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.calibration import shares
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people
from reidstream.identities.review import Review
from reidstream.search.person import Conclusion, conclusion_of
from tests.identities.conftest import Fill, made_tracklet

VISITS = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15), (3, "a", 12, 18), (2, "b", 20, 25), (1, "a", 30, 35)]
IDS = [made_tracklet(*visit).id for visit in VISITS]
Run = Callable[..., str]


@pytest.fixture
def folder(fill: Fill) -> Path:
    gallery = fill(VISITS)
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    Review(gallery, "ana").label("2", name="<Grace>", notes="red coat")
    gallery.close()
    assert gallery.place.folder is not None
    return gallery.place.folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str | Path) -> str:
        sys.argv = ["reidstream", *map(str, arguments)]
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        assert not end.value.code, captured.err
        return captured.out

    return call


def vector_file(path: Path, person: int) -> Path:
    np.save(path, made_tracklet(person, "c", 99, 100).embedding)
    return path


def search(run: Run, *arguments: str | Path) -> Any:
    return json.loads(run("search", *arguments, "--json"))


def test_somebody_known_is_named_with_a_probability(run: Run, folder: Path, tmp_path: Path) -> None:
    found = search(run, vector_file(tmp_path / "q.npy", 2), "-g", folder, "-k", "3")
    assert found["person"]["name"] == "<Grace>"
    assert found["candidates"][0]["probability"] > 0.8
    assert found["nobody"] == pytest.approx(1 - sum(c["probability"] for c in found["candidates"]), abs=0.01)
    assert [match["person"]["number"] for match in found["matches"][:2]] == [2, 2]
    assert "who it is: <Grace>" in run("search", tmp_path / "q.npy", "-g", folder)


def test_a_stranger_is_nobody_known(run: Run, folder: Path, tmp_path: Path) -> None:
    found = search(run, vector_file(tmp_path / "q.npy", 77), "-g", folder)
    assert found["person"] is None
    assert found["nobody"] > 0.8
    assert "nobody known" in run("search", tmp_path / "q.npy", "-g", folder)


def test_a_smaller_accepted_risk_names_nobody_and_does_not_call_them_unknown(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    query = vector_file(tmp_path / "q.npy", 2)
    found = search(run, query, "-g", folder, "--false-merges", "1e-15")
    assert (found["person"], found["verdict"]) == (None, "unclear")
    assert "who it is: unclear" in run("search", query, "-g", folder, "--false-merges", "1e-15")


@given(
    st.lists(st.floats(-6, 9), max_size=6).map(lambda odds: shares(np.sort(np.array(odds))[::-1]).tolist()),
    st.floats(0.001, 0.499),
)
def test_words_and_probabilities_never_contradict_each_other(people: list[float], risk: float) -> None:
    nobody = 1 - sum(people)
    best = max(people, default=0.0)
    verdict = conclusion_of(people, nobody, risk)
    assert (verdict is Conclusion.PERSON) == (best >= 1 - risk)
    if verdict is Conclusion.NOBODY:
        assert nobody >= best
    if verdict is Conclusion.UNCLEAR:
        assert nobody < best < 1 - risk


def test_two_people_who_look_alike_are_unclear_and_neither_is_named(run: Run, fill: Fill, tmp_path: Path) -> None:
    gallery = fill([(1, "a", 0, 5), (1, "b", 10, 15)], "twins")
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    (one,) = list_people(gallery)
    Review(gallery, "ana").split(one.id, [one.tracklets[1]])
    gallery.close()
    found = search(run, vector_file(tmp_path / "q.npy", 1), "-g", str(gallery.place))
    assert (found["verdict"], found["person"]) == ("unclear", None)
    assert found["nobody"] < 0.1
    assert [c["probability"] for c in found["candidates"]] == pytest.approx([0.5, 0.5], abs=0.2)
    said = run("search", tmp_path / "q.npy", "-g", str(gallery.place)).splitlines()[0]
    assert said.startswith("who it is: unclear, no name is sure enough (person ")


def test_a_stored_tracklet_is_who_it_was_given(run: Run, folder: Path) -> None:
    found = search(run, IDS[1], "-g", folder)
    assert found["person"]["number"] == 2
    assert (found["verdict"], found["nobody"]) == ("given", None)
    assert "as decided for this tracklet" in run("search", IDS[1], "-g", folder)
    assert IDS[1] not in [match["id"] for match in found["matches"]]


def test_a_gallery_without_people_still_answers_with_tracklets(run: Run, fill: Fill, tmp_path: Path) -> None:
    gallery = fill(VISITS, "undecided")
    gallery.close()
    found = search(run, vector_file(tmp_path / "q.npy", 2), "-g", str(gallery.place))
    assert (found["person"], found["nobody"], found["candidates"]) == (None, None, [])
    assert len(found["matches"]) == 6
    assert "people resolve" in run("search", tmp_path / "q.npy", "-g", str(gallery.place))


def test_a_reader_recognises_as_the_writer_does(folder: Path) -> None:
    looks = made_tracklet(1, "c", 50, 51).prototypes
    with Gallery.open(folder, write=True) as writer:
        expected = OnlineIdentities(writer, IdentityConfig()).answer(looks)
        with Gallery.open(folder) as reader:
            assert OnlineIdentities(reader, IdentityConfig()).answer(looks) == expected


def test_the_page_of_a_search_names_people(run: Run, folder: Path, tmp_path: Path) -> None:
    query = vector_file(tmp_path / "q.npy", 2)
    run("search", query, "-g", folder, "--sheet", tmp_path / "found.html")
    page = (tmp_path / "found.html").read_text()
    assert "who it is: &lt;Grace&gt;" in page
    assert "<b>&lt;Grace&gt;, track" in page


def test_the_page_of_people_holds_everybody_in_order_of_time(run: Run, folder: Path, tmp_path: Path) -> None:
    run("people", "sheet", "-g", folder, "--out", tmp_path / "people.html")
    page = (tmp_path / "people.html").read_text()
    assert [page.index(i) for i in (IDS[0], IDS[2], IDS[5])] == sorted(page.index(i) for i in (IDS[0], IDS[2], IDS[5]))
    assert all(i in page for i in IDS)
    for words in ("&lt;Grace&gt; (number 2)", "red coat", "looks most like: person", "sure 1.00"):
        assert words in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_can_show_some_people_only(run: Run, folder: Path, tmp_path: Path) -> None:
    shown = json.loads(run("people", "sheet", "3", "-g", folder, "--out", tmp_path / "p.html", "--json"))
    assert shown["people"] == 1
    page = (tmp_path / "p.html").read_text()
    assert IDS[3] in page
    assert IDS[0] not in page
