"""A folder of photos becomes a table: who each shows, and which tracklets look like them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import EmbeddingConfig
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.errors import ConfigError, SourceNotFound
from reidstream.gallery import Gallery
from reidstream.gallery.reranking import Reranking
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people
from reidstream.identities.review import Review
from reidstream.inference import open_embedder
from reidstream.inference.protocols import Embedder
from reidstream.models import resolve_model
from reidstream.search.person import Conclusion
from reidstream.search.photos import COLUMNS, answer_rows, search_photos, write_answers
from reidstream.search.query import find_photos
from reidstream.sources.frame import Pixels
from reidstream.types import SourceStarted, Tracklet
from tests.blobs import COLOURS, BlobDetector, ColourEmbedder
from tests.identities.conftest import made_tracklet

VISITS = [(0, "a", 0.0), (1, "a", 1.0), (0, "b", 10.0), (1, "b", 11.0), (0, "a", 30.0)]


def photo(people: list[int], height: int = 90) -> Pixels:
    """People side by side on grey, each larger than the one before."""
    image = np.full((240, 320, 3), 128, np.uint8)
    for place, person in enumerate(people):
        x, y = 20 + 100 * place, 20
        cv2.rectangle(image, (x, y), (x + 30 + 10 * place, y + height + 20 * place), COLOURS[person], -1)
    return image


def tracklet_of(crop: Pixels, embedder: Embedder, person: int, camera: str, start: float) -> Tracklet:
    vector = embedder.embed([crop])
    made = made_tracklet(person, camera, start, start + 5)
    return replace(made, embedding=vector[0], prototypes=vector, prototype_weights=np.ones(1, np.float32))


def made_gallery(folder: Path, embedder: Embedder) -> Gallery:
    """Two people in two cameras, decided, the first called Red."""
    gallery = Gallery.open(
        folder, write=True, create=True, space=embedder.space, config=GalleryConfig(index="exact"), model="person-reid"
    )
    for camera in ("a", "b"):
        gallery.begin_source(SourceStarted(camera, camera, f"content of {camera}", (320, 240), 10, 0.0), "settings")
    gallery.add([tracklet_of(photo([who])[20:110, 20:50], embedder, who, *seen) for who, *seen in VISITS])
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    people = list_people(gallery)
    Review(gallery, "ana").label(people[0].id, name="Red")
    return gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with made_gallery(tmp_path / "gallery", ColourEmbedder()) as made:
        yield made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    cv2.imwrite(str(folder / "a-red.png"), photo([0]))
    cv2.imwrite(str(folder / "b-green-before-red.png"), photo([1, 0]))
    cv2.imwrite(str(folder / "c-nobody.png"), photo([]))
    (folder / "d-broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "notes.txt").write_text("not a photo")
    cv2.imwrite(str(folder / "more" / "e-green.png"), photo([1]))
    return folder


def test_every_photo_is_answered_and_one_that_cannot_be_used_stops_nothing(gallery: Gallery, photos: Path) -> None:
    answers = list(search_photos(gallery, find_photos(photos), ColourEmbedder(), BlobDetector, IdentityConfig(), k=3))
    assert [answer.photo.name[0] for answer in answers] == ["a", "b", "c", "d", "e"]
    assert [answer.reason and answer.reason.split(" in ")[0] for answer in answers][2] == "nobody was found"
    assert "is not a picture" in (answers[3].reason or "")
    named = [a.identity.person.title for a in answers if a.identity is not None and a.identity.person is not None]
    assert named == ["Red", "Red", "person 2"]
    assert answers[1].query is not None
    assert answers[1].query.people == 2
    assert all(len(answer.matches) == 3 for answer in answers if answer.reason is None)


def test_rows_hold_rank_person_times_similarity_and_probability(gallery: Gallery, photos: Path) -> None:
    answers = search_photos(gallery, find_photos(photos), ColourEmbedder(), BlobDetector, IdentityConfig(), k=4)
    rows = list(answer_rows(gallery, answers))
    assert all(list(row) == list(COLUMNS) for row in rows)
    red = [row for row in rows if row["query"].endswith("a-red.png")]
    assert [row["rank"] for row in red] == [1, 2, 3, 4]
    assert [row["person_name"] for row in red] == ["Red", "Red", "Red", ""]
    assert {(row["source"], row["start_wall"]) for row in red[:3]} == {("a", 0.0), ("b", 10.0), ("a", 30.0)}
    assert red[0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert (red[0]["verdict"], red[0]["nobody"], red[0]["named"]) == ("person", False, "Red")
    assert red[0]["probability"] > 0.9 > 0.1 > red[3]["probability"]
    assert red[0]["probability"] + red[3]["probability"] + red[0]["nobody_probability"] == pytest.approx(1)
    (unusable,) = [row for row in rows if row["query"].endswith("d-broken.jpg")]
    assert (unusable["rank"], unusable["tracklet"], unusable["nobody"]) == (None, None, None)


def test_a_stranger_is_flagged_as_nobody(gallery: Gallery, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blue.png"), photo([2]))
    (answer,) = search_photos(gallery, [tmp_path / "blue.png"], ColourEmbedder(), BlobDetector, IdentityConfig())
    assert answer.identity is not None
    assert answer.identity.verdict is Conclusion.NOBODY
    assert all(row["nobody"] is True for row in answer_rows(gallery, [answer]))


def test_a_photo_counts_once_and_a_filter_that_leaves_nothing_is_said(gallery: Gallery, photos: Path) -> None:
    from reidstream.gallery import Filter

    same = [photos / "a-red.png", photos / "a-red.png"]
    found = search_photos(
        gallery, same, ColourEmbedder(), BlobDetector, IdentityConfig(), where=Filter(since=1e9), whole=True
    )
    (row,) = answer_rows(gallery, found)
    assert (row["rank"], row["reason"]) == (None, "no tracklet fits")


def test_reranking_keeps_the_answers(gallery: Gallery, photos: Path) -> None:
    def found(reranking: Reranking | None) -> list[set[str]]:
        answers = search_photos(
            gallery, find_photos(photos), ColourEmbedder(), BlobDetector, IdentityConfig(), reranking=reranking
        )
        return [{match.tracklet for match in answer.matches} for answer in answers]

    assert found(Reranking(k1=2, k2=1, candidates=4)) == found(None)


def test_tables_of_every_format_say_the_same(gallery: Gallery, photos: Path, tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, object]]:
        return answer_rows(
            gallery, search_photos(gallery, find_photos(photos), ColourEmbedder(), BlobDetector, IdentityConfig())
        )

    expected = list(rows())
    for name in ("r.parquet", "r.csv", "r.json"):
        assert write_answers(tmp_path / name, rows()) == len(expected)
    assert pq.read_table(tmp_path / "r.parquet").to_pylist() == expected
    assert json.loads((tmp_path / "r.json").read_text()) == expected
    with (tmp_path / "r.csv").open(newline="") as file:
        assert [row["tracklet"] for row in csv.DictReader(file)] == [row["tracklet"] or "" for row in expected]
    with pytest.raises(ConfigError, match=r"\.parquet, \.csv, \.json"):
        write_answers(tmp_path / "r.xlsx", rows())
    with pytest.raises(SourceNotFound, match="no photos in"):
        find_photos(tmp_path / "gallery")


def test_the_command_writes_the_table_with_the_gallery_s_own_model(photos: Path, tmp_path: Path) -> None:
    embedder = open_embedder(resolve_model("person-reid", "reid"), EmbeddingConfig())
    made_gallery(tmp_path / "real", embedder).close()
    words = ["search", str(photos), "-g", str(tmp_path / "real"), "--whole", "--rerank", "--out"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "r.parquet"), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    rows = pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert (told["photos"], told["rows"]) == (5, len(rows))
    assert told["verdicts"]["unusable"] == 1
    assert len({row["query"] for row in rows}) == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--json"], "--out"),
        (["--out", "r.txt"], "answers are written to"),
        (["--out", "r.csv", "--box", "1,2,30,40"], "for one query"),
    ],
)
def test_wrong_use_is_explained(gallery: Gallery, photos: Path, words: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CliRunner().invoke(app, ["search", str(photos), "-g", str(gallery.place), *words], catch_exceptions=False)
