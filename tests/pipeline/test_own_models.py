"""A detector and an embedder of one's own: the gallery is built with them, and knows them apart from others."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from reidstream.config import Config, GalleryConfig
from reidstream.errors import ConfigError, GalleryMismatch
from reidstream.gallery import Gallery
from reidstream.gallery.schema import recordings
from reidstream.pipeline import build_gallery, open_run, settings_fingerprint
from reidstream.search import QueryModels
from reidstream.types import EmbeddingSpace
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs

# No index process: what is tested here does not search.
CONFIG = Config(gallery=GalleryConfig(index="exact"))


class OtherBlobDetector(BlobDetector):
    """The same boxes, from a class of another name."""


class Trained(BlobDetector):
    """One class that comes with several weights."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint


class OtherEmbedder(ColourEmbedder):
    space = EmbeddingSpace("0ther", "other", 8)


def test_a_gallery_is_built_with_models_of_ones_own(tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "east.mp4", [0, 1], 60)
    summary = build_gallery([video], CONFIG, gallery=tmp_path / "g", detector=BlobDetector(), embedder=ColourEmbedder())
    assert (summary.stored, summary.sources["east"].state) == (2, "complete")
    with Gallery.open(tmp_path / "g") as gallery:
        assert gallery.space == ColourEmbedder.space
        models = QueryModels(gallery, BlobDetector(), ColourEmbedder())
        assert isinstance(models.detector(), BlobDetector)
        assert isinstance(models.embedder(), ColourEmbedder)
        with pytest.raises(GalleryMismatch, match="colour"):
            QueryModels(gallery, None, OtherEmbedder())


def test_the_same_again_is_skipped_and_another_detector_is_not_taken_for_it(tmp_path: Path) -> None:
    video, gallery = write_blobs(tmp_path / "a.mp4", [0], 20), tmp_path / "g"

    def build(detector: BlobDetector) -> str:
        made = build_gallery([video], CONFIG, gallery=gallery, detector=detector, embedder=ColourEmbedder())
        return made.sources["a"].state

    assert build(BlobDetector()) == "complete"
    assert build(BlobDetector()) == "skipped"
    for other in (OtherBlobDetector(), Trained("first")):
        with pytest.raises(GalleryMismatch, match="--replace"):
            build(other)


def test_weights_of_one_class_are_told_apart_by_their_fingerprint(tmp_path: Path) -> None:
    video, gallery = write_blobs(tmp_path / "a.mp4", [0], 20), tmp_path / "g"
    build_gallery([video], CONFIG, gallery=gallery, detector=Trained("first"), embedder=ColourEmbedder())
    with pytest.raises(GalleryMismatch, match="--replace"):
        build_gallery([video], CONFIG, gallery=gallery, detector=Trained("second"), embedder=ColourEmbedder())


def test_another_embedding_space_is_refused(tmp_path: Path) -> None:
    video, gallery = write_blobs(tmp_path / "a.mp4", [0], 20), tmp_path / "g"
    build_gallery([video], CONFIG, gallery=gallery, detector=BlobDetector(), embedder=ColourEmbedder())
    with pytest.raises(GalleryMismatch):
        build_gallery([video], CONFIG, gallery=gallery, detector=BlobDetector(), embedder=OtherEmbedder(), replace=True)


def test_deepstream_runs_no_detector_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="local engine"):
        build_gallery(["a.mp4"], CONFIG, tmp_path / "g", engine="deepstream", detector=BlobDetector())


def test_an_index_process_is_started_for_a_gallery_that_has_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr("reidstream.gallery.index.process.start", lambda: started.append("started"))
    first, second = write_blobs(tmp_path / "a.mp4", [0], 20), write_blobs(tmp_path / "b.mp4", [1], 20)
    models = {"detector": BlobDetector(), "embedder": ColourEmbedder()}
    build_gallery([first], CONFIG, gallery=tmp_path / "g", **models)
    # The setting is for new galleries; this one was made without.
    with Gallery.open(tmp_path / "g") as gallery:
        assert gallery.facts().index == "exact"
    assert build_gallery([second], Config(), gallery=tmp_path / "g", **models).stored == 1
    assert started == []
    with open_run([second], Config(), tmp_path / "new", **models):
        assert started == ["started"]


def test_what_an_earlier_version_read_is_known_by_its_way_of_writing_settings(tmp_path: Path) -> None:
    video, gallery = write_blobs(tmp_path / "a.mp4", [0], 20), tmp_path / "g"

    def build() -> str:
        made = build_gallery([video], CONFIG, gallery=gallery, detector=BlobDetector(), embedder=ColourEmbedder())
        return made.sources["a"].state

    assert build() == "complete"
    former = settings_fingerprint(
        CONFIG, "local", detector=BlobDetector(), former_model=ColourEmbedder.space.fingerprint
    )
    for state, expected in (("complete", "skipped"), ("stopped", "complete")):
        with Gallery.open(gallery, write=True) as opened, opened.write() as connection:
            connection.execute(update(recordings).values(settings=former, state=state))
        assert build() == expected
    with Gallery.open(gallery) as opened:
        assert opened.sources()[0].settings == settings_fingerprint(CONFIG, "local", detector=BlobDetector()) != former
