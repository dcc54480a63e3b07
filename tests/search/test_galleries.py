"""One question to several galleries: a folder, a database and a server answer together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.client import TOKEN_VARIABLE
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.config.redaction import redacted
from reidstream.errors import ConfigError, GalleryMismatch, GalleryUnreachable, SourceBroken, TrackletNotFound
from reidstream.gallery import Filter, Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.search import QueryModels, search_galleries
from reidstream.types import EmbeddingSpace
from tests.blobs import BlobDetector, ColourEmbedder
from tests.identities.conftest import SPACE, Visit, made_tracklet
from tests.search.test_photo_search import made_gallery as made_of_colours
from tests.search.test_photo_search import photo
from tests.server.conftest import PASSWORD, stored
from tests.server.process import Served, free_port

# Person 1 was in every place, person 2 in the first, person 3 in the second.
SHOP: list[Visit] = [(1, "a", 0, 5), (2, "a", 10, 15), (1, "a", 30, 35)]
MALL: list[Visit] = [(1, "b", 100, 105), (3, "b", 110, 115)]
AIRPORT: list[Visit] = [(1, "c", 200, 205), (4, "c", 210, 215)]
ANN = made_tracklet(1, "a", 0, 5)


def made(place: Path | str, visits: list[Visit], space: EmbeddingSpace = SPACE) -> str:
    """A gallery in which it is decided who is who."""
    config = GalleryConfig(index="exact")
    with Gallery.open(place, write=True, create=True, space=space, config=config) as gallery:
        stored(gallery, visits)
        OnlineIdentities(gallery, IdentityConfig()).catch_up()
    return str(place)


def ids(visits: list[Visit]) -> set[str]:
    return {made_tracklet(*visit).id for visit in visits}


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return made(tmp_path / "shop", SHOP)


@pytest.fixture
def mall(postgres: str) -> str:
    return made(postgres, MALL)


@pytest.fixture
def airport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that wants a token, which the environment has."""
    with Served(Path(made(tmp_path / "airport", AIRPORT))) as served:
        wanted = {"secret": served.setup_link.split("#")[1], "name": "grace", "password": PASSWORD}
        with httpx.Client(base_url=served.address, headers={"Origin": served.address}) as browser:
            assert browser.post("/api/v1/setup", json=wanted).status_code == 200
            token = browser.post("/api/v1/tokens", json={"name": "test", "role": "viewer"}).json()["token"]
        monkeypatch.setenv(TOKEN_VARIABLE, f"http://elsewhere:1=none {served.address}={token}")
        yield served.address


