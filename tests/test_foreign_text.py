"""What others named, where it is printed, stored and exported."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.cli.terminal import TerminalConsole, TerminalTable
from reidstream.foreign_text import csv_cell, json_text, storable, terminal_text

BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
ANY = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY)
def test_nothing_acts_on_a_terminal(text: str) -> None:
    shown = terminal_text(text)
    assert not {c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}} - {"\t"}
    assert not {c for c in shown if unicodedata.bidirectional(c) in BIDI}
    assert terminal_text(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 你好 🙂", "Zoë 你好 🙂"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb", "a\\nb"),
        ("caf\udce9", "caf\\xe9"),
        ("\u202eevil", "\\u202eevil"),
    ],
)
def test_ordinary_names_stay_and_others_are_spelled_out(text: str, shown: str) -> None:
    assert terminal_text(text) == shown


@given(ANY)
def test_what_is_stored_is_valid_unicode(text: str) -> None:
    storable(text).encode("utf-8")
    assert storable(storable(text)) == storable(text)


@given(st.dictionaries(ANY, ANY | st.integers() | st.none()))
def test_json_that_is_printed_says_the_same(value: dict[str, object]) -> None:
    text = json_text(value)
    assert json.loads(text) == json.loads(json.dumps(value))
    text.encode("utf-8")
    assert terminal_text(text) == text


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '=HYPERLINK("http://x")'])
def test_no_cell_is_a_formula(formula: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([csv_cell(formula), csv_cell(-1.5), csv_cell("a=1"), csv_cell(None)])
    (row,) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert row == [f"'{formula}", "-1.5", "a=1", ""]


def test_a_table_and_a_line_show_names_as_they_are() -> None:
    out = io.StringIO()
    console = TerminalConsole(file=out, width=200)
    table = TerminalTable("name", "notes")
    table.add_row("[red]Bob[/]\x1b[2J", "one\ntwo")
    console.print(table)
    console.print("[bold]x\n\x1b]0;title\x07")
    shown = out.getvalue()
    assert "[red]Bob[/]\\x1b[2J" in shown
    assert "one\\ntwo" in shown
    assert "[bold]x\\n\\x1b]0;title\\x07" in shown
    assert not set(shown) & set("\x1b\x07")
