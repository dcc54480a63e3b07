"""What is expected of an embedding space: each model has its own, and a gallery keeps what it was made with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete

from reidstream import expected_looks
from reidstream.config.identities import IdentityConfig
from reidstream.errors import GalleryMismatch
from reidstream.expected_looks import ANY, ExpectedLooks, expected_named, newest_expected
from reidstream.gallery import Gallery
from reidstream.gallery.next_space import NextVector, begin_move, finish_move, put, waiting
from reidstream.gallery.schema import meta
from reidstream.identities.archive import export_gallery, import_gallery, open_archive
from reidstream.identities.calibration import Pairs, fitted
from reidstream.identities.deciding import Decider
from reidstream.identities.evidence import evidence_of
from reidstream.identities.resolving import resolve
from reidstream.inference import open_embedder
from reidstream.models import resolve_model
from reidstream.types import EmbeddingSpace
from tests.exact import EXACT
from tests.identities.conftest import SPACE, Visit
from tests.server.conftest import stored

VISITS: list[Visit] = [(1, "door", 0, 8), (2, "door", 20, 28), (3, "yard", 40, 48)]
FAR = ExpectedLooks("far/1", strangers=0.30, strangers_spread=0.03, same=0.55, same_spread=0.1)
NEAR = ExpectedLooks("near/1", strangers=0.80, strangers_spread=0.03, same=0.95, same_spread=0.02)
OTHER = EmbeddingSpace("cd" * 32, "other", SPACE.size)


def shipped(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, ExpectedLooks]) -> None:
    """As if the package had these entries."""
    monkeypatch.setattr(expected_looks, "_entries", lambda: entries)


def opened(place: Path, space: EmbeddingSpace = SPACE) -> Gallery:
    return Gallery.open(place, write=True, create=True, space=space, config=EXACT)


def test_every_embedded_model_has_its_own() -> None:
    from reidstream.config import EmbeddingConfig

    space = open_embedder(resolve_model("person-reid", "reid"), EmbeddingConfig()).space
    assert newest_expected(space.fingerprint).name.startswith("person-reid/")
    assert newest_expected("of a model that nobody measured") == ANY
    names = [expected.name for _, expected in expected_looks._entries()]
    assert len(set(names)) == len(names) and ANY.name not in names
    assert all(expected_named(name).name == name for name in [*names, ANY.name])


def test_looks_that_were_measured_are_not_pulled_down_by_look_alikes() -> None:
    # Thirty people, of whom nobody returns; every second resembles the one before as one person's looks hardly do.
    rng = np.random.default_rng(3)
    whole = rng.normal(0.5, 0.04, (30, 30))
    i, j = np.triu_indices(30, 1)
    similarity = whole[i, j]
    similarity[(j == i + 1) & (i % 2 == 0)] = rng.normal(0.66, 0.02, 15)
    nothing, clarity, both = np.zeros(len(i), bool), np.full(len(i), 0.4), np.ones(len(i))
    pairs = Pairs(i, j, similarity.astype(np.float32), clarity, ~nothing, nothing, float(len(i)), 30, both)
    looks = ExpectedLooks("far/1", strangers=0.5, strangers_spread=0.04, same=0.8, same_spread=0.09)
    learnt, measured = (fitted(pairs, expected=replace(looks, measured=known)) for known in (False, True))
    assert measured.calibration.same > 0.77 > learnt.calibration.same
    assert measured.calibration.share < learnt.calibration.share


def test_the_looks_of_both_shared_models_are_measured_and_earlier_entries_stay() -> None:
    for name in ("person-reid", "osnet_x0_25_msmt17"):
        before, now = expected_named(f"{name}/1"), expected_named(f"{name}/2")
        assert now.measured and not before.measured
        assert (before.same, before.same_spread) == (ANY.same, ANY.same_spread)
    assert not ANY.measured


def test_a_gallery_keeps_what_it_was_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped(monkeypatch, (SPACE.fingerprint, FAR))
    with opened(tmp_path / "shop") as gallery:
        stored(gallery, VISITS)
        before = resolve(evidence_of(gallery), IdentityConfig())
    shipped(monkeypatch, (SPACE.fingerprint, FAR), (SPACE.fingerprint, NEAR), (OTHER.fingerprint, ANY))
    with Gallery.open(tmp_path / "shop") as gallery:
        assert gallery.calibration == FAR.name
        again = resolve(evidence_of(gallery), IdentityConfig())
        assert again.calibration == before.calibration
        assert again.probability.tolist() == before.probability.tolist()
    with opened(tmp_path / "new") as gallery:
        assert gallery.calibration == NEAR.name
        stored(gallery, VISITS)
        assert resolve(evidence_of(gallery), IdentityConfig()).calibration != before.calibration


def test_an_earlier_versions_gallery_goes_on_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped(monkeypatch, (SPACE.fingerprint, FAR))
    with opened(tmp_path / "shop") as gallery:
        stored(gallery, VISITS)
        with gallery.batch() as batch:
            batch.connection.execute(delete(meta).where(meta.c.key == "calibration"))
        assert gallery.calibration == ANY.name
        assert evidence_of(gallery).expected == ANY


def test_one_that_this_version_does_not_have_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped(monkeypatch, (SPACE.fingerprint, FAR))
    with opened(tmp_path / "shop") as gallery:
        stored(gallery, VISITS)
    shipped(monkeypatch)
    with Gallery.open(tmp_path / "shop") as gallery:
        assert len(gallery.rows()) == len(VISITS)
        with pytest.raises(GalleryMismatch, match=r"calibration 'far/1', which this version does not have"):
            evidence_of(gallery)


def test_a_gallery_that_is_moved_takes_it_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped(monkeypatch, (SPACE.fingerprint, FAR))
    with opened(tmp_path / "shop") as gallery:
        stored(gallery, VISITS)
        export_gallery(gallery, tmp_path / "archive")
    shipped(monkeypatch, (SPACE.fingerprint, FAR), (SPACE.fingerprint, NEAR))
    with opened(tmp_path / "moved") as gallery:
        import_gallery(gallery, open_archive(tmp_path / "archive"))
        assert gallery.calibration == FAR.name
    with opened(tmp_path / "fuller") as gallery:
        stored(gallery, [(4, "gate", 60, 68)])
        import_gallery(gallery, open_archive(tmp_path / "archive"))
        # What decides already is not changed by what is added.
        assert gallery.calibration == NEAR.name


def test_another_space_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped(monkeypatch, (SPACE.fingerprint, FAR), (OTHER.fingerprint, NEAR))
    with opened(tmp_path / "shop") as gallery:
        stored(gallery, VISITS)
        with gallery.batch() as batch:
            begin_move(batch.connection, OTHER, "other")
            vector = np.eye(1, SPACE.size, dtype=np.float32)
            new = NextVector(vector[0], vector, np.ones(1, np.float32), 1, 1)
            put(batch.connection, dict.fromkeys(waiting(batch.connection), new))
            finish_move(batch.connection)
        assert gallery.calibration == NEAR.name


def test_whoever_decides_begins_with_what_is_expected() -> None:
    """The same two looks are one person where strangers are unlike, and two where all are alike."""
    said = []
    for expected in (FAR, NEAR):
        read = Decider(SPACE.size, IdentityConfig(), expected)._calibration
        assert (read.same, read.spread) == (expected.same, expected.same_spread)
        assert (read.usual, read.usual_spread) == (expected.strangers, expected.strangers_spread)
        z = np.array([(0.6 - read.usual) / read.usual_spread])
        said.append(float(read.log_ratio(np.array([0.6]), z, np.array([1 / read.usual_spread]), np.array([0.4]))[0]))
    assert said[0] > 0 > said[1]
