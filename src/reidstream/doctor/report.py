"""What a check is, what it answers, and how answers become a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from reidstream.config import Config

Need = Literal["local", "cuda", "deepstream"]
"""Who needs something: the local engine, its CUDA device, the DeepStream engine."""


class Status(StrEnum):
    """The answer of a check."""

    OK = "ok"
    WARNING = "warning"
    """It works, but worse or otherwise than expected."""
    FAILURE = "failure"
    """What was asked for cannot work."""
    ABSENT = "not here"
    """It is not on this machine, and nothing that was asked for needs it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the doctor is asked about. gallery: a gallery's folder to look at, or None."""

    config: Config
    engine: Literal["local", "deepstream"] = "local"
    gallery: Path | None = None

    @property
    def needs(self) -> frozenset[Need]:
        needs: set[Need] = {self.engine}
        if self.engine == "local" and self.config.local.device == "cuda":
            needs.add("cuda")
        return frozenset(needs)


@dataclass(frozen=True, slots=True)
class Result:
    """found: what there is, in a few words. advice: what to do; the check's own remedy when empty."""

    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's screen.

    about: what it looks at, for the table in the documentation. remedy: what to do when it is not ok.
    needed_by: whose verdict it belongs to; what is absent is a failure only for them. optional: not even for them.
    """

    id: str
    title: str
    about: str
    remedy: str
    needed_by: tuple[Need, ...]
    run: Callable[[Question], Result]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A check with its answer; advice is empty when there is nothing to do."""

    check: Check
    status: Status
    found: str
    advice: str


@dataclass(frozen=True, slots=True)
class Report:
    """The doctor's screen."""

    lines: tuple[Line, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing that was asked for fails."""
        return not any(line.status is Status.FAILURE for line in self.lines)


def examine(checks: Iterable[Check], question: Question) -> Report:
    """Every check's answer. A check that breaks is itself a warning; it never takes the others with it."""
    return Report(tuple(_line(check, question) for check in checks))


def _line(check: Check, question: Question) -> Line:
    try:
        result = check.run(question)
    except Exception as error:  # noqa: BLE001 - a broken machine breaks in ways that nobody foresaw
        result = Result(Status.FAILURE, f"{type(error).__name__}: {error}")
    needed = bool(question.needs & set(check.needed_by))
    status = result.status
    if status is Status.ABSENT and needed and not check.optional:
        status = Status.FAILURE
    elif status is Status.FAILURE and not needed:
        # What nobody asked for is worth a word, but does not stand in the way.
        status = Status.WARNING
    advice = "" if status in (Status.OK, Status.ABSENT) else result.advice or check.remedy
    return Line(check, status, result.found, advice)
