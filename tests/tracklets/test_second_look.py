"""What shows no person is left out, and people are kept, by the embeddings that a track has anyway."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from reidstream.config import EmbeddingConfig, TrackletConfig
from reidstream.inference import open_embedder
from reidstream.models import resolve_model
from reidstream.pipeline.second_look import second_look
from reidstream.synthetic import render_crops
from reidstream.tracklets import TrackletCollector
from reidstream.tracklets.second_look import SecondLook
from reidstream.types import EmbeddingSpace, Event, FloatArray, LeftOutReason, SourceEnded, Tracklet
from tests.tracklets.test_collector import seen, started

PERSON, THING = np.eye(2, 8, dtype=np.float32)
LOOK = SecondLook((3 * PERSON - 3 * THING).astype(np.float32), 0.0)


def upright(count: int) -> FloatArray:
    return np.tile(np.array([10, 10, 50, 110], np.float32), (count, 1))


def test_the_mean_of_several_crops_decides_and_two_do_not() -> None:
    assert LOOK.says_thing(np.stack([THING, THING, THING]), upright(3))
    assert not LOOK.says_thing(np.stack([THING, PERSON, PERSON]), upright(3))
    assert not LOOK.says_thing(np.stack([THING, THING]), upright(2))


def test_nothing_is_said_of_who_does_not_stand() -> None:
    lying = np.array([10, 10, 110, 50], np.float32)
    boxes = upright(4)
    boxes[:2] = lying
    assert not LOOK.says_thing(np.stack([THING] * 4), boxes)
    assert LOOK.says_thing(np.stack([PERSON] * 2 + [THING] * 3), np.concatenate([boxes[:2], upright(3)]))


def collected(config: TrackletConfig, believed: Collection[str] = ()) -> tuple[list[Tracklet], TrackletCollector]:
    """One track whose crops are of a person, and one whose crops are not."""
    first = seen(0, {1: 1, 2: 2}).samples
    assert first is not None
    one, other = first.embeddings
    collector = TrackletCollector(
        config, second_look=SecondLook((4 * one - 4 * other).astype(np.float32), 0.0), believed=believed
    )
    events: list[Event] = [started(), *(seen(f, {1: 1, 2: 2}) for f in range(8)), SourceEnded("gate", 8, 0.0)]
    return [tracklet for event in events for tracklet in collector.take(event)], collector


@pytest.mark.setting("tracklets.second_look")
def test_a_track_that_shows_no_person_is_left_out_where_there_is_a_second_look() -> None:
    (person,), collector = collected(TrackletConfig())
    assert person.track_id == 1
    assert [(one.track_id, one.why) for one in collector.left_out()] == [(2, LeftOutReason.NO_PERSON)]
    assert collector.counts.no_person == 1
    assert len(collected(TrackletConfig(second_look=False))[0]) == 2
    # Who says themselves who is a person is believed.
    assert len(collected(TrackletConfig(), believed=["gate"])[0]) == 2
    assert len(collected(TrackletConfig(), believed=["yard"])[0]) == 1


def test_the_package_s_second_look_is_for_the_package_s_embeddings_only() -> None:
    assert second_look(EmbeddingSpace("00" * 32, "somebody else's", 512)) is None


@pytest.mark.slow
def test_made_up_people_are_people() -> None:
    embedder = open_embedder(resolve_model("person-reid", "reid"), EmbeddingConfig())
    look = second_look(embedder.space)
    assert look is not None
    people = [crop.image for crop in render_crops(people=12, seed=77, cameras=2, per_camera=1)]
    vectors = embedder.embed(people)
    assert not any(
        look.says_thing(vectors[at : at + 3], upright(len(vectors[at : at + 3]))) for at in range(0, len(vectors), 3)
    )
