"""A copy of the project in which one fault at a time is tried."""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

from tests.mutants.coverage import ROOT
from tests.mutants.sites import Mutant, source_of


class Workplace:
    """The copy, and the process that forks for each fault in it. ``close`` removes both."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        # Nothing is compiled anew for a mutant but the module with the fault: bytecode that is checked by its source's
        # content is never taken for that of another text written in the same second.
        compileall.compile_dir(folder / "src", quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        environment = {**os.environ, "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.nursery"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def notices(self, mutant: Mutant, goes: list[tuple[list[str], float]]) -> tuple[bool, str | None, bool]:
        """Whether a test fails, or they do not end in time, with the fault in the code; which it was; whether late.

        goes: tests and their seconds, one go after the other until one fails.
        """
        target = self._folder / mutant.path.relative_to(ROOT)
        text = target.read_text(encoding="utf-8")
        target.write_text(source_of(mutant, text), encoding="utf-8")
        try:
            for tests, limit in goes:
                noticed, by, late = self._run(["-x", *tests], limit)
                if noticed:
                    return True, by[0] if by else None, late
        finally:
            target.write_text(text, encoding="utf-8")
        return False, None, False

    def check(self, test: str, limit: float) -> None:
        """End the program unless a test passes without a fault: else everything would seem to be noticed."""
        if self._run([test], limit)[0]:
            sys.exit(f"{test} fails in {self._folder} without any fault")

    def failing(self, tests: list[str], limit: float) -> list[str]:
        """Which of these tests fail without any fault."""
        return self._run(tests, limit)[1]

    def _run(self, arguments: list[str], limit: float) -> tuple[bool, list[str], bool]:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        arguments = [f"--basetemp={self._folder.with_name(self._folder.name + '.tmp')}", *arguments]
        self._nursery.stdin.write(json.dumps({"arguments": arguments, "limit": limit}) + "\n")
        self._nursery.stdin.flush()
        line = self._nursery.stdout.readline()
        if not line:
            sys.exit(f"the process that tries faults has ended with {self._nursery.wait()}")
        answer = json.loads(line)
        return answer["noticed"], answer["by"], answer["late"]

    def close(self) -> None:
        """End the process and remove the copy."""
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.rmtree(self._folder.with_name(self._folder.name + ".tmp"), ignore_errors=True)
