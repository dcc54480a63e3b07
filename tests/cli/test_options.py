"""Verbs agree with each other: one name, one meaning, one way to set things."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.cli.options import given
from reidstream.config import load_config


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


READERS = ("run", "serve", "worker", "doctor", "demo", "eval tracking")


@pytest.mark.parametrize("name", READERS)
def test_who_looks_for_people_can_be_told_with_which_models(name: str) -> None:
    assert {"--detector", "--reid"} <= set(options_of(COMMANDS[f"reidstream {name}"]))


def test_options_of_their_own_are_read_as_settings() -> None:
    words = given(detector__model='a"b 1.onnx', detector__every=2, clips__keep=False, embedding__model=None)
    tree = load_config(None, words)
    assert (tree.detector.model, tree.detector.every, tree.clips.keep) == ('a"b 1.onnx', 2, False)
    assert load_config(None, given(detector__model="3")).detector.model == "3"


@pytest.mark.parametrize("option", ["--detector", "--reid"])
def test_the_doctor_examines_the_models_that_are_named(option: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", option, str(tmp_path / "none.onnx"), "--json"])
    assert result.exit_code == 1
    assert "none.onnx" in result.stdout


def test_every_page_is_named_by_the_same_option() -> None:
    for name, command in COMMANDS.items():
        options = options_of(command)
        for former in ("--sheet", "--html"):
            assert former not in options or options[former] is options["--page"], name
    assert "--page" in options_of(COMMANDS["reidstream people sheet"])
    assert "--page" in options_of(COMMANDS["reidstream gallery sheet"])
