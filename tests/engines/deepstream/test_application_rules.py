"""What is said about a deepstream-app file: each condition once as it is fulfilled and once as it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidstream.engines.deepstream.checking.application_rules import application, is_application
from reidstream.engines.deepstream.checking.config_file import ConfigFile, parse_config
from reidstream.engines.deepstream.checking.findings import AddKey, Finding, SetLine, Severity

MUX = "[streammux]\nbatch-size={}\nwidth=64\nheight=64\nlive-source=1\n"


def parsed(text: str, folder: Path = Path("configs")) -> ConfigFile:
    return parse_config(text.encode(), folder / "app.txt")


def found(text: str, folder: Path = Path("configs")) -> list[Finding]:
    return list(application(parsed(text, folder)))


def codes(text: str) -> list[tuple[str, int]]:
    return [(finding.code, finding.line) for finding in found(text)]


@pytest.mark.parametrize(
    ("text", "its"),
    [
        ("[application]\n", True),
        ("[source0]\n", True),
        ("[primary-gie]\n", True),
        ("[secondary-gie12]\n", True),
        ("[application]\n[property]\n", False),
        ("[tracker]\n", False),
        ("[other]\n", False),
        ("[source]\n", False),
        ("", False),
    ],
)
def test_a_file_of_an_application_is_known_by_its_groups(text: str, its: bool) -> None:
    assert is_application(parsed(text)) is its


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ("", True),
        ("type=2\n", True),
        ("type=3\n", True),
        ("type=4\n", True),
        ("type=1\n", False),
        ("type=5\n", False),
        ("uri=file:///srv/a.mp4\n", False),
        ("type=2\nuri=rtsp://10.0.0.7/s\n", False),
        ("uri=file:a.mp4\n", False),
        ("uri=a.mp4\n", True),
        ("type=1\nuri=a.mp4\n", True),
        ("enable=0\nuri=a.mp4\n", False),
        ("enable=0\n", False),
        ("enable=1\n", True),
        ("enable=perhaps\n", True),
    ],
)
def test_a_source_that_is_used_needs_an_address_unless_it_is_a_device(keys: str, wrong: bool) -> None:
    text = MUX.format(1) + f"[source0]\n{keys}"
    assert ("source" in dict(codes(text))) is wrong


def test_an_address_that_is_none_is_found_in_its_own_line() -> None:
    assert codes("[source0]\ntype=2\nuri=a.mp4\n" + MUX.format(1)) == [("source", 3)]
    assert codes("[source0]\ntype=2\n" + MUX.format(1)) == [("source", 1)]


def test_sources_without_a_mux_are_an_error_and_a_mux_without_sources_is_none() -> None:
    (finding,) = found("[source0]\nuri=file:///a.mp4\n")
    assert (finding.code, finding.line, finding.severity) == ("mux", 0, Severity.ERROR)
    assert found("[source0]\nenable=0\n") == []
    assert found(MUX.format(1)) == []
    assert found("[streammux]\nwidth=64\nheight=64\n") == []


@pytest.mark.parametrize("key", ["width", "height"])
def test_a_mux_needs_a_width_and_a_height(key: str) -> None:
    lines = [line for line in MUX.format(1).splitlines() if not line.startswith(key)]
    (finding,) = found("\n".join(lines))
    assert (finding.code, finding.line, finding.severity) == ("mux", 1, Severity.ERROR)
    assert finding.cause.startswith(key)


SOURCES = "[source0]\nuri=file:///a.mp4\n[source1]\nuri=file:///b.mp4\n"


@pytest.mark.parametrize(("size", "wrong"), [("1", True), ("2", False), ("3", False), ("two", True)])
def test_a_batch_holds_a_frame_of_every_source(size: str, wrong: bool) -> None:
    findings = found(SOURCES + MUX.format(size))
    assert [(finding.code, finding.line) for finding in findings] == ([("mux", 6)] if wrong else [])
    if wrong:
        assert findings[0].edits == (SetLine(6, "batch-size", "2"),)
        assert f"is {'missing' if size == 'two' else size} for 2 sources" in findings[0].cause


def test_a_batch_size_that_is_missing_is_added() -> None:
    (finding,) = found(SOURCES + "[streammux]\nwidth=64\nheight=64\n")
    assert (finding.line, finding.edits) == (5, (AddKey("streammux", "batch-size", "2"),))


@pytest.mark.parametrize(("number", "wrong"), [("1", False), ("3", False), ("4", True), ("0", False), ("x", False)])
def test_a_source_that_stands_for_several_counts_as_often(number: str, wrong: bool) -> None:
    text = f"[source0]\nuri=file:///a.mp4\nnum-sources={number}\n" + MUX.format(3)
    assert bool(found(text)) is wrong


def test_a_source_that_is_not_used_does_not_count() -> None:
    assert found(SOURCES.replace("[source1]\n", "[source1]\nenable=0\n") + MUX.format(1)) == []


@pytest.mark.parametrize(
    ("source", "live"),
    [
        ("type=1\n", True),
        ("type=4\nuri=rtsp://a/s\n", True),
        ("type=5\n", True),
        ("type=2\nuri=file:///a.mp4\n", False),
        ("type=3\nuri=RTSPS://a/s\n", True),
        ("uri=rtsp://a/s\n", True),
        ("uri=http://a/s\n", False),
    ],
)
@pytest.mark.parametrize("said", ["live-source=1\n", "live-source=0\n", "live-source=x\n", ""])
def test_a_camera_needs_a_mux_that_knows_of_it(source: str, live: bool, said: str) -> None:
    text = f"[source0]\n{source}" + MUX.format(1).replace("live-source=1\n", said)
    findings = [finding for finding in found(text) if "live-source" in finding.cause]
    assert bool(findings) is (live and said != "live-source=1\n")
    if findings and not said:
        assert findings[0].edits == (AddKey("streammux", "live-source", "1"),)
        assert findings[0].line == parsed(text).group_line("streammux")
    elif findings:
        line = text.splitlines().index(said.strip()) + 1
        assert (findings[0].line, findings[0].edits) == (line, (SetLine(line, "live-source", "1"),))


def test_a_network_needs_its_file_where_it_is_said_to_be(tmp_path: Path) -> None:
    text = "[primary-gie]\nconfig-file=pgie.txt\n"
    (missing,) = found(text, tmp_path)
    assert (missing.code, missing.line, missing.severity) == ("missing-file", 2, Severity.ERROR)
    (tmp_path / "pgie.txt").touch()
    (there,) = found(text, tmp_path)
    assert (there.code, there.line, there.severity) == ("unchecked-group", 2, Severity.NOTE)
    assert f"{tmp_path / 'app.txt'} {tmp_path / 'pgie.txt'}" in there.cure


def test_a_network_or_tracker_that_is_not_used_is_not_looked_at() -> None:
    assert codes("[primary-gie]\n[tracker]\nll-lib-file=absent.so\n")[0] == ("no-model", 1)
    assert "missing-file" in dict(codes("[source0]\nenable=0\n[tracker]\nll-lib-file=absent.so\n"))
    assert found("[primary-gie]\nenable=0\n[tracker]\nenable=0\nll-lib-file=absent.so\n") == []


@pytest.mark.parametrize(("other", "clash"), [("gie-unique-id=2\n", True), ("gie-unique-id=3\n", False), ("", False)])
def test_two_networks_of_one_number_are_named_once(other: str, clash: bool) -> None:
    text = f"[primary-gie]\nconfig-file=a.txt\ngie-unique-id=2\n[secondary-gie0]\nconfig-file=b.txt\n{other}"
    findings = [(finding.line, finding.severity) for finding in found(text) if finding.code == "unique-id"]
    assert findings == ([(6, Severity.ERROR)] if clash else [])


def test_a_network_that_is_not_used_does_not_take_a_number() -> None:
    text = "[primary-gie]\nenable=0\ngie-unique-id=2\n[secondary-gie0]\nconfig-file=b.txt\ngie-unique-id=2\n"
    assert "unique-id" not in dict(codes(text))


@pytest.mark.parametrize(
    ("group", "known"), [("application", True), ("sink0", True), ("osd", True), ("message-broker", True), ("x", False)]
)
def test_groups_that_are_not_looked_at_are_said_to_be(group: str, known: bool) -> None:
    (finding,) = found(f"[{group}]\nenable=1\n")
    assert (finding.code, finding.line, finding.severity) == ("unchecked-group", 1, Severity.NOTE)
    assert ("known here" not in finding.cause) is known
