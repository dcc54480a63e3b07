"""Reading configuration files with line numbers, as nvinfer and nvtracker would, and never failing.

INI follows GLib's key files (``#`` starts a comment only at the beginning of a line, lists use ``;``), YAML the
two levels that both elements read: sections at the left edge, keys below them. What does not fit is recorded as a
``SyntaxFlaw`` and skipped, so that the rest can still be checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reidstream.errors import ConfigError

YAML_SUFFIXES = (".yml", ".yaml")
# No configuration comes near this; a video given by mistake should not be read whole.
_LARGEST = 4 * 2**20


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One ``key=value`` or ``key: value``; value without quotes, lists of YAML as ``[a, b]``.

    section: line of the header that it stands below.
    """

    group: str
    key: str
    value: str
    line: int
    section: int = 0


@dataclass(frozen=True, slots=True)
class SyntaxFlaw:
    """A line that the real parser refuses or reads otherwise than it looks. replacement: the line it should be."""

    line: int
    cause: str
    cure: str
    fatal: bool
    replacement: tuple[str, str] | None = None
    removable: bool = False


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A parsed file. groups: name and line of each group's first header, in order of appearance."""

    path: Path
    yaml: bool
    lines: tuple[str, ...]
    entries: tuple[KeyLine, ...]
    groups: tuple[tuple[str, int], ...]
    flaws: tuple[SyntaxFlaw, ...]

    def group(self, name: str) -> dict[str, KeyLine]:
        """The entries of a group by key; of a key given twice the last counts, as in nvinfer's parsers.

        Key files join groups of one name, yaml-cpp finds the first section of a name only.
        """
        first = self.group_line(name)
        return {e.key: e for e in self.entries if e.group == name and (not self.yaml or e.section == first)}

    def group_line(self, name: str) -> int:
        return next((line for group, line in self.groups if group == name), 0)

    def repeated(self) -> Iterator[tuple[KeyLine, KeyLine]]:
        """Each key that is given again in its group: the earlier entry and the one that counts."""
        seen: dict[tuple[str, int, str], KeyLine] = {}
        for entry in self.entries:
            place = (entry.group, entry.section if self.yaml else 0, entry.key)
            earlier = seen.get(place)
            if earlier is not None:
                yield earlier, entry
            seen[place] = entry


