"""``reidstream eval gallery``: tracklets matched with people, identities scored, labels used as a truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config.identities import IdentityConfig
from reidstream.errors import ConfigError, SourceNotFound
from reidstream.evaluation.gallery_scores import score_gallery
from reidstream.evaluation.gallery_truth import PersonBoxes, match_tracklets, people_in, truth_of_file
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people
from reidstream.identities.review import Review
from reidstream.types import SourceStarted, Tracklet
from tests.exact import EXACT
from tests.identities.conftest import SPACE, made_tracklet

Visit = tuple[int, str, int, int]
VISITS: list[Visit] = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15), (3, "a", 12, 18), (2, "b", 20, 25)]


def walk(visit: Visit, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Frames and boxes of a visit: every person has a lane of their own."""
    person, _, start, end = visit
    frames = np.arange(start * 10, end * 10)
    x = (frames - start * 10) * 2.0 + shift
    lane = 100.0 * person
    return frames, np.stack([x, np.full(len(x), lane), x + 40, np.full(len(x), lane + 80)], axis=1).astype(np.float32)


def path_of(visit: Visit) -> Tracklet:
    frames, boxes = walk(visit, shift=3)
    person, camera, start, end = visit
    return replace(made_tracklet(person, camera, start, end), frames=frames, boxes=boxes)


