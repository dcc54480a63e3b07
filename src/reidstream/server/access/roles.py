"""What somebody may do, and of which cameras."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    """Looks at people, searches, downloads nothing."""
    REVIEWER = "reviewer"
    """Decides who is who."""
    OPERATOR = "operator"
    """Adds, pauses and removes sources; exports."""
    ADMIN = "admin"
    """Erases people; users, tokens, the log."""

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def may(self, needed: Role) -> bool:
        return self.rank >= needed.rank


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    name: for the log. cameras: the sources that they may see, None for all. user: their number, None for the gallery's
    owner on this machine. session: the hash of their session, None with a token. address: where they ask from.
    """

    name: str
    role: Role
    cameras: frozenset[str] | None = None
    user: int | None = None
    session: str | None = None
    address: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """For filters of tracklets: empty means all. Somebody without any camera sees a source that cannot be."""
        return () if self.cameras is None else tuple(sorted(self.cameras)) or ("\0",)
