"""Named zones of a camera: who was in one, when and for how long, from the picture to numbers, events and exports."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config, SourceConfig
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.zones import note_zones, zone_numbers
from reidstream.identities.outbox import events_after
from reidstream.pipeline import build_gallery
from reidstream.regions import Zones
from reidstream.types import Tracklet
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.exact import EXACT
from tests.identities.conftest import made_tracklet

LEFT = ((0.0, 0.0), (0.4, 0.0), (0.4, 1.0), (0.0, 1.0))
RIGHT = ((0.6, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 1.0))
NOBODY_S = ((0.45, 0.0), (0.55, 0.0), (0.55, 0.05), (0.45, 0.05))
SIZE = (320, 240)


def walked(xs: list[float], fps: float = 10.0) -> Tracklet:
    """A tracklet whose feet are at these parts of the width, a look every tenth of a second from 5 s on."""
    x = np.array(xs) * SIZE[0]
    boxes = np.stack([x - 10, np.full(len(x), 100), x + 10, np.full(len(x), 200)], axis=1).astype(np.float32)
    whole = made_tracklet(1, "door", 5.0, 5.0 + (len(xs) - 1) / fps)
    return replace(whole, frames=whole.start_frame + np.arange(len(xs)), boxes=boxes)


def spans(tracklet: Tracklet) -> list[tuple[str, float, float]]:
    stays = Zones({"left": LEFT, "right": RIGHT}).stays(tracklet, SIZE)
    return [(stay.zone, round(stay.start_media, 3), round(stay.end_media, 3)) for stay in stays]


def test_a_stay_lasts_from_coming_to_leaving_and_somebody_may_come_again() -> None:
    came_twice = walked([0.2] * 11 + [0.8] * 21 + [0.2] * 11)
    assert spans(came_twice) == [("left", 5.0, 6.0), ("right", 6.1, 8.1), ("left", 8.2, 9.2)]


def test_boxes_that_tremble_at_the_border_and_steps_across_a_corner_make_no_stays() -> None:
    assert spans(walked([0.2] * 10 + [0.45] * 5 + [0.2] * 10)) == [("left", 5.0, 7.4)]
    assert spans(walked([0.5] * 10 + [0.2] * 4 + [0.5] * 10)) == []


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people who walk from left to right past a camera with three zones."""
    folder = tmp_path_factory.mktemp("zones")
    source = SourceConfig(
        uri=str(write_blobs(folder / "door.mp4", [0, 1], 90)),
        zones={"way in": LEFT, "till": RIGHT, "ceiling": NOBODY_S},
    )
    config = Config(gallery=EXACT)
    build_gallery([source], config, folder / "shop", detector=BlobDetector(), embedder=ColourEmbedder())
    return folder / "shop"


def command(*words: str | Path) -> Any:
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


@pytest.mark.setting("sources.zones")
def test_stays_are_stored_and_told_in_events_lists_and_exports(shop: Path, tmp_path: Path) -> None:
    with Gallery.open(shop) as gallery:
        for tracklet in gallery.tracklets():
            first, second = tracklet.stays
            assert (first.zone, second.zone) == ("way in", "till")
            assert tracklet.start_media <= first.start_media < first.end_media < second.start_media
            assert first.end_wall - first.start_wall == pytest.approx(first.end_media - first.start_media, abs=1e-3)
            assert gallery.tracklet(tracklet.id).stays == tracklet.stays
        stored = [event.payload for event in events_after(gallery, 0) if event.kind == "TrackletStored"]
        assert [event["zones"] for event in stored] == [["till", "way in"]] * 2
        assert len(gallery.rows(Filter(zones=("till", "nowhere")))) == 2
        assert len(gallery.rows(Filter(zones=("ceiling",)))) == 0
    listed = command("gallery", "list", "-g", shop, "--zone", "till")["tracklets"]
    assert [record["zones"] for record in listed] == [["till", "way in"]] * 2
    assert command("gallery", "list", "-g", shop, "--zone", "ceiling")["total"] == 0
    assert command("gallery", "show", listed[0]["id"], "-g", shop)["stays"][1]["zone"] == "till"
    command("gallery", "export", tmp_path / "all.csv", "-g", shop)
    with (tmp_path / "all.csv").open() as file:
        assert [row["zones"] for row in csv.DictReader(file)] == ["till, way in"] * 2


def test_numbers_of_zones_by_camera_and_time(shop: Path) -> None:
    till, way_in = command("gallery", "zones", "-g", shop)["zones"]
    assert (till["source"], till["zone"], till["visits"], till["stays"]) == ("door", "till", 2, 2)
    with Gallery.open(shop) as gallery:
        stays = [stay for tracklet in gallery.tracklets() for stay in tracklet.stays if stay.zone == "till"]
    lengths = sorted(stay.end_media - stay.start_media for stay in stays)
    assert (till["seconds"], till["longest"]) == pytest.approx((sum(lengths), lengths[-1]))
    assert till["median"] == pytest.approx(sum(lengths) / 2)
    assert way_in["first_wall"] < till["first_wall"]
    early = command("gallery", "zones", "-g", shop, "--to", "0:01")["zones"]
    assert [one["zone"] for one in early] == ["way in"]
    words = CliRunner().invoke(app, ["gallery", "zones", "-g", str(shop)]).output
    assert "way in" in words


@pytest.mark.usefixtures("unproven")
def test_zones_that_are_drawn_later_are_noted_from_stored_paths_and_erased_with_their_tracklets(tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "door.mp4", [0], 90)
    build_gallery([video], Config(gallery=EXACT), tmp_path / "shop", detector=BlobDetector(), embedder=ColourEmbedder())
    cameras = tmp_path / "cameras.toml"
    cameras.write_text(f'[[sources]]\nuri = "{video}"\nzones."till" = {json.dumps(RIGHT)}\n')
    (till,) = command("gallery", "zones", "-g", tmp_path / "shop", "--cameras", cameras)["zones"]
    assert (till["zone"], till["visits"]) == ("till", 1)
    with Gallery.open(tmp_path / "shop", write=True) as gallery:
        assert note_zones(gallery, {"door": Zones({"way in": LEFT})}) == 1
        (way_in,) = zone_numbers(gallery)
        assert way_in.zone == "way in"
        gallery.erase(gallery.rows().id.tolist())
        assert zone_numbers(gallery) == []


@pytest.mark.parametrize("name", ["a,b", "", " till", "x" * 65])
def test_names_of_zones_are_short_and_have_no_commas(name: str) -> None:
    with pytest.raises(ValueError, match="zones"):
        SourceConfig(uri="a.mp4", zones={name: LEFT})


def test_a_zone_without_an_area_is_refused() -> None:
    with pytest.raises(ValueError, match=r"zone 'till' has no area"):
        SourceConfig(uri="a.mp4", zones={"till": ((0, 0), (0.5, 0.5), (1, 1))})
