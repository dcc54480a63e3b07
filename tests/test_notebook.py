from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "person_reid_gallery.ipynb"

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def printed(notebook: dict[str, Any]) -> str:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return "\n".join("".join(output.get("text", "")) for output in outputs)


def test_notebook_is_committed_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_notebook_runs_from_videos_to_search_on_the_local_engine(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "REIDSTREAM_ENGINE": "local",
        "REIDSTREAM_WORK": str(tmp_path / "work"),
    }
    done = tmp_path / "done.ipynb"
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOK), str(done)]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr[-3000:]
    notebook = json.loads(done.read_text(encoding="utf-8"))
    text = printed(notebook)
    assert "the same tracklets: True" in text
    counts = [int(number) for number in re.findall(r"(\d+) tracklets$", text, re.MULTILINE)]
    assert counts == sorted(counts)
    assert counts[-1] >= 3
    pages = [
        "".join(output["data"]["text/html"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert len(pages) == 2
    assert all(page.count("data:image/jpeg;base64,") >= 3 for page in pages)
    # The query is the tracklet that is most like itself.
    assert re.search(r"^1\.000  cam\d", text, re.MULTILINE)
