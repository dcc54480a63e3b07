"""The class names of a detector, and which of them is a person."""

from __future__ import annotations

from collections.abc import Sequence

from reidstream.errors import ConfigError


def class_id_of(name: str, labels: Sequence[str], where: str) -> int:
    """The number of a class by its name, upper and lower case alike. ConfigError lists what there is."""
    wanted = name.strip().casefold()
    for number, label in enumerate(labels):
        if label.strip().casefold() == wanted:
            return number
    raise ConfigError(
        f"no class is called {name!r} in {where}, which has {', '.join(labels) or 'no classes'}: "
        "set deepstream.pgie.person_class to the one that means a person"
    )


def labels_from_text(text: str) -> tuple[str, ...]:
    """The class names of a detector's labels file as nvinfer reads it: one per line, or separated by ``;``."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and ";" in lines[0]:
        lines = [part.strip() for part in lines[0].split(";") if part.strip()]
    return tuple(lines)
