"""How configuration files are read: what becomes an entry, in which line, and what is a flaw."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.engines.deepstream.checking import config_file
from reidstream.engines.deepstream.checking.config_file import (
    ConfigFile,
    parse_config,
    read_config_file,
)
from reidstream.errors import ConfigError

INI, YAML = Path("sgie.txt"), Path("sgie.yml")


def parsed(text: str, path: Path = YAML) -> ConfigFile:
    return parse_config(text.encode(), path)


def entries(file: ConfigFile) -> list[tuple[str, str, str, int]]:
    return [(entry.group, entry.key, entry.value, entry.line) for entry in file.entries]


def flaws(file: ConfigFile) -> list[tuple[int, str]]:
    return [(flaw.line, flaw.cause) for flaw in file.flaws]


def test_sections_and_keys_of_yaml_are_read_with_their_lines() -> None:
    file = parsed("%YAML:1.0\n---\nproperty:\n  gpu-id: 0\n\n  # a comment\n  name: 'a b'\nother:\n  x: \"1\"\n...\n")
    assert entries(file) == [("property", "gpu-id", "0", 4), ("property", "name", "a b", 7), ("other", "x", "1", 9)]
    assert (file.groups, file.flaws) == ((("property", 3), ("other", 8)), ())


def test_a_list_of_yaml_is_one_value_in_the_line_of_its_key() -> None:
    file = parsed("property:\n  offsets:\n  - 1.5\n  - '2'\n  -\n  scale: 1\n")
    assert entries(file) == [("property", "offsets", "[1.5, 2, ]", 2), ("property", "scale", "1", 6)]
    assert not file.flaws


def test_a_key_without_a_value_is_empty_also_at_the_end() -> None:
    assert entries(parsed("property:\n  first:\n  last:\n")) == [
        ("property", "first", "", 2),
        ("property", "last", "", 3),
    ]


def test_a_list_ends_with_the_next_section() -> None:
    file = parsed("one:\n  items:\n  - a\ntwo:\n  - b\n")
    assert entries(file) == [("one", "items", "[a]", 2)]
    assert flaws(file) == [(5, "a list item without a key above it")]


def test_a_list_item_without_a_key_is_a_flaw_that_stops_the_parser() -> None:
    (flaw,) = parsed("property:\n- lonely\n").flaws
    assert (flaw.line, flaw.fatal) == (2, True)
    assert "list item" in flaw.cause


def test_a_key_glued_to_its_value_is_read_as_it_was_meant() -> None:
    file = parsed('property:\n  gpu-id:"0"\n  batch-size: 4\n')
    assert entries(file) == [("property", "gpu-id", "0", 2), ("property", "batch-size", "4", 3)]
    assert [(flaw.line, flaw.replacement) for flaw in file.flaws] == [(2, ("gpu-id", '"0"'))]


def test_a_glued_key_outside_every_section_is_named_and_not_kept() -> None:
    file = parsed("  gpu-id:0\n")
    assert entries(file) == []
    assert [flaw.replacement for flaw in file.flaws] == [("gpu-id", "0")]
    # At the left edge it cannot be a key of a section: nothing is proposed.
    assert [flaw.replacement for flaw in parsed("gpu-id:0\n").flaws] == [None]


def test_what_is_no_key_is_named_and_the_rest_is_read() -> None:
    file = parsed("property:\n  just words\n  gpu-id: 0\n")
    assert entries(file) == [("property", "gpu-id", "0", 3)]
    assert flaws(file) == [(2, "'just words' is not key: value")]


def test_a_value_outside_every_section_is_not_read() -> None:
    file = parsed("gpu-id: 0\nproperty:\n  batch-size: 1\n")
    assert entries(file) == [("property", "batch-size", "1", 3)]
    assert [(flaw.line, flaw.fatal) for flaw in file.flaws] == [(1, False)]


def test_an_indented_key_without_a_section_is_a_flaw() -> None:
    assert flaws(parsed("  gpu-id: 0\n")) == [(1, "gpu-id is indented, but there is no section above it")]


def test_an_indent_with_a_tab_is_a_flaw_and_still_read() -> None:
    file = parsed("property:\n\tgpu-id: 0\n")
    assert entries(file) == [("property", "gpu-id", "0", 2)]
    assert [line for line, _ in flaws(file)] == [2]


def test_of_a_section_that_stands_twice_the_first_counts() -> None:
    file = parsed("property:\n  gpu-id: 0\nproperty:\n  gpu-id: 1\n  batch-size: 2\n")
    assert {key: entry.value for key, entry in file.group("property").items()} == {"gpu-id": "0"}
    assert file.group_line("property") == 1
    assert list(file.repeated()) == []
    assert "lines 1 and 3" in file.flaws[0].cause


def test_groups_of_one_name_in_a_key_file_are_one() -> None:
    file = parsed("[property]\ngpu-id=0\n[other]\nx=1\n[property]\ngpu-id=1\n", INI)
    assert file.group("property")["gpu-id"].value == "1"
    assert [(earlier.line, later.line) for earlier, later in file.repeated()] == [(2, 6)]
    assert file.groups == (("property", 1), ("other", 3))
    assert file.group("absent") == {}
    assert file.group_line("absent") == 0


def test_a_key_given_three_times_is_named_twice() -> None:
    file = parsed("[property]\na=1\na=2\na=3\n", INI)
    assert [(earlier.line, later.line) for earlier, later in file.repeated()] == [(2, 3), (3, 4)]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("key: value # comment", "value"),
        ("key: value#no comment", "value#no comment"),
        ("key: value# no comment", "value# no comment"),
        ("key: 'a # b'", "a # b"),
        ('key: "it\'s # b" # comment', "it's # b"),
        ("key: a 'b' 'c # d' # e", "a 'b' 'c # d'"),
        ("key: 'open", "'open"),
        ("'key': x", "x"),
        ('"key" : x', "x"),
        ("key:   # only a comment", ""),
        ("key: a: b", "a: b"),
        ("key: '", "'"),
        ("key: ''", ""),
    ],
)
def test_a_value_of_yaml_is_what_is_left_without_quotes_and_comments(line: str, value: str) -> None:
    file = parsed(f"property:\n  {line}\n")
    assert entries(file) == [("property", "key", value, 2)]
    assert not file.flaws


def test_a_line_that_is_a_comment_from_its_beginning_is_not_read() -> None:
    assert entries(parsed("#a: b\nproperty:\n#  c: d\n  e: f\n")) == [("property", "e", "f", 4)]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("a b", "a b"),
        ("1 # comment", "1"),
        ("1 ; comment", "1"),
        ("1;2;3", "1;2;3"),
        ("a#b", "a#b"),
        ('"a"', "a"),
        ("'a'", "a"),
        ('"a', "a"),
        ("'a", "a"),
        ("a'", "a"),
        ("=a", "a"),
        ("= 'a'", "a"),
        (": a", "a"),
        ("'a\" 'b'", "a\" 'b"),
        ("it's", "it's"),
        ("it's don't", "it's don't"),
        ('"', ""),
        ("", ""),
    ],
)
def test_a_value_of_a_key_file_is_corrected_where_another_format_was_meant(written: str, value: str) -> None:
    file = parsed(f"[property]\nkey={written}\n", INI)
    assert entries(file) == [("property", "key", value, 2)]
    # What is changed is said, with the line as it should be.
    assert [flaw.replacement for flaw in file.flaws] == ([] if written == value else [("key", value)])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("'a'", "quotes are part of the value"),
        ('"a', "quotes are part of the value"),
        ("a'", "quotes are part of the value"),
        ("=a", "'=' is part of the value"),
        (": a", "':' is part of the value"),
    ],
)
def test_what_does_not_belong_to_a_value_is_named(value: str, said: str) -> None:
    (flaw,) = parsed(f"[property]\nkey={value}\n", INI).flaws
    assert flaw.cause.startswith(said)
    assert (flaw.cure, flaw.fatal) == ("write key=a", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[property\nkey=1\n", "is not a group header"),
        ("[property] here\nkey=1\n", "is not a group header"),
        ("[]\n[property]\nkey=1\n", "is not a group header"),
        ("[property]\n=1\nkey=1\n", "neither key=value"),
        ("[property]\nwords\nkey=1\n", "neither key=value"),
        ("[property]\n; key=2\nkey=1\n", "begins with #"),
        ("key=2\n[property]\nkey=1\n", "before the first [group]"),
    ],
)
def test_a_wrong_line_of_a_key_file_costs_itself_only(text: str, said: str) -> None:
    file = parsed(text, INI)
    assert [(entry.group, entry.key, entry.value) for entry in file.entries] == [("property", "key", "1")]
    (flaw,) = file.flaws
    assert said in flaw.cause
    assert flaw.fatal
    assert flaw.removable is ("begins with" in said)


@pytest.mark.parametrize(
    ("text", "path", "yaml"),
    [
        ("property:\n", INI, True),
        ("property: # here\n", INI, True),
        ("%YAML:1.0\n", INI, True),
        ("[property]\n", YAML, False),
        ("words\n", INI, False),
        ("words\n", YAML, True),
        ("words\n", Path("sgie.yaml"), True),
        ("[property\nother:\n", YAML, True),
        ("[property]\nother:\n", INI, False),
        ("key: value\n[property]\n", INI, False),
    ],
)
def test_the_format_is_known_by_the_content_and_else_by_the_name(text: str, path: Path, yaml: bool) -> None:
    assert parsed(text, path).yaml is yaml


def test_characters_that_nobody_sees_are_named_with_their_column() -> None:
    file = parsed("[property]\n#\u00a0comment\nkey=\u2013 1\n", INI)
    assert [flaw.line for flaw in file.flaws] == [3]
    assert "column 5" in file.flaws[0].cause
    assert "U+2013" in file.flaws[0].cause


def test_lines_may_end_as_on_windows() -> None:
    assert entries(parsed("[property]\r\nkey=1\r\n", INI)) == [("property", "key", "1", 2)]


def test_a_long_line_is_shortened_where_it_is_quoted() -> None:
    for length, shown in ((60, "w" * 60), (61, "w" * 57 + "...")):
        assert f"'{shown}'" in parsed("[property]\n" + "w" * length, INI).flaws[0].cause


@pytest.mark.parametrize(("size", "reads"), [(64, True), (65, False)])
def test_a_file_that_is_far_too_large_is_not_read(
    size: int, reads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_file, "_LARGEST", 64)
    path = tmp_path / "sgie.txt"
    path.write_bytes(b"[property]\n".ljust(size, b"#"))
    if reads:
        assert read_config_file(path).groups == (("property", 1),)
        return
    with pytest.raises(ConfigError, match="cannot be a configuration file"):
        read_config_file(path)


Plain = st.text("abcdefgh0123456789", min_size=1, max_size=6)


@given(st.dictionaries(Plain, st.dictionaries(Plain, Plain, min_size=1, max_size=3), min_size=1, max_size=3))
def test_both_formats_say_the_same(groups: dict[str, dict[str, str]]) -> None:
    ini = "".join(f"[{name}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items()) for name, keys in groups.items())
    yaml = "".join(f"{name}:\n" + "".join(f"  {k}: {v}\n" for k, v in keys.items()) for name, keys in groups.items())
    one, other = parsed(ini, INI), parsed(yaml, YAML)
    assert entries(one) == entries(other)
    assert (one.groups, one.flaws) == (other.groups, other.flaws)
    for name, keys in groups.items():
        assert {key: entry.value for key, entry in one.group(name).items()} == keys
