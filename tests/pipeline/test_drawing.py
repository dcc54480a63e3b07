"""A video that a gallery has read is drawn with the people that the gallery knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import av
import pytest

from reidstream.config import Config, SourceConfig
from reidstream.errors import ConfigError, SourceNotFound
from reidstream.gallery import Gallery
from reidstream.identities.people import list_people
from reidstream.identities.review import Review
from reidstream.pipeline import open_run
from reidstream.pipeline.drawing import draw_people
from reidstream.rendering import Named, Renderer
from reidstream.sources.frame import Frame
from reidstream.types import Observed
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.exact import EXACT
from tests.pipeline.job import bring_in

Drawn = dict[str, list[dict[str, int]]]
CONFIG = Config(gallery=EXACT)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """For each source the frames that were drawn: the track of each person in it, by what the person is called."""
    found: Drawn = defaultdict(list)
    draw = Renderer.draw

    def noted(self: Renderer, frame: Frame, observed: Observed, people: Mapping[int, Named] | None = None) -> None:
        found[frame.source].append({person.title: track for track, person in (people or {}).items()})
        draw(self, frame, observed, people)

    monkeypatch.setattr(Renderer, "draw", noted)
    return found


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def called(frames: list[dict[str, int]]) -> set[str]:
    return {title for frame in frames for title in frame}


def given(path: Path) -> tuple[str, SourceConfig]:
    return path.stem, SourceConfig(uri=str(path))


def test_people_are_drawn_by_name_where_the_gallery_knows_them(tmp_path: Path, drawn: Drawn) -> None:
    video = write_blobs(tmp_path / "entrance.mp4")
    bring_in([video], tmp_path / "shop")
    with Gallery.open(tmp_path / "shop", write=True) as gallery:
        (first, *_) = list_people(gallery)
        Review(gallery, "ana").label(first.id, name="Grace")
        count = draw_people(gallery, [given(video)], tmp_path / "people.mp4")
        assert count == len(gallery)
        titles = {person.title for person in list_people(gallery)}
        tracks = {gallery.tracklet(t).track_id for t in first.tracklets}
    assert "Grace" in titles
    assert called(drawn["entrance"]) == titles
    assert {frame["Grace"] for frame in drawn["entrance"] if "Grace" in frame} == tracks
    assert frames_of(tmp_path / "people.mp4") == len(drawn["entrance"])


def test_a_video_that_was_not_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    known = write_blobs(tmp_path / "entrance.mp4")
    bring_in([known], tmp_path / "shop")
    other = write_blobs(tmp_path / "yard.mp4", frames=30)
    with Gallery.open(tmp_path / "shop") as gallery, pytest.raises(SourceNotFound, match="reidstream run"):
        draw_people(gallery, [given(known), given(other)], tmp_path / "people.mp4")
    assert not list(tmp_path.glob("people*"))


def test_a_run_draws_people_by_number_in_every_video(tmp_path: Path, drawn: Drawn) -> None:
    videos = [
        write_blobs(tmp_path / "entrance.mp4", [0, 1]),
        write_blobs(tmp_path / "yard.mp4", [1, 2], frames=50),
    ]
    models = {"detector": BlobDetector(), "embedder": ColourEmbedder()}
    with open_run(videos, CONFIG, tmp_path / "shop", render=tmp_path / "seen.mp4", **models) as run:
        summary = run.run()
    assert summary.stage_seconds["draw"] > 0
    with Gallery.open(tmp_path / "shop") as gallery:
        of = {tracklet: person.title for person in list_people(gallery) for tracklet in person.tracklets}
        seen = {
            name: {of[row["id"]] for row in gallery.rows().records() if row["source"] == name}
            for name in ("entrance", "yard")
        }
    assert {name: called(frames) for name, frames in drawn.items()} == seen
    # Whoever came to both is drawn by one number in both.
    assert len(seen["entrance"] & seen["yard"]) == 1
    assert [frames_of(tmp_path / f"seen-{name}.mp4") for name in ("entrance", "yard")] == [60, 50]

    # What the gallery holds already is not read again, and is drawn all the same, of which few frames were looked at.
    drawn.clear()
    with open_run(videos[:1], CONFIG, tmp_path / "shop", render=tmp_path / "again.mp4", **models) as run:
        assert run.run().frames == 0
    assert called(drawn["entrance"]) == seen["entrance"]
    assert frames_of(tmp_path / "again.mp4") == 60


def test_nobody_flickers_in_a_video_of_which_few_frames_were_looked_at(tmp_path: Path, drawn: Drawn) -> None:
    video = write_blobs(tmp_path / "entrance.mp4", [0])
    source = SourceConfig(uri=str(video), max_fps=5, name="entrance")
    models = {"detector": BlobDetector(), "embedder": ColourEmbedder()}
    with open_run([source], CONFIG, tmp_path / "shop", render=tmp_path / "seen.mp4", **models) as run:
        assert run.run().processed < 20
    with Gallery.open(tmp_path / "shop") as gallery:
        (tracklet,) = gallery.tracklets()
    assert [len(frame) for frame in drawn["entrance"]] == [
        int(tracklet.start_frame <= index <= tracklet.end_frame) for index in range(60)
    ]


def test_what_a_run_did_not_come_to_is_not_drawn(tmp_path: Path, drawn: Drawn) -> None:
    video = write_blobs(tmp_path / "entrance.mp4", [0, 1], frames=200)

    class Stopping(BlobDetector):
        """Has the run stopped after some frames, as Ctrl-C does."""

        seen = 0

        def detect(self, pictures):  # type: ignore[no-untyped-def]
            self.seen += len(pictures)
            if self.seen > 40:
                run.stop()
            return super().detect(pictures)

    models = {"detector": Stopping(), "embedder": ColourEmbedder()}
    with open_run([video], CONFIG, tmp_path / "shop", render=tmp_path / "seen.mp4", **models) as run:
        summary = run.run()
    read = summary.sources["entrance"].frames
    assert 0 < read < 200
    assert frames_of(tmp_path / "seen.mp4") == len(drawn["entrance"]) == read


def test_cameras_are_not_drawn_by_deepstream_and_the_message_says_so(tmp_path: Path) -> None:
    opened = open_run(
        ["rtsp://127.0.0.1:9/door"], CONFIG, tmp_path / "shop", engine="deepstream", render=tmp_path / "seen.mp4"
    )
    with pytest.raises(ConfigError, match=r"drawing cameras.*Recordings"), opened:
        pass
