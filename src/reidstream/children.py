"""Starting another Python with this package in it: the vector index, searches through files, and decoding run there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def python_child(
    module: str, *arguments: str, variables: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """A child process that runs a module of this package as its main program; see ``command_of``.

    variables: of its environment, besides this process's. options: as ``subprocess.Popen`` takes them. Raises OSError
    when the interpreter cannot be started.
    """
    return subprocess.Popen(command_of(module, *arguments), env=environment() | dict(variables or {}), **options)


def conversing_child(
    module: str, variables: Mapping[str, str] | None = None, descriptors: Sequence[int] = ()
) -> tuple[subprocess.Popen[Any], Connection, Connection]:
    """A child process, a connection to its standard input and one from its standard output, for pickled messages.

    It is in a process group of its own: the terminal's Ctrl-C goes to this process alone, which then ends the others.
    Not in a session of its own: Linux gives each session an equal share of the cores (autogroup), whatever the niceness
    of its processes. The connections own the descriptors. variables: of its environment, besides this process's.
    descriptors: of this process that it gets as well, under the same numbers. Raises OSError when the interpreter
    cannot be started.
    """
    child = python_child(
        module,
        variables=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
        pass_fds=tuple(descriptors),
    )
    assert child.stdin is not None
    assert child.stdout is not None
    requests = Connection(os.dup(child.stdin.fileno()), readable=False)
    answers = Connection(os.dup(child.stdout.fileno()), writable=False)
    child.stdin.close()
    child.stdout.close()
    return child, requests, answers


def conversing_parent() -> tuple[Connection, Connection]:
    """For a child that ``conversing_child`` has started: a connection from whoever started it, and one to them.

    What anything prints from here on goes to standard error, so that it does not get between the messages.
    """
    told, telling = Connection(os.dup(0), writable=False), Connection(os.dup(1), readable=False)
    os.dup2(2, 1)
    return told, telling


def serve_parent(serve: Callable[[Connection, Connection], None]) -> None:
    """The main program of a child that ``conversing_child`` has started: ``serve`` with ``conversing_parent``'s two.

    Ctrl-C in a terminal is meant for whoever started it, and whoever started it may be gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told, telling = conversing_parent()
    with contextlib.suppress(BrokenPipeError):
        serve(told, telling)


def command_of(module: str, *arguments: str) -> list[str]:
    """The command line: this interpreter, without the current folder on its path, so that no file there is taken for
    a module. ``reidstream.child`` runs the module, which comes and goes in two thirds of the time then."""
    return [sys.executable, "-P", "-m", "reidstream.child", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment, in which the child finds this package whether it is installed or not."""
    paths = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
