"""The pairs of people who are most alike, without keeping what all of them resemble."""

from __future__ import annotations

import numpy as np

from reidstream.types import FloatArray, IntArray

# People compared with all others in one go.
_BLOCK = 2000
# So many times the wanted pairs are looked at, so that a few people who resemble many leave others their place.
_MORE = 16


def most_alike(means: FloatArray, most: int, each: int) -> list[tuple[int, int]]:
    """The pairs of rows that are most alike, the most alike first; nobody is in many of them.

    means: float32 (n, d), unit length. most: pairs in all; each: of one row with earlier ones, and with later ones.
    """
    kept = np.zeros((0, 2), np.int64)
    alike = np.zeros(0, np.float32)
    least = np.float32(-1.5)
    for begin in range(0, len(means), _BLOCK):
        # Every pair once: with those of the same block that come later, and with all blocks after it.
        cosines = means[begin : begin + _BLOCK] @ means[begin:].T
        cosines[np.tril_indices(len(cosines))] = -2.0
        # What is below the threshold, which rises from block to block, is never put in order.
        above = cosines[cosines > least]
        enough = np.partition(above, -_MORE * most)[-_MORE * most] if len(above) > _MORE * most else least
        row, other = np.nonzero((cosines >= enough) & (cosines > least))
        kept = np.concatenate([kept, np.stack([row, other], axis=1) + begin])
        alike = np.concatenate([alike, cosines[row, other]])
        order = np.argsort(-alike, kind="stable")
        kept, alike = kept[order], alike[order]
        few = (_rank(kept[:, 0]) < each) & (_rank(kept[:, 1]) < each)
        kept, alike = kept[few][:most], alike[few][:most]
        if len(alike) == most:
            least = alike[-1]
    return [(int(a), int(b)) for a, b in kept.tolist()]


def _rank(values: IntArray) -> IntArray:
    """int64 (m,): how often each value was there before."""
    order = np.argsort(values, kind="stable")
    held = values[order]
    first = np.flatnonzero(np.diff(held, prepend=held[:1] - 1)) if len(held) else np.zeros(0, np.int64)
    counts = np.diff(np.append(first, len(held)))
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(held)) - np.repeat(first, counts)
    return rank
