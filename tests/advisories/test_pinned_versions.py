"""No version that is pinned has a known hole, unless it is said why it does no harm here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ADVISORIES = tomllib.loads(Path(__file__).with_name("known.toml").read_text(encoding="utf-8"))["advisory"]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    """Package → version of a compiled requirement file."""
    return {canonicalize_name(name): version for name, version in PINNED.findall(path.read_text(encoding="utf-8"))}


def holes(pinned: dict[str, str]) -> list[str]:
    return [
        f"{advisory['package']} {pinned[advisory['package']]}: {advisory['id']}"
        for advisory in ADVISORIES
        if not advisory.get("harmless")
        and pinned.get(advisory["package"]) in SpecifierSet(advisory["affected"], prereleases=True)
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_no_pinned_version_has_a_known_hole(path: Path) -> None:
    pinned = pins(path)
    assert len(pinned) > 20
    assert holes(pinned) == []


def test_a_version_in_an_affected_range_is_found() -> None:
    assert holes({"h11": "0.14.0", "jinja2": "3.1.6"}) == ["h11 0.14.0: CVE-2025-43859"]


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda advisory: advisory["id"])
def test_what_is_called_harmless_is_still_pinned_and_said_in_the_docs(advisory: dict[str, str]) -> None:
    SpecifierSet(advisory["affected"])
    if "harmless" not in advisory:
        return
    assert pins(ROOT / "requirements" / "run.txt")[advisory["package"]] in SpecifierSet(advisory["affected"])
    assert advisory["id"] in (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")


def test_the_compose_file_shows_the_index_server_to_nobody_outside() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text(encoding="utf-8"))["services"]
    assert "ports" not in services["chroma"]
    assert services["chroma"].get("network_mode") != "host"
