"""A gallery moves to another embedding space: new vectors for everybody, and people stay who they are."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config, GalleryConfig, load_config
from reidstream.errors import ConfigError, GalleryError, GalleryMismatch
from reidstream.gallery import Gallery, State
from reidstream.gallery.next_space import NextVector, begin_move, crops_used, finish_move, move_of, put, waiting
from reidstream.identities import people
from reidstream.identities.review import Review
from reidstream.pipeline import build_gallery
from reidstream.pipeline.reembedding import reembed
from reidstream.types import EmbeddingSpace, FloatArray
from tests.blobs import BlobDetector, ColourEmbedder, HueEmbedder, write_blobs
from tests.gallery.conftest import SETTINGS, SPACE, some_tracklets, started
from tests.killed import Job
from tests.pipeline.reembedding_job import move
from tests.relocated import relocated
from tests.slow import first_quick

EXACT = Config(gallery=GalleryConfig(index="exact"))
CHROMA = Config(gallery=GalleryConfig(index="chroma"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings and their gallery."""
    place = tmp_path_factory.mktemp("made")
    two = [write_blobs(place / "east.mp4", [0, 1], 100), write_blobs(place / "west.mp4", [2, 3], 80)]
    built(place / "g", two)
    return place


@pytest.fixture
def gallery(made: Path, tmp_path: Path) -> Path:
    return relocated(made, tmp_path, "g")


@pytest.fixture
def videos(gallery: Path) -> list[Path]:
    return [gallery.with_name("east.mp4"), gallery.with_name("west.mp4")]


def built(gallery: Path, videos: Sequence[Path], config: Config = EXACT, embedder: object = None) -> Path:
    embedder = embedder or ColourEmbedder()
    build_gallery(list(videos), config, gallery=gallery, detector=BlobDetector(), embedder=embedder)  # type: ignore[arg-type]
    return gallery


def vectors_of(gallery: Path) -> dict[tuple[str, int], FloatArray]:
    with Gallery.open(gallery) as opened:
        return {(t.source, t.track_id): t.embedding for t in opened.tracklets()}


@pytest.mark.parametrize("config", first_quick([EXACT, CHROMA]), ids=["exact", "chroma"])
def test_from_recordings_everybody_looks_as_if_read_with_the_new_model(
    videos: list[Path], tmp_path: Path, config: Config
) -> None:
    gallery = built(tmp_path / "other", videos, config)
    done = reembed(gallery, HueEmbedder(), "hues")
    assert (done.moved, done.from_recordings, done.from_crops, done.left) == (True, 4, 0, ())
    assert (done.former, done.space) == (ColourEmbedder.space, HueEmbedder.space)
    expected = vectors_of(built(tmp_path / "anew", videos, embedder=HueEmbedder()))
    found = vectors_of(gallery)
    assert found.keys() == expected.keys()
    assert min(float(found[key] @ expected[key]) for key in expected) > 0.98
    with Gallery.open(gallery, write=True) as opened:
        assert (opened.space, opened.model) == (HueEmbedder.space, "hues")
        assert opened.check().problems == []
        for tracklet in opened.tracklets():
            assert tracklet.embeddings_used > 1
            assert tracklet.prototypes.shape[1] == 12
            ((nearest,),) = opened.search(tracklet.embedding, 1)
            assert nearest.tracklet == tracklet.id
        with opened.read() as connection:
            assert min(crops_used(connection)) > 1
            assert move_of(connection) is None


def test_where_the_files_are_gone_the_stored_crops_are_used(gallery: Path, videos: list[Path]) -> None:
    videos[0].unlink()
    # Another recording under the former name is not taken for it.
    write_blobs(videos[1], [4], 50)
    done = reembed(gallery, HueEmbedder(), "hues")
    assert (done.moved, done.from_recordings, done.from_crops) == (True, 0, 4)
    with Gallery.open(gallery) as opened:
        assert {t.embeddings_used for t in opened.tracklets()} == {1}
        assert len({opened.search(t.embedding, 1)[0][0].tracklet for t in opened.tracklets()}) == 4


