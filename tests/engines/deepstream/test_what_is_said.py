"""What the checker says of every flaw that it knows, and what ``--fix`` does about it, is what was agreed on."""

from __future__ import annotations

from pathlib import Path

from tests.engines.deepstream.said import FILE, said


def test_every_flaw_is_told_and_cured_in_the_words_that_were_agreed_on(tmp_path: Path) -> None:
    expected, found = FILE.read_text().splitlines(), said(tmp_path).splitlines()
    other = [f"was: {was}\nnow: {now}" for was, now in zip(expected, found, strict=False) if was != now]
    assert not other and len(found) == len(expected), (
        f"{len(other)} lines are others, first\n{''.join(other[:1])}\n"
        "if they should be: python -m tests.engines.deepstream.said, and look at what has changed"
    )
