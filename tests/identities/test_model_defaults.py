"""What a new gallery takes similarity to mean, before it has pairs of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities import calibration
from reidstream.identities.calibration import DEFAULTS_FILE, GENERAL, Defaults, defaults_of
from reidstream.identities.proposal import propose
from reidstream.inference.embedder import fingerprint
from reidstream.models import resolve_model
from reidstream.types import EmbeddingSpace, SourceStarted
from tests.identities.conftest import made_tracklet

OTHER = Defaults(same=0.95, different=0.9, spread=0.01, within=0.97)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Defaults of a model called "measured"."""
    path = tmp_path / "defaults.json"
    row = {"model": "measured", "same": 0.95, "different": 0.9, "spread": 0.01, "within": 0.97}
    path.write_text(json.dumps({"measured": row}))
    monkeypatch.setattr(calibration, "DEFAULTS_FILE", path)
    defaults_of.cache_clear()
    yield path
    defaults_of.cache_clear()


def proposed(folder: Path, fingerprint: str) -> calibration.Calibration:
    """The calibration of a gallery with two visits that nobody can compare for free."""
    space = EmbeddingSpace(fingerprint, "a model", 64)
    with Gallery.open(folder, write=True, create=True, space=space, config=GalleryConfig(index="exact")) as gallery:
        gallery.begin_source(SourceStarted("a", "a.mp4", "content of a", (640, 480), 10, 0.0), "settings")
        gallery.add([made_tracklet(1, "a", 0, 5), made_tracklet(1, "a", 10, 15)])
        return propose(gallery, IdentityConfig()).calibration


def test_a_new_gallery_starts_from_what_belongs_to_its_model(file: Path, tmp_path: Path) -> None:
    assert defaults_of("measured") == OTHER
    measured, unknown = proposed(tmp_path / "one", "measured"), proposed(tmp_path / "two", "never measured")
    assert measured.different == pytest.approx(0.9)
    assert unknown.different == pytest.approx(GENERAL.different)
    assert measured.spread < unknown.spread


def test_the_embedded_model_starts_from_general_values() -> None:
    # What made-up people look like to it does not carry over to real ones: it was trained to tell those apart.
    assert defaults_of(fingerprint(resolve_model("person-reid", "reid"))) == GENERAL


def test_what_is_shipped_can_be_read_and_is_sound() -> None:
    for key, row in json.loads(DEFAULTS_FILE.read_text(encoding="utf-8")).items():
        held = defaults_of(key)
        assert row["model"]
        assert 0 < held.different < held.same < 1
        assert 0.01 < held.spread < 0.3
        assert held.different < held.within <= 1
    assert defaults_of("nobody has measured this") == GENERAL
