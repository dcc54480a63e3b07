"""Regions of a picture in which nobody counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config import Config, SourceConfig, load_config
from reidstream.engines.deepstream.metadata import FrameArrays
from reidstream.engines.deepstream.running.source_events import SourceEvents
from reidstream.engines.local import LocalEngine
from reidstream.errors import ConfigError
from reidstream.pipeline import settings_fingerprint
from reidstream.regions import IgnoredRegions
from reidstream.types import FloatArray, Observed, SourceStarted
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs

LEFT_HALF = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
SIZE = (320, 240)


def standing(*feet: tuple[float, float]) -> FloatArray:
    """Boxes 20 wide and 50 high that stand on these pixels."""
    return np.array([[x - 10, y - 50, x + 10, y] for x, y in feet], np.float32)


def test_who_stands_in_a_region_is_held_by_the_middle_of_the_lower_edge() -> None:
    held = IgnoredRegions([LEFT_HALF]).hold(standing((100, 100), (159, 200), (161, 200), (300, 100)), SIZE)
    assert held.tolist() == [True, True, False, False]


def test_somebody_in_front_of_a_poster_is_not_in_it() -> None:
    poster = IgnoredRegions([[(0.4, 0.1), (0.6, 0.1), (0.6, 0.6), (0.4, 0.6)]])
    printed, in_front = [140.0, 40.0, 180.0, 130.0], [140.0, 60.0, 180.0, 220.0]
    assert poster.hold(np.array([printed, in_front], np.float32), SIZE).tolist() == [True, False]


def test_a_box_cut_off_below_stands_in_a_region_that_reaches_the_border() -> None:
    assert IgnoredRegions([LEFT_HALF]).hold(standing((100, 240)), SIZE).tolist() == [True]


def test_a_region_may_have_any_shape() -> None:
    corner = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.25), (0.25, 0.25), (0.25, 1.0), (0.0, 1.0)]
    held = IgnoredRegions([corner]).hold(standing((20, 230), (300, 55), (200, 200)), SIZE)
    assert held.tolist() == [True, True, False]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8), st.integers(0, 7), st.booleans())
def test_where_a_polygon_begins_and_which_way_it_turns_makes_no_difference(
    polygon: list[tuple[float, float]], turn: int, backwards: bool
) -> None:
    random = np.random.default_rng(0)
    boxes = standing(*random.uniform(60, 230, (40, 2)).tolist())
    other = polygon[turn % len(polygon) :] + polygon[: turn % len(polygon)]
    other = other[::-1] if backwards else other
    np.testing.assert_array_equal(
        IgnoredRegions([polygon]).hold(boxes, SIZE), IgnoredRegions([other]).hold(boxes, SIZE)
    )


def test_without_regions_nobody_is_held() -> None:
    assert not IgnoredRegions([])
    assert not IgnoredRegions([]).hold(standing((100, 100)), SIZE).any()


@pytest.mark.setting("sources.ignore")
def test_the_local_engine_sees_nobody_there(tmp_path: Path) -> None:
    clip = write_blobs(tmp_path / "a.mp4", people=(0, 1), frames=60)

    def seen(ignore: list[list[tuple[float, float]]]) -> list[Observed]:
        source = SourceConfig.model_validate({"uri": str(clip), "ignore": ignore})
        engine = LocalEngine(Config(), [("a", source)], detector=BlobDetector(), embedder=ColourEmbedder())
        return [event for event in engine.events() if isinstance(event, Observed)]

    everybody, upper = seen([]), seen([[(0, 0.5), (1, 0.5), (1, 1), (0, 1)]])
    assert max(len(event.track_ids) for event in everybody) == 2
    assert max(len(event.track_ids) for event in upper) == 1
    assert all((event.boxes[:, 3] < 130).all() for event in upper)


def test_deepstream_s_tracks_are_left_out_with_their_embeddings() -> None:
    arrays = FrameArrays(
        source_index=0,
        number=0,
        pts=0,
        ntp=None,
        size=SIZE,
        object_ids=np.array([7, 8, 9], np.uint64),
        boxes=standing((100, 100), (200, 100), (300, 100)),
        confidences=np.ones(3, np.float32),
        rows=np.array([0, 2]),
        embeddings=np.eye(2, 4, dtype=np.float32),
        quality=np.array([0.5, 0.9], np.float32),
        crops=(b"left", b"right"),
    )
    started = SourceStarted("a", "a.mp4", "content", SIZE, 25, 0.0)
    source = SourceEvents(started, 2.0, 0, IgnoredRegions([LEFT_HALF]))
    events = [*source.frame(arrays), *source.end(None, False, 0)]
    observed = [event for event in events if isinstance(event, Observed)]
    assert len(observed) == 1
    samples = observed[0].samples
    assert observed[0].boxes[:, 0].tolist() == [190, 290]
    assert samples is not None
    assert (samples.rows.tolist(), samples.crops) == ([1], (b"right",))
    assert samples.embeddings[0].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    "polygon", ["[[0,0],[1,1]]", "[[0,0],[1,1],[0.5,0.5]]", "[[0,0],[2,0],[0,1]]", "[[0,0],[nan,0],[0,1]]", '"left"']
)
def test_a_polygon_that_is_none_is_refused(polygon: str, tmp_path: Path) -> None:
    (tmp_path / "cameras.toml").write_text(f'[[sources]]\nuri = "a.mp4"\nignore = [{polygon}]\n')
    with pytest.raises(ConfigError, match=r"sources.0.ignore"):
        load_config(tmp_path / "cameras.toml")


def test_another_region_gives_other_tracklets_and_is_known_as_that() -> None:
    without = settings_fingerprint(Config(), "local")
    assert settings_fingerprint(Config(), "local", ignore=[LEFT_HALF]) != without
    assert settings_fingerprint(Config(), "local", ignore=[]) == without
