"""What was seen and not stored is a fact of the gallery, with its reason, and goes by the ways of what was stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.errors import ConfigError
from reidstream.gallery import Filter, Gallery
from reidstream.types import LeftOut, LeftOutReason
from tests.exact import EXACT

from .conftest import SETTINGS, SPACE, some_tracklets, started

Where = tuple[float, float]


def one(id: str, why: LeftOutReason, at: Where, content: str = "content-door", source: str = "door") -> LeftOut:
    box = (10.0, 20.0, 50.0, 120.0)
    frames = (int(at[0] * 25), int(at[1] * 25))
    walls = (1000 + at[0], 1000 + at[1])
    return LeftOut(id, source, content, 2**63 + 5, 0, why, *frames, *at, *walls, 3, 0.5, None, box)


SHORT = one("0a", LeftOutReason.TOO_SHORT, (1.0, 1.2))
THING = one("0b", LeftOutReason.THING, (40.0, 60.0))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three visits in the first five seconds, a piece beside them, and a thing later."""
    with Gallery.open(tmp_path / "shop", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(some_tracklets(3))
        gallery.leave_out([THING, SHORT])
    return tmp_path / "shop"


def test_it_is_read_back_as_it_was_in_order_of_time_and_by_filter(shop: Path) -> None:
    with Gallery.open(shop) as gallery:
        assert gallery.left_out() == [SHORT, THING]
        assert gallery.left_out(most=1) == [SHORT]
        assert gallery.left_out(Filter(since=1030.0)) == [THING]
        assert gallery.left_out(Filter(sources=("yard",))) == []
        assert gallery.left_out_counts() == {"thing": 1, "too_short": 1}


def test_a_recording_that_is_read_again_says_it_anew(shop: Path) -> None:
    with Gallery.open(shop, write=True) as gallery:
        gallery.begin_source(started(), SETTINGS)
        assert gallery.left_out() == []
        gallery.leave_out([THING])
        gallery.leave_out([THING])
        assert gallery.left_out() == [THING]
        gallery.begin_source(started(), "other settings", replace=True)
        assert gallery.left_out() == []


def test_who_is_erased_takes_along_what_was_left_out_beside_them(shop: Path) -> None:
    with Gallery.open(shop, write=True) as gallery:
        assert gallery.erase([some_tracklets(3)[0].id]).proven
        assert gallery.left_out() == [THING]


@pytest.mark.usefixtures("unproven")
def test_a_time_or_a_whole_source_is_erased_with_what_was_left_out_there(shop: Path) -> None:
    run = CliRunner().invoke(app, ["gallery", "erase", "--from", "30", "--yes", "-g", str(shop)])
    assert run.exit_code == 0, run.output
    with Gallery.open(shop) as gallery:
        assert gallery.left_out() == [SHORT]
    run = CliRunner().invoke(app, ["gallery", "erase", "--source", "door", "--yes", "-g", str(shop)])
    assert run.exit_code == 0, run.output
    with Gallery.open(shop) as gallery:
        assert (gallery.left_out(), gallery.sources()) == ([], [])


def test_the_list_says_why_in_words_and_as_json(shop: Path) -> None:
    words = CliRunner().invoke(app, ["gallery", "list", "--left-out", "-g", str(shop)]).output
    assert "2 tracks not stored: 1 a thing: stays and looks the same, 1 too short" in words
    said = CliRunner().invoke(app, ["gallery", "list", "--left-out", "--json", "-n", "1", "-g", str(shop)]).output
    document = json.loads(said)
    assert (document["total"], len(document["left_out"])) == (2, 1)
    assert (document["left_out"][0]["why"], document["left_out"][0]["track_id"]) == ("too_short", 2**63 + 5)
    asked = ["gallery", "list", "--left-out", "--zone", "till", "-g", str(shop)]
    with pytest.raises(ConfigError, match="leave it out with --left-out"):
        CliRunner().invoke(app, asked, catch_exceptions=False)
