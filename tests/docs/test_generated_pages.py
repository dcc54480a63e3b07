"""The generated pages are what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from reidstream.config import Config, Section

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["configuration.md", "troubleshooting.md"])
def test_the_page_is_up_to_date(name: str, generate: ModuleType) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == generate.PAGES[name](), "run: python docs/generate.py"


def test_every_setting_is_described(generate: ModuleType) -> None:
    page = generate.configuration()

    def keys(section: type[Section], path: str) -> None:
        for name, field in section.model_fields.items():
            inner, _ = generate._section_of(field)
            if inner is not None:
                assert re.search(rf"^## `\[+{re.escape(path + name)}\]+`", page, re.MULTILINE)
                keys(inner, f"{path}{name}.")
            else:
                assert field.description, f"{path}{name} has no description"
                assert f"| `{name}` |" in page

    keys(Config, "")
