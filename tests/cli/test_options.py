"""Verbs agree with each other: one name, one meaning, one way to set things."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from reidstream.cli.app import app


def every_command(command: Any, name: str = "reidstream") -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, inner in getattr(command, "commands", {}).items():
        yield from every_command(inner, f"{name} {word}")


SHARED = ("--config", "--set", "--json", "--since", "--until", "--source", "--detector")
COMMANDS = dict(every_command(typer.main.get_command(app)))


def options_of(command: Any) -> dict[str, Any]:
    found = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    return {word: option for option in found for word in option.opts}


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if "--config" in options_of(command)])
def test_who_reads_a_configuration_takes_settings_too(name: str) -> None:
    assert {"--config", "-c", "--set", "-s"} <= set(options_of(COMMANDS[name]))


@pytest.mark.parametrize("word", SHARED)
def test_a_shared_option_takes_the_same_everywhere(word: str) -> None:
    kinds: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    for name, command in COMMANDS.items():
        if (option := options_of(command).get(word)) is not None:
            kinds[option.is_flag, option.type_descriptor.annotation, tuple(sorted(option.opts))].append(name)
    assert len(kinds) == 1, dict(kinds)


def test_every_page_is_named_by_the_same_option() -> None:
    for name, command in COMMANDS.items():
        options = options_of(command)
        for former in ("--sheet", "--html"):
            assert former not in options or options[former] is options["--page"], name
    assert "--page" in options_of(COMMANDS["reidstream people sheet"])
    assert "--page" in options_of(COMMANDS["reidstream gallery sheet"])
