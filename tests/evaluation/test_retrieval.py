"""Retrieval scores: by hand, beside torchreid's, and on folders of images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.evaluation.retrieval import LabelledImages, answers, score_retrieval
from reidstream.gallery.reranking import Reranking

STORED = json.loads((Path(__file__).parent / "torchreid.json").read_text(encoding="ascii"))


def images(persons: list[int], cameras: list[int], similarity: list[float] | None = None) -> LabelledImages:
    """Images whose cosine to the query (1, 0) is as given."""
    cosine = np.array(similarity if similarity is not None else [1.0] * len(persons), np.float32)
    vectors = np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1).astype(np.float32)
    return LabelledImages(np.array(persons, np.int64), np.array(cameras, np.int64), vectors)


def test_scores_of_one_query_by_hand() -> None:
    # Ranks: right (1), wrong (2), right (3), wrong (4).
    gallery = images([7, 8, 7, 9], [2, 2, 3, 2], [0.9, 0.8, 0.7, 0.6])
    scores = score_retrieval(images([7], [1]), gallery)
    assert scores.mean_ap == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert scores.mean_inp == pytest.approx(2 / 3)
    assert scores.cmc.tolist() == [1, 1, 1, 1]
    assert scores.rank(20) == 1


def test_junk_and_the_query_s_own_camera_hold_no_rank() -> None:
    # The best answer is the query's own camera, the second is nobody; what is left: distractor (1), right (2).
    gallery = images([7, -1, 0, 7], [1, 2, 2, 2], [0.99, 0.9, 0.8, 0.7])
    scores = score_retrieval(images([7], [1]), gallery)
    assert (scores.gallery, scores.rank(1), scores.rank(5)) == (3, 0, 1)
    assert scores.mean_ap == pytest.approx(1 / 2)
    assert [(row, right) for row, _, right in answers(images([7], [1]), gallery, 0, 9)] == [(2, False), (3, True)]


def test_a_query_nobody_can_answer_does_not_count() -> None:
    gallery = images([7, 8], [2, 1], [0.9, 0.8])
    scores = score_retrieval(images([7, 8], [1, 1]), gallery)
    assert (scores.queries, scores.unanswerable, scores.mean_ap) == (1, 1, 1.0)
    assert np.isnan(scores.average_precision).tolist() == [False, True]
    with pytest.raises(ValueError, match="no query has an answer"):
        score_retrieval(images([8], [1]), gallery)


@pytest.mark.parametrize("case", STORED, ids=lambda case: f"seed {case['seed']}")
def test_numbers_agree_with_torchreid(case: dict[str, float]) -> None:
    rng = np.random.default_rng(int(case["seed"]))
    q, g, people, cameras = (int(case[key]) for key in ("queries", "gallery", "persons", "cameras"))
    # The order of these draws is that of the stored case.
    persons = rng.integers(1, people + 1, q), rng.integers(0, people + 1, g)
    seen_by = rng.integers(1, cameras + 1, q), rng.integers(1, cameras + 1, g)
    base = rng.normal(size=(people + 1, 16))
    raw = [base[persons[0]] + rng.normal(size=(q, 16)), base[persons[1]] + rng.normal(size=(g, 16))]
    queries, gallery = (
        LabelledImages(p, c, (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32))
        for p, c, v in zip(persons, seen_by, raw, strict=True)
    )
    scores = score_retrieval(queries, gallery)
    assert scores.mean_ap == pytest.approx(case["mAP"], abs=1e-6)
    assert [scores.rank(k) for k in (1, 5, 10, 20)] == pytest.approx(case["cmc"], abs=1e-6)


def test_reranked_scores_are_those_of_the_new_order() -> None:
    rng = np.random.default_rng(5)
    persons = np.tile(np.arange(12), 6)
    base = rng.normal(size=(12, 8))
    raw = base[persons] + 0.9 * rng.normal(size=(72, 8))
    vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    gallery = LabelledImages(persons[12:], np.full(60, 2), vectors[12:])
    queries = LabelledImages(persons[:12], np.ones(12, np.int64), vectors[:12])
    reranking = Reranking(k1=5, k2=2, candidates=40)
    found = score_retrieval(queries, gallery, reranking=reranking)
    for row in range(12):
        ranked = [right for *_, right in answers(queries, gallery, row, 60, reranking)]
        hits = np.cumsum(ranked)
        by_hand = sum(h / (k + 1) for k, (h, right) in enumerate(zip(hits, ranked, strict=True)) if right)
        if hits[-1]:
            assert found.average_precision[row] == pytest.approx(by_hand / hits[-1])
    assert found.mean_ap != score_retrieval(queries, gallery).mean_ap


def _eval(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["eval", "retrieval", *map(str, arguments)])


def _folder(folder: Path) -> Path:
    """Two people in red and blue, each seen by two cameras, and a piece of junk."""
    colours = {1: (40, 40, 200), 2: (200, 60, 30)}
    for part, camera in (("query", 1), ("bounding_box_test", 2)):
        (folder / part).mkdir(parents=True)
        for person, colour in colours.items():
            image = np.full((128, 64, 3), 110, np.uint8)
            cv2.rectangle(image, (16, 20), (48, 120), colour, -1)
            cv2.imwrite(str(folder / part / f"{person:04d}_c{camera}s1_000001_00.jpg"), image)
    cv2.imwrite(str(folder / "bounding_box_test" / "-1_c1s1_000001_00.jpg"), np.zeros((128, 64, 3), np.uint8))
    (folder / "bounding_box_test" / "Thumbs.db").write_bytes(b"not a picture")
    return folder


def test_a_folder_is_scored_by_a_model_and_reported(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "market")
    result = _eval(folder, "--json", "--out", tmp_path / "r.json", "--html", tmp_path / "r.html")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report == json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (report["scores"]["queries"], report["scores"]["gallery"], report["scores"]["rank1"]) == (2, 2, 1.0)
    assert len(report["models"]["embedding"]["sha256"]) == 64
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") >= 4
    assert "<svg" in page
    assert "http" not in page
    assert "mAP" in _eval(folder).stdout


def test_a_folder_is_scored_with_and_without_reranking(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "market")
    options = ("--rerank", "--k1", "2", "--k2", "1", "--candidates", "2")
    report = json.loads(_eval(folder, *options, "--html", tmp_path / "r.html", "--json").stdout)
    assert report["reranking"] == {"k1": 2, "k2": 1, "lambda": 0.3, "candidates": 2}
    assert (report["reranked"]["rank1"], report["scores"]["rank1"]) == (1.0, 1.0)
    assert report["reranking_ms_per_query"] > 0
    assert "re-ranked" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "re-ranked" in _eval(folder, *options).stdout
    assert "1 <= k2 <= k1" in str(_eval(folder, "--rerank", "--k1", "2").exception)


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    assert isinstance(_eval(tmp_path / "nowhere").exception, SourceNotFound)
    (tmp_path / "query").mkdir()
    assert "no images in" in str(_eval(tmp_path).exception)
    (tmp_path / "query" / "somebody.jpg").write_bytes(b"x")
    assert "expected a name like" in str(_eval(tmp_path).exception)
    folder = _folder(tmp_path / "market")
    (folder / "query" / "0001_c1s1_000002_00.jpg").write_bytes(b"no picture")
    error = _eval(folder).exception
    assert isinstance(error, SourceBroken)
    assert "not a picture" in str(error)
