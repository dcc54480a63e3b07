"""Write the generated pages of the documentation: ``python docs/generate.py``.

docs/configuration.md comes from the typed configuration, docs/troubleshooting.md from the tables of the doctor and of
the configuration checker. A test fails when a page is not what this program writes.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from reidstream.config import Config, Section
from reidstream.doctor.checks import CHECKS
from reidstream.doctor.lines import KNOWN_LINES
from reidstream.engines.deepstream.checking.codes import CODES

FOLDER = Path(__file__).parent
NOTICE = "<!-- Written by docs/generate.py: change the tables in the code, not this page. -->"

CONFIGURATION = f"""{NOTICE}

# Configuration

Everything that can be set, with its default. Settings come from a TOML file (`--config file.toml`) and from
`--set section.key=value` on the command line, which wins. Unknown keys, values out of range and contradictions are
refused with the key, what is allowed and what was found.

```toml
[embedding]
model = "person-reid"
per_track = 8

[tracker]
timeout = 2.0

[[sources]]
uri = "rtsp://user:password@10.0.0.7/stream"
name = "entrance"
```

```
reidstream run street.mp4 --set tracker.timeout=4 --set detector.confidence=0.2
```
"""

TROUBLESHOOTING = f"""{NOTICE}

# Troubleshooting

Three commands know the usual troubles, and this page is made from the tables that they work with:

```
reidstream doctor                                   # this machine; --engine deepstream for the GPU side
reidstream doctor log run.log                       # error lines of a log, or of standard input (-)
reidstream deepstream check pgie.txt sgie.txt --fix # NVIDIA's configuration files
```
"""


def configuration() -> str:
    """docs/configuration.md."""
    parts = [CONFIGURATION]
    for name, field in Config.model_fields.items():
        parts += _section(name, field)
    return "\n".join(parts).rstrip() + "\n"


def troubleshooting() -> str:
    """docs/troubleshooting.md."""
    parts = [
        TROUBLESHOOTING,
        "## What `reidstream doctor` looks at\n",
        "`failure`: what was asked for cannot work; the exit code is 1. `not here`: it is not on this machine, and "
        "nothing that was asked for needs it.\n",
        *_table(
            ("Line", "Looks at", "Needed by", "What to do"),
            ((check.title, check.about, ", ".join(check.needed_by), check.remedy) for check in CHECKS),
        ),
        "\n## What `reidstream doctor log` explains\n",
    ]
    for origin in dict.fromkeys(known.origin for known in KNOWN_LINES):
        rows = (
            (
                f"`{known.sample.strip().replace('`', chr(39))}`",
                f"{'Harmless. ' * known.harmless}{known.cause}",
                known.cure,
            )
            for known in KNOWN_LINES
            if known.origin == origin
        )
        parts += [f"### {origin}\n", *_table(("A line such as", "Cause", "Cure"), rows), ""]
    parts += [
        "## What `reidstream deepstream check` finds\n",
        "Each finding names the line, the cause and the cure; `--fix` writes a corrected copy where the cure is "
        "certain, and shows the difference.\n",
        *_table(("Code", "What it is about"), ((f"`{code}`", about) for code, about in CODES.items())),
    ]
    return "\n".join(parts).rstrip() + "\n"


PAGES = {"configuration.md": configuration, "troubleshooting.md": troubleshooting}


def _section(name: str, field: FieldInfo) -> Iterator[str]:
    """A heading, a table of the plain keys, and the sections inside."""
    section, array = _section_of(field)
    if section is None:
        raise TypeError(f"{name} stands outside every section")
    yield f"\n## `{'[[' if array else '['}{name}{']]' if array else ']'}`\n"
    yield f"{_sentence(field.description or (section.__doc__ or ''))}\n"
    plain = {key: inner for key, inner in section.model_fields.items() if _section_of(inner)[0] is None}
    if plain:
        rows = ((f"`{key}`", _default(inner), _allowed(inner), inner.description or "") for key, inner in plain.items())
        yield from _table(("Key", "Default", "Allowed", "What it does"), rows)
    for key, inner in section.model_fields.items():
        if key not in plain:
            yield from _section(f"{name}.{key}", inner)


def _section_of(field: FieldInfo) -> tuple[type[Section] | None, bool]:
    """The section that a field holds, and whether it holds many of them."""
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, False
    for inner in typing.get_args(annotation):
        if isinstance(inner, type) and issubclass(inner, Section):
            return inner, True
    return None, False


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return "`{}`" if value == {} else f"`{value}`"


def _allowed(field: FieldInfo) -> str:
    words = _type(field.annotation)
    bounds = []
    for constraint in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            bound = getattr(constraint, name, None)
            if bound is not None:
                bounds.append(f"{sign} {bound}")
        if getattr(constraint, "min_length", None):
            bounds.append("not empty")
    return f"{words} {', '.join(bounds)}".strip()


def _type(annotation: object) -> str:
    names = {str: "text", bool: "true, false", int: "whole number", float: "number", Path: "path"}
    if isinstance(annotation, type) and annotation in names:
        return names[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f'`"{value}"`' if isinstance(value, str) else f"`{value}`" for value in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(part) for part in inner if part is not type(None))
    if origin is tuple:
        return "list of text" if ... in inner else f"list of {len(inner)}: {_type(inner[0])}"
    if origin is dict:
        return "table"
    raise TypeError(f"no words for the type {annotation}")


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."


def _table(head: tuple[str, ...], rows: typing.Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def main() -> None:
    """Write every page."""
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")
        print(f"wrote {FOLDER / name}")


if __name__ == "__main__":
    main()
