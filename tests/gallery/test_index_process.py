"""The index in a process of its own: same answers, free threads, clear ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from reidstream.errors import GalleryError
from reidstream.gallery.index.process import ProcessIndex
from reidstream.gallery.ownership import index_files_at_rest


def some(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    vectors = np.random.default_rng(count).normal(size=(count, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def worker() -> psutil.Process:
    (child,) = [p for p in psutil.Process().children() if "gallery.index.worker" in " ".join(p.cmdline())]
    return child


@pytest.fixture
def index(tmp_path: Path) -> ProcessIndex:
    return ProcessIndex(tmp_path / "index", 64, tmp_path / "indexing.lock")


def test_other_threads_go_on_while_vectors_go_in(index: ProcessIndex) -> None:
    vectors = some(4000)
    began = time.thread_time()
    turns = [0]
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.001):
            turns[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    before = time.perf_counter()
    index.upsert([str(n) for n in range(4000)], vectors)
    took = time.perf_counter() - before
    ended.set()
    thread.join()
    # Were the lock held, the other thread would have had no turn in all that time.
    assert turns[0] > 20 * took
    assert time.thread_time() - began < took
    assert len(index) == 4000
    index.close()


def test_who_searches_while_the_process_is_ended_hears_that_it_died(index: ProcessIndex) -> None:
    """As after an erasure, when the process is renewed."""
    vectors, heard = some(200), list[BaseException]()
    index.upsert([str(n) for n in range(200)], vectors)
    searching = threading.Barrier(4)

    def search() -> None:
        searching.wait()
        try:
            while True:
                index.search(vectors, 50)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at below
            heard.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    searching.wait()
    time.sleep(0.2)
    index._process.stop()
    for thread in threads:
        thread.join()
    assert [type(error) for error in heard] == [GalleryError] * 3, heard
    assert all("died" in str(error) for error in heard)


def test_an_error_of_the_worker_is_raised_here(index: ProcessIndex) -> None:
    with pytest.raises(KeyError, match="1 of 1 ids are not in the index"):
        index.vectors(["nobody"])
    with pytest.raises(ValueError, match=r"must have shape \(2, 64\)"):
        index.upsert(["a", "b"], some(3))
    index.close()
    with pytest.raises(GalleryError, match="is closed"):
        len(index)


def test_a_worker_that_dies_is_told_and_replaced(index: ProcessIndex, tmp_path: Path) -> None:
    index.upsert(["a"], some(1))
    os.kill(worker().pid, signal.SIGKILL)
    with pytest.raises(GalleryError, match="process of the vector index died"):
        index.search(some(1), 1)
    index.close()
    again = ProcessIndex(tmp_path / "index", 64, tmp_path / "indexing.lock")
    assert [nearest.ids for nearest in again.search(some(1), 1)] == [["a"]]
    again.close()


def test_ctrl_c_is_not_the_workers_business(index: ProcessIndex) -> None:
    os.kill(worker().pid, signal.SIGINT)
    index.upsert(["a"], some(1))
    assert index.ids() == ["a"]
    index.close()


def test_the_worker_comes_after_the_pipeline_on_busy_cores(index: ProcessIndex) -> None:
    assert worker().nice() > psutil.Process().nice()
    # Linux compares niceness inside a session only.
    assert os.getsid(worker().pid) == os.getsid(0)
    assert os.getpgid(worker().pid) != os.getpgid(0)
    assert len(index) == 0


def test_the_worker_starts_without_sql() -> None:
    text = "import sys; import reidstream.gallery.index.worker; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_files_are_not_at_rest_while_the_worker_has_them_open(tmp_path: Path) -> None:
    index = ProcessIndex(tmp_path / "index", 64, tmp_path / "indexing.lock")
    with index_files_at_rest(tmp_path) as at_rest:
        assert not at_rest
    index.close()
    with index_files_at_rest(tmp_path) as at_rest:
        assert at_rest
