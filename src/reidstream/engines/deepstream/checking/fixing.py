"""Writing the edits of findings into a copy, and nothing else: comments, order and spelling stay."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from reidstream.engines.deepstream.checking.config_file import ConfigFile, parse_config
from reidstream.engines.deepstream.checking.findings import AddKey, Edit, Finding, RemoveLine, SetLine
from reidstream.errors import ConfigError

# Each round cures what the one before uncovered; a file that has more layers than this is left as far as it got.
_ROUNDS = 10


def fixed_text(file: ConfigFile, check: Callable[[ConfigFile], Sequence[Finding]]) -> str:
    """The file's text with every certain cure applied; ``check`` is asked again after each round."""
    for _ in range(_ROUNDS):
        edits = [edit for finding in check(file) for edit in finding.edits]
        text = apply_edits(file, edits)
        if text == "\n".join(file.lines):
            break
        file = parse_config(text.encode("utf-8", errors="replace"), file.path)
    return "\n".join(file.lines)


def apply_edits(file: ConfigFile, edits: Sequence[Edit]) -> str:
    """The text after ``edits``; of several for one line or one key the first wins."""
    lines: list[str | None] = list(file.lines)
    touched: set[int] = set()
    additions: dict[tuple[str, str], str] = {}
    for edit in edits:
        if isinstance(edit, AddKey):
            additions.setdefault((edit.group, edit.key), edit.value)
        elif edit.line not in touched and 0 < edit.line <= len(lines):
            touched.add(edit.line)
            old = lines[edit.line - 1] or ""
            lines[edit.line - 1] = None if isinstance(edit, RemoveLine) else _line(file, edit, old)
    for (group, key), value in additions.items():
        if key not in file.group(group):
            _add(file, lines, group, key, value)
    return "\n".join(line for line in lines if line is not None)


def diff(before: ConfigFile, after: str, name: Path) -> str:
    """A unified diff, empty when nothing changed."""
    new = [line + "\n" for line in after.split("\n")]
    old = [line + "\n" for line in before.lines]
    return "".join(difflib.unified_diff(old, new, str(before.path), str(name)))


def _line(file: ConfigFile, edit: SetLine, old: str) -> str:
    indent = old[: len(old) - len(old.lstrip())].replace("\t", "  ")
    if file.yaml:
        comment = re.search(r"\s+#.*$", old)
        return f"{indent or '  '}{edit.key}: {edit.value}{comment[0] if comment else ''}"
    return f"{indent}{edit.key}={edit.value}"


def _add(file: ConfigFile, lines: list[str | None], group: str, key: str, value: str) -> None:
    """Behind the last key of the group, or in a new group at the end."""
    text = f"  {key}: {value}" if file.yaml else f"{key}={value}"
    places = [entry.line for entry in file.entries if entry.group == group] or [file.group_line(group)]
    if places[-1]:
        index = places[-1] - 1
        current = lines[index]
        # Joined to the line, so that the numbers of the others stay what they are.
        lines[index] = text if current is None else f"{current}\n{text}"
        return
    header = f"{group}:" if file.yaml else f"[{group}]"
    lines += [*([""] if lines and lines[-1] else []), header, text]


def corrected_path(path: Path) -> Path:
    """Where the corrected copy goes: ``sgie.txt`` becomes ``sgie.fixed.txt``, whose ending still chooses its parser."""
    return path.with_name(f"{path.stem}.fixed{path.suffix}")


def write_copy(path: Path, text: str) -> None:
    """Write the corrected text. ConfigError when the folder cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
