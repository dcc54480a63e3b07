"""Whoever misspells a key is told which one was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config import Config, load_config
from reidstream.errors import ConfigError, IdentityError
from reidstream.identities.constraints import read_topology
from reidstream.identities.people import refuse_number
from reidstream.models.manifest import read_manifest
from reidstream.suggestions import did_you_mean, nearest


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("tracker.timout=3", "tracker.timout: no such key; did you mean timeout?"),
        ("trakcer.timeout=3", "trakcer: no such key; did you mean tracker?"),
        ("per_track=3", "per_track: no such key here; did you mean embedding.per_track?"),
        ("embedding.confidence=1", "did you mean detector.confidence?"),
        ("identities.zzz=1", "there are: false_merges, "),
    ],
)
def test_the_key_that_was_meant_is_named(setting: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [setting])
    assert says in str(caught.value)


def test_in_a_list_of_cameras(tmp_path: Path) -> None:
    (tmp_path / "cameras.toml").write_text('[[sources]]\nurl = "a.mp4"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"sources\.0\.url: no such key; did you mean uri\?"):
        load_config(tmp_path / "cameras.toml")


def test_in_a_topology(tmp_path: Path) -> None:
    file = tmp_path / "topology.toml"
    file.write_text('[[pairs]]\ncameras = ["a", "b"]\ntravel = 3\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean travel_seconds"):
        read_topology(file, ["a", "b"])
    file.write_text("seperate = true\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean separate"):
        read_topology(file, ["a", "b"])


def test_in_a_manifest_of_models(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[models.mine]\ntask = "reid"\nsha265 = "00"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"sha265: no such key; did you mean sha256\?"):
        read_manifest(file)


@pytest.mark.parametrize("name", ["4", " 4", "#4", "person 4", "Person #12"])
def test_a_person_is_not_called_like_a_number(name: str) -> None:
    with pytest.raises(IdentityError, match="number"):
        refuse_number(name)


@pytest.mark.parametrize("name", ["Grace", "4 of clubs", "Persona", "person", "R2D2"])
def test_other_names_are_free(name: str) -> None:
    refuse_number(name)


@given(st.sampled_from(sorted(Config.model_fields)), st.integers(0, 30))
def test_a_key_without_one_letter_is_still_known(key: str, place: int) -> None:
    short = key[: place % len(key)] + key[place % len(key) + 1 :]
    assert nearest(short, Config.model_fields) is not None
    assert nearest(key.upper(), Config.model_fields) == key


def test_what_nothing_is_like_lists_what_there_is() -> None:
    assert did_you_mean("q", []) == "there are none"
    assert did_you_mean("zzzz", map(str, range(100, 120))).endswith("111 and 8 more")
