"""How alike tracklets are: candidates by their means, then the best pair of prototypes."""

from __future__ import annotations

import numpy as np

from reidstream.identities.evidence import Evidence
from reidstream.types import FloatArray, IntArray

_BLOCK = 1024


def candidates(vectors: FloatArray, most: int) -> tuple[IntArray, IntArray]:
    """Pairs (i < j) of rows in which one is among the ``most`` nearest of the other, by cosine.

    vectors: float32 (n, d), unit length. All pairs when there are no more than ``most`` others. Memory stays at one
    block of n similarities.
    """
    n = len(vectors)
    if n - 1 <= most:
        i, j = np.triu_indices(n, 1)
        return i.astype(np.int64), j.astype(np.int64)
    keys = []
    for begin in range(0, n, _BLOCK):
        block = vectors[begin : begin + _BLOCK] @ vectors.T
        rows = np.arange(begin, begin + len(block))
        block[np.arange(len(block)), rows] = -2.0
        near = np.argpartition(block, -most, axis=1)[:, -most:]
        low = np.minimum(rows[:, None], near)
        high = np.maximum(rows[:, None], near)
        keys.append((low * n + high).ravel())
    unique = np.unique(np.concatenate(keys))
    return unique // n, unique % n


def pair_similarity(evidence: Evidence, i: IntArray, j: IntArray) -> FloatArray:
    """float32 (m,): the cosine of the most similar prototypes of tracklets i[k] and j[k].

    The best pair of prototypes, not the means: two cameras see a person from two sides, and the prototypes that
    agree are those that were seen from the same side by both.
    """
    first, prototypes = evidence.first, evidence.prototypes
    counts = np.diff(first)
    most = int(counts.max(initial=1))
    # Ragged to rectangular: a tracklet with fewer prototypes repeats its heaviest.
    slots = np.arange(most)[None, :]
    table = first[:-1, None] + np.where(slots < counts[:, None], slots, 0)
    found = np.empty(len(i), np.float32)
    for begin in range(0, len(i), 4 * _BLOCK):
        rows = slice(begin, begin + 4 * _BLOCK)
        a, b = prototypes[table[i[rows]]], prototypes[table[j[rows]]]
        found[rows] = np.matmul(a, b.transpose(0, 2, 1)).reshape(len(a), -1).max(axis=1)
    return found


def within_similarity(evidence: Evidence) -> FloatArray:
    """Cosines between the prototypes of single tracklets, float32, one per pair."""
    values = []
    for begin, end in zip(evidence.first[:-1].tolist(), evidence.first[1:].tolist(), strict=True):
        if end - begin > 1:
            block = evidence.prototypes[begin:end] @ evidence.prototypes[begin:end].T
            values.append(block[np.triu_indices(end - begin, 1)])
    return np.concatenate(values).astype(np.float32) if values else np.zeros(0, np.float32)
