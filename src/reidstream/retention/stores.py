"""What the log of retention says about people: nothing."""

from __future__ import annotations

from reidstream.gallery.personal import Store

STORES: tuple[Store, ...] = (
    Store(
        "when how much was erased because it was due",
        tables=("retention_runs",),
        beyond="times, rules and numbers; nobody is named",
    ),
)
