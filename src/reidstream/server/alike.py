"""Who looks like whom: the mean looks of everybody, kept for as long as nobody's tracklets change."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from reidstream.errors import TrackletNotFound
from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Catalogue, Entry
from reidstream.types import FloatArray

# People whose looks are read in one go.
_AT_ONCE = 500
# So many times as many as are wanted are looked at first: some are hidden, or of other cameras.
_MORE = 4


class Looks:
    """Unit mean vectors of people. Safe to use from several threads."""

    def __init__(self, gallery: Gallery, catalogue: Catalogue) -> None:
        self._gallery, self._catalogue = gallery, catalogue
        self._lock = threading.Lock()
        self._version = -1
        self._row: dict[str, int] = {}
        self._ids: list[str] = []
        self._means: FloatArray = np.zeros((0, gallery.space.size), np.float32)

    def means(self) -> tuple[list[str], FloatArray]:
        """Person ids and their means, float32 (n, d), as they are now."""
        with self._lock:
            self._refresh()
            return list(self._ids), self._means[: len(self._ids)].copy()

    def nearest(
        self, person: str, most: int, wanted: Callable[[Entry], Entry | None] = lambda entry: entry
    ) -> list[tuple[Entry, float]]:
        """Other people, most alike first, with the cosine of the mean looks.

        wanted: what is wanted of each of them; None: somebody else instead.
        """
        with self._lock:
            self._refresh()
            row = self._row.get(person)
            if row is None or len(self._ids) < 2:
                return []
            ids = list(self._ids)
            similarity = self._means[: len(ids)] @ self._means[row]
        similarity[row] = -2.0
        found: list[tuple[Entry, float]] = []
        looked, several = 0, min(max(most * _MORE, 1), len(ids) - 1)
        while len(found) < most and looked < len(ids) - 1:
            best = np.argpartition(-similarity, several - 1)[:several]
            # Of those that are equally alike, the first.
            best = np.sort(best)
            for other in best[np.argsort(-similarity[best], kind="stable")].tolist()[looked:]:
                entry = self._catalogue.get(ids[other])
                seen = wanted(entry) if entry is not None else None
                if seen is not None:
                    found.append((seen, float(similarity[other])))
                if len(found) == most:
                    break
            looked, several = several, min(several * _MORE, len(ids) - 1)
        return found

    def odd(self, entry: Entry) -> list[tuple[str, float]]:
        """A person's tracklets with their mean cosine to the others, the least alike first."""
        ids, vectors = self._gallery.vectors([visit.tracklet for visit in entry.visits])
        others = vectors.sum(axis=0) - vectors
        lengths = np.maximum(np.linalg.norm(others, axis=1), 1e-6)
        similarity = (vectors * others).sum(axis=1) / lengths
        return [(ids[row], float(similarity[row])) for row in np.argsort(similarity, kind="stable").tolist()]

    def _refresh(self) -> None:
        """Read the looks of those who have changed."""
        version, changed = self._catalogue.changed_since(self._version)
        if version == self._version:
            return
        self._version = version
        if changed is None:
            entries = self._catalogue.entries()
            self._ids, self._row = [], {}
            self._means = np.zeros((len(entries), self._gallery.space.size), np.float32)
        else:
            entries = [entry for person in sorted(changed) if (entry := self._catalogue.get(person)) is not None]
            for person in changed - {entry.person.id for entry in entries}:
                self._remove(person)
        for begin in range(0, len(entries), _AT_ONCE):
            self._put(entries[begin : begin + _AT_ONCE])

    def _put(self, entries: list[Entry]) -> None:
        try:
            _, vectors = self._gallery.vectors([t for entry in entries for t in entry.person.tracklets])
        except TrackletNotFound:
            # Erased a moment ago: the catalogue is going to say who it was.
            for entry in entries if len(entries) > 1 else ():
                self._put([entry])
            return
        counts = np.array([len(entry.person.tracklets) for entry in entries])
        sums = np.add.reduceat(vectors, np.cumsum(counts) - counts)
        means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        for entry, mean in zip(entries, means, strict=True):
            row = self._row.get(entry.person.id)
            if row is None:
                row = self._row[entry.person.id] = len(self._ids)
                self._ids.append(entry.person.id)
                if row == len(self._means):
                    room = np.zeros((max(64, row // 2), self._means.shape[1]), np.float32)
                    self._means = np.concatenate([self._means, room])
            self._means[row] = mean

    def _remove(self, person: str) -> None:
        """Whoever has the last row gets the row of somebody who has gone."""
        row = self._row.pop(person, None)
        if row is None:
            return
        last = self._ids.pop()
        self._means[row] = self._means[len(self._ids)]
        if last != person:
            self._ids[row], self._row[last] = last, row
