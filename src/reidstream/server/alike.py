"""Who looks like whom: the mean looks of everybody, kept for as long as nobody's tracklets change."""

from __future__ import annotations

import threading

import numpy as np

from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Catalogue, Entry
from reidstream.types import FloatArray

# People whose looks are read in one go.
_AT_ONCE = 500


class Looks:
    """Unit mean vectors of people. Safe to use from several threads."""

    def __init__(self, gallery: Gallery, catalogue: Catalogue) -> None:
        self._gallery, self._catalogue = gallery, catalogue
        self._lock = threading.Lock()
        self._version = -1
        self._row: dict[str, int] = {}
        self._ids: list[str] = []
        self._members: dict[str, tuple[str, ...]] = {}
        self._means: FloatArray = np.zeros((0, gallery.space.size), np.float32)

    def means(self) -> tuple[list[str], FloatArray]:
        """Person ids and their means, float32 (n, d)."""
        with self._lock:
            self._refresh()
            return self._ids, self._means

    def nearest(self, person: str, most: int = 12) -> list[tuple[Entry, float]]:
        """Other people, most alike first, with the cosine of the mean looks."""
        with self._lock:
            self._refresh()
            ids, means, row = self._ids, self._means, self._row.get(person)
        if row is None or len(ids) < 2:
            return []
        similarity = means @ means[row]
        similarity[row] = -2.0
        most = min(most, len(ids) - 1)
        best = np.argpartition(-similarity, most - 1)[:most] if most else np.zeros(0, np.int64)
        # Of those that are equally alike, the first.
        best = np.sort(best)
        found = []
        for other in best[np.argsort(-similarity[best], kind="stable")].tolist():
            entry = self._catalogue.get(ids[other])
            if entry is not None:
                found.append((entry, float(similarity[other])))
        return found

    def odd(self, entry: Entry) -> list[tuple[str, float]]:
        """A person's tracklets with their mean cosine to the others, the least alike first."""
        ids, vectors = self._gallery.vectors([visit.tracklet for visit in entry.visits])
        others = vectors.sum(axis=0) - vectors
        lengths = np.maximum(np.linalg.norm(others, axis=1), 1e-6)
        similarity = (vectors * others).sum(axis=1) / lengths
        return [(ids[row], float(similarity[row])) for row in np.argsort(similarity, kind="stable").tolist()]

    def _refresh(self) -> None:
        if self._version == self._catalogue.version:
            return
        self._version = self._catalogue.version
        entries = {entry.person.id: entry for entry in self._catalogue.entries()}
        stale = [e for i, e in entries.items() if self._members.get(i) != e.person.tracklets]
        if entries.keys() != self._row.keys():
            means = np.zeros((len(entries), self._gallery.space.size), np.float32)
            row = {person: number for number, person in enumerate(entries)}
            kept = [person for person in entries if person in self._row]
            if kept:
                means[[row[p] for p in kept]] = self._means[[self._row[p] for p in kept]]
            self._row, self._means, self._ids = row, means, list(row)
        elif stale:
            # Who asked a moment ago still compares with these.
            self._means = self._means.copy()
        for begin in range(0, len(stale), _AT_ONCE):
            some = stale[begin : begin + _AT_ONCE]
            ids = [t for entry in some for t in entry.person.tracklets]
            _, vectors = self._gallery.vectors(ids)
            counts = np.array([len(entry.person.tracklets) for entry in some])
            sums = np.add.reduceat(vectors, np.cumsum(counts) - counts)
            lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
            self._means[[self._row[entry.person.id] for entry in some]] = sums / lengths
        self._members = {person: entry.person.tracklets for person, entry in entries.items()}
