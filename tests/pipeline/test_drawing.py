"""A video that a gallery has read is drawn with the people that the gallery knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
import pytest

from reidstream.errors import SourceNotFound
from reidstream.gallery import Gallery
from reidstream.identities.people import list_people
from reidstream.identities.review import Review
from reidstream.pipeline.drawing import draw_people
from reidstream.rendering import Named, Renderer
from reidstream.sources.frame import Frame
from reidstream.types import Observed
from tests.blobs import write_blobs
from tests.pipeline.job import bring_in


def test_people_are_drawn_by_name_where_the_gallery_knows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_blobs(tmp_path / "entrance.mp4")
    bring_in([video], tmp_path / "shop")
    drawn: list[dict[str, int]] = []
    draw = Renderer.draw

    def noted(self: Renderer, frame: Frame, observed: Observed, people: Mapping[int, Named] | None = None) -> None:
        drawn.append({person.title: track for track, person in (people or {}).items()})
        draw(self, frame, observed, people)

    monkeypatch.setattr(Renderer, "draw", noted)
    with Gallery.open(tmp_path / "shop", write=True) as gallery:
        (first, *_) = list_people(gallery)
        Review(gallery, "ana").label(first.id, name="Grace")
        count = draw_people(gallery, str(video), tmp_path / "people.mp4")
        assert count == len(gallery)
        titles = {person.title for person in list_people(gallery)}
        tracks = {gallery.tracklet(t).track_id for t in first.tracklets}
    assert "Grace" in titles
    assert {title for frame in drawn for title in frame} == titles
    assert {frame["Grace"] for frame in drawn if "Grace" in frame} == tracks
    with av.open(str(tmp_path / "people.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(drawn)


def test_a_video_that_was_not_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    bring_in([write_blobs(tmp_path / "entrance.mp4")], tmp_path / "shop")
    other = write_blobs(tmp_path / "yard.mp4", frames=30)
    with Gallery.open(tmp_path / "shop") as gallery, pytest.raises(SourceNotFound, match="reidstream run"):
        draw_people(gallery, str(other), tmp_path / "people.mp4")
    assert not (tmp_path / "people.mp4").exists()
