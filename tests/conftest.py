"""What every test may use."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import certifi
import hypothesis
import pytest
import typer.main
import typer.testing

from reidstream.gallery.traces import Traces
from tests.postgres import PostgresServer

REPOSITORY = Path(__file__).parents[1]

# How long something takes on a busy machine is no property of it.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

# Importing and collecting makes a million objects that stay: looking them through as they come is a fifth of the time.
_USUAL = gc.get_threshold()
gc.set_threshold(50_000)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """In a fresh clone all workers would compile all modules, each for itself and at the same time. So each begins with
    its share of them, and finds the others' done."""
    given: dict[str, object] = getattr(session.config, "workerinput", {})
    if not given or session.config.args != session.config.getini("testpaths"):
        return
    modules = sorted((REPOSITORY / "tests").rglob("test_*.py"))
    for module in modules[int(str(given["workerid"]).removeprefix("gw")) :: int(str(given["workercount"]))]:
        # What is wrong with it is said when it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(module.relative_to(REPOSITORY).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """A million objects of modules and tests stay to the end: looking them through at every turn is a twentieth."""
    gc.collect()
    gc.freeze()
    # As in every process: tests measure how memory grows.
    gc.set_threshold(*_USUAL)


@pytest.fixture(autouse=True, scope="session")
def commands_made_once() -> Iterator[None]:
    """A process that calls the command line once makes all commands once; one that calls it hundreds of times, too."""
    made = functools.cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", made)
        patch.setattr(typer.testing, "_get_command", made)
        # These processes have begun.
        patch.setattr("reidstream.cli.begin_quickly", lambda: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is asked of the internet: whoever makes a connection's context, here or in a process that is started,
    reads one certificate instead of this machine's list of 150, which takes 20 ms each time."""
    ending = "-----END CERTIFICATE-----\n"
    text = Path(certifi.where()).read_text(encoding="utf-8")
    authority = tmp_path_factory.mktemp("authority") / "one.pem"
    authority.write_text(text[: text.index(ending) + len(ending)], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authority))
        patch.setenv("SSL_CERT_DIR", str(authority.parent))
        yield


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that ran in this process has set what is logged; the next test's log must not depend on it."""
    logger = logging.getLogger("reidstream")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Erasing does not look for traces, for which it starts two processes each time: tests that erase again and again
    and look at something else. The proof has its own (tests/gallery/test_erasing.py)."""
    monkeypatch.setattr("reidstream.gallery.erasing.find_traces", lambda *_: Traces(0, 0, []))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real videos; tests that need it skip when it is absent."""
    root = Path(os.environ.get("REIDSTREAM_SHARED", REPOSITORY.parent / "shared"))
    if not (root / "data").is_dir():
        pytest.skip(f"no real videos in {root / 'data'}; set REIDSTREAM_SHARED to the folder that holds data/")
    return root / "data"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; most tests want a ``postgres`` database on it."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = PostgresServer(folder)
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """The address of an empty PostgreSQL database."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video, photos and a gallery (see tests/prepared.py), to be copied and not to be written to."""
    from filelock import FileLock

    from tests.prepared import prepare

    # One for all workers of a run of the tests, whose own folders lie side by side.
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, done = shared / "prepared", shared / "prepared.done"
    with FileLock(shared / "prepared.lock"):
        if not done.exists():
            folder.mkdir()
            prepare(folder)
            done.touch()
    return folder


@pytest.fixture
def workplace(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the prepared folder, which is the working directory while the test runs."""
    place = tmp_path / "workplace"
    shutil.copytree(prepared, place)
    monkeypatch.chdir(place)
    return place
