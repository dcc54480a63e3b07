"""Whatever is in a file: findings, never an exception; and the real GLib agrees about what is refused."""

from __future__ import annotations

import ctypes
import ctypes.util
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reidstream.engines.deepstream.checking import check_parsed, corrected
from reidstream.engines.deepstream.checking.codes import CODES
from reidstream.engines.deepstream.checking.config_file import parse_config
from reidstream.engines.deepstream.keys.nvinfer import CLASS_KEYS, ELSEWHERE, PROPERTY_KEYS
from reidstream.engines.deepstream.keys.nvtracker import SECTIONS

KEYS = [*PROPERTY_KEYS, *CLASS_KEYS, *ELSEWHERE, *(key for keys in SECTIONS.values() for key in keys), "nonsense"]
VALUES = st.one_of(
    st.sampled_from(["0", "1", "2", "100", "-1", "1e999", "9" * 30, "3;256;128", "[1]", "true", "a b", "", "/", "\0"]),
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
)
LINES = st.one_of(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["=", ": ", ":", " = "]), VALUES).map("".join),
    st.tuples(st.sampled_from(KEYS), VALUES).map(lambda pair: f"  {pair[0]}: {pair[1]}"),
    st.sampled_from(
        [
            "[property]",
            "property:",
            "[class-attrs-all]",
            "class-attrs-2:",
            "[class-attrs-99999999999]",
            "[]",
            "[",
            "# x",
        ]
    ),
    st.sampled_from([f"{section}:" for section in SECTIONS]),
    st.text(max_size=20),
)
FILES = st.lists(LINES, max_size=25).map("\n".join)
NAMES = st.sampled_from(["a.txt", "b.yml", "c", "d.yaml"])
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(st.lists(st.tuples(FILES, NAMES), min_size=1, max_size=2, unique_by=lambda pair: pair[1]))
@relaxed
def test_mangled_text_gives_findings_in_existing_lines(texts: list[tuple[str, str]]) -> None:
    files = [parse_config(text.encode("utf-8", "surrogatepass"), Path("/nowhere") / name) for text, name in texts]
    lines = {file.path: len(file.lines) for file in files}
    for finding in check_parsed(files):
        assert finding.code in CODES
        assert finding.cause and finding.cure
        assert 0 <= finding.line <= lines[finding.file]


@pytest.mark.parametrize("key", ["operate-on-class-ids", "infer-dims", "offsets", "batch-size", "network-type"])
@pytest.mark.parametrize("value", ["1e999", "-1e999", "9" * 400, "nan", "\u0663", "1;2;", ";;", "[", "0x10"])
def test_numbers_that_are_none_are_findings(key: str, value: str) -> None:
    text = f"[property]\nonnx-file=a.onnx\nprocess-mode=2\noperate-on-gie-id=1\n{key}={value}\n"
    assert check_parsed([parse_config(text.encode(), Path("/nowhere/a.txt"))])


def test_names_that_no_file_can_have_are_findings() -> None:
    text = f"[property]\nonnx-file={'a' * 300}/{'b' * 5000}\nmodel-engine-file={'c' * 400}\nlabelfile-path=a\0b\n"
    codes = {finding.code for finding in check_parsed([parse_config(text.encode(), Path("/nowhere/a.txt"))])}
    assert "missing-file" in codes


@given(st.binary(max_size=400), NAMES)
@relaxed
def test_bytes_give_findings(data: bytes, name: str) -> None:
    check_parsed([parse_config(data, Path("/nowhere") / name)])


@given(FILES, NAMES)
@relaxed
def test_correcting_ends_and_leaves_nothing_that_could_be_corrected(text: str, name: str) -> None:
    file = parse_config(text.encode(), Path("/nowhere") / name)
    fixed = parse_config(corrected([file], 0).encode(), file.path)
    again = corrected([fixed], 0)
    assert again == "\n".join(fixed.lines)


@pytest.fixture(scope="module")
def glib() -> ctypes.CDLL:
    """The GLib of this machine, which nvinfer reads its key files with."""
    name = ctypes.util.find_library("glib-2.0")
    if name is None:
        pytest.skip("GLib is not installed here")
    library = ctypes.CDLL(name)
    library.g_key_file_new.restype = ctypes.c_void_p
    library.g_key_file_free.argtypes = [ctypes.c_void_p]
    library.g_key_file_load_from_data.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_void_p,
    ]
    return library


# Characters that Python takes for white space and GLib does not, or not everywhere.
_BLANKS = "\t\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u2003\u2028"
BLANKS = st.lists(
    st.tuples(
        st.text(_BLANKS, max_size=2), st.sampled_from(["", "# x", "[a]", "b=1", "b"]), st.text(_BLANKS, max_size=2)
    ),
    max_size=6,
).map(lambda lines: "\n".join("".join(line) for line in lines))


@given(text=st.one_of(FILES, BLANKS))
@relaxed
def test_glib_refuses_what_the_parser_calls_fatal(glib: ctypes.CDLL, text: str) -> None:
    """Key files: the real GLib loads a file exactly when no flaw of its lines is fatal."""
    data = text.encode()
    file = parse_config(data, Path("/nowhere/a.txt"))
    if file.yaml or b"\0" in data:
        return
    # A comment behind a value is refused later, when the value is read; groups and lines at loading. A character that
    # only looks like another ("column 3 holds ...") is a part of the value for GLib, and what the value is for breaks.
    fatal = [f for f in file.flaws if f.fatal and f.replacement is None and not f.cause.startswith("column ")]
    keys = glib.g_key_file_new()
    loaded = bool(glib.g_key_file_load_from_data(keys, data, len(data), 0, None))
    glib.g_key_file_free(keys)
    assert loaded == (not fatal)