@pytest.mark.setting("tracklets.crops")
def test_as_many_crops_are_kept_as_the_setting_says_and_all_of_them_are_used(
    videos: list[Path], tmp_path: Path
) -> None:
    config = load_config(None, ["tracklets.crops=4", 'gallery.index="exact"'])
    gallery = built(tmp_path / "other", videos, config)
    with Gallery.open(gallery) as opened:
        for tracklet in opened.tracklets():
            assert tracklet.crop is not None
            assert 1 <= len(tracklet.more_crops) <= 3
            assert opened.tracklet(tracklet.id).more_crops == tracklet.more_crops
    reembed(gallery, HueEmbedder(), "hues", recordings=False)
    with Gallery.open(gallery, write=True) as opened:
        some = next(iter(opened.tracklets()))
        assert some.embeddings_seen == 1 + len(some.more_crops)
        others = b"".join(
            crop for one in opened.tracklets() if one.id != some.id for crop in (one.crop or b"", *one.more_crops)
        )
        assert opened.erase([some.id]).proven
        assert opened.check().problems == []
    data = b"".join(path.read_bytes() for path in gallery.rglob("*") if path.is_file())
    # Plain colours are compressed alike in pictures of others: what is looked for is this tracklet's alone.
    own = {crop[at : at + 40] for crop in some.more_crops for at in range(0, len(crop) - 40, 20)}
    own = {piece for piece in own if piece not in others}
    assert own and not any(piece in data for piece in own)


