"""What the process of the index does with requests, asked in this process, with an index that notes its calls."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock, Timeout

from reidstream.errors import GalleryCorrupt, GalleryError
from reidstream.gallery.index import chroma, worker
from reidstream.gallery.index.worker import Worker, serve


class Noted:
    """An index that notes its calls, and the umask while they ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.closed = False
        self.umasks: list[int] = []

    def upsert(self, ids: list[str]) -> int:
        self.umasks.append(umask())
        return len(ids)

    def close(self) -> None:
        self.closed = True


def umask() -> int:
    found = os.umask(0o022)
    os.umask(found)
    return found


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    before = umask()
    yield
    os.umask(before)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Noted]:
    """The indexes that were opened."""
    opened: list[Noted] = []

    def in_folder(folder: Path, _size: int) -> Noted:
        opened.append(Noted(folder))
        return opened[-1]

    monkeypatch.setattr(chroma.ChromaIndex, "in_folder", in_folder)
    return opened


def gallery(folder: Path, mode: int) -> str:
    """The lock file of a gallery's folder of such rights."""
    folder.mkdir()
    folder.chmod(mode)
    return str(folder / "indexing.lock")


def free(lock: str) -> bool:
    """Whether another process could take the lock."""
    try:
        with FileLock(lock, timeout=0, is_singleton=False):
            return True
    except Timeout:
        return False


def test_an_index_is_held_from_its_opening_to_its_closing(tmp_path: Path, made: list[Noted]) -> None:
    lock = gallery(tmp_path / "g", 0o700)
    opened = Worker()
    opened.call("open", 7, (str(tmp_path / "g" / "index"), 4, lock))
    assert made[0].folder == tmp_path / "g" / "index"
    assert not free(lock)
    assert opened.call("upsert", 7, (["a", "b"],)) == 2
    opened.call("close", 7, ())
    assert made[0].closed
    assert free(lock)
    with pytest.raises(GalleryError, match="the vector index is closed"):
        opened.call("upsert", 7, (["a"],))
    # Closing again lets go of nothing else.
    opened.call("close", 7, ())


