"""Keeping passwords that were typed into the command line out of the list of processes, which all users can read."""

from __future__ import annotations

import json
import os
import sys

from reidstream.config.redaction import redacted

_HIDDEN = "REIDSTREAM_ARGUMENTS"


def hide_passwords() -> None:
    """Start this program again with ``***`` for the passwords in its arguments, if there are any.

    The arguments themselves are handed over in the environment, which only the same user can read, and which children
    do not inherit. For the blink until then they can be seen: files and variables (``config.secrets``) have no blink.
    """
    real = os.environ.pop(_HIDDEN, None)
    if real is not None:
        sys.argv[1:] = json.loads(real)
        return
    shown = [redacted(argument) for argument in sys.argv[1:]]
    if shown == sys.argv[1:] or sys.orig_argv[-len(shown) :] != sys.argv[1:]:
        # Nothing to hide, or another program's command line that this one was called from.
        return
    interpreter = sys.orig_argv[: len(sys.orig_argv) - len(shown)]
    environment = {**os.environ, _HIDDEN: json.dumps(sys.argv[1:])}
    os.execve(sys.executable, [*interpreter, *shown], environment)