def read_config_file(path: Path) -> ConfigFile:
    """The file at ``path``. ConfigError only when it cannot be read at all."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > _LARGEST:
        raise ConfigError(f"{path} is larger than {_LARGEST // 2**20} MiB and cannot be a configuration file")
    return parse_config(data, path)


def parse_config(data: bytes, path: Path) -> ConfigFile:
    """The same from bytes; accepts anything."""
    flaws: list[SyntaxFlaw] = []
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        flaws.append(
            SyntaxFlaw(line, f"byte {error.start} is not UTF-8", "save the file as plain UTF-8 text", fatal=True)
        )
        text = data.decode("utf-8", errors="replace")
    if text.startswith("\ufeff"):
        flaws.append(
            SyntaxFlaw(1, "the file starts with a byte order mark", "save the file as UTF-8 without BOM", fatal=True)
        )
        text = text[1:]
    lines = tuple(text.replace("\r\n", "\n").split("\n"))
    flaws += _strange_characters(lines)
    yaml = _is_yaml(path, lines)
    read = _read_yaml if yaml else _read_ini
    entries, groups = read(lines, flaws)
    return ConfigFile(path, yaml, lines, tuple(entries), tuple(groups), tuple(flaws))


_STRANGE = {
    "\u00a0": "a no-break space",
    "\u200b": "a zero-width space",
    "\u2060": "a word joiner",
    "\ufeff": "a byte order mark",
    "\u2018": "a typographic quote",
    "\u2019": "a typographic quote",
    "\u201c": "a typographic quote",
    "\u201d": "a typographic quote",
    "\u2013": "a dash in the place of a minus or hyphen",
    "\u2014": "a dash in the place of a minus or hyphen",
    "\u2212": "a minus sign that is not the keyboard's",
    "\uff1b": "a full-width semicolon",
    "\uff1a": "a full-width colon",
    "\uff1d": "a full-width equals sign",
}
"""What word processors and web pages put into files, and nobody sees."""


def _strange_characters(lines: tuple[str, ...]) -> Iterator[SyntaxFlaw]:
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            continue
        found = next((char for char in line if char in _STRANGE), None)
        if found is not None:
            cause = f"column {line.index(found) + 1} holds {_STRANGE[found]} (U+{ord(found):04X})"
            yield SyntaxFlaw(number, cause, "write the line anew with plain characters", fatal=True)


def _is_yaml(path: Path, lines: tuple[str, ...]) -> bool:
    """By content, since a YAML file under another name is one of the flaws to be found."""
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("%YAML") or re.match(r"^[\w-]+:\s*(#.*)?$", line):
            return True
        if stripped.startswith("[") and stripped.endswith("]"):
            return False
    return path.suffix in YAML_SUFFIXES


# What GLib takes for white space; Python's own is more: separators, no-break spaces, vertical tabs.
_WHITE = " \t\n\f\r"
_BEHIND_A_GROUP = " \t"


def _read_ini(lines: tuple[str, ...], flaws: list[SyntaxFlaw]) -> tuple[list[KeyLine], list[tuple[str, int]]]:
    entries: list[KeyLine] = []
    groups: dict[str, int] = {}
    group: str | None = None
    for number, line in enumerate(lines, 1):
        text = line.strip(_WHITE)
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            name = text[1:].split("]")[0]
            if not line.rstrip(_BEHIND_A_GROUP).endswith("]") or not name:
                cause = f"{text!r} is not a group header"
                flaws.append(SyntaxFlaw(number, cause, "write [property] alone on its line", fatal=True))
            if name:
                group = name
                groups.setdefault(name, number)
            continue
        if text.startswith(";"):
            cause = "a comment begins with # in these files; a line with ; is refused"
            flaws.append(SyntaxFlaw(number, cause, "put # in front, or remove the line", fatal=True, removable=True))
            continue
        key, equals, value = text.partition("=")
        key, value = key.strip(_WHITE), value.strip()
        if not equals or not key:
            cause = (
                f"{_short(text)!r} is neither key=value, [group] nor # comment, and the whole file is refused for it"
            )
            flaws.append(SyntaxFlaw(number, cause, "write key=value", fatal=True))
            continue
        if group is None:
            cause = f"{key} stands before the first [group], and the whole file is refused for it"
            flaws.append(SyntaxFlaw(number, cause, "put [property] above it", fatal=True))
            continue
        bare = re.split(r"\s[#;]", value, maxsplit=1)[0].strip()
        if bare != value:
            cause = f"a comment behind a value is part of the value here: {key} is {_short(value)!r}"
            cure = "put the comment on a line of its own"
            flaws.append(SyntaxFlaw(number, cause, cure, fatal=True, replacement=(key, bare)))
            value = bare
        bare = _without_strays(value)
        if bare != value:
            where = "quotes are" if value[0] in "\"'" or value[-1] in "\"'" else f"{value[0]!r} is"
            cause = f"{where} part of the value here: {key} is {_short(value)}"
            flaws.append(SyntaxFlaw(number, cause, f"write {key}={bare}", fatal=True, replacement=(key, bare)))
            value = bare
        entries.append(KeyLine(group, key, value, number, groups[group]))
    return entries, list(groups.items())


def _without_strays(value: str) -> str:
    """A value without what belongs to other formats: quotes around it, and a second equals sign or colon before it."""
    bare = value.lstrip("=").lstrip() if value.startswith("=") else value
    bare = bare[1:].lstrip() if bare.startswith(": ") else bare
    if len(bare) >= 2 and bare[0] == bare[-1] and bare[0] in "\"'":
        return bare[1:-1].strip()
    return bare.strip("\"'") if bare.count('"') + bare.count("'") == 1 else bare


def _read_yaml(lines: tuple[str, ...], flaws: list[SyntaxFlaw]) -> tuple[list[KeyLine], list[tuple[str, int]]]:
    entries: list[KeyLine] = []
    groups: dict[str, int] = {}
    group: str | None = None
    section = 0
    open_list: tuple[str, int, list[str]] | None = None

    def close_list() -> None:
        nonlocal open_list
        if open_list is not None and group is not None:
            key, line, items = open_list
            entries.append(KeyLine(group, key, f"[{', '.join(items)}]" if items else "", line, section))
        open_list = None

    for number, line in enumerate(lines, 1):
        text = _without_comment(line)
        if not text.strip() or text.startswith("%") or text.strip() in ("---", "..."):
            continue
        indent = text[: len(text) - len(text.lstrip())]
        if "\t" in indent:
            cause = "the line is indented with a tab, which YAML does not allow"
            flaws.append(SyntaxFlaw(number, cause, "indent with spaces", fatal=True))
        text = text.strip()
        if text.startswith("- ") or text == "-":
            if open_list is None:
                flaws.append(SyntaxFlaw(number, "a list item without a key above it", "write key: value", fatal=True))
            else:
                open_list[2].append(_unquoted(text[1:].strip()))
            continue
        close_list()
        match = re.match(r"^(\"[^\"]*\"|'[^']*'|[^:\s][^:]*?)\s*:(?:\s+(.*)|)$", text)
        if match is None:
            glued = re.match(r"^([\w-]+):(\S.*)$", text)
            if glued is not None and indent:
                cause = f"YAML wants a space after the colon: {_short(text)!r} is no key"
                replacement = (glued[1], glued[2])
                flaws.append(SyntaxFlaw(number, cause, f"write {glued[1]}: {glued[2]}", True, replacement))
                if group is not None:
                    entries.append(KeyLine(group, glued[1], _unquoted(glued[2]), number, section))
                continue
            cause = f"{_short(text)!r} is not key: value"
            flaws.append(SyntaxFlaw(number, cause, "write key: value, one per line", fatal=True))
            continue
        key, value = _unquoted(match[1]), (match[2] or "").strip()
        if not indent:
            if value:
                cause = f"{key} stands outside every section, so it is not read"
                flaws.append(SyntaxFlaw(number, cause, "indent it below its section", fatal=False))
            else:
                group, section = key, number
                if key in groups:
                    cause = (
                        f"{key} stands twice, in lines {groups[key]} and {number}; YAML allows a name once, and "
                        f"yaml-cpp takes the first: all of it from line {number} on is lost"
                    )
                    flaws.append(SyntaxFlaw(number, cause, f"put its keys below line {groups[key]}", fatal=True))
                groups.setdefault(key, number)
            continue
        if group is None:
            cause = f"{key} is indented, but there is no section above it"
            flaws.append(SyntaxFlaw(number, cause, "write the section's name, for example property:", fatal=True))
        elif not value:
            open_list = (key, number, [])
        else:
            entries.append(KeyLine(group, key, _unquoted(value), number, section))
    close_list()
    return entries, list(groups.items())


def _without_comment(line: str) -> str:
    """A YAML line up to its comment: ``#`` at the start or after a blank, outside quotes."""
    quote = ""
    for index, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#" and (index == 0 or line[index - 1].isspace()):
            return line[:index].rstrip()
    return line.rstrip()


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
