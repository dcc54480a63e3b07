"""What somebody probably meant who wrote a name that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_NEAR = 0.55
_MOST_SHOWN = 12


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is most like the word, upper and lower case aside; None when none is much like it."""
    names = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), names, n=1, cutoff=_NEAR)
    return names[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean X?``, or else what there is: ``there are: X, Y``, for the end of a message."""
    names = list(known)
    meant = nearest(word, names)
    if meant is not None:
        return f"did you mean {meant}?"
    if not names:
        return "there are none"
    rest = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"there are: {', '.join(names[:_MOST_SHOWN])}{rest}"