def asked(*words: str) -> tuple[int, dict[str, object], str]:
    done = CliRunner().invoke(app, ["search", *words, "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout), done.stderr


def test_folder_database_and_server_answer_together(shop: str, mall: str, airport: str) -> None:
    places = [shop, mall, airport]
    code, found, _ = asked(ANN.id[:31], *(word for place in places for word in ("--gallery", place)), "-k", "3")
    assert code == 0
    matches = found["matches"]
    assert isinstance(matches, list)
    # The nearest of each, and not the one that was asked for.
    assert {match["gallery"] for match in matches} == {redacted(place) for place in places}
    vectors = {made_tracklet(*v).id: made_tracklet(*v).embedding for v in (*SHOP, *MALL, *AIRPORT)}
    nearest = sorted(set(vectors) - {ANN.id}, key=lambda i: -float(vectors[i] @ ANN.embedding))
    assert [match["id"] for match in matches] == nearest[:3]
    assert [match["similarity"] for match in matches] == pytest.approx(
        [float(vectors[i] @ ANN.embedding) for i in nearest[:3]], abs=1e-5
    )
    galleries = found["galleries"]
    assert isinstance(galleries, list)
    # Where it is stored it is who it was given to; elsewhere somebody like it.
    assert galleries[0]["verdict"] == "given"
    assert {one["error"] for one in galleries} == {None}
    assert all(one["candidates"] for one in galleries)


@pytest.mark.slow
def test_a_tracklet_of_a_servers_gallery_is_found_and_asked_for_elsewhere(shop: str, airport: str) -> None:
    theirs = made_tracklet(*AIRPORT[0])
    merged = search_galleries([shop, airport], theirs.id, k=2)
    assert [one.answer["verdict"] for one in merged.said if one.answer][1] == "given"
    assert {match["id"] for match in merged.matches} == ids([SHOP[0], SHOP[2]])
    assert {match["gallery"] for match in merged.matches} == {shop}


def test_one_that_cannot_be_reached_is_named_and_the_others_answer(shop: str, tmp_path: Path) -> None:
    gone, nobody = str(tmp_path / "gone"), f"http://localhost:{free_port()}"
    vector = tmp_path / "ann.npy"
    np.save(vector, ANN.embedding)
    code, found, said = asked(str(vector), "-g", gone, "-g", shop, "-g", nobody)
    assert code == 1
    matches, galleries = found["matches"], found["galleries"]
    assert isinstance(matches, list)
    assert isinstance(galleries, list)
    assert {match["id"] for match in matches} == ids(SHOP)
    assert [one["error"] is None for one in galleries] == [False, True, False]
    assert f"{gone} could not be asked: no gallery" in said.replace("\n", " ")
    done = CliRunner().invoke(app, ["search", str(vector), "-g", gone, "-g", shop])
    assert done.exit_code == 1
    assert "who it is" in done.output
    with pytest.raises(GalleryUnreachable, match="none of the galleries"):
        search_galleries([gone, nobody], vector)


@pytest.mark.slow
def test_a_server_that_does_not_know_the_caller_is_named_too(
    shop: str, airport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, f"{airport}=wrong")
    merged = search_galleries([shop, airport], ANN.embedding)
    assert [one.gallery for one in merged.unreached] == [airport]
    assert {match["id"] for match in merged.matches} == ids(SHOP)


def test_one_token_is_not_shown_to_two_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "rs_secret")
    with pytest.raises(ConfigError, match="so that each sees its own"):
        search_galleries(["http://one:1", "http://two:1"], ANN.id)


def test_another_embedding_space_is_refused(shop: str, tmp_path: Path) -> None:
    other = made(tmp_path / "other", MALL, EmbeddingSpace("another", "another model", SPACE.size))
    with pytest.raises(GalleryMismatch, match=r"other holds embeddings of another model .* cannot be compared"):
        search_galleries([shop, other], ANN.embedding)


def test_the_same_gallery_under_two_names_is_a_mistake(shop: str) -> None:
    for twice in ([shop, shop], [shop, f"{shop}/../shop"]):
        with pytest.raises(ConfigError, match=r"same gallery|each once"):
            search_galleries(twice, ANN.embedding)


def test_a_tracklet_that_lies_in_several_is_found_once(shop: str, tmp_path: Path) -> None:
    copy = made(tmp_path / "copy", [*SHOP, (1, "a", 50, 55)])
    merged = search_galleries([shop, copy], ANN.id, k=3)
    assert len(merged.matches) == 3
    assert {match["id"] for match in merged.matches} == ids([*SHOP[1:], (1, "a", 50, 55)])
    assert [one["id"] for one in search_galleries([copy, shop], ANN.id, k=3).matches] == [
        one["id"] for one in merged.matches
    ]


def test_filters_are_every_gallerys(shop: str, mall: str) -> None:
    found = search_galleries([shop, mall], ANN.embedding, where=Filter(since=20, until=107)).matches
    assert {match["id"] for match in found} == ids([SHOP[2], MALL[0]])
    found = search_galleries([shop, mall], ANN.embedding, where=Filter(sources=("b",))).matches
    assert {match["id"] for match in found} == ids(MALL)
    with pytest.raises(ConfigError, match=r"no source 'd' in any of these galleries"):
        search_galleries([shop, mall], ANN.embedding, where=Filter(sources=("d",)))


def test_what_cannot_be_asked_of_several_is_said(shop: str, tmp_path: Path) -> None:
    other = made(tmp_path / "other", MALL)
    for words in (["--rerank"], ["--page", "found.html"], ["--from", "3"], ["--out", "found.csv"]):
        done = CliRunner().invoke(app, ["search", ANN.id, "-g", shop, "-g", other, *words])
        assert isinstance(done.exception, ConfigError)
        assert "one by one" in str(done.exception)
    with pytest.raises(TrackletNotFound, match="one of these galleries"):
        search_galleries([shop, other], "nothing of the kind")
    with pytest.raises(SourceBroken, match="64 finite numbers"):
        search_galleries([shop, other], np.ones(3, np.float32))
    with pytest.raises(ConfigError, match="at least one"):
        search_galleries([], ANN.id)


def test_a_photo_is_looked_at_once_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QueryModels, "embedder", lambda self: ColourEmbedder())
    monkeypatch.setattr(QueryModels, "detector", lambda self: BlobDetector())
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        made_of_colours(place, ColourEmbedder()).close()
    cv2.imwrite(str(tmp_path / "red.png"), photo([0]))
    merged = search_galleries(places, tmp_path / "red.png", k=4)
    # They hold the same tracklets, which are found once.
    assert {match["person"]["name"] for match in merged.matches if match["similarity"] > 0.9} == {"Red"}
    assert len(merged.matches) == 4
    assert [one.answer["verdict"] for one in merged.said if one.answer] == ["person", "person"]


@pytest.mark.slow
def test_servers_alone_are_sent_the_photo(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(prepared / "shop", tmp_path / "shop")
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with Served(tmp_path / "shop") as served:
        wanted = {"secret": served.setup_link.split("#")[1], "name": "grace", "password": PASSWORD}
        with httpx.Client(base_url=served.address, headers={"Origin": served.address}) as browser:
            assert browser.post("/api/v1/setup", json=wanted).status_code == 200
            token = browser.post("/api/v1/tokens", json={"name": "test", "role": "viewer"}).json()["token"]
        monkeypatch.setenv(TOKEN_VARIABLE, f"{served.address}={token}")
        gone = f"http://localhost:{free_port()}"
        merged = search_galleries([gone, served.address], prepared / "person.jpg", k=2, whole=True)
    assert [one.gallery for one in merged.unreached] == [gone]
    assert len(merged.matches) == 2
