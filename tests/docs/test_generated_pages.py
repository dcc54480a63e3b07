"""The generated pages are what the code says, and hand-written ones name only what exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from reidstream.cli.app import app
from reidstream.config import Config, Section, load_config

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


def _commands(text: str) -> list[list[str]]:
    """The ``reidstream …`` commands of a page: from code blocks and from `quoted` words."""
    lines: list[str] = []
    fence: str | None = None
    for line in text.splitlines():
        if line.startswith("```"):
            fence = line.removeprefix("```") if fence is None else None
        elif fence in ("", "bash"):
            lines.append(line)
        elif fence is None:
            lines += re.findall(r"`(reidstream [^`]+)`", line)
    found = [line.split("#")[0] for line in lines if line.strip().startswith("reidstream ")]
    return [shlex.split(line.replace("…", " "))[1:] for line in found]


@pytest.mark.parametrize("name", ["from-the-guide.md", "troubleshooting.md", "configuration.md"])
def test_every_command_of_a_page_exists_with_its_options(name: str) -> None:
    """Verbs and options are looked up in the command line itself."""
    root = typer.main.get_command(app)
    commands = _commands((DOCS / name).read_text(encoding="utf-8"))
    assert commands
    for words in commands:
        command: Any = root
        options: set[str] = set()
        for word in words:
            if word in getattr(command, "commands", {}):
                command = command.commands[word]
                options |= {option for parameter in command.params for option in parameter.opts}
            elif word.startswith("-") and word != "-":
                assert word.split("=")[0] in options, f"{name}: {word} in reidstream {' '.join(words)}"
        assert command is not root, f"{name}: no such command: reidstream {' '.join(words)}"


@pytest.mark.parametrize("name", ["from-the-guide.md", "troubleshooting.md", "configuration.md"])
def test_every_override_of_a_page_is_accepted(name: str) -> None:
    for words in _commands((DOCS / name).read_text(encoding="utf-8")):
        overrides = [words[at + 1] for at, word in enumerate(words) if word in ("--set", "-s")]
        load_config(None, overrides)
