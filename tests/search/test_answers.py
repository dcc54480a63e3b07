"""One photo, vector or tracklet asked from Python: the same answers as the command gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import EmbeddingConfig
from reidstream.errors import SourceBroken, SourceNotFound, TrackletNotFound
from reidstream.gallery import Gallery
from reidstream.inference import open_embedder
from reidstream.models import resolve_model
from reidstream.search import Conclusion, QueryModels, ask, photo_query, query_of
from tests.blobs import BlobDetector, ColourEmbedder
from tests.search.test_photo_search import made_gallery, photo


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with made_gallery(tmp_path / "gallery", ColourEmbedder()) as made:
        yield made


@pytest.fixture
def people(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    """The gallery, whose models see blobs."""
    monkeypatch.setattr(QueryModels, "embedder", lambda self: ColourEmbedder())
    monkeypatch.setattr(QueryModels, "detector", lambda self: BlobDetector())
    return gallery


def test_a_gallery_is_searched_with_a_photo_a_picture_or_a_vector(people: Gallery, tmp_path: Path) -> None:
    picture = photo([1, 0])
    cv2.imwrite(str(tmp_path / "both.png"), picture)
    by_path, by_text = people.search(tmp_path / "both.png", k=3), people.search(str(tmp_path / "both.png"), k=3)
    by_picture = people.search(picture, k=3)
    vector = photo_query(picture, ColourEmbedder(), BlobDetector).vector
    assert by_path == by_text == by_picture == people.search(vector, k=3)
    assert len(by_path) == 1
    assert {people.tracklet(match.tracklet).start_wall for match in by_path[0]} == {0.0, 10.0, 30.0}


def test_several_vectors_give_an_answer_each(gallery: Gallery) -> None:
    _, vectors = gallery.vectors()
    found = gallery.search(vectors[[0, 1]], k=3)
    assert found == [gallery.search(vector, k=3)[0] for vector in vectors[[0, 1]]]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    "picture",
    [np.zeros((0, 10, 3), np.uint8), np.zeros((10, 10, 4), np.uint8)],
)
def test_a_picture_that_is_none_is_named(people: Gallery, picture: np.ndarray) -> None:
    with pytest.raises(SourceBroken, match="a picture is BGR uint8"):
        people.search(picture)


def test_a_picture_without_people_says_so(people: Gallery) -> None:
    with pytest.raises(SourceBroken, match="nobody was found in the picture"):
        people.search(photo([]))


def test_a_photo_that_is_not_there_says_so(people: Gallery) -> None:
    with pytest.raises(SourceNotFound, match=r"no picture at gone\.jpg"):
        people.search("gone.jpg")


def test_the_answer_names_the_person_and_leaves_the_tracklet_itself_out(gallery: Gallery) -> None:
    ids, _ = gallery.vectors()
    answer = ask(gallery, query_of(gallery, ids[0], QueryModels(gallery)), k=10)
    assert answer.identity.verdict is Conclusion.GIVEN
    assert answer.identity.person is not None
    assert answer.identity.person.title == "Red"
    assert {match.tracklet for match in answer.matches} == set(ids) - {ids[0]}


def test_a_word_that_is_nothing_is_named(gallery: Gallery) -> None:
    with pytest.raises(TrackletNotFound, match="neither a file nor"):
        query_of(gallery, "nothing", QueryModels(gallery))


def test_python_and_the_command_give_the_same(tmp_path: Path) -> None:
    embedder = open_embedder(resolve_model("person-reid", "reid"), EmbeddingConfig())
    cv2.imwrite(str(tmp_path / "crop.png"), photo([0])[20:110, 20:50])
    with made_gallery(tmp_path / "gallery", embedder) as opened:
        query = query_of(opened, str(tmp_path / "crop.png"), QueryModels(opened), whole=True)
        ours = ask(opened, query, k=4).as_dict(opened)
    words = ["search", str(tmp_path / "crop.png"), "--whole", "-k", "4", "--json", "-g", str(tmp_path / "gallery")]
    said = CliRunner().invoke(app, words, catch_exceptions=False)
    assert json.loads(said.stdout) == json.loads(json.dumps(ours))
    assert ours["matches"][0]["person"]["name"] == "Red"
