from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine
from reidstream.errors import ConfigError, EngineError
from reidstream.rendering import Renderer, Sightings, Trails, annotated, film_paths, track_colour
from reidstream.sources import ArrayPicture, Frame
from reidstream.types import EndReason, Observed, Tracklet
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs


def seen(index: int, boxes: list[list[float]], ids: list[int] | None = None, source: str = "cam") -> Observed:
    track_ids = np.array(ids if ids is not None else range(1, len(boxes) + 1), np.uint64)
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Observed(source, index, index / 20, 0.0, track_ids, array, np.full(len(boxes), 0.9, np.float32))


def grey(index: int, size: tuple[int, int] = (320, 240), source: str = "cam", time: float | None = None) -> Frame:
    picture = ArrayPicture(np.full((size[1], size[0], 3), 90, np.uint8))
    return Frame(source, index, index / 20 if time is None else time, 0.0, picture)


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_rendered_video_shows_a_real_run(tmp_path: Path) -> None:
    path = write_blobs(tmp_path / "in.mp4", [0, 1], 60)
    observed: list[Observed] = []
    with Renderer(tmp_path / "out.mp4", ["a"]) as renderer:

        def observer(frame: Frame, seen: Observed) -> None:
            observed.append(seen)
            renderer.draw(frame, seen)

        sources = [("a", SourceConfig(uri=str(path)))]
        for _ in LocalEngine(Config(), sources, observer, BlobDetector(), ColourEmbedder()).events():
            pass
    frames = decoded(tmp_path / "out.mp4")
    plain = decoded(path)
    assert len(frames) == len(plain) == 60
    np.testing.assert_allclose([f.time for f in frames], [f.time for f in plain], atol=1e-4)
    last = observed[-5]
    assert len(last.boxes) == 2
    image = frames[last.frame].to_ndarray(format="bgr24").astype(int)
    before = plain[last.frame].to_ndarray(format="bgr24").astype(int)
    for track_id, (x1, y1, _, y2) in zip(last.track_ids.tolist(), last.boxes.round().astype(int).tolist(), strict=True):
        side = image[(y1 + y2) // 2 - 10 : (y1 + y2) // 2 + 10, x1].mean(axis=0)
        assert np.abs(side - track_colour(track_id)).max() < 70
    # Far from everybody nothing has changed.
    assert np.abs(image[110:120] - before[110:120]).mean() < 4
    assert {p.name for p in tmp_path.iterdir()} == {"in.mp4", "out.mp4"}


def test_a_person_has_one_colour_and_one_name_in_all_tracks() -> None:
    @dataclass
    class Somebody:
        number: int
        title: str

    blank, box = np.zeros((240, 320, 3), np.uint8), [[60, 60, 120, 200]]
    grace = Somebody(5, "Grace")
    pictures = [annotated(blank, seen(0, box, [track]), Trails(), {track: grace}) for track in (7, 9)]
    np.testing.assert_array_equal(*pictures)
    np.testing.assert_array_equal(pictures[0][130, 60], track_colour(5))
    assert (pictures[0] != annotated(blank, seen(0, box, [5]), Trails())).any()
    # Who is nobody known keeps the track's number.
    np.testing.assert_array_equal(
        annotated(blank, seen(0, box, [7]), Trails(), {8: grace}), annotated(blank, seen(0, box, [7]), Trails())
    )


def test_boxes_labels_and_trails_are_drawn_in_the_colour_of_their_track() -> None:
    trails = Trails()
    blank = np.zeros((240, 320, 3), np.uint8)
    for index in range(10):
        image = annotated(blank, seen(index, [[20 + 10 * index, 60, 60 + 10 * index, 200]], [7]), trails)
    assert not blank.any()
    colour = np.array(track_colour(7))
    np.testing.assert_array_equal(image[130, 110], colour)
    # The trail leads back along the feet, to where the track began.
    assert np.abs(image[200, 45].astype(int) - colour).max() < 130
    assert image[200, 45].any()
    # A filled label stands on the box.
    assert (image[40:59, 110:130] == colour).all(axis=-1).mean() > 0.3


def test_trails_end_with_their_time() -> None:
    trails = Trails(seconds=1.0)
    trails.add(seen(0, [[0, 0, 10, 20], [50, 0, 60, 20]], [1, 2]))
    trails.add(seen(15, [[4, 0, 14, 20]], [1]))
    assert {i: line.tolist() for i, line in trails.lines().items()} == {1: [[5, 20], [9, 20]], 2: [[55, 20]]}
    trails.add(seen(30, []))
    assert {i: line.tolist() for i, line in trails.lines().items()} == {1: [[9, 20]]}
    trails.add(seen(60, []))
    assert trails.lines() == {}


def test_neighbouring_ids_have_colours_that_differ() -> None:
    assert track_colour(3) == track_colour(3)
    assert track_colour(2**64 - 1)
    colours = np.array([track_colour(i) for i in range(1, 9)], int)
    distances = [np.abs(a - b).max() for a, b in itertools.combinations(colours, 2)]
    assert min(distances) > 40


def test_video_keeps_uneven_times_odd_sizes_and_changes_of_size(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.51, 3.0]
    with Renderer(tmp_path / "out.mkv", ["cam"]) as renderer:
        for index, time in enumerate(times):
            size = (161, 97) if index < 3 else (322, 200)
            renderer.draw(grey(index, size, time=time), seen(index, [[5, 5, 20, 40]]))
    frames = decoded(tmp_path / "out.mkv")
    assert [(f.width, f.height) for f in frames] == [(160, 96)] * 5
    np.testing.assert_allclose([f.time for f in frames], times, atol=0.002)


def test_several_sources_give_a_video_each_from_threads_of_their_own(tmp_path: Path) -> None:
    names = ["door", "yard/1"]

    def play(source: str) -> None:
        for index in range(12):
            renderer.draw(grey(index, source=source), seen(index, [], source=source))

    with Renderer(tmp_path / "out.mp4", names) as renderer:
        threads = [threading.Thread(target=play, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(decoded(tmp_path / "out-door.mp4")) == len(decoded(tmp_path / "out-yard-1.mp4")) == 12


def test_paths_of_films_are_different() -> None:
    assert film_paths(Path("x/o.mp4"), ["a"]) == {"a": Path("x/o.mp4")}
    paths = film_paths(Path("x/o.mp4"), ["a b", "a-b", "a/b"])
    assert [p.name for p in paths.values()] == ["o-a-b.mp4", "o-a-b-2.mp4", "o-a-b-3.mp4"]


def test_paths_that_cannot_become_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must end with one of"):
        Renderer(tmp_path / "out.txt", ["a"])
    with pytest.raises(ConfigError, match="no folder"):
        Renderer(tmp_path / "none" / "out.mp4", ["a"])


def test_failure_of_the_encoder_is_reported_and_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    renderer = Renderer(tmp_path / "out.mp4", ["cam"])
    for index in range(40):
        renderer.draw(grey(index), seen(index, []))
    with pytest.raises(EngineError, match=r"out\.mp4.*directory"):
        renderer.close()
    assert {p.name for p in tmp_path.iterdir()} == {"out.mp4"}


def test_source_without_frames_leaves_no_video(tmp_path: Path) -> None:
    with Renderer(tmp_path / "out.mp4", ["cam"]):
        pass
    assert list(tmp_path.iterdir()) == []


def walk(frames: list[int], observations: int | None = None) -> Tracklet:
    """Somebody who stands at x = frame in each of these frames."""
    points = np.array(frames, np.int64)
    corner = points.astype(np.float32)
    boxes = np.stack([corner, corner, corner + 20, corner + 60], 1)
    one = np.eye(1, 4, dtype=np.float32)
    return Tracklet(
        id="a" * 32,
        source="cam",
        content="c",
        track_id=7,
        part=0,
        parts=1,
        start_frame=frames[0],
        end_frame=frames[-1],
        start_media=0.0,
        end_media=1.0,
        start_wall=0.0,
        end_wall=1.0,
        reason=EndReason.LEFT,
        observations=observations or len(frames),
        confidence=1.0,
        embedding=one[0],
        prototypes=one,
        prototype_weights=np.ones(1, np.float32),
        embeddings_used=1,
        embeddings_seen=1,
        purity=1.0,
        quality=1.0,
        frames=points,
        boxes=boxes,
    )


def left_edges(sightings: Sightings, frames: range) -> list[float | None]:
    found = [sightings.at("cam", frame, 0.0, 0.0)[0].boxes[:, 0].tolist() for frame in frames]
    return [edges[0] if edges else None for edges in found]


def test_a_path_that_was_thinned_is_walked_between_its_points() -> None:
    thinned = walk(np.linspace(0, 9999, 2048).round().astype(int).tolist(), observations=10_000)
    edges = left_edges(Sightings([thinned]), range(10_000))
    np.testing.assert_allclose(np.array(edges, float), np.arange(10_000), atol=0.01)


def test_nobody_is_drawn_while_they_were_not_seen() -> None:
    seen = [*range(10, 20), *range(40, 50)]
    edges = left_edges(Sightings([walk(seen)]), range(60))
    assert [frame for frame, edge in enumerate(edges) if edge is not None] == seen
    # Of a camera that is looked at every fourth frame the frames between are no gap; a pause of twenty is one.
    every_fourth = [*range(8, 40, 4), *range(60, 80, 4)]
    edges = left_edges(Sightings([walk(every_fourth)]), range(90))
    assert [frame for frame, edge in enumerate(edges) if edge is not None] == [*range(8, 37), *range(60, 77)]


def test_sightings_count_who_is_in_a_frame() -> None:
    two = Sightings([walk([2, 3, 4]), walk([4, 5])])
    assert two.counts(8).tolist() == [0, 0, 1, 1, 2, 1, 0, 0]
    assert two.counts(4).tolist() == [0, 0, 1, 1]
    assert (len(two), two.last_frame, Sightings([]).last_frame) == (2, 5, -1)
    assert two.at("cam", 4, 0.5, 1.5)[0].track_ids.tolist() == [7, 7]