def test_a_recording_that_breaks_off_gives_what_it_has_and_the_crops_the_rest(
    gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reidstream.errors import SourceBroken
    from reidstream.sources.video_file import VideoFileSource

    whole = VideoFileSource._read

    def broken(source: VideoFileSource) -> object:
        for frame in whole(source):
            if frame.index == 60 and source.id == "west":
                raise SourceBroken("the disk is gone")
            yield frame

    monkeypatch.setattr(VideoFileSource, "_read", broken)
    done = reembed(gallery, HueEmbedder(), "hues")
    assert (done.moved, done.from_recordings, done.from_crops) == (True, 4, 0)


def test_people_names_and_history_stay(gallery: Path) -> None:
    with Gallery.open(gallery, write=True) as opened:
        review = Review(opened, "ana")
        review.label("1", name="Ada")
        review.merge("1", "2")
        before = (list(opened.rows().records()), people.history(opened))
    reembed(gallery, HueEmbedder(), "hues")
    with Gallery.open(gallery, write=True) as opened:
        after = list(opened.rows().records())
        assert people.history(opened) == before[1]
        assert [row["person_name"] for row in after].count("Ada") == 2
    made_of = ("embeddings_used", "embeddings_seen")
    for row, former in zip(after, before[0], strict=True):
        assert {**row, **dict.fromkeys(made_of)} == {**former, **dict.fromkeys(made_of)}


def test_what_has_neither_a_recording_nor_a_crop_is_named_and_nothing_moves(gallery: Path) -> None:
    with Gallery.open(gallery, write=True) as opened:
        kept = opened.rows().id.tolist()
        opened.begin_source(started(), SETTINGS)
        (some,) = some_tracklets(1)
        vector = np.eye(8, dtype=np.float32)[:2]
        bare = dataclasses.replace(some, embedding=vector[0], prototypes=vector, crop=None, crop_box=None)
        opened.add([bare])
    before = vectors_of(gallery)
    done = reembed(gallery, HueEmbedder(), "hues")
    assert (done.moved, done.left) == (False, (bare.id,))
    assert vectors_of(gallery).keys() == before.keys()
    with Gallery.open(gallery) as opened:
        assert opened.space == ColourEmbedder.space
    # What was made is not made again.
    done = reembed(gallery, HueEmbedder(), "hues", drop=True)
    assert (done.moved, done.before, done.from_recordings, done.left) == (True, 4, 0, (bare.id,))
    with Gallery.open(gallery) as opened:
        assert opened.rows().id.tolist() == kept


def test_who_opened_it_before_is_told_to_open_it_anew(gallery: Path) -> None:
    with Gallery.open(gallery) as reader:
        query = next(iter(reader.tracklets())).embedding
        reembed(gallery, HueEmbedder(), "hues")
        for ask in (lambda: reader.search(query), reader.vectors, reader.prototypes):
            with pytest.raises(GalleryMismatch, match="open it anew"):
                ask()


def test_the_same_model_again_is_refused(gallery: Path) -> None:
    with pytest.raises(GalleryMismatch, match="holds embeddings of colour already"):
        reembed(gallery, ColourEmbedder(), "colour")


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_in_the_new_space(gallery: Path, videos: list[Path]) -> None:
    with Gallery.open(gallery, write=True) as opened, opened.write() as connection:
        connection.exec_driver_sql("UPDATE recordings SET state = 'stopped' WHERE source = 'west'")
        connection.exec_driver_sql("UPDATE tracklets SET reason = 'shutdown' WHERE source = 'west'")
    reembed(gallery, HueEmbedder(), "hues")
    with pytest.raises(GalleryMismatch, match="holds embeddings of hues"):
        built(gallery, videos)
    built(gallery, videos, embedder=HueEmbedder())
    with Gallery.open(gallery) as opened:
        assert {r.source: (r.state, r.tracklets) for r in opened.sources()} == {
            "east": (State.COMPLETE, 2),
            "west": (State.COMPLETE, 2),
        }
        assert opened.search(next(iter(opened.tracklets())).embedding, 4)[0][0].similarity > 0.99


def test_vectors_for_another_space_are_forgotten_when_a_move_begins_anew(gallery: Path) -> None:
    with Gallery.open(gallery, write=True) as opened, opened.write() as connection:
        begin_move(connection, EmbeddingSpace("x", "x", 2), "x")
        one = np.array([1, 0], np.float32)
        ids = waiting(connection)
        assert put(connection, {id: NextVector(one, one[None], np.ones(1, np.float32), 1, 1) for id in ids[:3]}) == 3
        assert put(connection, {"somebody who was erased": NextVector(one, one[None], one[:1], 1, 1)}) == 0
        assert waiting(connection) == ids[3:]
        with pytest.raises(GalleryMismatch, match=f"tracklet {ids[3]} .*no vector of x"):
            finish_move(connection)
        begin_move(connection, EmbeddingSpace("x", "x", 2), "x")
        assert waiting(connection) == ids[3:]
        begin_move(connection, EmbeddingSpace("y", "y", 3), "y")
        assert waiting(connection) == ids


def test_on_a_server_the_same(postgres: str) -> None:
    with Gallery.open(postgres, write=True, create=True, space=SPACE) as opened:
        opened.begin_source(started(), SETTINGS)
        opened.add(some_tracklets(6))
        with opened.write() as connection:
            begin_move(connection, EmbeddingSpace("y", "y", 3), "y")
            units = np.eye(3, dtype=np.float32)
            put(
                connection,
                {
                    id: NextVector(units[n % 3], units[n % 3][None], np.ones(1, np.float32), 1, 2)
                    for n, id in enumerate(waiting(connection))
                },
            )
            finish_move(connection)
    with Gallery.open(postgres, write=True) as again:
        assert again.space == EmbeddingSpace("y", "y", 3)
        assert again.check().problems == []
        assert len([m for m in again.search(units[0], 6)[0] if m.similarity > 0.9]) == 2


def test_the_command_moves_says_so_and_names_what_is_missing(gallery: Path, tmp_path: Path) -> None:

    def say(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["gallery", *words, "--gallery", str(gallery)])
        return done.exit_code, done.output

    with Gallery.open(gallery, write=True) as opened, opened.write() as connection:
        lost = waiting(connection)[0]
        connection.exec_driver_sql("DELETE FROM crops WHERE seq = 1")
        source = opened.rows(ids=[lost]).source[0]
    (tmp_path / f"{source}.mp4").unlink()
    code, output = say("reembed", "person-reid", "--crops")
    assert code == 1
    assert "0 from recordings, 3 from stored crops" in output
    assert lost in output
    assert "--drop" in output
    assert "moving to: person-reid, 3 of 4 tracklets done" in say("info")[1]
    assert "stays with colour" in say("reembed", "--abandon")[1]
    assert "moving to" not in say("info")[1]
    code, output = say("reembed", "person-reid", "--drop", "--json")
    assert code == 0
    done = json.loads(output)
    assert (done["moved"], done["from_recordings"], done["from_crops"], done["left"]) == (True, 2, 1, [lost])
    assert "made from: 1 crop 1, " in say("info")[1]


def test_a_model_is_named_exactly_where_one_is_used(tmp_path: Path) -> None:
    for words, wanted in ((["person-reid", "--abandon"], "person-reid is not used"), ([], "name the model to move to")):
        done = CliRunner().invoke(app, ["gallery", "reembed", *words, "--gallery", str(tmp_path / "none")])
        assert isinstance(done.exception, ConfigError)
        assert wanted in str(done.exception)


@pytest.mark.parametrize("seed", first_quick(range(4)))
def test_killed_at_any_moment_it_is_in_one_space_or_the_other_and_goes_on(
    seed: int, gallery: Path, videos: list[Path], tmp_path: Path
) -> None:
    videos[1].unlink()
    chance = random.Random(seed)
    for _ in range(3):
        job = Job(move, str(gallery))
        for _ in range(chance.randrange(1, 40)):
            job.lines.readline()
        job.kill()
        with Gallery.open(gallery, write=True) as opened:
            assert opened.check().problems == []
            size = opened.space.size
            assert {t.embedding.shape + t.prototypes.shape[1:] for t in opened.tracklets()} == {(size, size)}
    try:
        reembed(gallery, HueEmbedder(), "hues")
    except GalleryError as error:
        assert "already" in str(error)
    whole = built(tmp_path / "whole", [videos[0]])
    reembed(whole, HueEmbedder(), "hues")
    found = vectors_of(gallery)
    for key, vector in vectors_of(whole).items():
        np.testing.assert_allclose(found[key], vector, atol=1e-6)
