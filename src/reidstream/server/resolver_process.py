"""The process that decides everybody anew for a server: it reads the gallery beside its owner, and writes nothing.

The order comes on standard input; (True, what it found) or (False, what is wrong, in words) goes out on what was
standard output, as ``multiprocessing`` pickles them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from reidstream.children import conversing_parent
from reidstream.config.identities import IdentityConfig
from reidstream.errors import ReIDStreamError
from reidstream.gallery import Gallery
from reidstream.identities.applying import held_by, parts_of
from reidstream.identities.people import has_people, newest_operation
from reidstream.identities.proposal import propose
from reidstream.server.resolver import Found, ResolveOrder

# Others on this machine go first: nobody waits for this by the second.
_NICENESS = 10


def _found(gallery: Gallery, config: IdentityConfig) -> Found:
    before = newest_operation(gallery)
    proposal = propose(gallery, config)
    held = {}
    if has_people(gallery):
        with gallery.read() as connection:
            held = held_by(connection)
    return Found(before, tuple(parts_of(proposal, held)), proposal.counts, proposal.summary)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = conversing_parent()
    order: ResolveOrder = requests.recv()
    os.nice(_NICENESS)
    try:
        with Gallery.open(order.gallery) as gallery:
            answer: tuple[bool, Any] = (True, _found(gallery, order.config))
    except ReIDStreamError as error:
        answer = (False, str(error))
    with contextlib.suppress(OSError):
        answers.send(answer)


if __name__ == "__main__":
    main()
