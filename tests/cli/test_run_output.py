"""What a run says of where it stored."""

from __future__ import annotations

import json

import pytest

from reidstream.cli.run import _plain, _print_summary
from reidstream.pipeline import RunSummary


def test_the_password_of_a_database_is_not_in_the_summary_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    address = "postgresql://shop:geheim@host/name"
    summary = RunSummary(stored=3, people=2, kept_out=1)
    _print_summary(summary, address)
    text = capsys.readouterr().out + json.dumps(_plain(summary, address), default=str)
    assert text.count("postgresql://shop:***@host/name") == 3
    assert "geheim" not in text
    assert "left out 1 tracklet, erased from this gallery before" in text