def truth_of(camera: str) -> PersonBoxes:
    parts = [(visit[0], *walk(visit)) for visit in VISITS if visit[1] == camera]
    frames = np.concatenate([f for _, f, _ in parts])
    persons = np.concatenate([np.full(len(f), p) for p, f, _ in parts])
    boxes = np.concatenate([b for *_, b in parts]).astype(np.float64)
    order = np.argsort(frames, kind="stable")
    return PersonBoxes(frames[order], persons[order], boxes[order])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery of VISITS with identities, and a.txt and b.txt with the truth."""
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        for camera in ("a", "b"):
            name = f"content of {camera}"
            gallery.begin_source(SourceStarted(camera, f"{camera}.mp4", name, (640, 480), 10, 0.0), "settings")
        gallery.add([path_of(visit) for visit in VISITS])
        OnlineIdentities(gallery, IdentityConfig()).catch_up()
    for camera in ("a", "b"):
        truth = truth_of(camera)
        lines = [
            f"{f + 1},{p},{b[0]},{b[1]},{b[2] - b[0]},{b[3] - b[1]},1,-1,-1,-1\n"
            for f, p, b in zip(truth.frames, truth.persons, truth.boxes, strict=True)
        ]
        (tmp_path / f"{camera}.txt").write_text("".join(lines), encoding="ascii")
    return tmp_path


def _eval(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["eval", "gallery", *map(str, arguments)])


def test_a_tracklet_is_who_most_of_its_boxes_show() -> None:
    first, second = path_of(VISITS[0]), path_of(VISITS[1])
    # 30 boxes of person 1, then 20 of person 2, then 10 of nobody.
    frames = np.arange(10, 70)
    frames_1, boxes_1 = walk(VISITS[0])
    frames_2, boxes_2 = walk(VISITS[1])
    boxes = np.concatenate(
        [boxes_1[frames_1 >= 10][:30], boxes_2[frames_2 >= 40][:20], np.full((10, 4), 5, np.float32)]
    )
    mixed = replace(made_tracklet(9, "a", 1, 7), frames=frames, boxes=boxes)
    truth = truth_of("a")
    (found,) = match_tracklets([mixed], {"a": truth})
    assert (found.person, found.matched, found.seen) == (1, 50, 60)
    assert found.purity == pytest.approx(30 / 50)
    assert found.others == ((2, 20),)
    nobody = replace(first, boxes=first.boxes + 1000)
    assert [t.person for t in match_tracklets([nobody, second], {"a": truth})] == [None, 2]


def test_one_person_in_a_frame_counts_for_one_tracklet_only() -> None:
    first = path_of(VISITS[0])
    ghost = replace(made_tracklet(9, "a", 0, 5), frames=first.frames, boxes=first.boxes + np.float32(6))
    found = {t.tracklet: t.person for t in match_tracklets([ghost, first], {"a": truth_of("a")})}
    assert found == {first.id: 1, ghost.id: None}


def test_distractors_excuse_a_tracklet(tmp_path: Path) -> None:
    lines = [f"{f},1,0,0,40,80,1,1,1\n{f},2,200,0,40,80,0,7,1\n" for f in range(1, 11)]
    (tmp_path / "gt.txt").write_text("".join(lines), encoding="ascii")
    truth = {"a": truth_of_file(tmp_path / "gt.txt")}
    frames = np.arange(10)
    tracklets = [
        replace(made_tracklet(n, "a", 0, 1), frames=frames, boxes=np.tile(np.float32([x, 0, x + 40, 80]), (10, 1)))
        for n, x in enumerate((0, 200, 400))
    ]
    matched = match_tracklets(tracklets, truth)
    assert [(t.person, t.excused) for t in matched] == [(1, False), (None, True), (None, False)]
    scores = score_gallery(matched, {}, people_in(truth, {"a": 10.0}))
    assert (scores.people, scores.people_found, scores.tracklets, scores.nobody, scores.identities) == (1, 1, 2, 1, 2)
    assert people_in(truth, {"a": 25.0}) == set()


def test_a_gallery_is_scored_against_files_and_reported(folder: Path) -> None:
    arguments = ("-g", folder / "g", "-t", f"a={folder / 'a.txt'}", "-t", f"b={folder / 'b.txt'}")
    result = _eval(*arguments, "--json", "--out", folder / "r.json", "--html", folder / "r.html")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report == json.loads((folder / "r.json").read_text(encoding="utf-8"))
    scores = report["scores"]
    assert (scores["people"], scores["identities"], scores["tracklets"], scores["purity"]) == (3, 3, 5, 1.0)
    assert scores["all_cameras"]["f1"] == scores["across_cameras"]["f1"] == 1.0
    assert report["models"]["embedding"]["fingerprint"] == SPACE.fingerprint
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5
    assert "Are probabilities true?" in page and "Brier score" in page
    sure = report["reliability"]
    assert sure["count"] == 5 and sure["brier"] < 0.25
    assert all(held["right"] == 1.0 for held in sure["bins"])
    assert "http" not in page
    assert "pairwise F1" in _eval(*arguments).stdout


def test_a_wrong_merge_and_a_split_show_in_the_scores_and_on_the_page(folder: Path) -> None:
    with Gallery.open(folder / "g", write=True) as gallery:
        review = Review(gallery, "ana")
        review.merge("1", "3")
        review.split("2", [path_of(VISITS[4]).id])
    arguments = ("-g", folder / "g", "-t", f"a={folder / 'a.txt'}", "-t", f"b={folder / 'b.txt'}")
    scores = json.loads(_eval(*arguments, "--json", "--html", folder / "r.html").stdout)["scores"]
    # Together: three pairs, one right. One person: two pairs, one of them together.
    assert scores["all_cameras"]["precision"] == pytest.approx(1 / 3)
    assert scores["all_cameras"]["recall"] == pytest.approx(1 / 2)
    # Across cameras: of (1a, 1b) and (1b, 3a) that are together, the first is right.
    assert scores["across_cameras"]["precision"] == pytest.approx(1 / 2)
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert "2 people, 2 pairs wrong" in page
    assert "person 2: 2 identities, 1 pairs missed" in page


def test_reviews_are_a_truth_for_what_would_be_decided_without_them(folder: Path) -> None:
    assert "no review labels" in str(_eval("-g", folder / "g", "--from-labels").exception)
    with Gallery.open(folder / "g", write=True) as gallery:
        review = Review(gallery, "ana")
        # The reviewer says of two people who look different that they are one, and names another.
        review.merge("1", "3")
        review.label("2", name="Grace")
        assert len(list_people(gallery)) == 2
    report = json.loads(_eval("-g", folder / "g", "--from-labels", "--json").stdout)
    now, alone = report["as_it_is"], report["without_reviews"]
    assert (now["same"], now["kept_together"], now["precision"]) == (4, 1.0, 1.0)
    assert alone["kept_together"] == pytest.approx(2 / 4)
    assert alone["precision"] == 1.0


def test_what_cannot_be_compared_is_said(folder: Path) -> None:
    gallery = ("-g", folder / "g")
    assert isinstance(_eval(*gallery).exception, ConfigError)
    assert "must be a folder" in str(_eval(*gallery, "-t", "nonsense").exception)
    assert "expected identities.csv" in str(_eval(*gallery, "-t", folder).exception)
    assert isinstance(_eval(*gallery, "-t", "a=nowhere.txt").exception, SourceNotFound)
    assert "the truth is about z, but" in str(_eval(*gallery, "-t", f"z={folder / 'a.txt'}").exception)
    twice = ("-t", f"a={folder / 'a.txt'}", "-t", f"a={folder / 'b.txt'}")
    assert "twice of a" in str(_eval(*gallery, *twice).exception)
