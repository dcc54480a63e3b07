"""What the pages tell a reader to type works: Python blocks run, commands exist and run, in the order of the page.

Everything happens in a copy of a small prepared folder (``tests/prepared.py``), as a reader would do it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import load_config
from reidstream.errors import ReIDStreamError
from reidstream.identities.delivery import SIGNATURE, TIMESTAMP, signature

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "docker").glob("*.md")])
# What a command of a page would need that is not here, by what stands in the command.
NEEDS = {
    r"--engine deepstream|models build|^doctor\b|^setup\b|device=cuda": "a machine to look at, or a GPU",
    r"://|models fetch|cameras\.toml": "a network or cameras",
    r"--follow|^serve|\bmine\b": "somebody who ends it",
    r"\.pth|theirs\.onnx|my_|models/|street\.mp4|pgie\.txt|reid_sgie|\.log|YOUR_|/data/": "files of the reader's",
    r"^synth scene|^demo|^eval|^bench": "minutes",
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. line: of its first line, from 1."""

    page: Path
    language: str
    line: int
    text: str


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    fence: tuple[str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif fence is None:
            fence, lines = (line.removeprefix("```").strip(), number + 1), []
        else:
            found.append(Block(page, *fence, "\n".join(lines) + "\n"))
            fence = None
    assert fence is None, f"{page}: a block is not closed"
    return found


def commands(page: Path) -> list[tuple[list[str], bool]]:
    """The words of every ``reidstream …`` command of a page, and whether it stands in a block, to be typed as it is."""
    text = page.read_text(encoding="utf-8")
    shown = [block for block in blocks(page) if block.language in ("", "bash", "console", "sh")]
    typed = [
        line.strip().removeprefix("$ ") for block in shown for line in block.text.replace("\\\n", " ").splitlines()
    ]
    inline = re.findall(r"`(reidstream [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    found = [(line, True) for line in typed if line.startswith("reidstream ")] + [(line, False) for line in inline]
    return [(shlex.split(line.replace("…", " "), comments=True)[1:], is_typed) for line, is_typed in found]


def named(pages: list[Path]) -> Any:
    return pytest.mark.parametrize("page", pages, ids=[str(page.relative_to(ROOT)) for page in pages])


WITH_COMMANDS = [page for page in PAGES if commands(page)]
WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


def test_the_pages_are_found() -> None:
    assert len(WITH_PYTHON) >= 4
    assert len(WITH_COMMANDS) >= 8


@named(WITH_COMMANDS)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    """Verbs and options are looked up in the command line itself."""
    root = typer.main.get_command(app)
    for words, _ in commands(page):
        command: Any = root
        options: set[str] = {"--help", "--version"}
        for word in words:
            if word in getattr(command, "commands", {}):
                command = command.commands[word]
                options |= {o for parameter in command.params for o in (*parameter.opts, *parameter.secondary_opts)}
            elif word.startswith("-") and word != "-":
                assert word.split("=")[0] in options, f"{word} in reidstream {' '.join(words)}"
        assert command is not root or words == ["--version"], f"no such command: reidstream {' '.join(words)}"


@named(WITH_COMMANDS)
def test_every_override_of_a_page_is_accepted(page: Path) -> None:
    for words, _ in commands(page):
        load_config(None, [words[at + 1] for at, word in enumerate(words) if word in ("--set", "-s")])


def runnable(page: Path) -> list[list[str]]:
    """The typed commands that need nothing but the prepared folder."""
    typed = [words for words, is_typed in commands(page) if is_typed]
    return [words for words in typed if not any(re.search(needed, shlex.join(words)) for needed in NEEDS)]


@pytest.mark.slow
@named([page for page in WITH_COMMANDS if runnable(page)])
def test_the_commands_of_a_page_run(page: Path, workplace: Path) -> None:
    for words in runnable(page):
        line = [{"TRACKLET": "0801", "PERSON": "2"}.get(word, word) for word in words]
        if line[:2] == ["gallery", "erase"]:
            # On a terminal it is asked for.
            line.append("--yes")
        done = CliRunner().invoke(app, line)
        trouble = str(done.exception) if isinstance(done.exception, ReIDStreamError) else repr(done.exception)
        assert done.exit_code == 0, f"reidstream {shlex.join(line)}\n{done.output}\n{trouble}"


@pytest.mark.slow
@named(WITH_PYTHON)
def test_the_python_of_a_page_runs(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One block after the other, each with the names of those before."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python":
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, str(page), "exec"), names)
    if page.name == "identities.md":
        headers = {TIMESTAMP: "1769878800"}
        headers[SIGNATURE] = signature("secret", headers[TIMESTAMP], b"{}")
        assert names["genuine"](b"secret", headers, b"{}")
        assert not names["genuine"](b"another", headers, b"{}")
        printed = capsys.readouterr().out
        assert "photos/0.jpg Grace" in printed
        assert '"kind": "IdentityLabelled"' in printed


@named(PAGES)
def test_the_toml_of_a_page_is_toml(page: Path) -> None:
    import tomllib

    for block in blocks(page):
        if block.language == "toml":
            tomllib.loads(block.text)


@named(PAGES)
def test_links_to_files_and_headings_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), f"{page.name} links to {target}, which is not there"
        if anchor and place.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name} links to {target}, but {place.name} has no such heading"


def test_the_changelog_and_the_package_agree_on_the_version() -> None:
    import tomllib

    from reidstream import __version__

    released = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert __version__ == project["version"] == released[0]
