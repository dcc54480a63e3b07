"""From pixels to people: the demo's scene, a shorter one, through everything with the embedded weights.

The thresholds are what a working chain clearly exceeds and a broken one cannot reach: without detection nobody is
found, without association visits fall to pieces or people are mixed, without pooling or storing the same person is no
longer nearest to themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from reidstream.config import Config, EmbeddingConfig
from reidstream.demo import Comparison, compare
from reidstream.demo.query import choose_wanted
from reidstream.demo.scene import demo_world, prepare_scene
from reidstream.gallery import Gallery
from reidstream.inference import open_embedder
from reidstream.models import resolve_model
from reidstream.pipeline import RunSummary, build_gallery
from reidstream.synthetic import SceneTruth
from reidstream.types import Tracklet

pytestmark = pytest.mark.slow


class Outcome(NamedTuple):
    scene: SceneTruth
    gallery: Path
    summary: RunSummary
    tracklets: list[Tracklet]
    comparison: Comparison


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("demo")
    scene, _ = prepare_scene(folder, demo_world(minutes=0.45, fps=7.0))
    summary = build_gallery([camera.video for camera in scene.cameras], Config(), folder / "gallery")
    with Gallery.open(folder / "gallery") as gallery:
        tracklets = list(gallery.tracklets())
    return Outcome(scene, folder / "gallery", summary, tracklets, compare(scene, tracklets))


def test_every_frame_is_read_and_every_tracklet_stored(outcome: Outcome) -> None:
    assert outcome.summary.failed == []
    assert outcome.summary.frames == sum(camera.length for camera in outcome.scene.cameras) == 3 * 189
    assert outcome.summary.stored == outcome.summary.tracklets == len(outcome.tracklets) > 0


def test_people_are_found(outcome: Outcome) -> None:
    comparison = outcome.comparison
    assert len(comparison.persons) >= 6
    assert len(comparison.found) >= 0.8 * len(comparison.persons)
    assert comparison.visits_found >= 0.75 * comparison.visits
    assert len(comparison.nobody) <= 0.35 * comparison.tracklets


def test_tracks_hold_together_and_hold_one_person(outcome: Outcome) -> None:
    comparison = outcome.comparison
    assert comparison.tracklets_per_visit <= 2.2
    assert len(comparison.mixed) <= 0.15 * comparison.tracklets
    longest = dict.fromkeys(comparison.found, 0.0)
    for tracklet in outcome.tracklets:
        if (person := comparison.person_of.get(tracklet.id)) in longest:
            longest[person] = max(longest[person], tracklet.end_media - tracklet.start_media)
    assert np.median(list(longest.values())) > 3.0


def test_boxes_lie_where_people_are(outcome: Outcome) -> None:
    for tracklet in outcome.tracklets:
        camera = outcome.scene.camera(tracklet.source)
        assert 0 <= tracklet.start_frame <= tracklet.end_frame < camera.length
        assert (tracklet.boxes[:, :2] >= -0.5).all()
        assert (tracklet.boxes[:, 2:] <= np.array(camera.size) + 0.5).all()
        assert tracklet.start_media == pytest.approx(tracklet.start_frame / camera.fps, abs=0.5 / camera.fps)


def test_pooled_embeddings_tell_people_apart(outcome: Outcome) -> None:
    known = [t for t in outcome.tracklets if t.id in outcome.comparison.person_of and t.embeddings_used >= 3]
    vectors = np.array([t.embedding for t in known])
    persons = np.array([outcome.comparison.person_of[t.id] for t in known])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    similarity = vectors @ vectors.T
    a, b = np.triu_indices(len(known), 1)
    same = persons[a] == persons[b]
    assert same.sum() >= 3
    positives, negatives = similarity[a, b][same], similarity[a, b][~same]
    auc = (positives[:, None] > negatives[None]).mean()
    assert auc >= 0.85


def test_a_crop_finds_its_person(outcome: Outcome) -> None:
    wanted = choose_wanted(outcome.scene)
    embedding = EmbeddingConfig()
    embedder = open_embedder(resolve_model(embedding.model, "reid"), embedding)
    with Gallery.open(outcome.gallery) as gallery:
        first = gallery.search(embedder.embed([wanted.crop]), 1)[0][0]
    assert outcome.comparison.person_of.get(first.tracklet) == wanted.person


def test_running_again_changes_nothing(outcome: Outcome) -> None:
    again = build_gallery([camera.video for camera in outcome.scene.cameras], Config(), outcome.gallery)
    assert again.stored == 0
    with Gallery.open(outcome.gallery) as gallery:
        assert {t.id for t in gallery.tracklets()} == {t.id for t in outcome.tracklets}
