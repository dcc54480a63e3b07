"""What was erased does not come back with its recording, whatever its ids are then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.gallery import Begin, Gallery
from reidstream.types import Tracklet
from tests.exact import EXACT

from .conftest import SETTINGS, SPACE, Filled, some_tracklets, started


def walking(
    n: int, *, start: int = 0, x: float = 100.0, height: float = 160.0, content: str = "content-door"
) -> Tracklet:
    """Somebody who crosses the picture at two pixels a frame, for 60 frames."""
    frames = np.arange(start, start + 61, 5)
    left = x + 2.0 * (frames - start)
    boxes = np.stack([left, 100 + 0 * left, left + 0.4 * height, 100 + height + 0 * left], axis=1).astype(np.float32)
    (plain,) = some_tracklets(1, content=content, first=n)
    return replace(
        plain,
        start_frame=start,
        end_frame=start + 60,
        frames=frames,
        boxes=boxes,
        start_media=start / 25,
        end_media=start / 25 + 2.4,
    )


def again(tracklet: Tracklet, number: int, shift: tuple[float, float] = (0.0, 0.0), scale: float = 1.0) -> Tracklet:
    """The same visit as other models and settings see it: another id, track, vector and slightly other boxes."""
    (other,) = some_tracklets(1, seed=number, content=tracklet.content, first=1000 + number)
    middle = (tracklet.boxes[:, :2] + tracklet.boxes[:, 2:]) / 2
    half = (tracklet.boxes[:, 2:] - tracklet.boxes[:, :2]) / 2 * scale
    height = float(tracklet.boxes[0, 3] - tracklet.boxes[0, 1])
    middle = middle + np.array(shift) * height
    boxes = np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)
    kept = {
        name: getattr(tracklet, name) for name in ("source", "start_frame", "end_frame", "start_media", "end_media")
    }
    return replace(other, frames=tracklet.frames, boxes=boxes, **kept)


def test_an_erased_visit_stays_away_when_its_recording_is_read_again_with_other_settings(filled: Filled) -> None:
    crowd = [walking(1), walking(2, x=300), walking(3, start=200)]
    with Gallery.open(filled(crowd), write=True) as gallery:
        assert gallery.erase([crowd[0].id]).proven
        assert gallery.begin_source(started(), "other settings", replace=True) is Begin.NEW
        seen = [again(tracklet, n, (0.05, -0.05), 1.08) for n, tracklet in enumerate(crowd)]
        assert gallery.add(seen) == 2
        assert {t.id for t in gallery.tracklets()} == {seen[1].id, seen[2].id}
        assert (gallery.kept_out, gallery.facts().kept_out) == (1, 1)
        # A recording that was stopped and is read again offers it once more.
        assert gallery.add(seen) == 0
        assert gallery.kept_out == 2
    with Gallery.open(gallery.place.folder or Path()) as reader:
        assert reader.facts().kept_out == 2


@pytest.mark.usefixtures("unproven")
def test_tomorrows_visit_of_the_same_person_to_the_same_place_is_a_new_one(filled: Filled) -> None:
    visit = walking(1)
    with Gallery.open(filled([visit]), write=True) as gallery:
        gallery.erase([visit.id])
        gallery.begin_source(started(content="content-tomorrow", wall_time=90000.0), SETTINGS)
        tomorrow = replace(walking(1, content="content-tomorrow"), embedding=visit.embedding)
        assert gallery.add([tomorrow]) == 1
        assert gallery.kept_out == 0


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-0.15, 0.15),
    y=st.floats(-0.2, 0.2),
    scale=st.floats(0.88, 1.14),
    cut=st.integers(0, 4),
    height=st.floats(20, 900),
)
def test_small_differences_of_boxes_and_times_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, x: float, y: float, scale: float, cut: int, height: float
) -> None:
    from sqlalchemy import create_engine

    from reidstream.gallery.rows import blobs_of, values_of
    from reidstream.gallery.schema import details, metadata, recordings, tracklets
    from reidstream.gallery.tombstones import bury, erased_before

    erased = walking(1, height=height)
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert recordings is not None
        connection.execute(tracklets.insert().values(seq=1, revision=1, **values_of(erased, 1)))
        connection.execute(details.insert().values(seq=1, **blobs_of(erased)[1]))
        bury(connection, [erased.id])
        seen = again(erased, 7, (x, y), scale)
        frames = seen.frames[cut : len(seen.frames) - cut]
        seen = replace(
            seen,
            frames=frames,
            boxes=seen.boxes[cut : len(seen.boxes) - cut],
            start_frame=int(frames[0]),
            end_frame=int(frames[-1]),
        )
        neighbour = again(erased, 8, (0.8, 0.0))
        later = replace(again(erased, 9), frames=erased.frames + 60, start_frame=60, end_frame=120)
        assert erased_before(connection, [seen, neighbour, later]) == {seen.id}
    engine.dispose()


@pytest.mark.usefixtures("unproven")
def test_the_marks_hold_neither_ids_nor_places_and_differ_from_gallery_to_gallery(tmp_path: Path) -> None:
    marks = []
    visit = walking(1)
    for name in ("a", "b"):
        with Gallery.open(tmp_path / name, write=True, create=True, space=SPACE, config=EXACT) as gallery:
            gallery.begin_source(started(), SETTINGS)
            gallery.add([visit])
            gallery.erase([visit.id])
            with gallery.read() as connection:
                marks.append(set(connection.exec_driver_sql("SELECT mark FROM tombstones").scalars()))
    assert len(marks[0]) == len(marks[1]) > 5
    assert not marks[0] & marks[1]
