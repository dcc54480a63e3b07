from __future__ import annotations

import ast
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


def test_notebook_needs_what_comes_with_the_package_and_jupyter() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    imported: set[str] = set()
    for cell in cells:
        if cell["cell_type"] == "code":
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add((node.module or "").partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"reidstream", "numpy", "IPython"}


@pytest.mark.parametrize("there", [True, False])
def test_deepstream_without_videos_reads_a_street_in_which_its_detector_knows_people(
    tmp_path: Path, there: bool
) -> None:
    """Synthetic people are nobody to TrafficCamNet; both engines are built for what is read."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    (cell,) = ["".join(cell["source"]) for cell in cells if "SAMPLE = Path(" in "".join(cell["source"])]
    sample = tmp_path / "street.mp4"
    if there:
        sample.write_bytes(b"video")
    code = re.sub(r"SAMPLE = Path\(.*\)", f"SAMPLE = Path({str(sample)!r})", cell)
    called: list[tuple[Any, ...]] = []
    names: dict[str, Any] = {
        "Path": Path, "ENGINE": "deepstream", "VIDEOS": [], "WORK": tmp_path, "CONFIG": "settings.toml",
        "reidstream": lambda *words: called.append(words),
    }  # fmt: skip
    if not there:
        with pytest.raises(RuntimeError, match="name videos of your own"):
            exec(code, names)
        return
    exec(code, names)
    assert names["VIDEOS"] == [str(sample)]
    assert called == [("deepstream", "build", str(sample), "--config", "settings.toml")]


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
    found = re.search(r"^(\d+) people in (\d+) tracklets$", text, re.MULTILINE)
    assert found is not None
    assert 2 <= int(found[1]) <= int(found[2]) == counts[-1]
    assert re.search(r"^\d+ pairs of one person, \d+ of two$", text, re.MULTILINE)
    assert re.search(r"^0\.\d{3}  cam\d  (person|undecided) \d", text, re.MULTILINE)
    people, plot, answer, link = (
        "".join(output["data"]["text/html"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    )
    assert people.count("data:image/jpeg;base64,") == counts[-1]
    assert "person 1:" in people
    assert "<svg" in plot
    assert answer.count("data:image/jpeg;base64,") >= 3
    # The application answered before this was said.
    (address,) = re.findall(r"^the gallery is open at (http://localhost:\d+)$", text, re.MULTILINE)
    assert f'href="{address}"' in link
