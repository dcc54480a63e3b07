"""Who came when: a gallery's events from where this program left off the last time.

    python examples/follow_events.py --gallery shop --forever

It may run beside a run that fills the gallery. What was printed last stands in the position file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from reidstream import Gallery
from reidstream.identities.delivery import Position, follow
from reidstream.identities.outbox import OutboxEvent


class Doorman:
    """Says who came; other events do not interest it."""

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        for event in events:
            seen = event.payload
            if event.kind in ("IdentityCreated", "IdentitySeenAgain"):
                when = datetime.fromtimestamp(seen.get("start", event.wall)).astimezone()
                word = "new" if event.kind == "IdentityCreated" else "again"
                print(f"{when:%Y-%m-%d %H:%M:%S}  {seen.get('source', '')}  {seen['person']}  {word}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery", default="gallery")
    parser.add_argument("--position", type=Path, default=Path("doorman.json"))
    parser.add_argument("--forever", action="store_true", help="wait for more")
    options = parser.parse_args()
    with Gallery.open(options.gallery) as gallery:
        position = Position(options.position, gallery)
        follow(gallery, Doorman(), position.seq, position=position, forever=options.forever)


if __name__ == "__main__":
    main()
