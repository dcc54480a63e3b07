"""The gallery's verbs, as a user meets them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.errors import ConfigError, GalleryError, SourceBroken, TrackletNotFound
from reidstream.gallery import Gallery

from .conftest import SIZE, Filled, some_tracklets


def output(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_info_list_and_show_tell_what_is_there(indexed: Filled) -> None:
    tracklets = some_tracklets(5)
    path = indexed(tracklets)
    assert "5 tracklets" in output("gallery", "info", "-g", path)
    assert json.loads(output("gallery", "info", "-g", path, "--json"))["index_behind"] == 0
    assert tracklets[4].id[:12] in output("gallery", "list", "-g", path)
    listed = json.loads(output("gallery", "list", "-g", path, "--from", "0:03", "-n", "1", "--json"))
    assert (listed["total"], listed["tracklets"][0]["id"]) == (4, tracklets[1].id)
    shown = json.loads(output("gallery", "show", tracklets[2].id[:14], "-g", path, "--json"))
    assert shown["embedding"] == pytest.approx(tracklets[2].embedding.tolist())


def test_every_export_holds_what_it_promises(filled: Filled, tmp_path: Path) -> None:
    tracklets = some_tracklets(5)
    path = filled(tracklets)
    for name in ("p.parquet", "p.npz", "p.csv", "p.json"):
        output("gallery", "export", tmp_path / name, "-g", path)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["track_id"].to_pylist() == [t.track_id for t in tracklets]
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32)[3], tracklets[3].embedding)
    assert table["crop"].to_pylist() == [t.crop for t in tracklets]
    assert np.array(table["boxes"][0].as_py(), np.float32).tobytes() == tracklets[0].boxes.tobytes()
    with np.load(tmp_path / "p.npz") as arrays:
        np.testing.assert_array_equal(arrays["embedding"], [t.embedding for t in tracklets])
        assert arrays["prototype"].shape == (10, SIZE)
    with (tmp_path / "p.csv").open(encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [t.id for t in tracklets]
    document = json.loads((tmp_path / "p.json").read_text())
    assert [row["id"] for row in document["tracklets"]] == [t.id for t in tracklets]
    with pytest.raises(GalleryError, match="ending must be one of"):
        output("gallery", "export", tmp_path / "p.txt", "-g", path)
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


def test_a_sheet_needs_nothing_but_itself_and_escapes_names(filled: Filled, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    tracklets = some_tracklets(4, source=evil)
    output("gallery", "sheet", tmp_path / "s.html", "-g", filled(tracklets))
    page = (tmp_path / "s.html").read_text()
    assert evil not in page
    assert page.count("data:image/jpeg;base64,") == 4
    assert "http://" not in page
    assert "https://" not in page


def test_search_by_tracklet_and_by_vector(filled: Filled, tmp_path: Path) -> None:
    tracklets = some_tracklets(30)
    path = filled(tracklets)
    np.save(tmp_path / "q.npy", 3 * tracklets[8].embedding)
    found = json.loads(output("search", tmp_path / "q.npy", "-g", path, "-k", "3", "--json"))["matches"]
    assert (len(found), found[0]["id"]) == (3, tracklets[8].id)
    others = json.loads(output("search", tracklets[8].id[:12], "-g", path, "-k", "3", "--json"))["matches"]
    assert [m["id"] for m in others[:2]] == [m["id"] for m in found[1:]]
    output("search", tracklets[8].id, "-g", path, "--sheet", tmp_path / "f.html")
    assert "similarity" in (tmp_path / "f.html").read_text()


def test_wrong_words_are_explained(filled: Filled, tmp_path: Path) -> None:
    path = filled(some_tracklets(3))
    np.save(tmp_path / "small.npy", np.ones(5))
    (tmp_path / "text.jpg").write_text("no picture")
    for error, pattern, words in (
        (TrackletNotFound, "neither a file nor", ["search", "nobody"]),
        (SourceBroken, "one vector of 32 numbers", ["search", str(tmp_path / "small.npy")]),
        (ConfigError, "no source 'roof'", ["search", "nobody", "--source", "roof"]),
        (ConfigError, "2026-01-31T17:00", ["gallery", "list", "--since", "yesterday"]),
        (ConfigError, "1:30", ["gallery", "list", "--from", "late"]),
        (ConfigError, "name the tracklets to erase", ["gallery", "erase", "-y"]),
    ):
        with pytest.raises(error, match=pattern):
            output(*words, "-g", path)


def test_erase_prints_its_proof_and_check_agrees(indexed: Filled) -> None:
    tracklets = some_tracklets(12)
    path = indexed(tracklets)
    printed = output("gallery", "erase", tracklets[5].id[:12], "-g", path, "--yes")
    assert "erased 1 tracklet" in printed
    assert "and 0 now" in printed
    assert "11 tracklets, 11 vectors in the index: no problems" in output("gallery", "check", "-g", path)
    with Gallery.open(path) as gallery:
        assert tracklets[5].id not in gallery.rows().id
