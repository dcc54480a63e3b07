"""Python, the packages, the disk."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from reidstream.doctor.report import Question, Result, Status
from reidstream.runtime import onnxruntime
from reidstream.wording import counted

PACKAGES = {
    "av": "av",
    "chromadb": "chromadb",
    "cv2": "opencv-python-headless",
    "filelock": "filelock",
    "httpx": "httpx",
    "jinja2": "jinja2",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "platformdirs": "platformdirs",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "rich": "rich",
    "scipy": "scipy",
    "sqlalchemy": "sqlalchemy",
    "typer": "typer",
}
"""Import names of the run-time dependencies, and the packages that bring them."""

_RIVALS = (("opencv-python", "opencv-python-headless"), ("onnxruntime", "onnxruntime-gpu"))
_FIRST, _LAST = (3, 11), (3, 13)
_GIB = 2**30


def python(question: Question) -> Result:
    """The interpreter's version and where it is."""
    found = f"{platform.python_version()} at {sys.executable}"
    if not _FIRST <= sys.version_info[:2] <= _LAST:
        return Result(Status.FAILURE, found)
    return Result(Status.OK, found)


def packages(question: Question) -> Result:
    """Every run-time dependency, really imported."""
    broken = []
    for module, package in PACKAGES.items():
        try:
            # One that was set up beside the environment's has to be found before the latter is loaded.
            onnxruntime() if module == "onnxruntime" else importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - native packages fail in many ways when they are loaded
            broken.append(f"{package} ({error})")
    if broken:
        names = " ".join(entry.split(" (")[0] for entry in broken)
        return Result(Status.FAILURE, "; ".join(broken), f"python -m pip install {names}")
    rivals = [pair for pair in _RIVALS if all(_installed(name) for name in pair)]
    if rivals:
        pairs = "; ".join(f"{a} and {b}" for a, b in rivals)
        return Result(
            Status.WARNING,
            f"{pairs} write into the same folder, and the one that was installed last has won",
            "uninstall both, then install the one that is wanted; for a GPU, onnxruntime and `reidstream setup cuda`",
        )
    versions = ", ".join(f"{name} {_installed(name)}" for name in ("numpy", "av", "onnx"))
    return Result(Status.OK, f"{len(PACKAGES)} packages can be imported ({versions})")


def sqlite(question: Question) -> Result:
    """The SQLite that Python was built with."""
    version = sqlite3.sqlite_version
    # ChromaDB refuses anything older (its documentation, "Troubleshooting").
    status = Status.OK if sqlite3.sqlite_version_info >= (3, 35, 0) else Status.FAILURE
    return Result(status, version)


def chromadb(question: Question) -> Result:
    """A real collection in a folder of its own: created, filled, asked, closed."""
    import chromadb as chroma
    from chromadb.config import Settings

    with tempfile.TemporaryDirectory() as folder:
        client = chroma.PersistentClient(folder, Settings(anonymized_telemetry=False))
        collection = client.create_collection("doctor", configuration={"hnsw": {"space": "cosine"}})
        collection.add(ids=["a", "b"], embeddings=[[1.0, 0.0], [0.0, 1.0]])
        answer = collection.query(query_embeddings=[[0.9, 0.1]], n_results=1)["ids"]
    if answer != [["a"]]:
        return Result(Status.FAILURE, f"{chroma.__version__} gave {answer} for a query that must give a")
    return Result(Status.OK, f"{chroma.__version__}, a collection was written and searched")


def disk(question: Question) -> Result:
    """Free space and write access where galleries go and where temporary files go."""
    place = _existing(question.gallery or Path.cwd())
    worst, parts = Status.OK, []
    for name, folder in (("gallery", place), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free / _GIB
        parts.append(f"{free:.1f} GiB free for {name} ({folder})")
        if not os.access(folder, os.W_OK):
            return Result(Status.FAILURE, f"{folder} cannot be written", "choose another folder, or change its rights")
        if free < 1:
            worst = Status.FAILURE
        elif free < 5 and worst is Status.OK:
            worst = Status.WARNING
    return Result(worst, "; ".join(parts))


def gallery(question: Question) -> Result:
    """The given gallery: whether it is there, and who owns it for writing."""
    if question.gallery is None:
        return Result(Status.ABSENT, "no gallery was given (--gallery)")
    folder = question.gallery
    if not folder.exists():
        return Result(Status.WARNING, f"{folder} does not exist yet", "`reidstream run` makes it")
    from reidstream.errors import GalleryError
    from reidstream.gallery import Gallery
    from reidstream.gallery.checking import too_wide
    from reidstream.gallery.ownership import writer_of

    owner = writer_of(folder)
    try:
        with Gallery.open(folder) as opened:
            count = len(opened)
    except GalleryError as error:
        return Result(Status.FAILURE, str(error), "reidstream gallery check")
    if owner is not None:
        found = f"{folder}: {counted(count, 'tracklet')}, being written by {owner}"
        return Result(Status.WARNING, found, "reading goes on; a second writer has to wait until it has finished")
    if open_to_others := too_wide(folder):
        return Result(
            Status.WARNING, f"{folder}: {counted(count, 'tracklet')}; {open_to_others[0]}", "see docs/gallery.md"
        )
    return Result(Status.OK, f"{folder}: {counted(count, 'tracklet')}, nobody is writing")


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next((folder for folder in (path, *path.parents) if folder.is_dir()), Path("/"))
