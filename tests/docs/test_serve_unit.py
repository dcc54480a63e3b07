"""The systemd unit of the server's page is one that systemd takes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    (unit,) = re.findall(r"```ini\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    # The installed command is not here; another executable stands in for it.
    here = re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", unit)
    assert here != unit
    path = tmp_path / "reidstream.service"
    path.write_text(here)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert [line for line in done.stderr.splitlines() if path.name in line] == []
    path.write_text(here.replace("TimeoutStopSec", "TimeoutStopSeconds"))
    wrong = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "TimeoutStopSeconds" in wrong.stderr
