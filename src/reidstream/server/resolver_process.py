"""The process that decides everybody anew for a server: it reads the gallery beside its owner, and writes nothing.

The order comes on standard input; (True, the proposal) or (False, what is wrong, in words) goes out on what was
standard output, as ``multiprocessing`` pickles them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from multiprocessing.connection import Connection
from typing import Any

from reidstream.errors import ReIDStreamError
from reidstream.gallery import Gallery
from reidstream.identities.proposal import propose
from reidstream.server.resolver import ResolveOrder

# Others on this machine go first: nobody waits for this by the second.
_NICENESS = 10


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not get between the answers.
    answers = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)
    requests = Connection(os.dup(0), writable=False)
    order: ResolveOrder = requests.recv()
    os.nice(_NICENESS)
    try:
        with Gallery.open(order.gallery) as gallery:
            answer: tuple[bool, Any] = (True, propose(gallery, order.config))
    except ReIDStreamError as error:
        answer = (False, str(error))
    with contextlib.suppress(OSError):
        answers.send(answer)


if __name__ == "__main__":
    main()
