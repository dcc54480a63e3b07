"""``reidstream sources mask``: regions drawn, tried, painted and read back."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import load_config
from reidstream.errors import ReIDStreamError
from reidstream.sources.mask import PAINT, painted_regions
from tests.blobs import SIZE, write_blobs

SQUARE = "0.1,0.2 0.4,0.2 0.4,0.8 0.1,0.8"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "entrance.mp4", frames=5)


def mask(*words: Any) -> str:
    done = CliRunner().invoke(app, ["sources", "mask", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def refused(*words: Any) -> str:
    with pytest.raises(ReIDStreamError) as caught:
        CliRunner().invoke(app, ["sources", "mask", *map(str, words)], catch_exceptions=False)
    return str(caught.value)


def test_a_region_that_is_tried_is_drawn_and_printed_for_the_camera_list(clip: Path, tmp_path: Path) -> None:
    said = mask(clip, "--polygon", SQUARE, "--out", tmp_path / "tried.png")
    line = said.splitlines()[0]
    assert tomllib.loads(line)["ignore"] == [[[0.1, 0.2], [0.4, 0.2], [0.4, 0.8], [0.1, 0.8]]]
    (tmp_path / "cameras.toml").write_text(f'[[sources]]\nuri = "entrance.mp4"\n{line}\n')
    assert load_config(tmp_path / "cameras.toml").sources[0].ignore[0][2] == (0.4, 0.8)
    drawn, plain = cv2.imread(str(tmp_path / "tried.png")), mask(clip, "--out", tmp_path / "plain.png")
    bare = cv2.imread(str(tmp_path / "plain.png"))
    assert "ignore" not in plain
    different = (drawn != bare).any(axis=2)
    inside = different[round(0.3 * SIZE[1]) : round(0.7 * SIZE[1]), round(0.15 * SIZE[0]) : round(0.35 * SIZE[0])]
    assert inside.mean() > 0.8
    assert not different[:, round(0.5 * SIZE[0]) :].any()


def test_what_is_painted_comes_back_as_polygons(clip: Path, tmp_path: Path) -> None:
    mask(clip, "--out", tmp_path / "entrance.jpg")
    picture = cv2.imread(str(tmp_path / "entrance.jpg"))
    height, width = picture.shape[:2]
    cv2.rectangle(picture, (0, 0), (width // 4, height), PAINT, -1)
    cv2.circle(picture, (3 * width // 4, height // 2), 30, PAINT, -1)
    picture[10, 200] = PAINT
    cv2.imwrite(str(tmp_path / "painted.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    found = json.loads(mask(clip, "--painted", tmp_path / "painted.jpg", "--json"))["ignore"]
    assert len(found) == 2
    left = np.array(found[0])
    assert left[:, 0].max() == pytest.approx(0.25, abs=0.02)
    assert (left[:, 1].min(), left[:, 1].max()) == (0, 1)
    centre = np.array(found[1]).mean(axis=0)
    assert centre == pytest.approx([0.75, 0.5], abs=0.03)
    assert len(found[1]) < 30


def test_regions_of_a_list_are_drawn_and_its_source_is_named(clip: Path, tmp_path: Path) -> None:
    listed = tmp_path / "cameras.toml"
    listed.write_text(
        f'[[sources]]\nuri = "{clip}"\nname = "door"\nignore = [[[0,0],[1,0],[1,1]]]\n'
        f'[[sources]]\nuri = "{write_blobs(tmp_path / "yard.mp4", frames=3)}"\n'
    )
    assert "say which with --name: door, yard" in refused(listed, "--out", tmp_path / "a.png")
    assert "no source 'gate'" in refused(listed, "--name", "gate", "--out", tmp_path / "a.png")
    mask(listed, "--name", "door", "--out", tmp_path / "door.png")
    mask(listed, "--name", "yard", "--out", tmp_path / "yard.png")
    assert (cv2.imread(str(tmp_path / "door.png")) != cv2.imread(str(tmp_path / "yard.png"))).any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to do"),
        (["--polygon", "0.1,0.2 0.3"], "three corners or more"),
        (["--polygon", "0.1,0.2 0.3,0.4 5,0.6"], "less than or equal to 1"),
        (["--polygon", "0.1,0.1 0.2,0.2 0.3,0.3"], "has no area"),
        (["--painted", "gone.png"], "no picture at gone.png"),
    ],
)
def test_mistakes_are_named(clip: Path, words: list[str], message: str) -> None:
    assert message in refused(clip, *words)


def test_a_picture_without_paint_and_an_ending_that_is_none(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ReIDStreamError, match="painted in magenta"):
        painted_regions(np.zeros((20, 20, 3), np.uint8))
    assert "must end in .png or .jpg" in refused(clip, "--out", tmp_path / "picture.nothing")
    assert not list(tmp_path.glob("*nothing*"))


def test_what_is_painted_up_to_the_border_reaches_it() -> None:
    """Corners are parts of the picture: 0 is its first column, 1 its last."""
    picture = np.full((101, 201, 3), 90, np.uint8)
    picture[50:, 100:] = PAINT
    (region,) = painted_regions(picture)
    assert {(x, y) for x, y in region} == {(0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0)}
