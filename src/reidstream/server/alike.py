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
        self._members: dict[str, tuple[str, ...]] = {}
        self._means: FloatArray = np.zeros((0, gallery.space.size), np.float32)

    def means(self) -> tuple[list[str], FloatArray]:
        """Person ids and their means, float32 (n, d)."""
        with self._lock:
            self._refresh()
            return list(self._row), self._means

    def nearest(self, person: str, most: int = 12) -> list[tuple[Entry, float]]:
        """Other people, most alike first, with the cosine of the mean looks."""
        ids, means = self.means()
        if person not in self._row:
            return []
        similarity = means @ means[ids.index(person)]
        found = []
        for row in np.argsort(-similarity, kind="stable")[: most + 1].tolist():
            entry = self._catalogue.get(ids[row]) if ids[row] != person else None
            if entry is not None:
                found.append((entry, float(similarity[row])))
        return found[:most]

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
        means = np.zeros((len(entries), self._gallery.space.size), np.float32)
        row = {person: number for number, person in enumerate(entries)}
        kept = [person for person in entries if person in self._row]
        if kept:
            means[[row[p] for p in kept]] = self._means[[self._row[p] for p in kept]]
        for begin in range(0, len(stale), _AT_ONCE):
            some = stale[begin : begin + _AT_ONCE]
            ids = [t for entry in some for t in entry.person.tracklets]
            _, vectors = self._gallery.vectors(ids)
            counts = np.array([len(entry.person.tracklets) for entry in some])
            sums = np.add.reduceat(vectors, np.cumsum(counts) - counts)
            lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
            means[[row[entry.person.id] for entry in some]] = sums / lengths
        self._row, self._means = row, means
        self._members = {person: entry.person.tracklets for person, entry in entries.items()}
