"""Commands that only look at a gallery or correct it start without what videos, models and servers need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.review import Review
from tests.identities.conftest import filled
from tests.identities.three_people import AT_TWO_CAMERAS

# Each costs a tenth of a second to several seconds at every start.
HEAVY = (
    "aiohttp",
    "av",
    "chromadb",
    "cv2",
    "httpx",
    "huggingface_hub",
    "onnx",
    "onnxruntime",
    "pandas",
    "PIL",
    "pyarrow",
    "reidstream.config.tree",
    "reidstream.pipeline",
    "reidstream.server.app",
    "scipy",
    "starlette",
    "torch",
    "uvicorn",
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the gallery of a shop, decided and with a name."""
    folder = tmp_path_factory.mktemp("light")
    with filled(folder / "shop", AT_TWO_CAMERAS) as gallery:
        OnlineIdentities(gallery, IdentityConfig()).catch_up()
        Review(gallery, "prepared").label("1", "Grace", "")
    return folder


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it is the working directory."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def imported(words: list[str]) -> set[str]:
    """The names of all modules that a command has imported by its end, in a process of its own."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('\\nimported:', *sys.modules))\n"
        "from reidstream.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("\nimported:", 1)[1].split())


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["people", "--help"],
        ["people", "label", "1", "--name", "Ada", "--gallery", "shop"],
        ["people", "undo", "--gallery", "shop"],
        ["people", "list", "--gallery", "shop"],
        ["gallery", "info", "--gallery", "shop"],
        ["events", "--gallery", "shop"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    held = imported(words)
    assert not held & set(HEAVY)
    if "--gallery" not in words:
        assert "sqlalchemy" not in held
        assert "numpy" not in held


def test_the_list_names_modules_as_they_are_called() -> None:
    """A misspelt name would never be found among the imported ones."""
    from importlib.util import find_spec

    optional = {"torch"}
    assert [name for name in HEAVY if name not in optional and find_spec(name) is None] == []


@pytest.mark.parametrize("words", [["serve"], ["run", "nowhere.mp4"]], ids=" ".join)
def test_who_gives_people_leaves_the_cores_to_cameras_and_requests(words: list[str], tmp_path: Path) -> None:
    """OpenBLAS reads how many threads it may have when NumPy is loaded, and they spin while they wait."""
    code = (
        "import importlib.abc, os, sys\n"
        "class Watch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'numpy':\n"
        "            print('threads:', os.environ.get('OPENBLAS_NUM_THREADS'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "from reidstream.cli import main\n"
        "main()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--gallery", str(tmp_path / "nowhere/shop")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert "threads: 1" in done.stdout, done.stderr
    assert "threads: None" not in done.stdout