def test_an_index_that_cannot_be_opened_is_not_held(
    tmp_path: Path, made: list[Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = gallery(tmp_path / "g", 0o700)

    def fail(_folder: Path, _size: int) -> None:
        raise GalleryCorrupt("torn")

    monkeypatch.setattr(chroma.ChromaIndex, "in_folder", fail)
    with pytest.raises(GalleryCorrupt, match="torn"):
        Worker().call("open", 1, (str(tmp_path), 4, lock))
    assert free(lock)
    assert made == []


def test_an_index_that_another_process_holds_is_waited_for_and_then_refused(
    tmp_path: Path, made: list[Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = gallery(tmp_path / "g", 0o700)
    monkeypatch.setattr(worker, "PATIENCE", 0.0)
    with FileLock(lock, is_singleton=False), pytest.raises(GalleryError, match="another process has been writing"):
        Worker().call("open", 1, (str(tmp_path), 4, lock))
    assert made == []


def test_files_of_each_gallery_are_made_for_those_who_may_use_it(tmp_path: Path, made: list[Noted]) -> None:
    alone, shared = gallery(tmp_path / "alone", 0o700), gallery(tmp_path / "shared", 0o2770)
    opened = Worker()
    opened.call("open", 1, (str(tmp_path), 4, alone))
    first = umask()
    opened.call("open", 2, (str(tmp_path), 4, shared))
    second = umask()
    assert first & 0o077 == 0o077
    assert second & 0o070 == 0
    opened.call("upsert", 1, (["a"],))
    opened.call("upsert", 2, (["a"],))
    assert (made[0].umasks, made[1].umasks) == ([first], [second])
    for number in (1, 2):
        opened.call("close", number, ())


@pytest.fixture
def served(made: list[Noted]) -> Iterator[Any]:
    """Asks a worker that is served in a thread."""
    requests, asked = Pipe(duplex=False)
    answered, answers = Pipe(duplex=False)
    thread = Thread(target=serve, args=(requests, answers))
    thread.start()

    def ask(*request: Any) -> Any:
        asked.send(request)
        return answered.recv()

    yield ask
    asked.close()
    thread.join(10)
    assert not thread.is_alive(), "it ends when nobody asks any more"
    for end in (requests, answers, answered):
        end.close()


def test_answers_say_what_came_out(tmp_path: Path, served: Any) -> None:
    lock = gallery(tmp_path / "g", 0o700)
    assert served("open", 3, (str(tmp_path), 4, lock)) == (True, None)
    assert served("upsert", 3, (["a"],)) == (True, 1)
    assert served("close", 3, ()) == (True, None)
    assert served("upsert", 3, (["a"],)) == (False, "GalleryError", "the vector index is closed")


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (KeyError("absent"), (False, "KeyError", "absent")),
        (ValueError("wrong"), (False, "ValueError", "wrong")),
        (GalleryCorrupt("torn"), (False, "GalleryCorrupt", "torn")),
        (ZeroDivisionError("odd"), (False, "GalleryError", "odd")),
        (FileNotFoundError(2, "No such file", "shop"), (False, "GalleryError", "[Errno 2] No such file: 'shop'")),
        (MemoryError(), (False, "GalleryError", "MemoryError")),
    ],
)
def test_an_error_arrives_as_one_that_the_other_side_knows(
    error: Exception, answer: tuple[Any, ...], served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Worker, "call", fail)
    assert served("search", 1, ()) == answer


def test_an_answer_that_nobody_waits_for_ends_it(made: list[Noted]) -> None:
    requests, asked = Pipe(duplex=False)
    answered, answers = Pipe(duplex=False)
    answered.close()
    asked.send(("close", 1, ()))
    thread = Thread(target=serve, args=(requests, answers))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    for end in (requests, asked, answers):
        end.close()


def test_the_process_keeps_what_libraries_print_out_of_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its standard output becomes the errors' before anything is imported or answered."""
    done: list[str] = []
    system = SimpleNamespace(
        nice=lambda more: done.append("nicer" if more > 0 else "not nicer"),
        dup=lambda stream: 100 + stream,
        dup2=lambda stream, to: done.append(f"{to} is {stream}"),
        _exit=lambda status: done.append(f"exit {status}"),
    )
    monkeypatch.setattr(worker, "os", system)
    monkeypatch.setattr(signal, "signal", lambda number, how: done.append(f"{number.name} {how.name}"))
    monkeypatch.setattr(worker, "Connection", lambda stream, **_how: stream)
    monkeypatch.setattr(worker, "serve", lambda requests, answers: done.append(f"serve {requests} to {answers}"))
    monkeypatch.setitem(sys.modules, "chromadb", None)
    worker.main()
    assert done == ["SIGINT SIG_IGN", "nicer", "1 is 2", "serve 0 to 101", "exit 0"]


def test_importing_the_index_takes_its_authors_word_for_what_it_overrides_and_leaves_others_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import overrides

    usual = overrides.override, overrides.overrides
    meanwhile: list[object] = []

    class Base(overrides.EnforceOverrides):
        def found(self) -> int:
            return 1

    def imported(name: str) -> Any:
        if name == "overrides":
            return overrides
        meanwhile.append(overrides.override)

        class Trusted(Base):
            @overrides.override
            def found(self, more: int) -> int:  # type: ignore[override]
                return more

            @overrides.overrides(check_signature=False)
            def other(self) -> int:
                return 3

        assert Trusted().found(2) == 2
        assert Trusted().other() == 3
        raise ImportError(name)

    monkeypatch.delitem(sys.modules, "chromadb", raising=False)
    monkeypatch.setattr(chroma, "importlib", SimpleNamespace(import_module=imported, util=importlib.util))
    with pytest.raises(ImportError, match="chromadb"):
        chroma.chromadb()
    assert meanwhile == [chroma._taken_on_trust]
    assert (overrides.override, overrides.overrides) == usual
    monkeypatch.undo()
    assert chroma.chromadb() is sys.modules["chromadb"]
