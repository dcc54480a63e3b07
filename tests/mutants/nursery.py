"""A process that has everything imported but this project, and forks for each fault: no library is loaded twice.

It reads requests as lines of JSON, ``{"arguments": [...], "limit": seconds}``, and answers each with one line,
``{"noticed": bool, "late": bool, "by": [test, ...]}``; late: nothing had failed when the time was over. Run in
a copy of the project, from which its children import.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path

import pytest


class _Witness:
    """A pytest plugin that names the tests that fail."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest."""
        if report.failed:
            os.write(self._pipe, f"{report.nodeid}\n".encode())


def load(root: Path) -> None:
    """Import what the project and its tests import, then forget the project: children import it with their fault."""
    for place in (root / "src" / "reidstream", root / "tests"):
        for path in sorted(place.rglob("*.py")):
            name = ".".join(
                path.relative_to(root / "src" if place.name == "reidstream" else root).with_suffix("").parts
            )
            # What needs more than this machine has is skipped by the tests, too.
            if not name.endswith("__main__") and not name.startswith("tests.mutants"):
                with contextlib.suppress(Exception, pytest.skip.Exception):
                    importlib.import_module(name.removesuffix(".__init__"))
    for name in [name for name in sys.modules if name.split(".")[0] in ("reidstream", "tests")]:
        if name != "tests" and not name.startswith("tests.mutants"):
            del sys.modules[name]
    importlib.invalidate_caches()


def answer(arguments: list[str], limit: float) -> dict[str, object]:
    """Run pytest in a child: did one of them fail, or did they not end in time?"""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(reading)
        with open(os.devnull, "r+b") as nothing:
            for descriptor in (0, 1, 2):
                os.dup2(nothing.fileno(), descriptor)
        # Plugins that rewrite assertions are loaded here long before their tests are.
        options = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        code = 3
        with contextlib.suppress(BaseException):
            code = pytest.main([*options, *arguments], plugins=[_Witness(writing)])
        os._exit(int(code))
    os.close(writing)
    handle = os.pidfd_open(child)
    in_time, *_ = select.select([handle], [], [], limit)
    os.close(handle)
    # Also what the tests have started and left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.set_blocking(reading, False)
    try:
        by = os.read(reading, 65536).decode()
    except BlockingIOError:
        by = ""
    os.close(reading)
    failed = list(dict.fromkeys(by.splitlines()))
    return {"noticed": not in_time or status != 0, "late": not in_time and not failed, "by": failed}


def main() -> None:
    """Serve until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    load(Path.cwd())
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(answer(asked["arguments"], asked["limit"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
