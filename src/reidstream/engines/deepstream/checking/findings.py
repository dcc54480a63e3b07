"""What a check finds: where, how bad, why, and what to do; with an edit where the cure is certain."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """It does not start, or no embeddings or wrong ones come out."""
    WARNING = "warning"
    """It runs, but slower, worse or otherwise than it looks."""
    NOTE = "note"
    """Worth knowing; nothing has to be done."""


@dataclass(frozen=True, slots=True)
class SetLine:
    """Put ``key`` and ``value`` in the place of what stands in a line (numbered from 1)."""

    line: int
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RemoveLine:
    """Take a line out."""

    line: int


@dataclass(frozen=True, slots=True)
class AddKey:
    """Put a key at the end of a group, which is made if it is missing."""

    group: str
    key: str
    value: str


Edit = SetLine | RemoveLine | AddKey


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw. line: from 1, or 0 when something is missing altogether. code: see ``codes.CODES``.

    edits: what ``--fix`` does about it; empty when a person has to decide.
    """

    file: Path
    line: int
    severity: Severity
    code: str
    cause: str
    cure: str
    edits: tuple[Edit, ...] = field(default=(), compare=False)

    @property
    def place(self) -> str:
        """``file:line``, or the file alone."""
        return f"{self.file}:{self.line}" if self.line else str(self.file)
